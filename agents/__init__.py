"""Who decides, and how well: classical and learned agents, training and judging."""

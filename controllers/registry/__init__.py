"""What the street remembers: bundles, deployments, decisions, overrides, events, keys."""

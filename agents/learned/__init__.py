"""The phase-scoring network and its training on stable-baselines3."""

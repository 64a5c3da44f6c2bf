"""Junctions and small networks drawn at random, for training on many and judging on others."""

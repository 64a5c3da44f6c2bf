"""Simulated worlds: SUMO backends behind one protocol, and the episode that runs them."""

from signals.simulation.backend import Backend
from signals.simulation.episode import Episode

__all__ = ["Backend", "Episode"]

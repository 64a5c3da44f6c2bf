"""Rewards: named terms with units, the same quantity that a result reports."""

from __future__ import annotations

from collections.abc import Callable

from signals.errors import UnknownNameError
from signals.simulation.episode import Episode

LOST_SCALE_S = 1000.0
"""Lost vehicle seconds that make a reward of -1; keeps returns near the size networks like."""


def lost_seconds(episode: Episode) -> float:
    """Vehicle seconds lost in the last second, not-inserted vehicles included, negated."""
    return -episode.lost_s() / LOST_SCALE_S


def lost_person_seconds(episode: Episode) -> float:
    """Person seconds lost in the last second, waiting pedestrians included, negated."""
    return -episode.lost_person_s() / LOST_SCALE_S


REWARDS: dict[str, Callable[[Episode], float]] = {
    "lost_seconds": lost_seconds,
    "lost_person_seconds": lost_person_seconds,
}


def reward_named(name: str) -> Callable[[Episode], float]:
    """The reward term of that name.

    Raises:
        UnknownNameError: There is none.
    """
    if name not in REWARDS:
        raise UnknownNameError("reward", name, REWARDS)
    return REWARDS[name]

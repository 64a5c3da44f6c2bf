"""Rewards: named terms with units, the same quantity that a result reports."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from signals.errors import UnknownNameError
from signals.simulation.episode import Episode

LOST_SCALE_S = 1000.0
"""Lost vehicle seconds that make a reward of -1; keeps returns near the size networks like."""


def lost_seconds(episode: Episode) -> NDArray[np.float64]:
    """Vehicle seconds lost since it was last asked, not-inserted vehicles included, negated.

    Returns:
        (groups of all junctions + 1,): by signal group, and elsewhere.
    """
    return -episode.lost_s() / LOST_SCALE_S


def lost_person_seconds(episode: Episode) -> NDArray[np.float64]:
    """Person seconds lost since it was last asked, waiting pedestrians included, negated.

    Returns:
        (groups of all junctions + 1,): by signal group, and elsewhere.
    """
    return -episode.lost_person_s() / LOST_SCALE_S


Reward = Callable[[Episode], NDArray[np.float64]]
"""The parts of a reward since it was last asked; their sum is the reward."""

REWARDS: dict[str, Reward] = {
    "lost_seconds": lost_seconds,
    "lost_person_seconds": lost_person_seconds,
}


def reward_named(name: str) -> Reward:
    """The reward term of that name.

    Raises:
        UnknownNameError: There is none.
    """
    if name not in REWARDS:
        raise UnknownNameError("reward", name, REWARDS)
    return REWARDS[name]

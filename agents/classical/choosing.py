"""Choosing the open phase of the greatest score, which the greedy agents have in common."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from signals.observation import Observation


def best_phase(scores: NDArray[np.float64], observation: Observation, bonus: float) -> int:
    """The open phase of the greatest score; the present one keeps a bonus and wins ties.

    Args:
        scores: (phases,) score of each phase, 0 or more.
        observation: Says which phases are open, and the present one.
        bonus: The score of the present phase is multiplied by 1 + bonus.
    """
    now = observation.state.phase
    open_ = observation.mask > 0
    weighed = np.where(open_, scores, -np.inf)
    weighed[now] *= 1.0 + bonus
    best = int(np.argmax(weighed))
    return now if open_[now] and weighed[now] >= weighed[best] else best

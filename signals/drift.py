"""Whether readings still look like those that a policy was trained on.

An export keeps, for every movement feature, the range of its training observations; a reading
outside it is one the policy was never taught to answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from signals.errors import ContractError
from signals.features import MOVEMENT_FEATURES

RANGES = "ranges"
"""Key of the ranges in a contract's ``training``."""
NO_RANGES = (
    "the bundle keeps no ranges of its training observations; export it anew to have readings "
    "outside them noticed"
)
"""Said once where a bundle without ranges is deployed."""
TOLERANCE = 0.05
"""Features are scaled to [0, 1]; so much beyond the range still counts as inside."""


def observed_ranges(movements: NDArray[np.float32]) -> dict[str, list[float]]:
    """Lowest and highest value of every movement feature.

    Args:
        movements: (..., M, F) float32 observations; the rows of padding, all zero, are left out.
    """
    rows = movements.reshape(-1, movements.shape[-1])
    rows = rows[rows.any(axis=1)]
    if not len(rows):
        return {}
    low, high = rows.min(axis=0), rows.max(axis=0)
    return {
        name: [round(float(low[column]), 6), round(float(high[column]), 6)]
        for column, name in enumerate(MOVEMENT_FEATURES)
    }


class TrainedRanges:
    """The ranges of a contract.

    Args:
        training: The contract's ``training``.

    Raises:
        ContractError: Its ranges are none.
    """

    def __init__(self, training: Mapping[str, Any]) -> None:
        given = training.get(RANGES)
        self.known = bool(given)
        self._low = np.zeros(len(MOVEMENT_FEATURES), dtype=np.float32)
        self._high = np.ones(len(MOVEMENT_FEATURES), dtype=np.float32)
        try:
            for name, (low, high) in dict(given or {}).items():
                column = MOVEMENT_FEATURES.index(name)
                self._low[column] = float(low) - TOLERANCE
                self._high[column] = float(high) + TOLERANCE
        except (TypeError, ValueError) as error:
            raise ContractError(f"the contract's training ranges are none: {error}") from error

    def outside(self, movements: NDArray[np.float32]) -> float:
        """Share of the movements that have a feature outside its range.

        Args:
            movements: (M, F) float32.
        """
        if not self.known or not len(movements):
            return 0.0
        strange = (movements < self._low) | (movements > self._high)
        return float(np.count_nonzero(strange.any(axis=1)) / len(movements))

"""When a policy sees too little to decide.

A policy that does not see a stream gives it no green. An actuated controller puts a phase whose
detectors fail on recall; a learned policy has no such rule inside, so that a junction with a stream
of whose detectors at the stop line fewer than half answer follows its time-of-day plan until they
do.
"""

from __future__ import annotations

import numpy as np

from signals.junction import Junction
from signals.observation import Observation

KINDS = ("through", "left", "uturn")
"""Movements that must be seen; right turns go on red too (우회전)."""


class Sight:
    """What a policy must see of a junction.

    Args:
        junction: The junction.
    """

    def __init__(self, junction: Junction) -> None:
        self._names = [movement.id for movement in junction.movements]
        self._needed = np.array([movement.kind in KINDS for movement in junction.movements])

    def lost(self, observation: Observation) -> str:
        """Why the junction is to follow its plan, or an empty string.

        Args:
            observation: Of this junction.
        """
        unseen = observation.measures.unseen.nonzero()[0]
        for row in unseen.tolist():
            if self._needed[row]:
                return f"too few detectors at the stop line see movement {self._names[row]}"
        return ""

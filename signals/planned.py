"""What the plan in force says of phases and movements, as features.

A plan holds what its designer knew: the order of phases that fits the streets around, how much
green each movement usually needs, and, by its offset, when the platoon from the next junction is
due. A policy sees it beside the traffic, and has something to go by where detectors are silent.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from signals.features import ELAPSED_S, MOVEMENT_FEATURES, PHASE_FEATURES
from signals.junction import Junction
from signals.plan import Plan

_NEXT, _SPLIT, _SHARE = (
    PHASE_FEATURES.index(name) for name in ("plan_next", "plan_split", "plan_share")
)
_GREEN = MOVEMENT_FEATURES.index("plan_green")


class Planned:
    """Features of one junction under one plan.

    Args:
        junction: The junction.
        plan: The plan in force; None leaves its features at 0.
        movements: (M, F) float32 features that do not change.
        phases: For each present phase, (P, G) float32 features that do not change.

    Attributes:
        movements: (M, F) float32, with the plan's share of green of each movement.
        phases: For each present phase, (P, G) float32, with the plan's splits and order.
        splits_s: (P,) float64 seconds of the cycle in which the plan serves each phase.

    Raises:
        PlanError: The plan serves groups together that are no phase of the junction.
    """

    def __init__(
        self,
        junction: Junction,
        plan: Plan | None,
        movements: NDArray[np.float32],
        phases: tuple[NDArray[np.float32], ...],
    ) -> None:
        self._plan = plan
        self.splits_s = np.zeros(len(junction.phases))
        self.movements, self.phases = movements, phases
        if plan is None:
            return
        self._turns = turns = [plan.phase_of(junction, groups) for groups, _ in plan.steps]
        for phase, (_, seconds) in zip(turns, plan.steps, strict=True):
            self.splits_s[phase] += seconds
        self.movements = movements.copy()
        for row, movement in enumerate(junction.movements):
            green_s = sum(seconds for groups, seconds in plan.steps if movement.group in groups)
            self.movements[row, _GREEN] = green_s / plan.cycle_s
        found = []
        for now, table in enumerate(phases):
            own = table.copy()
            own[:, _SPLIT] = np.minimum(self.splits_s / ELAPSED_S, 1.0)
            own[:, _SHARE] = self.splits_s / plan.cycle_s
            for place, phase in enumerate(turns):
                if phase == now:
                    own[turns[(place + 1) % len(turns)], _NEXT] = 1.0
            found.append(own)
        self.phases = tuple(found)
        for array in (self.movements, *self.phases):
            array.setflags(write=False)

    def due(self, clock_s: float) -> int:
        """The phase that the plan serves at a clock time; -1 without a plan.

        Args:
            clock_s: Seconds since midnight.
        """
        return -1 if self._plan is None else self._turns[self._plan.turn(clock_s)]

    def left(self, phase: int, held_s: int) -> float:
        """Share of a phase's split that is left when it was held for some seconds."""
        split_s = float(self.splits_s[phase])
        return max(1.0 - held_s / split_s, 0.0) if split_s else 0.0

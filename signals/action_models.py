"""Action models: what an agent may wish at a decision, on top of what the guard would grant.

``phase``: any phase that the guard would grant.
``extend``: keep the present phase, or go to the next one in the order of the plan.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from signals.errors import UnknownNameError
from signals.junction import Junction
from signals.plan import Plan


class ActionModel(Protocol):
    """Narrows the choice of one junction."""

    def mask(self, granted: NDArray[np.bool_], now: int) -> NDArray[np.bool_]:
        """(phases,) bool, the wishes that are left; at least one of the granted ones.

        Args:
            granted: (phases,) bool, what the guard would grant.
            now: Present phase.
        """


class AnyPhase:
    """``phase``: whatever the guard grants."""

    def mask(self, granted: NDArray[np.bool_], now: int) -> NDArray[np.bool_]:
        """See `ActionModel.mask`."""
        return granted


class ExtendOrNext:
    """``extend``: the present phase or the next of the plan.

    Phases that the plan does not use lead to its first one. When neither is granted, the guard's
    own choice stands.

    Args:
        junction: The junction.
        plan: Its plan.
    """

    def __init__(self, junction: Junction, plan: Plan) -> None:
        order: list[int] = []
        for groups, _ in plan.steps:
            phase = junction.phase_of(groups)
            if phase is not None:
                order.append(phase.index)
        self._next = np.full(len(junction.phases), order[0], dtype=np.intp)
        for here, after in zip(order, [*order[1:], order[0]], strict=True):
            self._next[here] = after

    def mask(self, granted: NDArray[np.bool_], now: int) -> NDArray[np.bool_]:
        """See `ActionModel.mask`."""
        found = np.zeros_like(granted)
        found[[now, self._next[now]]] = True
        found &= granted
        return found if found.any() else granted


NAMES = ("phase", "extend")


def action_model(name: str, junction: Junction, plan: Plan) -> ActionModel:
    """The action model of that name.

    Raises:
        UnknownNameError: There is none.
    """
    if name not in NAMES:
        raise UnknownNameError("action model", name, NAMES)
    return AnyPhase() if name == "phase" else ExtendOrNext(junction, plan)

"""Action models: what an agent chooses between, on top of what the guard would grant.

Whatever the model, an action is the index of a phase:

``phase``: wish for any phase that the guard would grant.
``extend``: keep the present phase, or go to the next one in the order of the plan.
``split``: once a cycle, the phase that the next cycle's splits favour; the order and the cycle
length stay the plan's, so that coordination holds, and every split stays within bounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from signals.errors import UnknownNameError
from signals.junction import Junction
from signals.plan import Plan, least_turn_s

SHIFT_S: Final = 6.0
"""Seconds that the favoured phase gains at most in one cycle."""
BOUNDS: Final = (0.6, 1.5)
"""Least and greatest split, as multiples of the plan's; never below what the law needs."""
_MEMORY: Final = 0.8
"""Share of what earlier cycles shifted that stays."""


class ActionModel(Protocol):
    """Narrows the choice of one junction and turns it into wishes."""

    def mask(self, granted: NDArray[np.bool_], now: int, clock_s: float) -> NDArray[np.bool_]:
        """(phases,) bool, the actions that are left; at least one.

        Args:
            granted: (phases,) bool, what the guard would grant.
            now: Present phase.
            clock_s: Seconds since midnight.
        """

    def wish(self, action: int, clock_s: float) -> int:
        """The phase to wish for until the next decision.

        Args:
            action: One that `mask` leaves.
            clock_s: Seconds since midnight.
        """


class AnyPhase:
    """``phase``: whatever the guard grants."""

    def mask(self, granted: NDArray[np.bool_], now: int, clock_s: float) -> NDArray[np.bool_]:
        """See `ActionModel.mask`."""
        return granted

    def wish(self, action: int, clock_s: float) -> int:
        """The action itself."""
        return action


class ExtendOrNext:
    """``extend``: the present phase or the next of the plan.

    Phases that the plan does not use lead to its first one. When neither is granted, the guard's
    own choice stands.

    Args:
        junction: The junction.
        plan: Its plan.
    """

    def __init__(self, junction: Junction, plan: Plan) -> None:
        order = _order(junction, plan)
        self._next = np.full(len(junction.phases), order[0], dtype=np.intp)
        for here, after in zip(order, [*order[1:], order[0]], strict=True):
            self._next[here] = after

    def mask(self, granted: NDArray[np.bool_], now: int, clock_s: float) -> NDArray[np.bool_]:
        """See `ActionModel.mask`."""
        found = np.zeros_like(granted)
        found[[now, self._next[now]]] = True
        found &= granted
        return found if found.any() else granted

    def wish(self, action: int, clock_s: float) -> int:
        """The action itself."""
        return action


class NextSplits:
    """``split``: which phase the next cycle favours.

    The favoured phase gains up to `SHIFT_S`, the others pay in proportion to what they can spare;
    what earlier cycles shifted fades. Between the begins of cycles there is nothing to choose.

    Args:
        junction: The junction.
        plan: Its plan: order, cycle, and the splits that are shifted.
    """

    def __init__(self, junction: Junction, plan: Plan) -> None:
        self._phases = len(junction.phases)
        self._order = _order(junction, plan)
        self._plan_s = np.array([float(seconds) for _, seconds in plan.steps])
        self._cycle_s, self._offset_s = plan.cycle_s, plan.offset_s
        need_s = []
        for groups, _ in plan.steps:
            turns = [least_turn_s(junction, group)[0] for group in groups]
            # A group with several turns may share its need among them; each keeps to the plan's.
            need_s.append(max(turns, default=0))
        self._least_s = np.minimum(
            np.maximum(np.array(need_s, dtype=float), BOUNDS[0] * self._plan_s), self._plan_s
        )
        self._most_s = BOUNDS[1] * self._plan_s
        self.splits_s = self._plan_s.copy()
        self._cycle: int | None = None

    def mask(self, granted: NDArray[np.bool_], now: int, clock_s: float) -> NDArray[np.bool_]:
        """See `ActionModel.mask`."""
        found = np.zeros(self._phases, dtype=bool)
        if self._number(clock_s) == self._cycle:
            found[self._turn(clock_s)] = True
            return found
        found[self._order] = True
        return found

    def wish(self, action: int, clock_s: float) -> int:
        """The phase whose turn it is in the cycle, after the action shifted its splits."""
        number = self._number(clock_s)
        if number != self._cycle:
            self._cycle = number
            self._favour(action)
        return self._turn(clock_s)

    def _number(self, clock_s: float) -> int:
        return int((clock_s - self._offset_s) // self._cycle_s)

    def _turn(self, clock_s: float) -> int:
        position = (clock_s - self._offset_s) % self._cycle_s
        ends = np.cumsum(self.splits_s)
        return self._order[min(int(np.searchsorted(ends, position, "right")), len(ends) - 1)]

    def _favour(self, action: int) -> None:
        splits = self._plan_s + _MEMORY * (self.splits_s - self._plan_s)
        if action in self._order:
            place = self._order.index(action)
            spare = splits - self._least_s
            spare[place] = 0.0
            gain = min(SHIFT_S, float(spare.sum()), float(self._most_s[place] - splits[place]))
            if gain > 0.0:
                splits -= gain * spare / spare.sum()
                splits[place] += gain
        self.splits_s = splits


def _order(junction: Junction, plan: Plan) -> list[int]:
    found = []
    for groups, _ in plan.steps:
        phase = junction.phase_of(groups)
        if phase is not None:
            found.append(phase.index)
    return found


NAMES: Final = ("phase", "extend", "split")


def action_model(name: str, junction: Junction, plan: Plan) -> ActionModel:
    """The action model of that name.

    Raises:
        UnknownNameError: There is none.
    """
    if name not in NAMES:
        raise UnknownNameError("action model", name, NAMES)
    if name == "phase":
        return AnyPhase()
    return ExtendOrNext(junction, plan) if name == "extend" else NextSplits(junction, plan)


def action_models(
    name: str, junctions: Sequence[Junction], plans: Sequence[Plan]
) -> list[ActionModel]:
    """One for each junction."""
    return [
        action_model(name, junction, plan) for junction, plan in zip(junctions, plans, strict=True)
    ]

"""What coordinated junctions have in common: one cycle at a time, and where it begins."""

from __future__ import annotations

from collections.abc import Callable, Sequence


class Coordination:
    """Cycles of a group of junctions, agreed upon one after the other.

    Whoever needs the next cycle first settles it for all: it is as long as the member that needs
    the longest one asks for. A member begins each cycle its offset later than the group.

    Args:
        wanted_s: Asks each member for the cycle it needs now (s).
    """

    def __init__(self, wanted_s: Sequence[Callable[[], int]]) -> None:
        self._wanted_s = tuple(wanted_s)
        self.reset()

    def reset(self) -> None:
        """Forget all cycles."""
        self._begins: list[float] = []

    def start(self, clock_s: float, cycle_s: int, offset_s: float) -> int:
        """The cycle that a member is in.

        Args:
            clock_s: Now.
            cycle_s: Cycle of the plan that everybody begins with (s).
            offset_s: Offset of the member (s).

        Returns:
            Number of the cycle, for `begin_s`.
        """
        if not self._begins:
            # Cycles are counted from midnight, as plans are.
            first_s = (clock_s // cycle_s - 1) * cycle_s
            self._begins = [first_s, first_s + cycle_s, first_s + 2 * cycle_s]
        number = 0
        while self.begin_s(number + 1) + offset_s <= clock_s:
            number += 1
        return number

    def begin_s(self, number: int) -> float:
        """Clock time at which the group's cycle of this number begins (s)."""
        while number >= len(self._begins):
            wanted_s = max(wanted() for wanted in self._wanted_s)
            self._begins.append(self._begins[-1] + wanted_s)
        return self._begins[number]

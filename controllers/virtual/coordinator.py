"""The virtual controller's own plan: patterns by time of day, and the way back into them.

In coordination every phase has a window of the cycle: it is called when its window opens and
forced off when it closes. A controller that comes out of system control, free operation or a
restart may be anywhere in its cycle; a phase that would then stay red too long until its window is
served first, with the stage of the plan that it belongs to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from controllers.ntcip.assignment import Assignment
from controllers.ntcip.objects import mask_of
from controllers.virtual.rings import TICKS_PER_S, Inputs, Rings
from signals.plan import Plan

_DAY_S = 86_400
_MARGIN_S = 3


@dataclass
class Pattern:
    """One coordination pattern.

    Attributes:
        cycle_s: Cycle (s).
        offset_s: Offset (s).
        begin_s: Clock time from which the time base calls it (s since midnight).
        starts_s: For each phase, where in the cycle its longest window opens (s).
        splits_s: For each phase, how long it stays open (s); 0 omits the phase.
        further: For each phase, its other windows in the cycle: start and length (s). A table of
            splits has no place for them.
        stages: Masks of the phases that the plan joins, in order.
    """

    cycle_s: int
    offset_s: int
    begin_s: int
    starts_s: list[int]
    splits_s: list[int]
    further: tuple[tuple[tuple[int, int], ...], ...]
    stages: tuple[int, ...]

    @classmethod
    def of(cls, plan: Plan, begin_s: int, assignment: Assignment) -> Pattern:
        """A site's plan as a pattern."""
        index = assignment.junction.group_index
        size = len(assignment.junction.groups)
        starts, splits = [0] * size, [0] * size
        further: list[tuple[tuple[int, int], ...]] = [()] * size
        steps = plan.steps
        for group, p in index.items():
            runs = _windows([(group in groups, seconds) for groups, seconds in steps])
            if runs:
                longest = max(runs, key=lambda run: run[1])
                starts[p], splits[p] = longest
                further[p] = tuple(run for run in runs if run is not longest)
        stages = tuple(mask_of(index[g] + 1 for g in groups) for groups, _ in steps)
        return cls(plan.cycle_s, plan.offset_s, begin_s, starts, splits, tuple(further), stages)

    def place_s(self, clock_s: float) -> float:
        """Seconds into the cycle."""
        return (clock_s - self.offset_s) % self.cycle_s

    def left_s(self, phase: int, clock_s: float) -> float:
        """Seconds until the open window of a phase closes, 0 when none is open."""
        place_s = self.place_s(clock_s)
        return max(
            0.0,
            *(
                min(length, self.cycle_s) - (place_s - start) % self.cycle_s
                for start, length in self._windows(phase)
            ),
        )

    def due_in_s(self, phase: int, clock_s: float) -> float:
        """Seconds until a window of a phase opens the next time, from now."""
        place_s = self.place_s(clock_s)
        return min((start - place_s) % self.cycle_s for start, _ in self._windows(phase))

    def _windows(self, phase: int) -> tuple[tuple[int, int], ...]:
        split_s = self.splits_s[phase]
        further = self.further[phase] if split_s else ()
        return (self.starts_s[phase], split_s), *further


def _windows(turns: Sequence[tuple[bool, int]]) -> list[tuple[int, int]]:
    """``(start, length)`` of each run of turns, the cycle's seam joined."""
    cycle = sum(seconds for _, seconds in turns)
    if all(on for on, _ in turns):
        return [(0, cycle)]
    runs: list[list[int]] = []
    at, before = 0, False
    for on, seconds in turns:
        if on and before:
            runs[-1][1] += seconds
        elif on:
            runs.append([at, seconds])
        at, before = at + seconds, on
    if len(runs) > 1 and turns[0][0] and turns[-1][0]:
        runs[-1][1] += runs.pop(0)[1]
    return [(start, length) for start, length in runs]


class Coordinator:
    """Turns a pattern into inputs of the rings.

    Args:
        assignment: The junction's numbers.
        patterns: In order of the time of day; pattern 1 is the first.
    """

    def __init__(self, assignment: Assignment, patterns: Sequence[Pattern]) -> None:
        junction = assignment.junction
        self.patterns = tuple(patterns)
        self._walkers = assignment.walkers
        self._size = len(junction.groups)
        rows = [junction.timing.groups[group.id] for group in junction.groups]
        self._limit_s = [row.max_red_s for row in rows]
        self._change_s = 1 + max(
            (row.clearance_s + row.all_red_s)
            for row, group in zip(rows, junction.groups, strict=True)
            if group.kind != "pedestrian"
        )
        self._recall = assignment.all
        if junction.timing.recall == "call":
            self._recall &= ~assignment.walkers
        self._served = 0
        self._stage = 0
        self._done = 0
        self._judged_s = -1

    def by_time_of_day(self, clock_s: float) -> int:
        """Number of the pattern that the time base calls."""
        now = clock_s % _DAY_S
        found = 0
        for index, pattern in enumerate(self.patterns):
            if pattern.begin_s <= now:
                found = index
        return found + 1

    def leave(self) -> None:
        """Somebody else decides: what was begun is forgotten."""
        self._stage = self._served = 0

    def inputs(self, number: int, clock_s: float, rings: Rings, pedestrian_calls: int) -> Inputs:
        """What the pattern wants in this tenth of a second.

        Args:
            number: Pattern.
            clock_s: Seconds since midnight.
            rings: The phases.
            pedestrian_calls: Crosswalks that somebody waits at, or that recall calls.
        """
        pattern = self.patterns[number - 1]
        self._served |= rings.greens & self._walkers
        if int(clock_s) != self._judged_s:
            self._judged_s = int(clock_s)
            self._judge(pattern, clock_s, rings)
        if self._stage:
            return self._recovering(rings, pedestrian_calls)
        calls = force_off = 0
        for p in range(self._size):
            bit, left_s = 1 << p, pattern.left_s(p, clock_s)
            timing = rings.timing[p]
            if left_s <= 0:
                force_off |= bit
                self._served &= ~bit
            elif not self._walkers & bit:
                if rings.greens & bit or left_s >= timing.minimum_green_s:
                    calls |= bit
            elif pedestrian_calls & ~self._served & bit:
                if left_s >= timing.walk_s + timing.pedestrian_clear_s:
                    calls |= bit
        return Inputs(calls=calls, force_off=force_off)

    def _judge(self, pattern: Pattern, clock_s: float, rings: Rings) -> None:
        """Once a second: go on with a stage, begin one, or follow the pattern."""
        if self._stage:
            for p in _bits(self._stage & rings.greens):
                if self._walkers >> p & 1 or rings.minimum_over(p):
                    self._done |= 1 << p
            walking = self._stage & self._walkers & rings.on
            if self._stage & self._recall & ~self._done or walking:
                return
            self._stage = 0
        late: list[tuple[float, int]] = []
        for p in _bits(self._recall & ~(rings.greens | rings.yellows)):
            if not pattern.splits_s[p]:
                continue
            red_s = rings.off_ticks[p] / TICKS_PER_S
            startable = pattern.left_s(p, clock_s) >= self._least_s(rings, p) + self._change_s
            waits_s = 0.0 if startable else pattern.due_in_s(p, clock_s)
            slack_s = self._limit_s[p] - red_s - self._change_s - _MARGIN_S
            if slack_s < waits_s:
                late.append((slack_s, p))
        if late:
            first = min(late)[1]
            holders = [stage for stage in pattern.stages if stage >> first & 1]
            # Of the stages that serve it, the one that serves most of what is late.
            overdue = sum(1 << p for _, p in late)
            self._stage = max(holders, key=lambda stage: (stage & overdue).bit_count())
            self._done = 0

    def _least_s(self, rings: Rings, p: int) -> int:
        timing = rings.timing[p]
        if self._walkers >> p & 1:
            return timing.walk_s + timing.pedestrian_clear_s
        return timing.minimum_green_s

    def _recovering(self, rings: Rings, pedestrian_calls: int) -> Inputs:
        stage = self._stage
        walks = stage & self._walkers & pedestrian_calls & ~self._done
        return Inputs(
            calls=(stage & ~self._walkers) | walks, force_off=~stage & (1 << self._size) - 1
        )


def _bits(mask: int) -> list[int]:
    return [p for p in range(mask.bit_length()) if mask >> p & 1]

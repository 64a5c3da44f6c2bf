"""The timing law of the virtual controller: rings, phases and their intervals, in 0.1 s ticks.

A phase runs green, yellow and red clearance; the phase of a crosswalk walk, pedestrian clearance
and a buffer. It starts only when it is called, not omitted, and every phase that conflicts with it
or shares its ring is entirely over. It ends when its minimum is over, nobody holds it, and it is
forced off, or has gapped or maxed out against a conflicting call. The order of service is that of
the rings; all rings cross the barrier together; a phase without a call is skipped.

Source: NEMA TS 2, the functions of an actuated controller unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from controllers.ntcip.objects import RING_FORCE_OFF, RING_GAP_OUT, RING_MAX_OUT

TICKS_PER_S = 10
_LONG_AGO = 10**6


class Interval(IntEnum):
    """Interval of a phase; of a crosswalk: don't walk, walk, clearance, buffer."""

    RED = 0
    GREEN = 1
    YELLOW = 2
    RED_CLEAR = 3


@dataclass
class PhaseTiming:
    """The data base of one phase, as phaseTable holds it: seconds, or tenths where named."""

    walk_s: int
    pedestrian_clear_s: int
    minimum_green_s: int
    passage_tenths: int
    maximum_1_s: int
    maximum_2_s: int
    yellow_tenths: int
    red_clear_tenths: int
    red_revert_tenths: int


@dataclass(frozen=True)
class RingDiagram:
    """Which phases there are and what goes together.

    Attributes:
        rings: Ring of each phase.
        sides: Barrier side of each phase.
        conflicts: Mask of the phases that must not be on with each.
        walkers: Mask of the phases of crosswalks.
    """

    rings: tuple[int, ...]
    sides: tuple[int, ...]
    conflicts: tuple[int, ...]
    walkers: int


@dataclass
class Inputs:
    """What acts on the rings in a tick; masks of phases.

    Attributes:
        calls: Phases that are to be served; for a crosswalk its pedestrian call.
        omit: Phases that must not start.
        hold: Greens that must not end.
        force_off: Greens to end once their minimum is over.
        presence: Phases whose detectors see somebody: they extend the green.
        actuated: Greens gap out and max out, and the rings keep their order.
    """

    calls: int = 0
    omit: int = 0
    hold: int = 0
    force_off: int = 0
    presence: int = 0
    actuated: bool = False


class Rings:
    """All phases of one controller.

    Args:
        diagram: Rings and conflicts.
        timing: Data base of each phase; changes hold from the next interval on.

    Attributes:
        greens: Mask of phases in green or walk; ``yellows`` and ``clears`` likewise.
        ended: Phases that a force-off has ended in the last tick.
        off_ticks: Ticks that each phase has shown red.
        ring_bits: ringStatus of each ring: why its last green ended.
    """

    def __init__(self, diagram: RingDiagram, timing: Sequence[PhaseTiming]) -> None:
        self.diagram = diagram
        self.timing = timing
        size = len(diagram.rings)
        self._size = size
        self._barred = [
            diagram.conflicts[p]
            | sum(1 << q for q in range(size) if q != p and diagram.rings[q] == diagram.rings[p])
            for p in range(size)
        ]
        self._order = [
            sorted((p for p in range(size) if diagram.rings[p] == ring), key=self._place)
            for ring in sorted(set(diagram.rings))
        ]
        self.greens = self.yellows = self.clears = 0
        self.ended = 0
        self.off_ticks = [0] * size
        self.ring_bits = dict.fromkeys(diagram.rings, 0)
        self._timer = [0] * size
        self._ends = [0] * size
        self._gap = [0] * size
        self._max = [0] * size
        self._reverted = [_LONG_AGO] * size
        self._visited = 0
        self._side = max(diagram.sides)

    def _place(self, phase: int) -> tuple[int, int]:
        return self.diagram.sides[phase], phase

    @property
    def on(self) -> int:
        """Mask of the phases that are on: green, yellow or red clearance."""
        return self.greens | self.yellows | self.clears

    def interval(self, phase: int) -> Interval:
        """Interval of a phase (counted from 0)."""
        bit = 1 << phase
        for mask, interval in (
            (self.greens, Interval.GREEN),
            (self.yellows, Interval.YELLOW),
            (self.clears, Interval.RED_CLEAR),
        ):
            if mask & bit:
                return interval
        return Interval.RED

    def minimum_over(self, phase: int) -> bool:
        """Whether a green has lasted its minimum."""
        return self._timer[phase] >= self.timing[phase].minimum_green_s * TICKS_PER_S

    def tick(self, inputs: Inputs) -> None:
        """One tenth of a second: what is over ends, who may starts, then time passes."""
        self._expire()
        self.ended = 0
        self._end(inputs.force_off & ~inputs.hold, RING_FORCE_OFF)
        self.ended = inputs.force_off & ~self.greens
        calling = inputs.calls & ~inputs.omit & ~self.on
        if calling:
            self._serve(calling, inputs)
        self._pass(inputs, calling)

    def dark(self) -> None:
        """Everything red at once, for flash and power cuts."""
        self.greens = self.yellows = self.clears = 0
        self._timer = [0] * self._size

    def _expire(self) -> None:
        for p in _bits(self.on):
            bit, timing = 1 << p, self.timing[p]
            walker = bool(self.diagram.walkers & bit)
            if self.greens & bit and walker and self._timer[p] >= timing.walk_s * TICKS_PER_S:
                self._turn_yellow(p)
            elif self.yellows & bit and self._timer[p] >= self._ends[p]:
                self.yellows &= ~bit
                self._timer[p] = 0
                self._ends[p] = timing.red_clear_tenths
                self._reverted[p] = 0
                self.clears |= bit
            if self.clears & bit and self._timer[p] >= self._ends[p]:
                self.clears &= ~bit
                self._timer[p] = 0

    def _turn_yellow(self, p: int) -> None:
        bit, timing = 1 << p, self.timing[p]
        self.greens &= ~bit
        self.yellows |= bit
        self._timer[p] = 0
        walker = self.diagram.walkers & bit
        self._ends[p] = timing.pedestrian_clear_s * TICKS_PER_S if walker else timing.yellow_tenths

    def _end(self, mask: int, why: int) -> None:
        """End greens of vehicle phases whose minimum is over."""
        for p in _bits(mask & self.greens & ~self.diagram.walkers):
            if self.minimum_over(p):
                self.ring_bits[self.diagram.rings[p]] = why
                self._turn_yellow(p)

    def _serve(self, calling: int, inputs: Inputs) -> None:
        due = self._due(calling) if inputs.actuated else calling
        chosen: list[int] = []
        taken = 0
        ready = self._ready(inputs)
        for p in _bits(due):
            must_go = self._barred[p] & self.greens
            if taken & self._barred[p] or must_go & ~ready:
                continue
            chosen.append(p)
            taken |= 1 << p
        for p in chosen:
            for foe in _bits(self._barred[p] & self.greens):
                maxed = self._max[foe] >= self.timing[foe].maximum_1_s * TICKS_PER_S
                self._end(1 << foe, RING_MAX_OUT if maxed else RING_GAP_OUT)
            revert_over = self._reverted[p] >= self.timing[p].red_revert_tenths
            if not self._barred[p] & self.on and revert_over:
                self._start(p)

    def _ready(self, inputs: Inputs) -> int:
        """Greens that a conflicting call may end."""
        if not inputs.actuated:
            return 0
        ready = 0
        for p in _bits(self.greens & ~inputs.hold & ~self.diagram.walkers):
            timing = self.timing[p]
            gapped = self._gap[p] >= timing.passage_tenths
            maxed = self._max[p] >= timing.maximum_1_s * TICKS_PER_S
            if self.minimum_over(p) and (gapped or maxed):
                ready |= 1 << p
        return ready

    def _due(self, calling: int) -> int:
        """The call that is next in each ring; what is on the other side of the barrier waits."""
        sides = self.diagram.sides
        ahead = behind = across = 0
        for own in self._order:
            served = [index for index, p in enumerate(own) if self._visited >> p & 1]
            place = served[-1] if served else -1
            first = 0
            for index, p in enumerate(own):
                bit = 1 << p
                if not calling & bit:
                    continue
                if sides[p] != self._side:
                    across |= bit
                elif index <= place:
                    behind |= bit
                else:
                    first = first or bit
            ahead |= first
        if ahead:
            return ahead
        if across:
            following = sorted({sides[p] for p in _bits(across)})
            side = next((s for s in following if s > self._side), following[0])
            return self._firsts(across, side)
        return behind

    def _firsts(self, calling: int, side: int) -> int:
        """The first call of each ring on a side."""
        found = 0
        for own in self._order:
            for p in own:
                if calling >> p & 1 and self.diagram.sides[p] == side:
                    found |= 1 << p
                    break
        return found

    def _start(self, p: int) -> None:
        self.greens |= 1 << p
        self._timer[p] = self._gap[p] = self._max[p] = 0
        if self._side != self.diagram.sides[p]:
            self._side = self.diagram.sides[p]
            self._visited = 0
        self._visited |= 1 << p

    def _pass(self, inputs: Inputs, calling: int) -> None:
        red = ~(self.greens | self.yellows)
        for p in range(self._size):
            self._timer[p] += 1
            self._reverted[p] += 1
            bit = 1 << p
            self.off_ticks[p] = self.off_ticks[p] + 1 if red & bit else 0
            if self.greens & bit:
                self._gap[p] = 0 if inputs.presence & bit else self._gap[p] + 1
                opposed = calling & self._barred[p]
                self._max[p] = self._max[p] + 1 if opposed else 0


def _bits(mask: int) -> list[int]:
    found = []
    p = 0
    while mask:
        if mask & 1:
            found.append(p)
        mask >>= 1
        p += 1
    return found

"""Time-of-day plans (시간대별 신호계획): two rings, splits, cycle, offset.

A plan follower asks `Plan.wish` every second and gets the phase whose turn it is; the guard shows
its lights. A step's split holds one intergreen: the yellow and all-red of the step before it, with
which it begins, so that the splits of a ring sum to the cycle.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Any

from signals.errors import PlanError
from signals.junction import Junction


@dataclass(frozen=True, slots=True)
class RingStep:
    """One step of a ring: the groups it serves and its split (s)."""

    groups: tuple[str, ...]
    split_s: int


@dataclass(frozen=True)
class Plan:
    """Cycle, offset and the steps of ring A and ring B.

    Attributes:
        name: E.g. the period it is made for.
        cycle_s: Cycle (주기), s.
        offset_s: Offset (옵셋), s after midnight modulo the cycle.
        ring_a: Steps of ring A; their splits sum to the cycle.
        ring_b: Steps of ring B; likewise.
        later: Plans that take over later in the day: clock second and plan, in order.
    """

    name: str
    cycle_s: int
    offset_s: int
    ring_a: tuple[RingStep, ...]
    ring_b: tuple[RingStep, ...]
    later: tuple[tuple[int, Plan], ...] = ()

    def at(self, clock_s: float) -> Plan:
        """The plan in force at a clock time (s since midnight)."""
        found = self
        for begin_s, plan in self.later:
            if clock_s < begin_s:
                break
            found = plan
        return found

    @cached_property
    def steps(self) -> tuple[tuple[frozenset[str], int], ...]:
        """``(groups green together, seconds)`` in order, the two rings merged."""
        edges = sorted({0, *_ends(self.ring_a), *_ends(self.ring_b)})
        merged: list[tuple[frozenset[str], int]] = []
        for start, end in pairwise(edges):
            groups = frozenset((*_step_at(self.ring_a, start), *_step_at(self.ring_b, start)))
            if merged and merged[-1][0] == groups:
                merged[-1] = (groups, merged[-1][1] + end - start)
            else:
                merged.append((groups, end - start))
        return tuple(merged)

    def wish(self, junction: Junction, clock_s: float) -> int:
        """Phase whose turn it is.

        Args:
            junction: A junction this plan was validated for.
            clock_s: Seconds since midnight.

        Returns:
            Index into ``junction.phases``.

        Raises:
            PlanError: The junction has no such phase.
        """
        plan = self.at(clock_s)
        return plan.phase_of(junction, plan.steps[plan.turn(clock_s)][0])

    def turn(self, clock_s: float) -> int:
        """The step whose turn it is, while this plan is in force.

        Args:
            clock_s: Seconds since midnight.

        Returns:
            Index into `steps`.

        Raises:
            PlanError: The steps do not fill the cycle.
        """
        found = bisect_right(self._ends_s, (clock_s - self.offset_s) % self.cycle_s)
        if found == len(self._ends_s):
            raise PlanError(f"plan '{self.name}': its steps do not fill the cycle {self.cycle_s} s")
        return found

    @cached_property
    def _ends_s(self) -> list[int]:
        return list(accumulate(seconds for _, seconds in self.steps))

    def phase_of(self, junction: Junction, groups: frozenset[str]) -> int:
        """The phase of a junction that serves the groups of a step together.

        Raises:
            PlanError: The junction has no such phase.
        """
        phase = junction.phase_of(groups)
        if phase is None:
            raise PlanError(
                f"plan '{self.name}' serves {', '.join(sorted(groups))} together, "
                f"which is no phase of junction {junction.id}"
            )
        return phase.index

    def validate(self, junction: Junction) -> None:
        """Refuse a plan that the guard could not follow to the second.

        Args:
            junction: The junction it is for.

        Raises:
            PlanError: Rings do not fill the cycle, a union of steps is no phase, a group has no
                turn, or a split is too short for the green, walk, clearance and intergreen in it.
        """
        for ring, steps in (("A", self.ring_a), ("B", self.ring_b)):
            total = sum(step.split_s for step in steps)
            if total != self.cycle_s:
                raise PlanError(
                    f"plan '{self.name}': the splits of ring {ring} sum to {total} s, "
                    f"the cycle is {self.cycle_s} s; make them equal"
                )
        for _, plan in self.later:
            plan.validate(junction)
        known = set(junction.group_index)
        for groups, _ in self.steps:
            unknown = groups - known
            if unknown:
                raise PlanError(
                    f"plan '{self.name}' names unknown signal group '{min(unknown)}'; "
                    f"allowed: {', '.join(sorted(known))}"
                )
            if junction.phase_of(groups) is None:
                raise PlanError(
                    f"plan '{self.name}' serves {', '.join(sorted(groups))} together, which is "
                    f"no phase of junction {junction.id}; phases: "
                    + "; ".join(f"{p.name} ({', '.join(p.groups)})" for p in junction.phases)
                )
        for group in junction.groups:
            runs = _runs(self.steps, group.id)
            if not runs:
                raise PlanError(
                    f"plan '{self.name}' never serves {group.id}; give it a step in a ring"
                )
            need_s, what = least_turn_s(junction, group.id)
            shortest_s = min(runs)
            if shortest_s < need_s:
                raise PlanError(
                    f"plan '{self.name}': {group.id} gets {shortest_s} s, needs {need_s} s "
                    f"({what}); lengthen its split"
                )

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        found = asdict(self)
        del found["later"]
        if self.later:
            found["later"] = [[begin_s, plan.to_dict()] for begin_s, plan in self.later]
        return found

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Plan:
        """Inverse of `to_dict`.

        Raises:
            PlanError: The data is not a plan.
        """
        try:
            return cls(
                name=data["name"],
                cycle_s=int(data["cycle_s"]),
                offset_s=int(data["offset_s"]),
                ring_a=_steps(data["ring_a"]),
                ring_b=_steps(data["ring_b"]),
                later=tuple((int(s), cls.from_dict(plan)) for s, plan in data.get("later", ())),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise PlanError(f"not a time-of-day plan: {error!r}") from error


def least_turn_s(junction: Junction, group: str) -> tuple[int, str]:
    """Shortest turn of a group that a plan may give, intergreen included.

    Args:
        junction: The junction.
        group: Signal group id.

    Returns:
        Seconds, and what they are made of.
    """
    timing = junction.timing.groups[group]
    kinds = {item.id: item.kind for item in junction.groups}
    change_s = max(
        (
            junction.timing.intergreen_s(foe)
            for foe in junction.conflict_sets[group]
            if kinds[foe] != "pedestrian"
        ),
        default=0,
    )
    if kinds[group] == "pedestrian":
        return (
            change_s + timing.min_green_s + timing.clearance_s,
            f"intergreen {change_s} + walk {timing.min_green_s} + flashing clearance "
            f"{timing.clearance_s}",
        )
    return (
        change_s + timing.min_green_s,
        f"intergreen {change_s} + minimum green {timing.min_green_s}",
    )


def _steps(data: Sequence[Mapping[str, Any]]) -> tuple[RingStep, ...]:
    return tuple(RingStep(tuple(step["groups"]), int(step["split_s"])) for step in data)


def _ends(ring: Sequence[RingStep]) -> list[int]:
    ends, total = [], 0
    for step in ring:
        total += step.split_s
        ends.append(total)
    return ends


def _step_at(ring: Sequence[RingStep], position_s: int) -> tuple[str, ...]:
    for step in ring:
        if position_s < step.split_s:
            return step.groups
        position_s -= step.split_s
    return ()


def _runs(steps: Sequence[tuple[frozenset[str], int]], group: str) -> list[int]:
    """Lengths of the uninterrupted turns of a group, the cycle's seam joined."""
    if all(group in groups for groups, _ in steps):
        return [sum(seconds for _, seconds in steps)]
    first_off = next(index for index, (groups, _) in enumerate(steps) if group not in groups)
    runs, length = [], 0
    for groups, seconds in (*steps[first_off:], *steps[:first_off]):
        if group in groups:
            length += seconds
        elif length:
            runs.append(length)
            length = 0
    return [*runs, length] if length else runs

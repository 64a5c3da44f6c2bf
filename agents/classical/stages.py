"""The plan's phases in their order, which plan-based agents walk through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from signals.junction import Junction
from signals.plan import Plan


@dataclass(frozen=True, slots=True)
class Stage:
    """One turn of the plan.

    Attributes:
        phase: Phase index.
        split_s: Seconds of the turn, the intergreen it begins with included.
        shortest_s: Intergreen, minimum greens, walk and clearance that end in this turn.
        ending: Groups that are green in this turn and not in the next.
        begins: Groups that turn green with this turn.
    """

    phase: int
    split_s: int
    shortest_s: int
    ending: frozenset[str]
    begins: frozenset[str]


def stages(junction: Junction, plan: Plan) -> tuple[Stage, ...]:
    """The turns of a plan.

    Args:
        junction: The junction the plan was validated for.
        plan: The plan.

    Raises:
        PlanError: A turn is no phase of the junction.
    """
    steps = plan.steps
    found = []
    for position, (groups, split_s) in enumerate(steps):
        phase = plan.phase_of(junction, groups)
        after = steps[(position + 1) % len(steps)][0]
        before = steps[position - 1][0]
        kinds = {group.id: group.kind for group in junction.groups}
        change_s = max(
            (junction.timing.intergreen_s(g) for g in before - groups if kinds[g] != "pedestrian"),
            default=0,
        )
        need_s = 0
        for group in groups & (groups - before) & (groups - after):
            timing = junction.timing.groups[group]
            green_s = timing.min_green_s
            if kinds[group] == "pedestrian":
                green_s += timing.clearance_s
            need_s = max(need_s, green_s)
        found.append(
            Stage(
                phase=phase,
                split_s=split_s,
                shortest_s=change_s + max(need_s, 1),
                ending=frozenset(groups - after),
                begins=frozenset(groups - before),
            )
        )
    return tuple(found)


def position(phases: Sequence[int], phase: int, expected: int) -> int | None:
    """The turn in which a phase runs: the expected one, or the next of that phase after it.

    Args:
        phases: Phase of each turn.
        phase: Phase that runs.
        expected: Turn that it should be.

    Returns:
        Its index, or None of a phase that is in no turn.
    """
    for step in range(len(phases)):
        index = (expected + step) % len(phases)
        if phases[index] == phase:
            return index
    return None

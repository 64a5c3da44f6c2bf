"""Time-of-day plans for imported lights: from the net's own program, or an even split."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise

from signals.errors import PlanError
from signals.junction import Junction, Phase
from signals.netreader import Finding
from signals.netreading.links import Link
from signals.netreading.net import NetProgram
from signals.netreading.programs import changing, green_groups, parts
from signals.plan import Plan, RingStep, least_turn_s

_EVEN_CYCLE_S = 90
"""Shortest cycle of an even split (assumed)."""
_SECONDS_A_LANE = 5
"""Green that one more approach lane earns a phase in an even split (assumed)."""

Step = tuple[Phase, int]


def plan_for(
    name: str, junction: Junction, links: Sequence[Link], programs: Sequence[NetProgram]
) -> tuple[Plan, list[Finding]]:
    """A plan that the guard can follow.

    A static program gives splits: each step of ours lasts as long as the yellow and all-red before
    a green of the program, and that green. Splits that are too short for our intergreens, minimum
    greens and walks are lengthened, and the cycle with them. Without a static program the phases
    that serve all groups share the cycle by their approach lanes.

    Args:
        name: Name of the plan.
        junction: The junction.
        links: Its links.
        programs: Its programs in the net; the last static one counts, as in SUMO.

    Returns:
        The plan, valid for the junction, and what was changed.
    """
    findings: list[Finding] = []
    static = [program for program in programs if program.type == "static"]
    steps: list[Step] = []
    offset_s = 0.0
    if static:
        steps, offset_s = _program_steps(junction, links, static[-1])
    source = "its program"
    if not steps:
        steps = _even_steps(junction)
        source = "an even split"
    before_s = sum(seconds for _, seconds in steps)
    plan = lawful_plan(name, junction, steps, offset_s)
    if static and source == "its program" and plan.cycle_s != before_s:
        findings.append(
            Finding(
                junction.id,
                "plan",
                f"cycle {before_s} s of program '{static[-1].id}' became {plan.cycle_s} s to hold "
                "intergreens, minimum greens and walks",
            )
        )
    return plan, findings


def lawful_plan(name: str, junction: Junction, steps: Sequence[Step], offset_s: float) -> Plan:
    """A plan of these steps: groups that none serves added, short turns lengthened.

    Args:
        name: Name of the plan.
        junction: The junction.
        steps: Phases in order with their splits (s).
        offset_s: Offset (s).

    Raises:
        PlanError: No lengthening makes it lawful.
    """
    wanted: list[tuple[Phase, int]] = []
    for phase, seconds in steps:
        if wanted and wanted[-1][0] == phase:
            wanted[-1] = (phase, wanted[-1][1] + seconds)
        elif seconds > 0:
            wanted.append((phase, seconds))
    served = {group for phase, _ in wanted for group in phase.groups}
    for group in junction.groups:
        if group.id not in served:
            phase = next(item for item in junction.phases if group.id in item.groups)
            wanted.append((phase, least_turn_s(junction, group.id)[0]))
            served |= set(phase.groups)
    phases = [phase for phase, _ in wanted]
    splits = [seconds for _, seconds in wanted]
    for _ in range(4 * len(phases) + 4):
        short = _shortest_turn(junction, phases, splits)
        if short is None:
            break
        at, lacking_s = short
        splits[at] += lacking_s
    cycle_s = sum(splits)
    ring = tuple(
        RingStep(phase.groups, seconds) for phase, seconds in zip(phases, splits, strict=True)
    )
    plan = Plan(name, cycle_s, round(offset_s) % cycle_s, ring, ring)
    plan.validate(junction)
    return plan


def _shortest_turn(
    junction: Junction, phases: Sequence[Phase], splits: Sequence[int]
) -> tuple[int, int] | None:
    """The longest step of a turn that is too short, and how much it lacks."""
    count = len(phases)
    for group in junction.groups:
        need_s = least_turn_s(junction, group.id)[0]
        on = [group.id in phase.groups for phase in phases]
        if all(on):
            if sum(splits) < need_s:
                return 0, need_s - sum(splits)
            continue
        for start in range(count):
            if not on[start] or on[start - 1]:
                continue
            turn = []
            step = start
            while on[step % count]:
                turn.append(step % count)
                step += 1
            lacking_s = need_s - sum(splits[item] for item in turn)
            if lacking_s > 0:
                return max(turn, key=lambda item: splits[item]), lacking_s
    return None


def _program_steps(
    junction: Junction, links: Sequence[Link], program: NetProgram
) -> tuple[list[Step], float]:
    """Steps in the order of the program, and the offset at which the first one begins."""
    lengths: list[tuple[list[Phase], float]] = []
    pending_s = 0.0
    for seconds, state in program.phases:
        served = green_groups(state, junction.groups, links)
        phases = [] if changing(state) else _phases_for(junction, served)
        if not phases:
            pending_s += seconds
            continue
        lengths.append((phases, pending_s + seconds))
        pending_s = 0.0
    if not lengths:
        return [], 0.0
    lengths[0] = (lengths[0][0], lengths[0][1] + pending_s)
    edges, total_s = [0.0], 0.0
    order: list[Phase] = []
    for phases, seconds in lengths:
        for phase in phases:
            total_s += seconds / len(phases)
            edges.append(total_s)
            order.append(phase)
    splits = [round(after) - round(before) for before, after in pairwise(edges)]
    return list(zip(order, splits, strict=True)), program.offset_s - pending_s


def _phases_for(junction: Junction, served: Collection[str]) -> list[Phase]:
    found = []
    for part in parts(served, junction.groups, junction.conflicts):
        phase = junction.phase_of(part) or _with_more_walkers(junction, part)
        if phase is not None and part:
            found.append(phase)
    return found


def _with_more_walkers(junction: Junction, served: frozenset[str]) -> Phase | None:
    """The phase that a state belongs to which differs from it by red crosswalks only."""
    walkers = {group.id for group in junction.groups if group.kind == "pedestrian"}
    for phase in junction.phases:
        members = frozenset(phase.groups)
        if served - walkers and served < members and members - served <= walkers:
            return phase
    return None


def _even_steps(junction: Junction) -> list[Step]:
    chosen: list[Phase] = []
    missing = {group.id for group in junction.groups}
    weights: list[int] = []
    while missing:
        best = max(
            junction.phases, key=lambda phase: (len(missing & set(phase.groups)), -phase.index)
        )
        fresh = missing & set(best.groups)
        if not fresh:
            raise PlanError(
                f"no phase of junction {junction.id} serves {', '.join(sorted(missing))}"
            )
        lanes = {
            lane
            for movement in junction.movements
            if movement.group in fresh and movement.kind != "pedestrian"
            for lane in movement.lanes
        }
        weights.append(1 + len(lanes))
        chosen.append(best)
        missing -= fresh
    cycle_s = max(_EVEN_CYCLE_S, _SECONDS_A_LANE * sum(weights))
    ends = [round(cycle_s * sum(weights[:step]) / sum(weights)) for step in range(len(weights) + 1)]
    splits = [after - before for before, after in pairwise(ends)]
    steps = sorted(zip(chosen, splits, strict=True), key=lambda item: item[0].index)
    return steps

"""Time-of-day plans of generated lights: the sequence that needs least green, Webster, offsets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

from scenarios.generated.demand import Turn
from scenarios.generated.streets import Drawing
from scenarios.importing.plans import lawful_plan
from scenarios.plan_design import degrees_of, design_of
from scenarios.progression import Link, Stream, best_difference_s
from signals.capacity import crosswalk_blocking_factor, flow_ratio, saturation_flow_veh_h
from signals.junction import Junction, Movement, Phase
from signals.plan import Plan

LONGEST_CYCLE_S = 150
_STEP_S = 5
_TYPICAL_VEH_H = 1000.0
_HALVINGS = 14
_START_UP_S = 2.0
_RIGHT_ON_RED_SHARE = 0.3
_TURN_EQUIVALENT = 1.15
"""Through vehicles that one turning vehicle is worth at the stop line (assumed)."""
_SEQUENCE_LOSS = 0.03
"""What one more step of a sequence costs beside its flow ratio (assumed, about 3 s of 100)."""


def edges_of(movement: Movement) -> Turn:
    """Edge that a vehicle movement comes from, and edge that it leaves by."""
    return movement.lanes[0].rpartition("_")[0], movement.exits[0].lane.rpartition("_")[0]


def group_ratios(
    junction: Junction, weights: Mapping[Turn, float], volume_veh_h: float, drawing: Drawing
) -> dict[str, float]:
    """Flow ratio y = v / S of each vehicle group, saturation flows by the KHCM.

    A group needs what all its lanes together need, and no less than any of its movements needs on
    its own lanes.
    """
    lane_veh_h = saturation_flow_veh_h(heavy_share=drawing.heavy_share, width_m=3.2)
    blocked = crosswalk_blocking_factor(drawing.walkers_h) if drawing.walkers_h else 0.0
    equivalent = {
        "through": 1.0,
        "left": _TURN_EQUIVALENT,
        "uturn": _TURN_EQUIVALENT,
        "right": _TURN_EQUIVALENT
        * (1.0 - _RIGHT_ON_RED_SHARE * drawing.right_on_red)
        / (1.0 - min(0.9, blocked)),
    }
    found: dict[str, float] = {}
    for group in junction.groups:
        if group.kind == "pedestrian":
            continue
        members = [item for item in junction.movements if item.group == group.id]
        lanes = {lane for item in members for lane in item.lanes}
        total, worst = 0.0, 0.0
        for item in members:
            volume = weights.get(edges_of(item), 0.0) * volume_veh_h * equivalent[item.kind]
            if item.bus:
                volume = drawing.buses_h
            total += volume
            worst = max(worst, flow_ratio(volume, lane_veh_h * len(item.lanes)))
        found[group.id] = max(worst, flow_ratio(total, lane_veh_h * len(lanes)))
    return found


def best_sequence(junction: Junction, ratios: Mapping[str, float]) -> tuple[Phase, ...]:
    """The phases that serve every group with least green time."""
    everyone = {group.id for group in junction.groups}
    best: tuple[float, tuple[Phase, ...]] | None = None
    for count in range(1, len(junction.phases) + 1):
        for chosen in combinations(junction.phases, count):
            if {group for phase in chosen for group in phase.groups} != everyone:
                continue
            basis = design_of(junction, ratios, [frozenset(phase.groups) for phase in chosen])
            cost = sum(basis.flow_ratios) + _SEQUENCE_LOSS * count
            if best is None or cost < best[0] - 1e-9:
                best = cost, chosen
    assert best is not None
    return best[1]


def busy_volume_veh_h(
    drawing: Drawing, junctions: Sequence[Junction], weights: Mapping[Turn, float]
) -> float:
    """Volume at which the busiest group's degree of saturation is what the drawing says."""
    sequences = _sequences(drawing, junctions, weights)
    low, high = 0.0, 20_000.0
    for _ in range(_HALVINGS):
        volume_veh_h = (low + high) / 2.0
        ratios = _ratios(drawing, junctions, weights, volume_veh_h)
        worst = _busiest(junctions, ratios, _plans(drawing, junctions, sequences, ratios))
        low, high = (low, volume_veh_h) if worst > drawing.busyness else (volume_veh_h, high)
    return round(low, 0)


def plans_of(
    drawing: Drawing,
    junctions: Sequence[Junction],
    weights: Mapping[Turn, float],
    volume_veh_h: float,
) -> tuple[Plan, ...]:
    """A plan for each light: a common cycle, Webster's splits, offsets of least delay."""
    sequences = _sequences(drawing, junctions, weights)
    ratios = _ratios(drawing, junctions, weights, volume_veh_h)
    plans = _plans(drawing, junctions, sequences, ratios)
    if len(junctions) == 1 or len({plan.cycle_s for plan in plans}) != 1:
        return plans
    return _with_offsets(drawing, junctions, plans, weights, volume_veh_h)


def _sequences(
    drawing: Drawing, junctions: Sequence[Junction], weights: Mapping[Turn, float]
) -> list[tuple[Phase, ...]]:
    return [
        best_sequence(junction, group_ratios(junction, weights, _TYPICAL_VEH_H, drawing))
        for junction in junctions
    ]


def _plans(
    drawing: Drawing,
    junctions: Sequence[Junction],
    sequences: Sequence[tuple[Phase, ...]],
    ratios: Sequence[Mapping[str, float]],
) -> tuple[Plan, ...]:
    designs = [
        design_of(junction, own, [frozenset(phase.groups) for phase in sequence])
        for junction, own, sequence in zip(junctions, ratios, sequences, strict=True)
    ]
    wanted = max(item.webster_s for item in designs)
    least = max(sum(item.minimum_splits_s) for item in designs)
    cycle_s = -(-round(max(min(wanted, LONGEST_CYCLE_S), least)) // _STEP_S) * _STEP_S

    def plans(cycle_s: int) -> tuple[Plan, ...]:
        return tuple(
            lawful_plan(
                "all", junction, list(zip(sequence, basis.splits(cycle_s), strict=True)), 0.0
            )
            for junction, sequence, basis in zip(junctions, sequences, designs, strict=True)
        )

    found = plans(cycle_s)
    while cycle_s + _STEP_S <= drawing.stretched_cycle_s and (
        _busiest(junctions, ratios, found) > drawing.busyness
    ):
        cycle_s += _STEP_S
        found = plans(cycle_s)
    return found


def _ratios(
    drawing: Drawing,
    junctions: Sequence[Junction],
    weights: Mapping[Turn, float],
    volume_veh_h: float,
) -> list[dict[str, float]]:
    return [group_ratios(junction, weights, volume_veh_h, drawing) for junction in junctions]


def _busiest(
    junctions: Sequence[Junction], ratios: Sequence[Mapping[str, float]], plans: Sequence[Plan]
) -> float:
    """Degree of saturation of the busiest group of all lights."""
    return max(
        max(degrees_of(junction, own, plan).values())
        for junction, own, plan in zip(junctions, ratios, plans, strict=True)
    )


def _with_offsets(
    drawing: Drawing,
    junctions: Sequence[Junction],
    plans: Sequence[Plan],
    weights: Mapping[Turn, float],
    volume_veh_h: float,
) -> tuple[Plan, ...]:
    """Offsets by walking the streets from the first light on; loops keep their first way."""
    by_id = {junction.id: (junction, plan) for junction, plan in zip(junctions, plans, strict=True)}
    cycle_s = plans[0].cycle_s
    offsets = {junctions[0].id: 0}
    open_ = [junctions[0].id]

    def link(start: str, end: str) -> Link:
        street = f"{start}_{end}"
        junction, plan = by_id[start]
        streams = [
            Stream(weights.get(edges_of(item), 0.0) * volume_veh_h, _windows(junction, plan, item))
            for item in junction.movements
            if item.kind != "pedestrian" and edges_of(item)[1] == street
        ]
        after, later = by_id[end]
        through = [
            item
            for item in after.movements
            if item.kind != "pedestrian" and edges_of(item)[0] == street
        ]
        through.sort(key=lambda item: -weights.get(edges_of(item), 0.0))
        known = next(item for item in drawing.streets if item.id == street)
        return Link(
            tuple(streams),
            drawing.length_m(known) / known.speed_mps,
            _windows(after, later, through[0]),
            saturation_flow_veh_h(known.lanes),
        )

    while open_:
        here = open_.pop(0)
        for street in drawing.out_of(here):
            if street.end not in by_id or street.end in offsets:
                continue
            difference, _ = best_difference_s(
                link(here, street.end), link(street.end, here), cycle_s
            )
            offsets[street.end] = (offsets[here] + difference) % cycle_s
            open_.append(street.end)
    return tuple(
        Plan(plan.name, cycle_s, offsets.get(junction.id, 0), plan.ring_a, plan.ring_b)
        for junction, plan in by_id.values()
    )


def _windows(junction: Junction, plan: Plan, movement: Movement) -> tuple[tuple[float, float], ...]:
    """When a movement is green in its plan's cycle: ``(start, seconds)`` of each turn."""
    change_s = max(
        (junction.timing.intergreen_s(foe) for foe in junction.conflict_sets[movement.group]),
        default=0,
    )
    found, clock, before = [], 0, plan.steps[-1][0]
    for groups, seconds in plan.steps:
        if movement.group in groups:
            lost = 0.0 if movement.group in before else change_s + _START_UP_S
            found.append((clock + lost, max(1.0, seconds - lost)))
        clock, before = clock + seconds, groups
    return tuple(found)

"""Time-of-day plans by the book: flow ratios, Webster, splits above the pedestrian minimum.

The order of the steps is the engineer's (it stands in the site file); cycle and splits follow from
volumes. A test recomputes the shipped splits from here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from scenarios.layout import split_movement
from signals.capacity import (
    crosswalk_blocking_factor,
    flow_ratio,
    saturation_flow_veh_h,
    splits_s,
    webster_cycle_s,
)
from signals.errors import PlanError
from signals.junction import Junction
from signals.plan import Plan, RingStep

if TYPE_CHECKING:
    from scenarios.catalog import Scenario

UTURN_EQUIVALENT: Final = 1.5
"""Through vehicles that one U-turn is worth at the stop line (assumed: its path is slow)."""

RIGHT_ON_RED_SHARE: Final = 0.3
"""Part of the right turns that goes on red and needs no green (assumed)."""


@dataclass(frozen=True)
class Design:
    """What the splits of a plan rest on, step by step of the merged rings.

    Attributes:
        flow_ratios: Critical flow ratio y of each step.
        minimum_splits_s: Least split of each step: intergreen and minimum green, or walk and
            flashing clearance.
        lost_s: Intergreen of each step. Start-up loss and the part of the yellow that drivers use
            cancel out: the effective green is the displayed one (measured by
            `scenarios.calibration`).
        group_ratios: Flow ratio of each vehicle group.
    """

    flow_ratios: tuple[float, ...]
    minimum_splits_s: tuple[int, ...]
    lost_s: tuple[int, ...]
    group_ratios: Mapping[str, float]

    @property
    def webster_s(self) -> float:
        """Webster's optimum cycle, not below the sum of the minimum splits, not above 180 s."""
        return webster_cycle_s(
            sum(self.lost_s),
            sum(self.flow_ratios),
            minimum_s=min(180.0, float(sum(self.minimum_splits_s))),
        )

    def splits(self, cycle_s: int) -> tuple[int, ...]:
        """Splits of the merged steps for a cycle (s)."""
        return splits_s(cycle_s, self.flow_ratios, self.minimum_splits_s, self.lost_s)


def design(scenario: Scenario, period: str, plan: Plan) -> Design:
    """Flow ratios, minima and lost times of a plan's steps under the mean demand of a period.

    Args:
        scenario: The scenario.
        period: Whose volumes count.
        plan: Gives the order of the steps; its splits are not looked at.
    """
    ratios = group_flow_ratios(scenario, period)
    return design_of(scenario.junction, ratios, [groups for groups, _ in plan.steps])


def design_of(
    junction: Junction, ratios: Mapping[str, float], steps: Sequence[frozenset[str]]
) -> Design:
    """Flow ratios, minima and lost times of a sequence of steps.

    Args:
        junction: The junction.
        ratios: Flow ratio of each vehicle group.
        steps: Groups green together, in order.
    """
    turns = {
        group.id: [index for index, groups in enumerate(steps) if group.id in groups]
        for group in junction.groups
    }
    critical = [0.0] * len(steps)
    # Groups with one step fix it; a group with more steps only adds what those do not give it yet.
    for group, ratio in sorted(ratios.items(), key=lambda item: len(turns[item[0]])):
        missing = ratio - sum(critical[index] for index in turns[group])
        if turns[group] and missing > 0.0:
            critical[turns[group][0]] += missing
    lost = [
        max(
            (
                _change_s(junction, group)
                for group in groups - steps[index - 1]
                if not group.endswith("ped")
            ),
            default=0,
        )
        for index, groups in enumerate(steps)
    ]
    minimum = [
        max((_need_s(junction, group) for group in groups if len(turns[group]) == 1), default=0)
        for groups in steps
    ]
    return Design(tuple(critical), tuple(minimum), tuple(lost), ratios)


def group_flow_ratios(scenario: Scenario, period: str) -> dict[str, float]:
    """Flow ratio y = v / S of each vehicle group, saturation flows by the KHCM.

    A right turn that shares a lane waits while people cross beside it: it is worth 1 / (1 - f_c)
    through vehicles, f_c from `signals.capacity.crosswalk_blocking_factor`. Through traffic leaves
    such a lane to the right turns when the other lanes serve it better.
    """
    demand, junction, site = scenario.demand(period), scenario.junction, scenario.site
    bus_only = {lane.id: lane.bus_only for lane in junction.lanes}
    movements = {movement.id: movement for movement in junction.movements}
    walking = site.demand.pedestrians.per_crosswalk_h[period].value
    right_equivalent = 1.0 / (1.0 - min(0.9, crosswalk_blocking_factor(walking)))
    found: dict[str, float] = {}
    for group in junction.groups:
        if group.kind == "pedestrian":
            continue
        plain = turning = 0.0
        lanes: set[str] = set()
        turning_lanes: set[str] = set()
        plain_lanes: set[str] = set()
        for movement in (movements[name] for name in group.movements):
            volume = demand.movement_volume_veh_h(movement.id)
            lanes.update(movement.lanes)
            if movement.kind == "right":
                turning += volume * (1.0 - RIGHT_ON_RED_SHARE) * right_equivalent
                turning_lanes.update(movement.lanes)
            else:
                plain += volume * (UTURN_EQUIVALENT if movement.kind == "uturn" else 1.0)
                plain_lanes.update(movement.lanes)
        leg = split_movement(group.id)[0]
        mix = demand.general_mix(leg)
        heavy = 1.0 if all(bus_only[lane] for lane in lanes) else mix["bus"] + mix["truck"]
        saturation = saturation_flow_veh_h(
            heavy_share=heavy, width_m=site.legs[leg].approach.lane_width_m.value
        )
        ratio = flow_ratio(plain + turning, saturation * len(lanes))
        apart = plain_lanes - turning_lanes
        if turning and apart:
            ratio = min(ratio, flow_ratio(plain, saturation * len(apart)))
        found[group.id] = ratio
    return found


def saturation_degrees(scenario: Scenario, period: str, plan: Plan) -> dict[str, float]:
    """Degree of saturation X of each vehicle group under a plan and the period's mean demand."""
    return degrees_of(scenario.junction, design(scenario, period, plan).group_ratios, plan)


def degrees_of(junction: Junction, ratios: Mapping[str, float], plan: Plan) -> dict[str, float]:
    """Degree of saturation X = y C / g of each vehicle group under a plan.

    Args:
        junction: The junction.
        ratios: Flow ratio y of each vehicle group.
        plan: Its plan.
    """
    degrees = {}
    for group, ratio in ratios.items():
        served = [groups for groups, _ in plan.steps]
        green_s = 0
        for index, (groups, seconds) in enumerate(plan.steps):
            if group in groups:
                green_s += seconds
                if group not in served[index - 1]:
                    green_s -= _change_s(junction, group)
        degrees[group] = ratio * plan.cycle_s / max(1, green_s)
    return degrees


def with_splits(plan: Plan, splits: tuple[int, ...], name: str | None = None) -> Plan:
    """The plan with other splits for its merged steps; both rings follow.

    Raises:
        PlanError: there is not one split per step.
    """
    steps = [seconds for _, seconds in plan.steps]
    if len(splits) != len(steps):
        raise PlanError(f"{len(splits)} splits given, plan '{plan.name}' has {len(steps)} steps")
    old_ends, new_ends = [0], [0]
    for old, new in zip(steps, splits, strict=True):
        old_ends.append(old_ends[-1] + old)
        new_ends.append(new_ends[-1] + new)
    moved = dict(zip(old_ends, new_ends, strict=True))

    def ring(given: tuple[RingStep, ...]) -> tuple[RingStep, ...]:
        result, clock = [], 0
        for step in given:
            result.append(RingStep(step.groups, moved[clock + step.split_s] - moved[clock]))
            clock += step.split_s
        return tuple(result)

    return replace(
        plan,
        name=name or plan.name,
        cycle_s=sum(splits),
        ring_a=ring(plan.ring_a),
        ring_b=ring(plan.ring_b),
    )


def _change_s(junction: Junction, group: str) -> int:
    """Seconds from the start of a group's step to its green."""
    return max(
        (
            junction.timing.intergreen_s(foe)
            for foe in junction.conflict_sets[group]
            if not foe.endswith("ped")
        ),
        default=0,
    )


def _need_s(junction: Junction, group: str) -> int:
    timing = junction.timing.groups[group]
    walks = group.endswith("ped")
    return _change_s(junction, group) + timing.min_green_s + (timing.clearance_s if walks else 0)

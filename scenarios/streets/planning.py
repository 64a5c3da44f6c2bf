"""Plans of all junctions of a network: one cycle, Webster splits, offsets for both directions.

    python -m scenarios.streets.planning teheran --write

Splits come from `scenarios.plan_design` for each junction by itself, offsets from
`scenarios.progression`. The result stands in the site file, under `plans`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import click

from scenarios.catalog import load, site_plan
from scenarios.layout import split_movement
from scenarios.plan_design import Design, design, saturation_degrees, with_splits
from scenarios.progression import Link, Stream, best_difference_s
from scenarios.streets.flows import Flows, Place
from scenarios.streets.scenario import JunctionScenario, StreetScenario
from signals.capacity import saturation_flow_veh_h
from signals.errors import InputError
from signals.plan import Plan

LONGEST_CYCLE_S: Final = 180
MOST_SATURATED: Final = 0.90
"""The common cycle grows until no group's degree of saturation is above this."""

_STEP_S: Final = 5
_START_UP_S: Final = 2.0


@dataclass(frozen=True)
class PeriodDesign:
    """Plans of one period.

    Attributes:
        cycle_s: Common cycle.
        plans: Junction to its plan, offset included.
        flow_ratio: Largest sum of critical flow ratios of a junction, and whose it is.
    """

    cycle_s: int
    plans: Mapping[str, Plan]
    flow_ratio: tuple[float, str]


def design_period(
    scenario: StreetScenario, period: str, cycle_s: int | None = None
) -> PeriodDesign:
    """Cycle, splits and offsets of all junctions.

    Args:
        scenario: The network.
        period: An ordinary period.
        cycle_s: Common cycle; None takes the longest of the junctions' Webster cycles, and more
            where a junction's walks leave its vehicles too little of that.

    Raises:
        InputError: The cycle is shorter than a junction's walks and clearances.
    """
    shapes: dict[str, Plan] = {}
    basis: dict[str, Design] = {}
    for name, part in scenario.parts.items():
        shapes[name] = site_plan(period, part.site.periods[period])
        basis[name] = design(part, period, shapes[name])
    least = max(sum(item.minimum_splits_s) for item in basis.values())

    def plans_of(cycle_s: int) -> dict[str, Plan]:
        return {
            name: with_splits(shape, basis[name].splits(cycle_s)) for name, shape in shapes.items()
        }

    def worst_degree(plans: Mapping[str, Plan]) -> float:
        return max(
            max(saturation_degrees(part, period, plans[name]).values())
            for name, part in scenario.parts.items()
        )

    if cycle_s is None:
        longest = max(item.webster_s for item in basis.values())
        wanted = min(max(longest, least + _STEP_S), LONGEST_CYCLE_S)
        cycle_s = -(-round(wanted) // _STEP_S) * _STEP_S
        while cycle_s < LONGEST_CYCLE_S and worst_degree(plans_of(cycle_s)) > MOST_SATURATED:
            cycle_s += _STEP_S
    if cycle_s < least:
        raise InputError(f"cycle {cycle_s} s is below the minimum splits; allowed: from {least} s")
    plans = plans_of(cycle_s)
    offsets = _offsets(scenario, period, plans, cycle_s)
    worst = max(basis, key=lambda name: sum(basis[name].flow_ratios))
    return PeriodDesign(
        cycle_s,
        {
            name: Plan(plan.name, plan.cycle_s, offsets[name], plan.ring_a, plan.ring_b)
            for name, plan in plans.items()
        },
        (sum(basis[worst].flow_ratios), worst),
    )


def _offsets(
    scenario: StreetScenario, period: str, plans: Mapping[str, Plan], cycle_s: int
) -> dict[str, int]:
    """Offsets by walking the streets from the first junction on; loops keep their first way."""
    streets, flows = scenario.streets, scenario.steady(period).flows
    first = next(iter(scenario.parts))
    found = {first: 0}
    open_ = [first]
    while open_:
        here = open_.pop(0)
        for leg in streets.junctions[here].legs:
            arrival = streets.onward.get((here, leg))
            if arrival is None or arrival[0] in found:
                continue
            forward = _link(scenario, flows, plans, period, (here, leg), arrival)
            backward = _link(scenario, flows, plans, period, arrival, (here, leg))
            difference, _ = best_difference_s(forward, backward, cycle_s)
            found[arrival[0]] = (found[here] + difference) % cycle_s
            open_.append(arrival[0])
    return {name: found.get(name, 0) for name in scenario.parts}


def _link(
    scenario: StreetScenario,
    flows: Flows,
    plans: Mapping[str, Plan],
    period: str,
    start: Place,
    end: Place,
) -> Link:
    """The direction that leaves `start` by its leg and arrives at `end`."""
    streets = scenario.streets
    streams = []
    for name, movement in streets.junctions[start[0]].movements.items():
        leg, kind = split_movement(name)
        if movement.to != start[1]:
            continue
        volume = flows.movement((start[0], leg), kind)
        windows: tuple[tuple[float, float], ...] = ()
        if kind != "right":
            windows = green_windows(scenario.parts[start[0]], plans[start[0]], f"{leg}.{kind}")
        streams.append(Stream(volume, windows))
    part = streets.leg(end)
    demand = scenario.site.demand
    factor = demand.speed_factor.value[period]
    if demand.friction is not None:
        factor *= demand.friction.value.get(period, 1.0)
    speed_mps = part.leg.speed_limit_kmh.value / 3.6 * factor
    return Link(
        tuple(streams),
        part.leg.approach.block_m.value / speed_mps,
        green_windows(scenario.parts[end[0]], plans[end[0]], f"{end[1]}.through"),
        saturation_flow_veh_h(part.leg.approach.general_lanes.value),
    )


def green_windows(
    part: JunctionScenario, plan: Plan, movement: str
) -> tuple[tuple[float, float], ...]:
    """When a movement's group is green in the plan's cycle: ``(start, seconds)`` of each turn."""
    junction = part.junction
    group = next((item.group for item in junction.movements if item.id == movement), movement)
    foes = [foe for foe in junction.conflict_sets.get(group, ()) if not foe.endswith("ped")]
    change_s = max((junction.timing.intergreen_s(foe) for foe in foes), default=0)
    found: list[tuple[float, float]] = []
    clock, before = 0, plan.steps[-1][0]
    for groups, seconds in plan.steps:
        if group in groups:
            lost = 0.0 if group in before else change_s + _START_UP_S
            found.append((clock + lost, max(1.0, seconds - lost)))
        clock, before = clock + seconds, groups
    return tuple(found)


def yaml_text(scenario: StreetScenario, cycles: Mapping[str, int]) -> str:
    """The `plans` table of the site file."""
    lines = ["plans:"]
    for period in scenario.site.periods:
        found = design_period(scenario, period, cycles.get(period))
        ratio, worst = found.flow_ratio
        lines += [
            f"  {period}:",
            f"    cycle_s: {found.cycle_s}",
            "    mark: G",
            '    source: "assumed; Webster splits above the pedestrian minimum'
            f" (scenarios/plan_design.py), critical flow ratio {ratio:.2f} at {worst}; offsets of"
            ' least delay for both directions (scenarios/progression.py)"',
            "    junctions:",
        ]
        for name, plan in found.plans.items():
            splits = ", ".join(str(seconds) for _, seconds in plan.steps)
            lines.append(f"      {name}: {{offset_s: {plan.offset_s}, splits_s: [{splits}]}}")
    return "\n".join(lines) + "\n"


@click.command()
@click.argument("name")
@click.option("--cycle", multiple=True, help="PERIOD=SECONDS instead of the Webster cycle.")
@click.option("--write", is_flag=True, help="Put the plans into the site file.")
def main(name: str, cycle: tuple[str, ...], write: bool) -> None:
    """Print the plans of network NAME as the site file's `plans` table."""
    scenario = load(name)
    if not isinstance(scenario, StreetScenario):
        raise click.UsageError(f"'{name}' is a site of the first format")
    cycles = {text.partition("=")[0]: int(text.partition("=")[2]) for text in cycle}
    text = yaml_text(scenario, cycles)
    if not write:
        click.echo(text)
        return
    file = scenario.site_file
    head = re.split(r"^plans:", file.read_text(encoding="utf-8"), flags=re.MULTILINE)[0]
    file.write_text(head + text, encoding="utf-8")
    click.echo(f"{file}")


if __name__ == "__main__":
    main()

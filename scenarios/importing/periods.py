"""Periods of an imported scenario, and the plans that its lights follow in each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from scenarios.importing.plans import lawful_plan, plan_for
from scenarios.importing.police import (
    PolicePlans,
    boundaries_s,
    phases_of,
    ring_plan,
    with_walkers,
)
from scenarios.importing.schema import ImportedPeriod
from signals.errors import PlanError, ScenarioError
from signals.junction import Junction
from signals.netreader import Finding, NetReading
from signals.plan import Plan


def ring_phases(reading: NetReading) -> dict[str, tuple[tuple[str, ...], ...]]:
    """Phases of lights with a ring-and-barrier program, which the stilled net no longer tells."""
    return {
        junction.id: tuple(phase.groups for phase in junction.phases)
        for junction in reading.junctions
        if any(program.type == "NEMA" for program in reading.programs.get(junction.id, ()))
    }


def police_phases(
    file: Path, reading: NetReading, police: Mapping[str, PolicePlans]
) -> dict[str, tuple[tuple[str, ...], ...]]:
    """Sets of groups that police plans serve together, by light.

    Args:
        file: The plan file, for messages.
        reading: The junctions.
        police: Tables by light.

    Raises:
        ScenarioError: A light is not in the net, or a plan does not fit it.
    """
    by_id = {junction.id: junction for junction in reading.junctions}
    declared = {}
    for light, table in police.items():
        if light not in by_id:
            raise ScenarioError(
                f"{file}: the net has no light '{light}'; allowed: {', '.join(sorted(by_id))}"
            )
        junction = by_id[light]
        try:
            plans = [ring_plan("police", junction, table, row) for row in table.rows]
            declared[light] = tuple(phases_of(junction, plans))
        except PlanError as error:
            raise ScenarioError(f"{file}: {error}") from error
    return declared


def periods_and_plans(
    reading: NetReading,
    police: Mapping[str, PolicePlans],
    begin_s: int,
    end_s: int,
    findings: list[Finding],
) -> tuple[dict[str, ImportedPeriod], dict[str, dict[str, Plan]]]:
    """Periods, and the plan of every light for each.

    There is one period, or one for each stretch in which no police plan changes.

    Args:
        reading: The junctions, with the phases that the plans need.
        police: Police tables by light; other lights follow their program.
        begin_s: Begin of the run (s).
        end_s: End of the run (s).
        findings: Takes what was changed.

    Returns:
        Periods by name, and period name to light to plan.

    Raises:
        ScenarioError: A police plan serves what is no phase.
    """
    own: dict[str, Plan] = {}
    for junction in reading.junctions:
        programs = reading.programs.get(junction.id, ())
        if junction.id not in police:
            own[junction.id], odd = plan_for("all", junction, reading.links[junction.id], programs)
            findings += odd
    edges = boundaries_s(list(police.values()), begin_s, end_s)
    periods: dict[str, ImportedPeriod] = {}
    plans: dict[str, dict[str, Plan]] = {}
    for start, end in pairwise(edges):
        name = "all" if len(edges) == 2 else f"from_{start // 3600:02d}{start % 3600 // 60:02d}"
        periods[name] = ImportedPeriod(begin_s=start, end_s=end)
        table = {light: replace(plan, name=name) for light, plan in own.items()}
        for junction in reading.junctions:
            if junction.id in police:
                table[junction.id] = _police_plan(
                    name, junction, police[junction.id], start, findings
                )
        plans[name] = table
    return periods, plans


def _police_plan(
    name: str, junction: Junction, table: PolicePlans, clock_s: int, findings: list[Finding]
) -> Plan:
    rings = ring_plan(name, junction, table, table.row_at(clock_s))
    steps = []
    for groups, seconds in rings.steps:
        phase = junction.phase_of(with_walkers(junction, groups))
        if phase is None:
            raise ScenarioError(
                f"light '{junction.id}': its plan serves {', '.join(sorted(groups))} together, "
                "which is no phase"
            )
        steps.append((phase, seconds))
    plan = lawful_plan(name, junction, steps, rings.offset_s)
    if plan.cycle_s != rings.cycle_s:
        findings.append(
            Finding(
                junction.id,
                "plan",
                f"period {name}: cycle {rings.cycle_s} s of the police plan became "
                f"{plan.cycle_s} s to hold intergreens, minimum greens and walks",
            )
        )
    return plan

"""What ``signals scenario show`` and ``check`` print about a network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table

from scenarios.calibration import measure_saturation_flow
from scenarios.plan_design import saturation_degrees
from scenarios.streets.junctions import leg_ref
from scenarios.streets.measure import GEH_GOOD, SPEED_TOLERANCE, CorridorSpeed, Count, Measurement
from scenarios.streets.scenario import StreetScenario

_SATURATION_SEEDS = (0,)


def print_network(console: Console, found: StreetScenario) -> None:
    """Junctions, streets and plans of a network."""
    table = Table("junction", "legs", "phases", "position", box=None, pad_edge=False)
    for name, part in found.parts.items():
        place = part.site.location
        table.add_row(
            f"{name}  {part.site.title}",
            " ".join(part.site.legs),
            str(len(part.site.phases)),
            f"{place.lat.value:.5f}, {place.lon.value:.5f}",
        )
    console.print()
    console.print(table)
    if found.site.streets:
        table = Table("street", "length", "lanes", box=None, pad_edge=False)
        for street in found.site.streets:
            there = found.streets.leg(leg_ref(street.end))
            back = found.streets.leg(leg_ref(street.start))
            metres = there.leg.approach.block_m.value
            table.add_row(
                f"{street.start} - {street.end}",
                f"{metres:.0f} m",
                f"{there.block_lanes} + {back.block_lanes}",
            )
        console.print()
        console.print(table)
    for period, span in found.site.periods.items():
        plans = found.plans(period)
        cycles = sorted({plan.cycle_s for plan in plans})
        console.print(
            f"\n[bold]{period}[/bold] {span.begin}-{span.end}  "
            f"cycle {', '.join(map(str, cycles))} s"
        )
        for (name, part), plan in zip(found.parts.items(), plans, strict=True):
            degrees = saturation_degrees(part, period, plan)
            worst = max(degrees, key=lambda group: degrees[group])
            splits = " | ".join(str(seconds) for _, seconds in plan.steps)
            console.print(
                f"  {name}: offset {plan.offset_s} s, {splits}; busiest {worst}, "
                f"degree of saturation {degrees[worst]:.2f}",
                highlight=False,
            )
    for period, special in found.site.specials.items():
        what = []
        if special.surge:
            way = "towards" if special.surge.towards else "from"
            what.append(
                f"{special.surge.veh_per_h.value:g} veh/h more {way} {special.surge.leg}, "
                f"{special.surge.begin}-{special.surge.end}"
            )
        if special.closure:
            what.append(
                f"lanes {special.closure.lanes.value} of {special.closure.leg} closed from "
                f"{special.closure.begin} for {special.closure.minutes.value} min"
            )
        console.print(f"\n[bold]{period}[/bold] like {special.like}: {'; '.join(what)}")
    for name, parts in found.site.days.items():
        text = ", ".join(
            f"{clock} {part.period}" + (f" at {part.level.value:g}" if part.level else "")
            for clock, part in sorted(parts.items())
        )
        console.print(f"\n[bold]{name}[/bold] to midnight, plans and shares from {text}")


def saturation_line(mix: dict[str, float], width_m: float) -> str:
    """One line with the measured and the computed saturation flow of a lane."""
    whole = sum(mix.values())
    flow = measure_saturation_flow(
        {kind: share / whole for kind, share in mix.items()},
        width_m=width_m,
        seeds=_SATURATION_SEEDS,
    )
    return (
        f"saturation flow: {flow.measured_veh_h:.0f} veh/h and lane measured, "
        f"{flow.formula_veh_h:.0f} by the KHCM ({100 * (flow.ratio - 1):+.1f} %)"
    )


def measurement_lines(period: str, found: Measurement, worst: int = 8) -> Iterable[str]:
    """Counts, speeds and what became of the vehicles of one period."""
    counts = found.counts
    good = sum(count.geh < GEH_GOOD for count in counts)
    yield (
        f"{period}: {good} of {len(counts)} counts with GEH below {GEH_GOOD:g} "
        f"({100 * found.good_share:.0f} %)"
    )
    for count in (item for item in counts if item.measured):
        yield f"  counted:  {_count_line(count)}"
    for count in sorted(counts, key=lambda count: -count.geh)[:worst]:
        yield f"  farthest: {_count_line(count)}"
    for corridor in found.corridors:
        yield f"  {_speed_line(corridor)}"
    yield (
        f"  {found.scheduled} vehicles, {found.unfinished} on the way at the end, "
        f"{found.waiting_outside} waiting outside, {found.left_after_drain} still there half an "
        f"hour later; delay {found.delay_s:.0f} s/veh"
    )


def one_run_line(period: str, seed: int, found: Measurement) -> str:
    """The figures of one of several runs."""
    speeds = ", ".join(
        f"{item.title} {item.simulated_kmh:.1f} km/h"
        + ("" if item.error is None else f" ({100 * item.error:+.0f} %)")
        for item in found.corridors
    )
    share = f"{period}, seed {seed}: GEH below {GEH_GOOD:g} on {100 * found.good_share:.0f} %"
    return f"{share}; {speeds}" if speeds else share


def verdicts(period: str, found: Measurement) -> Sequence[str]:
    """What misses its target, one line each; empty when all is well."""
    missed = []
    if found.good_share < 0.85:
        missed.append(f"{period}: GEH below 5 on {100 * found.good_share:.0f} %, target 85 %")
    for corridor in found.corridors:
        if corridor.error is not None and abs(corridor.error) > SPEED_TOLERANCE:
            missed.append(
                f"{period}: {corridor.title} {100 * corridor.error:+.0f} % off the measured speed, "
                f"target within {100 * SPEED_TOLERANCE:.0f} %"
            )
    if found.left_after_drain > 0.01 * found.scheduled:
        missed.append(f"{period}: {found.left_after_drain} vehicles do not leave the network")
    return missed


def _count_line(count: Count) -> str:
    return (
        f"{count.place:22s} {count.profile_veh_h:6.0f} veh/h in the profile, "
        f"{count.simulated_veh_h:6.0f} simulated, GEH {count.geh:.1f}"
    )


def _speed_line(corridor: CorridorSpeed) -> str:
    text = f"{corridor.title}: {corridor.simulated_kmh:.1f} km/h"
    if corridor.measured_kmh is not None and corridor.error is not None:
        text += f", measured {corridor.measured_kmh:.1f} ({100 * corridor.error:+.0f} %)"
    return text + f"; end to end {corridor.end_to_end_kmh:.1f}"

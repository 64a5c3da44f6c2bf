"""``signals scenario``: list, show, build, check and import scenarios."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from scenarios import catalog
from scenarios.catalog import Scenario
from scenarios.demand import TRAINING_SEEDS
from scenarios.generated.printing import check_generated, generated_lines, show_generated
from scenarios.generated.scenario import GeneratedScenario
from scenarios.importing.cli import check_imported, import_command, show_imported
from scenarios.importing.imported import ImportedScenario
from scenarios.layout import SiteLayout, split_movement
from scenarios.plan_design import saturation_degrees
from scenarios.schema import MARK_MEANINGS, marked_values
from scenarios.streets.measure import mean_of, measure
from scenarios.streets.printing import (
    measurement_lines,
    one_run_line,
    print_network,
    saturation_line,
    verdicts,
)
from scenarios.streets.scenario import StreetScenario
from scenarios.sumo_folder import write_sumo_folder
from signals.errors import OutputError, UnknownNameError, WorkError

_KIND_WORDS = {
    "through": "through",
    "left": "left",
    "right": "right",
    "uturn": "U-turn",
    "bus": "bus",
}


@click.group()
def scenario() -> None:
    """List, show, build, check and import scenarios."""


scenario.add_command(import_command)


@scenario.command("list")
def list_command() -> None:
    """List the shipped scenarios and their periods."""
    table = Table("name", "title", "periods", box=None, pad_edge=False)
    for name in catalog.names():
        found = catalog.load(name)
        table.add_row(name, found.site.title, ", ".join((*found.periods, *found.days)))
    Console().print(table)
    for line in generated_lines():
        click.echo(line)


@scenario.command()
@click.argument("name")
@click.option("--sources", is_flag=True, help="List every number with its provenance.")
@click.option("--picture", type=click.Path(path_type=Path), help="Draw the network to a PNG file.")
@click.option("--junction", help="One junction of a network, in detail.")
def show(name: str, sources: bool, picture: Path | None, junction: str | None) -> None:
    """Show the legs, phases, volumes and plans of scenario NAME (a catalogue name or a folder)."""
    imported = catalog.find(name)
    if isinstance(imported, ImportedScenario):
        show_imported(imported)
        return
    if isinstance(imported, GeneratedScenario):
        show_generated(imported)
        return
    found = catalog.load(name)
    console = Console()
    console.print(f"[bold]{found.site.title}[/bold]")
    if found.site.description:
        console.print(found.site.description.strip())
    if isinstance(found, Scenario):
        if junction not in (None, found.site.id):
            raise UnknownNameError("junction", junction or "", (found.site.id,))
        _print_junction(console, found)
    else:
        print_network(console, found)
        if junction is None and len(found.parts) == 1:
            junction = next(iter(found.parts))
        if junction is not None:
            if junction not in found.parts:
                raise UnknownNameError("junction", junction, found.parts)
            console.print(f"\n[bold]{found.parts[junction].site.title}[/bold]")
            _print_junction(console, found.parts[junction])
    values = marked_values(found.site)
    assumed = sum(mark == "G" for _, _, mark, _ in values)
    if sources:
        _print_sources(console, found)
    else:
        console.print(
            f"\n{assumed} of {len(values)} numbers are assumed; "
            "--sources lists all with their provenance"
        )
    if picture is not None:
        from scenarios.picture import draw, draw_network

        if isinstance(found, Scenario):
            draw(found.network.net_file, found.site, picture)
        else:
            draw_network(found, picture)
        console.print(f"picture: {picture}")


@scenario.command()
@click.argument("name")
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="Folder to write SUMO files to."
)
@click.option("--period", help="Period of the demand; left out, the first.")
@click.option(
    "--seed", type=click.IntRange(min=0), default=TRAINING_SEEDS[0], show_default=True,
    help="Demand day.",
)  # fmt: skip
def build(name: str, out: Path, period: str | None, seed: int) -> None:
    """Write net, stops and one demand day of NAME as SUMO files, with a .sumocfg."""
    imported = catalog.find(name)
    if isinstance(imported, ImportedScenario | GeneratedScenario):
        world = imported.world(period)
        click.echo(f"{write_sumo_folder(world, f'{world.period}.{seed}', seed, out)}")
        return
    found = catalog.load(name)
    period_name, clock = found.period(period)
    routes = found.demand(period_name).file(seed)
    try:
        out.mkdir(parents=True, exist_ok=True)
        site_id = found.site.id
        files = {
            "net-file": (found.network.net_file, f"{site_id}.net.xml"),
            "route-files": (routes, f"{site_id}.{period_name}.{seed}.rou.xml"),
        }
        for source, target in files.values():
            shutil.copyfile(source, out / target)
        added = []
        for source in found.additional_files(period_name):
            kind = source.name.split(".")[-3]
            added.append(f"{site_id}.{kind}.add.xml")
            shutil.copyfile(source, out / added[-1])
        options = "".join(f'<{key} value="{target}"/>' for key, (_, target) in files.items())
        options += f'<additional-files value="{",".join(added)}"/>'
        (out / f"{site_id}.sumocfg").write_text(
            f'<configuration>{options}<begin value="{clock.begin_s}"/><end value="{clock.end_s}"/>'
            '<time-to-teleport value="-1"/></configuration>\n',
            encoding="utf-8",
        )
    except OSError as error:
        raise OutputError(
            f"cannot write to {out} ({error.strerror}); give --out a writable folder"
        ) from error
    click.echo(f"{out / f'{found.site.id}.sumocfg'}")


@scenario.command()
@click.argument("path")
@click.option("--period", "periods", multiple=True, help="Run only this period; may be repeated.")
@click.option("--static", is_flag=True, help="Look at the file and the net only, run nothing.")
@click.option(
    "--seeds",
    type=click.IntRange(1, 100),
    default=1,
    show_default=True,
    help="Runs of each period; figures are their means.",
)
def check(path: str, periods: tuple[str, ...], static: bool, seeds: int) -> None:
    """Check the site file of PATH: fields, net, phases and plans; point out oddities.

    Then run it under its plans: saturation flow, and for sites of the second format the counts with
    GEH and the corridor speeds of each period against the measured ones. Exit code 1 when a figure
    misses its target.
    """
    imported = catalog.find(path)
    if isinstance(imported, ImportedScenario):
        check_imported(imported)
        return
    if isinstance(imported, GeneratedScenario):
        check_generated(imported)
        return
    found = catalog.load(path)
    for period in periods:
        if period not in (*found.periods, *found.days):
            raise UnknownNameError("period", period, found.periods)
    chosen = [found.period(period)[0] for period in periods] or list(found.site.periods)
    if isinstance(found, StreetScenario):
        chosen = [found.steady(period).period for period in chosen]
    for warning in found.network.warnings:
        click.echo(f"note: netconvert: {warning}")
    parts = [found] if isinstance(found, Scenario) else list(found.parts.values())
    for part in parts:
        where = "" if part is found else f"{part.site.id}: "
        for note in lints(part):
            click.echo(f"note: {where}{note}")
    click.echo(
        f"ok: {found.site_file}: {len(parts)} {'junction' if len(parts) == 1 else 'junctions'}, "
        f"{sum(len(part.site.legs) for part in parts)} legs, "
        f"{sum(len(part.junction.groups) for part in parts)} signal groups, "
        f"{sum(len(part.junction.phases) for part in parts)} phases, {len(found.periods)} periods"
    )
    if static:
        return
    first = parts[0].site
    mix = {str(kind): share for kind, share in first.demand.mix.value.items()}
    width_m = next(iter(first.legs.values())).approach.lane_width_m.value
    click.echo(saturation_line(mix, width_m))
    if isinstance(found, Scenario):
        return
    missed: list[str] = []
    for period in chosen:
        # SUMO runs in processes of its own, so that threads are enough.
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            runs = list(pool.map(partial(measure, found, period), range(seeds)))
        for seed, run in enumerate(runs if seeds > 1 else ()):
            click.echo(one_run_line(period, seed, run))
        measured = mean_of(runs)
        for line in measurement_lines(period, measured):
            click.echo(line)
        missed += verdicts(period, measured)
    if missed:
        raise WorkError(f"{found.name} misses its targets: {'; '.join(missed)}")


def lints(found: Scenario) -> list[str]:
    """What is lawful and still odd: unused phases, unusual cycles, oversaturated groups."""
    notes = []
    used = {groups for period in found.site.periods for groups, _ in found.plan(period).steps}
    for phase in found.junction.phases:
        if frozenset(phase.groups) not in used:
            notes.append(f"phase {phase.name} is in no plan; only agents can choose it")
    for period in found.site.periods:
        plan = found.plan(period)
        if not 100 <= plan.cycle_s <= 190:
            notes.append(f"period {period}: cycle {plan.cycle_s} s is outside the usual 100-190 s")
        for group, degree in saturation_degrees(found, period, plan).items():
            if degree > 1.0:
                notes.append(
                    f"period {period}: {group} has degree of saturation {degree:.2f}; "
                    "its queue grows"
                )
    return notes


def _print_junction(console: Console, found: Scenario) -> None:
    _print_legs(console, found)
    _print_phases(console, found)
    _print_plans(console, found)


def _print_legs(console: Console, found: Scenario) -> None:
    site, layout = found.site, SiteLayout(found.site)
    table = Table(
        "leg", "street", "lanes from the median", "pocket", "block", box=None, pad_edge=False
    )
    for name, part in layout.legs.items():
        uses: dict[int, list[str]] = {number: [] for number in range(1, part.stop_lanes + 1)}
        for key, movement in site.movements.items():
            leg, kind = split_movement(key)
            if leg == name:
                for number in movement.lanes:
                    uses[number].append(_KIND_WORDS[kind])
        lanes = " | ".join("+".join(words) for words in uses.values())
        pocket = f"{part.pocket_m:g} m" if part.pocket_lanes else "-"
        table.add_row(
            name, part.leg.street, lanes, pocket, f"{part.leg.approach.block_m.value:g} m"
        )
    console.print()
    console.print(table)


def _print_phases(console: Console, found: Scenario) -> None:
    table = Table("phase", "green together", box=None, pad_edge=False)
    for phase in found.junction.phases:
        table.add_row(f"{phase.index} {phase.name}", ", ".join(phase.groups))
    console.print()
    console.print(table)


def _print_plans(console: Console, found: Scenario) -> None:
    for name, period in found.site.periods.items():
        plan = found.plan(name)
        demand = found.demand(name)
        volumes = ", ".join(
            f"{leg} {demand.approach_volume_veh_h(leg):.0f}" for leg in found.site.legs
        )
        steps = []
        for groups, seconds in plan.steps:
            phase = found.junction.phase_of(groups)
            steps.append(f"{phase.name if phase else '?'} {seconds}")
        degrees = saturation_degrees(found, name, plan)
        worst = max(degrees, key=lambda group: degrees[group])
        console.print(
            f"\n[bold]{name}[/bold] {period.begin}-{period.end}  veh/h: {volumes}\n"
            f"  cycle {plan.cycle_s} s, offset {plan.offset_s} s: {' | '.join(steps)}\n"
            f"  busiest: {worst}, degree of saturation {degrees[worst]:.2f}"
        )


def _print_sources(console: Console, found: Scenario | StreetScenario) -> None:
    console.print()
    for path, value, mark, source in marked_values(found.site):
        text = found.site.sources.get(source, source) if mark != "G" else source
        meaning = "" if text.startswith(MARK_MEANINGS[mark]) else f"{MARK_MEANINGS[mark]}: "
        # One line each, however narrow the terminal, so that they can be searched.
        console.print(
            f"{mark}  {path} = {value}  ({meaning}{text})",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )

"""``signals scenario``: list, show, build, check and import scenarios."""

from __future__ import annotations

import shutil
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from scenarios import catalog
from scenarios.catalog import Scenario
from scenarios.demand import TRAINING_SEEDS
from scenarios.importing.cli import check_imported, import_command, show_imported
from scenarios.importing.imported import ImportedScenario
from scenarios.layout import SiteLayout, split_movement
from scenarios.plan_design import design
from scenarios.schema import MARK_MEANINGS, marked_values
from scenarios.sumo_folder import write_sumo_folder
from signals.errors import OutputError
from signals.plan import Plan

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
        site = catalog.load(name).site
        table.add_row(name, site.title, ", ".join(site.periods))
    Console().print(table)


@scenario.command()
@click.argument("name")
@click.option("--sources", is_flag=True, help="List every number with its provenance.")
@click.option("--picture", type=click.Path(path_type=Path), help="Draw the junction to a PNG file.")
def show(name: str, sources: bool, picture: Path | None) -> None:
    """Show the legs, phases, volumes and plans of scenario NAME (a catalogue name or a folder)."""
    imported = catalog.find(name)
    if isinstance(imported, ImportedScenario):
        show_imported(imported)
        return
    found = catalog.load(name)
    console = Console()
    console.print(f"[bold]{found.site.title}[/bold]")
    if found.site.description:
        console.print(found.site.description.strip())
    _print_legs(console, found)
    _print_phases(console, found)
    _print_plans(console, found)
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
        from scenarios.picture import draw

        draw(found.network.net_file, found.site, picture)
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
    if isinstance(imported, ImportedScenario):
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
            "additional-files": (found.network.stops_file, f"{site_id}.stops.add.xml"),
            "route-files": (routes, f"{site_id}.{period_name}.{seed}.rou.xml"),
        }
        for source, target in files.values():
            shutil.copyfile(source, out / target)
        options = "".join(f'<{key} value="{target}"/>' for key, (_, target) in files.items())
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
def check(path: str) -> None:
    """Check the site file of PATH: fields, net, phases and plans; point out oddities."""
    imported = catalog.find(path)
    if isinstance(imported, ImportedScenario):
        check_imported(imported)
        return
    found = catalog.load(path)
    for warning in found.network.warnings:
        click.echo(f"note: netconvert: {warning}")
    phases, groups = len(found.junction.phases), len(found.junction.groups)
    for note in lints(found):
        click.echo(f"note: {note}")
    for period in found.site.periods:
        found.plan(period)
    click.echo(
        f"ok: {found.site_file}: {len(found.site.legs)} legs, {groups} signal groups, "
        f"{phases} phases, {len(found.site.periods)} periods"
    )


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


def saturation_degrees(found: Scenario, period: str, plan: Plan) -> dict[str, float]:
    """Degree of saturation X of each vehicle group under a plan and the period's mean demand."""
    ratios = design(found, period, plan).group_ratios
    degrees = {}
    for group, ratio in ratios.items():
        served = [groups for groups, _ in plan.steps]
        green_s = 0
        for index, (groups, seconds) in enumerate(plan.steps):
            if group in groups:
                green_s += seconds
                if group not in served[index - 1]:
                    green_s -= _intergreen_s(found, group)
        degrees[group] = ratio * plan.cycle_s / max(1, green_s)
    return degrees


def _intergreen_s(found: Scenario, group: str) -> int:
    foes = found.junction.conflict_sets[group]
    timing = found.junction.timing
    return max((timing.intergreen_s(foe) for foe in foes if not foe.endswith("ped")), default=0)


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


def _print_sources(console: Console, found: Scenario) -> None:
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

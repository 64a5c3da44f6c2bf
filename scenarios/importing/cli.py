"""``signals scenario import``, and what the other verbs print of an imported scenario."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from scenarios.importing.build import Order, Outcome, import_scenario
from scenarios.importing.imported import ImportedScenario
from scenarios.importing.schema import ImportedTiming
from signals.netreader import Finding
from signals.options import FiniteRange

_FILE = click.Path(path_type=Path)


@click.command(
    "import",
    epilog="Example: signals scenario import --net my.net.xml --routes my.rou.xml --out my",
)
@click.option("--net", type=_FILE, help="SUMO net.")
@click.option("--osm", type=_FILE, help="OSM extract (XML) instead of a net.")
@click.option(
    "--routes",
    type=_FILE,
    multiple=True,
    help="SUMO routes: vehicles, trips, flows, persons; repeat it. Left out: random trips.",
)
@click.option("--additional", type=_FILE, multiple=True, help="SUMO additional file; repeat it.")
@click.option(
    "--counts",
    type=_FILE,
    help="Turning counts (CSV: junction, from, to, begin, end, count; legs or edges, seconds).",
)
@click.option("--plans", type=_FILE, help="Saved answers of the police plan services (JSON).")
@click.option(
    "--begin", type=FiniteRange(0), help="Begin (s since midnight). Default: first departure."
)
@click.option(
    "--end", type=FiniteRange(0), help="End (s). Default: 5 min after the last departure."
)
@click.option("--out", type=_FILE, required=True, help="Scenario folder to make.")
@click.option("--yellow", type=click.IntRange(1, 10), help="Yellow (s), instead of the formula.")
@click.option("--all-red", type=click.IntRange(0, 10), help="All-red (s), instead of the formula.")
@click.option("--min-green", type=click.IntRange(1, 60), help="Minimum green (s).")
@click.option("--pedestrians", type=click.Choice(["on", "off"]), help="off leaves crosswalks out.")
@click.option(
    "--right-turn-on-red",
    type=click.Choice(["on", "off"]),
    help="Default: on for OSM, otherwise as the net's own programs show.",
)
@click.option(
    "--jitter",
    type=FiniteRange(0.0, 3600.0),
    default=60.0,
    show_default=True,
    help="Largest shift of a departure from day to day (s).",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=1,
    show_default=True,
    help="Seed of random trips and of routes for counts.",
)
@click.option("--force", is_flag=True, help="Replace an imported folder.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def import_command(
    net: Path | None,
    osm: Path | None,
    routes: tuple[Path, ...],
    additional: tuple[Path, ...],
    counts: Path | None,
    plans: Path | None,
    begin: float | None,
    end: float | None,
    out: Path,
    yellow: int | None,
    all_red: int | None,
    min_green: int | None,
    pedestrians: str | None,
    right_turn_on_red: str | None,
    jitter: float,
    seed: int,
    force: bool,
    as_json: bool,
) -> None:
    """Make a scenario folder of a SUMO net or an OSM extract.

    Every other command takes the folder where it takes a scenario. Movements, conflicts, phases
    and timing are found in the net; what was odd or repaired is printed.
    """  # fmt: skip
    timing = ImportedTiming(
        yellow_s=yellow,
        all_red_s=all_red,
        min_green_s=min_green,
        pedestrians=None if pedestrians is None else pedestrians == "on",
        right_turn_on_red=None if right_turn_on_red is None else right_turn_on_red == "on",
    )
    order = Order(
        out=out,
        net=net,
        osm=osm,
        routes=routes,
        additional=additional,
        counts=counts,
        plans=plans,
        begin_s=begin,
        end_s=end,
        timing=timing,
        seed=seed,
        jitter_s=jitter,
        force=force,
    )
    outcome = import_scenario(order, lambda line: click.echo(line, err=True))
    if as_json:
        click.echo(json.dumps(_document(outcome), ensure_ascii=False))
        return
    for finding in outcome.findings:
        click.echo(f"note: {_line(finding)}")
    for note in outcome.file.notes:
        click.echo(f"note: {note}")
    click.echo(
        f"{outcome.folder}: {len(outcome.reading.junctions)} junctions, periods "
        f"{', '.join(outcome.file.periods)}"
    )


def _line(finding: Finding) -> str:
    return f"{finding.junction}: {finding.text}" if finding.junction else finding.text


def _document(outcome: Outcome) -> dict[str, object]:
    return {
        "folder": str(outcome.folder),
        "junctions": [
            {
                "id": junction.id,
                "groups": len(junction.groups),
                "phases": [phase.name for phase in junction.phases],
                "movements": {item.id: item.code for item in junction.movements},
                "hash": junction.hash,
            }
            for junction in outcome.reading.junctions
        ],
        "periods": {name: item.model_dump() for name, item in outcome.file.periods.items()},
        "notes": list(outcome.file.notes),
        "findings": [asdict(finding) for finding in outcome.findings],
    }


def show_imported(found: ImportedScenario) -> None:
    """Print junctions, phases and plans of an imported scenario."""
    console = Console()
    console.print(f"[bold]{found.file.title}[/bold]")
    for note in found.file.notes:
        console.print(f"note: {note}")
    for name, clock in found.file.periods.items():
        console.print(f"\nperiod {name}: {clock.begin_s} to {clock.end_s} s")
        table = Table("junction", "groups", "cycle s", "plan", box=None, pad_edge=False)
        for junction, plan in zip(found.reading.junctions, found.plans(name), strict=True):
            steps = []
            for groups, seconds in plan.steps:
                phase = junction.phase_of(groups)
                steps.append(f"{phase.name if phase else '?'} {seconds}")
            table.add_row(
                junction.id, str(len(junction.groups)), str(plan.cycle_s), " | ".join(steps)
            )
        console.print(table)


def check_imported(found: ImportedScenario) -> None:
    """Print what is odd about an imported scenario, and that it can be used."""
    for finding in found.reading.findings:
        click.echo(f"note: {_line(finding)}")
    for note in found.file.notes:
        click.echo(f"note: {note}")
    for period in found.periods:
        found.plans(period)
    click.echo(
        f"ok: {found.folder}: {len(found.reading.junctions)} junctions, "
        f"{len(found.periods)} periods"
    )

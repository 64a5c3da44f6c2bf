"""``signals simulate`` and ``signals evaluate``."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from agents.evaluation.document import document
from agents.evaluation.jobs import RunResult
from agents.evaluation.request import Request, split_options
from agents.evaluation.results import ResultFolder
from agents.evaluation.runner import run_jobs
from agents.evaluation.tables import flag_text, print_kept, print_run, print_summary
from agents.fault_options import fault_options, gather_faults
from scenarios.demand import HELD_OUT_SEEDS
from signals.errors import InputError
from signals.options import FiniteRange

_sumo_option = click.option(
    "--sumo",
    "sumo_text",
    default="",
    metavar='"OPTIONS"',
    help="SUMO options, handed over as they are; {run} in one stands for the run's name.",
)
_out_option = click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="New folder for tripinfo XML, lights, metrics and configuration.",
)
_minutes_option = click.option(
    "--minutes", type=FiniteRange(1.0, 1440.0), help="End each run early, for a quick look."
)
_emissions_option = click.option("--emissions", is_flag=True, help="Compute CO2 (slower).")
_json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


@click.command(epilog="Example: signals simulate gangnam --agent actuated --period pm_peak")
@click.argument("scenario")
@click.option(
    "--agent",
    "agents",
    multiple=True,
    required=True,
    help="Classical name, run folder or bundle file. See: signals agents.",
)
@click.option("--period", help="Period of the day. Default: the scenario's first.")
@click.option(
    "--seed",
    type=click.IntRange(0, 2**31 - 1),
    default=HELD_OUT_SEEDS.start,
    show_default=True,
    help="Demand day.",
)
@click.option(
    "--gui", is_flag=True, help='Watch it in sumo-gui; to slow it down: --sumo "--delay 100".'
)
@fault_options
@_sumo_option
@_minutes_option
@_emissions_option
@_out_option
@_json_option
def simulate(
    scenario: str,
    agents: tuple[str, ...],
    period: str | None,
    seed: int,
    gui: bool,
    faults_file: Path | None,
    faults: tuple[str, ...],
    sumo_text: str,
    minutes: float | None,
    emissions: bool,
    out: Path | None,
    as_json: bool,
) -> None:
    """Run one agent through one demand day of SCENARIO."""
    if len(agents) > 1:
        raise InputError(
            f"--agent is given {len(agents)} times ({', '.join(agents)}), and simulate runs one; "
            "for several: signals evaluate"
        )
    request = Request(
        scenario=scenario,
        periods=(period,),
        agents=agents,
        seeds=range(seed, seed + 1),
        sumo=split_options(sumo_text),
        emissions=emissions,
        duration_s=None if minutes is None else round(60 * minutes),
        gui=gui,
        faults=gather_faults(faults_file, faults),
    )
    results = _perform(request, 1, out, "simulate")
    if as_json:
        click.echo(json.dumps(document(results, with_summary=False), ensure_ascii=False))
        return
    print_run(results[0])
    print_kept(out)


@click.command(
    epilog="Example: signals evaluate gangnam --agent actuated --agent runs/mine --seeds 20"
)
@click.argument("scenario")
@click.option(
    "--agent",
    "agents",
    multiple=True,
    required=True,
    help="Classical name, run folder or bundle file; repeat it. See: signals agents.",
)
@click.option(
    "--period",
    "periods",
    multiple=True,
    help="Period of the day; repeat it. Default: the scenario's first.",
)
@click.option(
    "--seeds", type=click.IntRange(min=1), default=10, show_default=True, help="Demand days."
)
@click.option(
    "--first-seed",
    type=click.IntRange(0, 2**31 - 1),
    default=HELD_OUT_SEEDS.start,
    show_default=True,
    help="First demand day; those from the default on are never trained on.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=os.cpu_count() or 1,
    show_default="one a core",
    help="Runs at once.",
)
@fault_options
@_sumo_option
@_minutes_option
@_emissions_option
@_out_option
@_json_option
def evaluate(
    scenario: str,
    agents: tuple[str, ...],
    periods: tuple[str, ...],
    seeds: int,
    first_seed: int,
    workers: int,
    faults_file: Path | None,
    faults: tuple[str, ...],
    sumo_text: str,
    minutes: float | None,
    emissions: bool,
    out: Path | None,
    as_json: bool,
) -> None:
    """Judge agents on the same demand days of SCENARIO.

    Every agent is compared day by day with the best classical agent among those given.
    """
    request = Request(
        scenario=scenario,
        periods=tuple(dict.fromkeys(periods)) or (None,),
        agents=tuple(dict.fromkeys(agents)),
        seeds=range(first_seed, first_seed + seeds),
        sumo=split_options(sumo_text),
        emissions=emissions,
        duration_s=None if minutes is None else round(60 * minutes),
        faults=gather_faults(faults_file, faults),
    )
    results = _perform(request, workers, out, "evaluate")
    if as_json:
        click.echo(json.dumps(document(results), ensure_ascii=False))
        return
    print_summary(results)
    print_kept(out)


def _perform(request: Request, workers: int, out: Path | None, command: str) -> list[RunResult]:
    """Run all jobs and keep them when asked."""
    with contextlib.ExitStack() as stack:
        folder = None if out is None else stack.enter_context(ResultFolder(out))
        jobs = [job if folder is None else folder.job(job) for job in request.jobs]
        with _progress(len(jobs)) as on_done:
            results = run_jobs(jobs, workers, on_done)
        if folder is not None:
            results = [folder.settled(result) for result in results]
            whole = document(results, with_summary=command == "evaluate")
            folder.publish(results, whole, request.config(command))
        return results


@contextlib.contextmanager
def _progress(total: int) -> Iterator[Any]:
    """A bar on a terminal, plain lines elsewhere; both on stderr."""
    console = Console(stderr=True)
    done = 0

    def say(result: RunResult) -> None:
        nonlocal done
        done += 1
        click.echo(
            f"[{done}/{total}] {result.label}: {result.metrics.delay_s:.1f} s/veh"
            f" ({result.wall_s:.0f} s){flag_text(result)}",
            err=True,
        )

    if not console.is_terminal:
        yield say
        return
    with Progress(
        MofNCompleteColumn(),
        TextColumn("runs"),
        BarColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
        console=console,
        transient=True,
    ) as bar:
        task = bar.add_task("", total=total)

        def advance(result: RunResult) -> None:
            text = f"{result.label}: {result.metrics.delay_s:.1f} s/veh"
            bar.update(task, advance=1, description=text)

        yield advance

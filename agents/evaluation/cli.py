"""``signals simulate`` and ``signals evaluate``."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from agents.classical import NAMES
from agents.evaluation.results import ResultFolder
from agents.evaluation.runner import Job, RunResult, check_options, run_jobs
from agents.evaluation.statistics import Comparison, Summary, summarise_runs, verdicts
from agents.resolve import agent_for, check_spec
from scenarios.demand import HELD_OUT_SEEDS
from signals.capacity import junction_los
from signals.errors import InputError
from signals.options import FiniteRange
from signals.simulation.sumo_backend import SumoBackend
from signals.world import World, resolve

MEANS: Final = (
    "stops",
    "throughput_veh_h",
    "unfinished",
    "never_inserted",
    "longest_wait_s",
    "pedestrian_delay_s",
    "bus_delay_s",
    "person_delay_s",
    "queue_p95_m",
    "longest_queue_m",
    "co2_g",
)
"""Metrics that a summary averages besides the delay."""
_PLAIN_WIDTH: Final = 120

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
    "--agent", required=True, help="Classical name, run folder or bundle file. See: signals agents."
)
@click.option("--period", help="Period of the day. Default: the scenario's first.")
@click.option(
    "--seed",
    type=click.IntRange(0, 2**31 - 1),
    default=HELD_OUT_SEEDS.start,
    show_default=True,
    help="Demand day.",
)
@click.option("--gui", is_flag=True, help="Watch it in sumo-gui.")
@_sumo_option
@_minutes_option
@_emissions_option
@_out_option
@_json_option
def simulate(
    scenario: str,
    agent: str,
    period: str | None,
    seed: int,
    gui: bool,
    sumo_text: str,
    minutes: float | None,
    emissions: bool,
    out: Path | None,
    as_json: bool,
) -> None:
    """Run one agent through one demand day of SCENARIO."""
    request = _Request(
        scenario=scenario,
        periods=(period,),
        agents=(agent,),
        seeds=range(seed, seed + 1),
        sumo=_split(sumo_text),
        emissions=emissions,
        duration_s=None if minutes is None else round(60 * minutes),
        gui=gui,
    )
    results = _perform(request, 1, out, "simulate")
    if as_json:
        click.echo(json.dumps(_document(results, with_summary=False), ensure_ascii=False))
        return
    _print_run(results[0])
    _print_kept(out)


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
    sumo_text: str,
    minutes: float | None,
    emissions: bool,
    out: Path | None,
    as_json: bool,
) -> None:
    """Judge agents on the same demand days of SCENARIO.

    Every agent is compared day by day with the best classical agent among those given.
    """
    request = _Request(
        scenario=scenario,
        periods=tuple(dict.fromkeys(periods)) or (None,),
        agents=tuple(dict.fromkeys(agents)),
        seeds=range(first_seed, first_seed + seeds),
        sumo=_split(sumo_text),
        emissions=emissions,
        duration_s=None if minutes is None else round(60 * minutes),
    )
    results = _perform(request, workers, out, "evaluate")
    if as_json:
        click.echo(json.dumps(_document(results), ensure_ascii=False))
        return
    _print_summary(results)
    _print_kept(out)


class _Request:
    """A checked order: every world built and every agent opened once, before any work.

    Raises:
        InputError: Scenario, period, agent or SUMO options cannot be used.
    """

    def __init__(
        self,
        *,
        scenario: str,
        periods: Sequence[str | None],
        agents: Sequence[str],
        seeds: range,
        sumo: tuple[str, ...],
        emissions: bool,
        duration_s: int | None,
        gui: bool = False,
    ) -> None:
        for agent in agents:
            check_spec(agent)
        check_options(sumo)
        SumoBackend(gui=gui)  # says at once when SUMO is missing
        self.scenario, self.agents, self.seeds = scenario, agents, seeds
        self.sumo, self.emissions, self.duration_s = sumo, emissions, duration_s
        self.worlds: dict[str, World] = {}
        for period in periods:
            world = resolve(scenario, period)
            self.worlds[world.period] = world
            for agent in agents:
                agent_for(agent, world)
        slugs = _slugs(agents)
        self.jobs = [
            Job(
                scenario=scenario,
                period=period,
                agent=agent,
                seed=seed,
                sumo=sumo,
                emissions=emissions,
                label=f"{period}-{slugs[agent]}-{seed}",
                duration_s=duration_s,
                gui=gui,
            )
            for period in self.worlds
            for seed in seeds
            for agent in agents
        ]
        if len(self.jobs) > 1:
            _refuse_shared_outputs(sumo)

    def config(self, command: str) -> dict[str, Any]:
        """What was asked for, resolved."""
        return {
            "command": command,
            "scenario": self.scenario,
            "periods": {
                period: {
                    "begin_s": world.begin_s,
                    "end_s": world.end_s,
                    "content_hash": world.content_hash,
                    "junction_hash": world.junction.hash,
                    "plan": world.plan.to_dict(),
                    "sumo_options": list(world.sumo_options),
                }
                for period, world in self.worlds.items()
            },
            "agents": list(self.agents),
            "seeds": list(self.seeds),
            "duration_s": self.duration_s,
            "emissions": self.emissions,
            "sumo": list(self.sumo),
        }


def _perform(request: _Request, workers: int, out: Path | None, command: str) -> list[RunResult]:
    """Run all jobs and keep them when asked."""
    with contextlib.ExitStack() as stack:
        folder = None if out is None else stack.enter_context(ResultFolder(out))
        jobs = [job if folder is None else folder.job(job) for job in request.jobs]
        with _progress(len(jobs)) as on_done:
            results = run_jobs(jobs, workers, on_done)
        if folder is not None:
            results = [folder.settled(result) for result in results]
            document = _document(results, with_summary=command == "evaluate")
            folder.publish(results, document, request.config(command))
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
            f" ({result.wall_s:.0f} s){_flag_text(result)}",
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


def _split(text: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise InputError(f"--sumo {text!r} cannot be split: {error}; close every quote") from error


def _refuse_shared_outputs(options: Sequence[str]) -> None:
    """Several runs would write the same file."""
    for index, option in enumerate(options):
        name, _, value = option.partition("=")
        value = value or " ".join(options[index + 1 : index + 2])
        if name.startswith("--") and name.endswith("-output") and "{run}" not in value:
            raise InputError(
                f"every run would write the same file {name} {value}; put {{run}} into its name"
            )


def _slugs(agents: Sequence[str]) -> dict[str, str]:
    """Agents to names that fit into file names, each different."""
    found: dict[str, str] = {}
    for agent in agents:
        base = agent if _is_classical(agent) else Path(agent).expanduser().resolve().stem
        base = re.sub(r"[^\w.-]+", "_", base) or "agent"
        slug, number = base, 2
        while slug in found.values():
            slug, number = f"{base}_{number}", number + 1
        found[agent] = slug
    return found


def _summaries(results: Sequence[RunResult]) -> list[Summary]:
    groups: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for result in results:
        key = (result.scenario, result.period, result.agent)
        groups.setdefault(key, []).append(result.to_dict())
    return [summarise_runs(*key, rows, MEANS) for key, rows in groups.items()]


def _comparisons(results: Sequence[RunResult]) -> list[Comparison]:
    delays: dict[str, dict[str, dict[int, float]]] = {}
    for result in results:
        agents = delays.setdefault(result.period, {})
        agents.setdefault(result.agent, {})[result.seed] = result.metrics.delay_s
    return verdicts(delays, {run.agent for run in results if _is_classical(run.agent)})


def _is_classical(agent: str) -> bool:
    """Whether it is a classical name, with or without parameters behind a colon."""
    return agent.partition(":")[0] in NAMES


def _document(results: Sequence[RunResult], with_summary: bool = True) -> dict[str, Any]:
    document: dict[str, Any] = {"runs": [result.to_dict() for result in results]}
    if with_summary:
        document["summary"] = [summary.to_dict() for summary in _summaries(results)]
        document["verdict"] = [
            {**found.to_dict(), "text": found.sentence()} for found in _comparisons(results)
        ]
    return document


def _flag_text(result: RunResult) -> str:
    return "".join(f"; {flag}" for flag in result.metrics.flags)


def _console() -> Console:
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = max(console.width, _PLAIN_WIDTH)
    return console


def _number(value: float | None, digits: int = 1) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _print_run(result: RunResult) -> None:
    console, metrics = _console(), result.metrics
    console.print(f"{result.scenario} {result.period}, {result.agent}, day {result.seed}")
    table = Table(box=None, pad_edge=False, show_header=False)
    rows = (
        ("delay", f"{metrics.delay_s:.1f} s/veh, level of service {metrics.los}"),
        ("vehicles", f"{metrics.vehicles} scheduled, {metrics.arrived} arrived"),
        ("left over", f"{metrics.unfinished} on the way, {metrics.never_inserted} never inserted"),
        ("stops", f"{metrics.stops:.2f} per vehicle"),
        ("longest wait", f"{metrics.longest_wait_s:.0f} s"),
        ("people on foot", f"{metrics.pedestrians}, {_number(metrics.pedestrian_delay_s)} s each"),
        ("buses", f"{metrics.buses}, {_number(metrics.bus_delay_s)} s each"),
        ("all people", f"{_number(metrics.person_delay_s)} s each"),
    )
    for row in rows:
        table.add_row(*row)
    if metrics.co2_g is not None:
        table.add_row("CO2", f"{metrics.co2_g:.0f} g per vehicle")
    console.print(table)
    legs = Table("from", "vehicles", "delay s/veh", "LOS", "queue 95 % m", "longest m")
    legs.box, legs.pad_edge = None, False
    for leg, approach in metrics.approaches.items():
        queue = approach.queue
        legs.add_row(
            leg,
            str(approach.vehicles),
            _number(approach.delay_s),
            approach.los,
            _number(queue.p95_m if queue else None, 0),
            _number(queue.longest_m if queue else None, 0),
        )
    console.print(legs)
    for flag in metrics.flags:
        console.print(f"warning: {flag}")


def _print_summary(results: Sequence[RunResult]) -> None:
    console = _console()
    table = Table(box=None, pad_edge=False)
    for number, title in enumerate(
        ("period", "agent", "delay s/veh", "95 %", "LOS", "stops", "on foot s", "bus s", "person s",
         "queue 95 % m", "flagged")
    ):  # fmt: skip
        table.add_column(title, justify="left" if number < 2 else "right")
    for summary in _summaries(results):
        low, high = summary.delay.ci95 or (None, None)
        table.add_row(
            summary.period,
            summary.agent,
            _number(summary.delay.mean),
            "-" if low is None else f"{_number(low)} to {_number(high)}",
            junction_los(summary.delay.mean),
            _number(summary.means["stops"], 2),
            _number(summary.means["pedestrian_delay_s"]),
            _number(summary.means["bus_delay_s"]),
            _number(summary.means["person_delay_s"]),
            _number(summary.means["queue_p95_m"], 0),
            f"{summary.flagged}/{summary.seeds}",
        )
    console.print(table)
    found = _comparisons(results)
    for comparison in found:
        console.print(comparison.sentence())
    if not any(_is_classical(result.agent) for result in results):
        console.print(f"no verdict: add a classical agent ({', '.join(NAMES)})")
    for result in results:
        for flag in result.metrics.flags:
            console.print(f"warning: {result.label}: {flag}")


def _print_kept(out: Path | None) -> None:
    if out is not None:
        click.echo(f"kept in {out}")

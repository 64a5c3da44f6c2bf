"""What is printed of judged runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.table import Table

from agents.classical import NAMES
from agents.evaluation.document import comparisons, faults_of, is_classical, notes_of, summaries
from agents.evaluation.jobs import RunResult
from signals.capacity import junction_los
from signals.metrics import RunMetrics

_PLAIN_WIDTH: Final = 150
_MOST_JUNCTIONS: Final = 12
"""Longer tables are for ``--json``."""


def flag_text(result: RunResult) -> str:
    """What makes a run suspect, to go behind its line."""
    return "".join(f"; {flag}" for flag in result.metrics.flags)


def _console() -> Console:
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = max(console.width, _PLAIN_WIDTH)
    return console


def _number(value: float | None, digits: int = 1) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def print_run(result: RunResult) -> None:
    """One run: the whole, its approaches or junctions, and warnings."""
    console, metrics = _console(), result.metrics
    console.print(f"{result.scenario} {result.period}, {result.agent}, day {result.seed}")
    table = Table(box=None, pad_edge=False, show_header=False)
    rows = (
        ("delay", f"{metrics.delay_s:.1f} s/veh{_level(metrics.los)}"),
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
    console.print(_junctions(metrics) if metrics.junctions else _approaches(metrics))
    if len(metrics.junctions) > _MOST_JUNCTIONS:
        console.print(
            f"the {_MOST_JUNCTIONS} of {len(metrics.junctions)} junctions where most time is lost; "
            "all of them: --json"
        )
    _print_conditions(console, [result])
    for flag in metrics.flags:
        console.print(f"warning: {flag}")


def _level(los: str | None) -> str:
    return "" if los is None else f", level of service {los}"


def _approaches(metrics: RunMetrics) -> Table:
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
    return legs


def _junctions(metrics: RunMetrics) -> Table:
    table = Table("junction", "vehicles", "delay s/veh", "LOS", "lost veh-h", "worst approach",
                  "queue 95 % m", "longest m")  # fmt: skip
    table.box, table.pad_edge = None, False
    worst_first = sorted(metrics.junctions.items(), key=lambda item: (-item[1].lost_s, item[0]))
    for name, junction in worst_first[:_MOST_JUNCTIONS]:
        leg, worst = max(
            junction.approaches.items(), key=lambda item: item[1].delay_s, default=("-", None)
        )
        table.add_row(
            name,
            str(junction.vehicles),
            _number(junction.delay_s),
            junction.los,
            _number(junction.lost_s / 3600.0),
            leg if worst is None else f"{leg}: {worst.delay_s:.1f} s, {worst.los}",
            _number(junction.queue_p95_m, 0),
            _number(junction.longest_queue_m, 0),
        )
    return table


def _print_conditions(console: Console, results: Sequence[RunResult]) -> None:
    for note in notes_of(results):
        console.print(f"note: {note}")
    for fault in faults_of(results):
        console.print(f"detector fault: {fault}")


def print_summary(results: Sequence[RunResult]) -> None:
    """Means over days by period and agent, verdicts and warnings."""
    console = _console()
    network = any(result.metrics.junctions for result in results)
    table = Table(box=None, pad_edge=False)
    for number, title in enumerate(
        ("period", "agent", "delay s/veh", "95 %", "LOS", "worst junction s", "longest wait s",
         "stops", "on foot s", "bus s", "person s", "queue 95 % m", "flagged")
    ):  # fmt: skip
        table.add_column(title, justify="left" if number < 2 else "right")
    for summary in summaries(results):
        low, high = summary.delay.ci95 or (None, None)
        table.add_row(
            summary.period,
            summary.agent,
            _number(summary.delay.mean),
            "-" if low is None else f"{_number(low)} to {_number(high)}",
            "-" if network else junction_los(summary.delay.mean),
            _number(summary.means["worst_junction_delay_s"]),
            _number(summary.means["longest_wait_s"], 0),
            _number(summary.means["stops"], 2),
            _number(summary.means["pedestrian_delay_s"]),
            _number(summary.means["bus_delay_s"]),
            _number(summary.means["person_delay_s"]),
            _number(summary.means["queue_p95_m"], 0),
            f"{summary.flagged}/{summary.seeds}",
        )
    console.print(table)
    if network:
        console.print("\ndelay s/veh at the junctions where most time is lost:")
        console.print(_junction_means(results))
    _print_conditions(console, results)
    found = comparisons(results)
    for comparison in found:
        console.print(comparison.sentence())
    if not any(is_classical(result.agent) for result in results):
        console.print(f"no verdict: add a classical agent ({', '.join(NAMES)})")
    for result in results:
        for flag in result.metrics.flags:
            console.print(f"warning: {result.label}: {flag}")


def _junction_means(results: Sequence[RunResult]) -> Table:
    """Delay of junctions by period and agent, mean over days; the most lost time first."""
    cases = list(dict.fromkeys((result.period, result.agent) for result in results))
    sums: dict[str, dict[tuple[str, str], list[float]]] = {}
    lost: dict[str, float] = {}
    for result in results:
        for name, junction in result.metrics.junctions.items():
            case = (result.period, result.agent)
            sums.setdefault(name, {}).setdefault(case, []).append(junction.delay_s)
            lost[name] = lost.get(name, 0.0) + junction.lost_s
    several = len({period for period, _ in cases}) > 1
    table = Table("junction", box=None, pad_edge=False)
    for period, agent in cases:
        table.add_column(f"{agent}, {period}" if several else agent, justify="right")
    for name in sorted(lost, key=lambda item: (-lost[item], item))[:_MOST_JUNCTIONS]:
        delays = [sums[name].get(case, []) for case in cases]
        table.add_row(name, *(_number(sum(d) / len(d) if d else None) for d in delays))
    return table


def print_kept(out: Path | None) -> None:
    """Where the runs were kept."""
    if out is not None:
        click.echo(f"kept in {out}")

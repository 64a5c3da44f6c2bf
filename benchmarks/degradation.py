"""Delay when detectors are lost: the learned agent beside the time-of-day plan.

    python -m benchmarks.degradation --agent universal --out runs/degradation

Runs the learned agent with 0, 10, 30 and 60 % of the detectors silent, drawn anew each held-out
day, and the plan, which reads none. Target: never above the plan. Exit status 0 says that the runs
were made, whatever came out.
"""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean

import click

from agents.evaluation.runner import Job, run_jobs
from scenarios.demand import HELD_OUT_SEEDS
from signals.faults import FaultSpec

SHARES = (0.0, 0.1, 0.3, 0.6)
STREETS = ("gangnam", "generated:junction:20001", "generated:junction:20004",
           "generated:corridor:20000")  # fmt: skip


@click.command()
@click.option("--agent", default="universal", show_default=True)
@click.option("--scenario", "scenarios", multiple=True, default=STREETS, show_default=True)
@click.option("--period", help="Period; each scenario's first when left out.")
@click.option("--days", type=click.IntRange(1), default=2, show_default=True)
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="Folder for degradation.json.")
def judge(
    agent: str,
    scenarios: tuple[str, ...],
    period: str | None,
    days: int,
    workers: int,
    out: Path | None,
) -> None:
    """Judge and print a table."""
    heads = " ".join(f"{f'{share:.0%} lost':>10}" for share in SHARES)
    click.echo(f"{'scenario':28} {'fixed_time':>10} {heads}")
    rows, above = [], 0
    for scenario in scenarios:
        jobs = [Job(scenario, period, "fixed_time", day) for day in HELD_OUT_SEEDS[:days]]
        for share in SHARES:
            faults = (FaultSpec.parse(f"loss:{share:g}"),) if share else ()
            jobs += [
                Job(scenario, period, agent, day, faults=faults) for day in HELD_OUT_SEEDS[:days]
            ]
        delays = [result.metrics.delay_s for result in run_jobs(jobs, workers)]
        means = [fmean(delays[at : at + days]) for at in range(0, len(delays), days)]
        above += sum(mean > means[0] for mean in means[1:])
        rows.append({"scenario": scenario, "fixed_time": means[0],
                     "learned": dict(zip(map(str, SHARES), means[1:], strict=True))})  # fmt: skip
        cells = " ".join(f"{mean:10.1f}" for mean in means)
        click.echo(f"{scenario:28} {cells}")
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "degradation.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")
    click.echo(
        f"{above} of {len(rows) * len(SHARES)} means above fixed_time, target none "
        f"{'met' if not above else 'NOT met'}"
    )


if __name__ == "__main__":
    judge()

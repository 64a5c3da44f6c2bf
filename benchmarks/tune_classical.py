"""Tunes the classical agents on training demand days, so that no learned agent beats a straw man.

    python benchmarks/tune_classical.py gangnam --period am_peak --period pm_peak

Prints the mean delay of every setting and the best one of each agent. The defaults of
`agents.classical` are the best settings found this way; days used for judging are not touched.
"""

from __future__ import annotations

import itertools
from statistics import fmean

import click

from agents.evaluation.runner import Job, run_jobs
from scenarios.demand import TRAINING_SEEDS

GRID: dict[str, dict[str, list[float]]] = {
    "actuated": {"passage_s": [0.5, 1.0, 2.0, 3.0], "max_share": [1.0, 1.2]},
    "max_pressure": {"lane_power": [0.0, 1.0], "bonus": [0.5, 1.0, 2.0]},
    "webster": {"max_cycle_s": [100, 120, 145, 160], "saturation_goal": [0.6, 0.7, 0.8]},
}


@click.command()
@click.argument("scenario")
@click.option("--period", "periods", multiple=True, required=True)
@click.option("--agent", "agents", multiple=True, default=tuple(GRID))
@click.option("--days", default=1, show_default=True)
@click.option("--workers", default=2, show_default=True)
def tune(
    scenario: str, periods: tuple[str, ...], agents: tuple[str, ...], days: int, workers: int
) -> None:
    """Try every setting of the grid on training days."""
    for agent in agents:
        settings = [
            f"{agent}:"
            + ",".join(f"{key}={value}" for key, value in zip(GRID[agent], values, strict=True))
            for values in itertools.product(*GRID[agent].values())
        ]
        jobs = [
            Job(scenario, period, setting, TRAINING_SEEDS.start + day)
            for setting in settings
            for period in periods
            for day in range(days)
        ]
        results = run_jobs(jobs, workers)
        means = {}
        for setting in settings:
            own = [result for result in results if result.agent == setting]
            means[setting] = fmean(result.metrics.delay_s for result in own)
            parts = ", ".join(
                f"{period} {fmean(r.metrics.delay_s for r in own if r.period == period):.1f}"
                for period in periods
            )
            click.echo(f"{setting}: {means[setting]:.1f} s/veh ({parts})")
        best = min(means, key=means.__getitem__)
        click.echo(f"best {agent}: {best} with {means[best]:.1f} s/veh")


if __name__ == "__main__":
    tune()

"""What knowing the arrivals would be worth: how far a policy is from one that sees ahead.

    python -m benchmarks.foresight gangnam --period am_peak --agent universal

At every choice all open phases are tried out in copies of the simulation, and the cheapest is
taken; after it the policy decides (`agents.learned.trials`). No controller can do that: it knows
the very arrivals and every driver. It is no bound: a better policy behind the choices would gain
more. Exit status 0 says that the runs were made, whatever came out.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import click

from agents.learned.rollout import RolloutTask, weights_of
from agents.learned.run import roll_out
from agents.pretrained import pretrained_run
from agents.training import hyperparameters
from agents.workers import local_workers
from scenarios.demand import HELD_OUT_SEEDS
from signals.errors import InputError, SignalsError
from signals.world import resolve


@click.command()
@click.argument("scenario")
@click.option("--period", help="Period; the scenario's first when left out.")
@click.option("--agent", default="universal", show_default=True, help="Shipped policy or run.")
@click.option("--days", type=click.IntRange(1), default=1, show_default=True)
@click.option("--horizon-s", type=click.IntRange(1), default=75, show_default=True,
              help="Trials last so long, or a cycle of the plan if that is longer.")  # fmt: skip
@click.option("--minutes", type=click.FloatRange(min=1), help="End each run early.")
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="Folder for foresight.json.")
def foresee(
    scenario: str,
    period: str | None,
    agent: str,
    days: int,
    horizon_s: int,
    minutes: float | None,
    workers: int,
    out: Path | None,
) -> None:
    """Run the policy as it is, then with foresight, and print what both lose."""
    try:
        world, scorer = resolve(scenario, period), pretrained_run(agent).scorer
    except InputError as error:
        raise click.UsageError(str(error)) from error
    values: dict[str, Any] = hyperparameters("lookahead", scenario) | {
        "compare_share": 1.0,
        "compare_follow": 1.0,
        "compare_phases": max(len(junction.phases) for junction in world.junctions),
        "compare_horizon_s": horizon_s,
        "epsilon": 0.0,
        "walkers_low": 1.0,
        "walkers_high": 1.0,
        "width": scorer.width,
    }
    values["decision_interval_s"] = values["compare_interval_s"]
    blind = [
        RolloutTask(
            *(scenario, world.period, day, 1, "explore", values, weights_of(scorer)),
            maximum_s=round(60 * (minutes or 0)),
        )
        for day in HELD_OUT_SEEDS[:days]
    ]
    seeing = [replace(task, behaviour="compare") for task in blind]
    found: dict[str, list[float]] = {"policy": [], "with foresight": []}
    click.echo(f"{scenario}, {world.period}: {days} held-out days, a decision every 5 s")
    try:
        with local_workers(workers) as hands:
            runs = hands.run(roll_out, [*blind, *seeing])
    except SignalsError as error:
        raise click.ClickException(str(error)) from error
    for number, run in enumerate(runs):
        found["policy" if number < days else "with foresight"].append(run.lost_veh_h)
    for name, lost in found.items():
        listed = ", ".join(f"{value:.1f}" for value in lost)
        click.echo(f"  {name:15} {fmean(lost):7.1f} vehicle hours lost ({listed})")
    ratio = fmean(found["with foresight"]) / fmean(found["policy"])
    click.echo(f"foresight over policy: {ratio:.3f}")
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"scenario": scenario, "period": world.period, **found}, indent=1)
        (out / "foresight.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    foresee()

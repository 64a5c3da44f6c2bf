"""Time to quality: from nothing to below the best classical agent on one imported junction.

    python -m benchmarks.time_to_quality --out runs/quick

Imports a junction that comes with sumo-rl's nets or from --net, trains for at most three minutes on
two cores from nothing (beginning with shipped weights is another question: --first universal), and
judges the best weights beside every classical agent on held-out days. Exit status 0 says that the
runs were made, whatever came out.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from statistics import fmean

import click
import yaml

from agents.classical import NAMES
from agents.evaluation.runner import Job, run_jobs
from scenarios.demand import HELD_OUT_SEEDS

NET = "2way-single-intersection/single-intersection"
LIMIT_MINUTES = 3.0


def _signals(*arguments: str) -> None:
    click.echo(f"$ signals {' '.join(arguments)}")
    subprocess.run([sys.executable, "-m", "signals.cli", *arguments], check=True)


@click.command()
@click.option("--net", type=click.Path(path_type=Path, exists=True), help="SUMO net of your own.")
@click.option("--routes", type=click.Path(path_type=Path, exists=True), help="Its routes.")
@click.option("--algo", default="lookahead", show_default=True)
@click.option("--first", default="", help="Weights to begin with; nothing when left out.")
@click.option("--minutes", default=LIMIT_MINUTES, show_default=True)
@click.option("--days", type=click.IntRange(1), default=4, show_default=True)
@click.option("--seed", default=1, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), required=True)
def measure(
    net: Path | None,
    routes: Path | None,
    algo: str,
    first: str,
    minutes: float,
    days: int,
    seed: int,
    out: Path,
) -> None:
    """Import, train, judge, print."""
    if net is None:
        spec = find_spec("sumo_rl")
        if spec is None or spec.origin is None:
            raise click.UsageError("give --net and --routes, or pip install sumo-rl==1.4.5")
        folder = Path(spec.origin).parent / "nets"
        net, routes = folder / f"{NET}.net.xml", folder / f"{NET}-vhvh.rou.xml"
    scenario, run = out / "scenario", out / "run"
    out.mkdir(parents=True, exist_ok=True)
    if not scenario.exists():
        given = () if routes is None else ("--routes", str(routes))
        _signals(
            *("scenario", "import", "--net", str(net), *given),
            *("--begin", "0", "--end", "3600", "--out", str(scenario)),
        )
    values = {"eval_every": 10**9, "eval_seeds": 1, "teacher_runs": 2, "run_s": 1800}
    file = out / "hyperparameters.yaml"
    file.write_text(yaml.safe_dump({"default": values}), encoding="utf-8")
    shutil.rmtree(run, ignore_errors=True)
    begun_s = time.monotonic()
    _signals(
        *("train", str(scenario), "--algo", algo, "--minutes", str(minutes), "--workers", "2"),
        *(("--from", first) if first else ()),
        *("--hyperparams", str(file), "--no-baselines", "--seed", str(seed), "--out", str(run)),
    )
    took_s = time.monotonic() - begun_s
    jobs = [
        Job(str(scenario), None, agent, day)
        for agent in (*NAMES, str(run))
        for day in HELD_OUT_SEEDS[:days]
    ]
    delays: dict[str, list[float]] = {}
    for result in run_jobs(jobs, 2):
        delays.setdefault(result.agent, []).append(result.metrics.delay_s)
    means = {name: fmean(found) for name, found in delays.items()}
    for name, mean in sorted(means.items(), key=lambda item: item[1]):
        click.echo(f"  {'learned' if name == str(run) else name:22} {mean:7.1f} s/veh")
    best = min(NAMES, key=lambda name: means[name])
    ratio = means[str(run)] / means[best]
    word = "met" if ratio < 1.0 and minutes <= LIMIT_MINUTES else "NOT met"
    click.echo(
        f"learned / {best}: {ratio:.3f} after {minutes:g} min of training ({took_s:.0f} s with "
        f"start and last validation), {days} held-out days; target below 1 in "
        f"{LIMIT_MINUTES:g} min {word}"
    )


if __name__ == "__main__":
    measure()

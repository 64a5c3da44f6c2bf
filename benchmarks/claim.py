"""The claim of the learned agent on Gangnam Station: trains, judges, prints the ratio.

    python benchmarks/claim.py --out runs/claim

Trains at most 30 minutes on two cores on training days (``--algo``, ``--from`` and
``--hyperparams`` as in ``signals train``), keeps the weights that validated best, and
judges them once on held-out days beside the classical agents, with the defaults or what
``--agent`` gives them (``signals tune-classical``). Target: mean delay at most 0.90 of the best
classical agent's, with the whole 95 % interval of the ratio below 1, in am_peak and pm_peak. Exit
status 0 says that the commands ran, whatever the verdict: the verdict is what is printed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from statistics import fmean

import click

from agents.classical import NAMES
from agents.evaluation.statistics import ratio_of_means

TARGET = 0.90


def _run(*arguments: str) -> None:
    click.echo(f"$ signals {' '.join(arguments)}")
    subprocess.run([sys.executable, "-m", "signals.cli", *arguments], check=True)


@click.command()
@click.option("--scenario", default="gangnam", show_default=True)
@click.option("--period", "periods", multiple=True, default=("am_peak", "pm_peak"))
@click.option(
    "--agent", "rivals", multiple=True, default=NAMES, help="Settings of the classical agents."
)
@click.option("--algo", help="Default: that of signals train.")
@click.option("--from", "first", help="Weights to begin with, e.g. universal.")
@click.option("--hyperparams", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--minutes", default=28.0, show_default=True, help="Training time.")
@click.option("--seeds", default=12, show_default=True, help="Held-out days per period.")
@click.option("--seed", default=1, show_default=True, help="Seed of the training.")
@click.option("--out", type=click.Path(path_type=Path), required=True)
@click.option("--judge-only", is_flag=True, help="Judge the run that is in --out already.")
def claim(
    scenario: str,
    periods: tuple[str, ...],
    rivals: tuple[str, ...],
    algo: str | None,
    first: str | None,
    hyperparams: Path | None,
    minutes: float,
    seeds: int,
    seed: int,
    out: Path,
    judge_only: bool,
) -> None:
    """Train, judge, print."""
    chosen = [part for period in periods for part in ("--period", period)]
    run, judged = out / "learned", out / "judged"
    given = {"--algo": algo, "--from": first, "--hyperparams": hyperparams}
    if not judge_only:
        _run(
            *("train", scenario, *chosen, "--minutes", str(minutes)),
            *(part for name, value in given.items() if value for part in (name, str(value))),
            *("--seed", str(seed), "--workers", "2", "--out", str(run)),
        )
    agents = [part for name in (*rivals, str(run)) for part in ("--agent", name)]
    _run("evaluate", scenario, *chosen, *agents, "--seeds", str(seeds), "--out", str(judged))
    runs = json.loads((judged / "evaluation.json").read_text(encoding="utf-8"))["runs"]
    for period in periods:
        delays = {
            name: [
                row["delay_s"]
                for row in sorted(runs, key=lambda row: int(row["seed"]))
                if row["period"] == period and row["agent"] == name
            ]
            for name in (*rivals, str(run))
        }
        best = min(rivals, key=lambda name: fmean(delays[name]))
        ratio = ratio_of_means(delays[str(run)], delays[best])
        met = ratio.mean <= TARGET and ratio.high is not None and ratio.high < 1.0
        click.echo(
            f"{period}: learned {fmean(delays[str(run)]):.1f} s/veh, best classical {best} "
            f"{fmean(delays[best]):.1f} s/veh, ratio {ratio.mean:.3f} "
            f"(95 % interval {ratio.low:.3f} to {ratio.high:.3f}, {len(delays[best])} days): "
            f"target {TARGET:.2f} {'met' if met else 'NOT met'}"
        )


if __name__ == "__main__":
    claim()

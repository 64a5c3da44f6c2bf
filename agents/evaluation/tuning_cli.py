"""``signals tune-classical``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from agents.evaluation.tuning import SPACES, Case, Trial, Tuner
from signals.errors import UnknownNameError
from signals.world import resolve


@click.command(
    "tune-classical",
    epilog="Example: signals tune-classical gangnam --period am_peak --period pm_peak "
    "--agent actuated --out tuned.json",
)
@click.argument("scenarios", nargs=-1, required=True, metavar="SCENARIO...")
@click.option(
    "--agent",
    required=True,
    help=f"Which one: {', '.join(SPACES)}.",
)
@click.option(
    "--period",
    "periods",
    multiple=True,
    help="Period of the day; repeat it. Default: each scenario's first.",
)
@click.option(
    "--days", type=click.IntRange(1, 10_000), default=2, show_default=True, help="Training days."
)
@click.option(
    "--trials",
    type=click.IntRange(min=1),
    default=60,
    show_default=True,
    help="Most settings to try.",
)
@click.option(
    "--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Runs at once."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="JSON file that keeps every trial; the same command goes on where it stopped.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def tune_classical(
    scenarios: tuple[str, ...],
    agent: str,
    periods: tuple[str, ...],
    days: int,
    trials: int,
    workers: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Find a classical agent's parameters of least delay on training days of SCENARIO...

    Days that agents are judged on (signals evaluate) are not touched.
    """
    if agent not in SPACES:
        raise UnknownNameError("agent to tune", agent, SPACES)
    cases: list[Case] = []
    for scenario in dict.fromkeys(scenarios):
        for period in dict.fromkeys(periods) or (None,):
            cases.append((scenario, resolve(scenario, period).period))
    tuner = Tuner(agent, cases, days, workers, out)
    tried = 0

    def say(trial: Trial) -> None:
        nonlocal tried
        tried += 1
        parts = ", ".join(f"{case} {delay_s:.1f}" for case, delay_s in trial.delays.items())
        flagged = f"; {trial.flagged} runs flagged" if trial.flagged else ""
        click.echo(
            f"[{tried}] {trial.agent}: {trial.score:.3f} of the defaults' delay "
            f"({parts} s/veh{flagged})",
            err=True,
        )

    best = tuner.search(trials, say)
    if as_json:
        whole = {
            "agent": best.agent,
            "score": best.score,
            "delays": dict(best.delays),
            "flagged": best.flagged,
            "trials": tried,
        }
        click.echo(json.dumps(whole, ensure_ascii=False))
        return
    click.echo(
        f"best of {tried} settings: {best.score:.3f} of the defaults' delay on training days"
    )
    click.echo(f'judge it: signals evaluate {cases[0][0]} --agent "{best.agent}"')

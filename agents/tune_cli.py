"""``signals tune``."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from signals.errors import InputError, MissingDependencyError
from signals.options import FiniteRange


@click.command()
@click.argument("scenario", nargs=-1, required=True)
@click.option("--algo", type=click.Choice(["ppo", "dqn", "lookahead"]), default="ppo",
              show_default=True)  # fmt: skip
@click.option("--period", "periods", multiple=True, help="Period to train on; repeat it.")
@click.option(
    "--check",
    "checks",
    multiple=True,
    help="Scenario whose validation days judge; repeat it. Default: those trained on.",
)
@click.option("--trials", type=click.IntRange(1), default=20, show_default=True)
@click.option("--steps", type=click.IntRange(1), help="Decisions of a trial.")
@click.option("--minutes", type=FiniteRange(0.1, 10080.0), help="Longest trial.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True)
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True)
@click.option(
    "--hyperparams",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="YAML with the values that are not searched.",
)
@click.option(
    "--space",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="YAML of your own with what is searched, in the shape of agents/hyperparams/tune.yaml.",
)
@click.option("--eval-every", type=click.IntRange(1), help="Decisions between validations.")
@click.option("--eval-seeds", type=click.IntRange(1), help="Validation days per period.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the study.")
def tune(
    scenario: tuple[str, ...],
    algo: str,
    periods: tuple[str, ...],
    checks: tuple[str, ...],
    trials: int,
    steps: int | None,
    minutes: float | None,
    seed: int,
    workers: int,
    hyperparams: Path | None,
    space: Path | None,
    eval_every: int | None,
    eval_seeds: int | None,
    out: Path,
) -> None:
    """Search hyperparameters for training on each SCENARIO, with Optuna.

    Trials are short trainings, judged on validation days. The study is kept in --out: the same
    command goes on with it. The best values are written to best.yaml, for --hyperparams of
    signals train.

    \b
    Example:
      signals tune gangnam --period night --algo dqn --trials 10 --steps 5000 --out runs/tuned
    """  # noqa: D301
    try:
        from agents.courses import courses_of
        from agents.training import TrainingPlan, hyperparameters
        from agents.tune import BEST, search_space
        from agents.tune import tune as search
    except ImportError as error:
        raise MissingDependencyError(str(error.name or error), "tune", "signals tune") from error
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; give --out a folder")
    trained, checked = courses_of(scenario, checks, periods)
    values = hyperparameters(
        algo,
        trained[0].scenario if len(trained) == 1 else "",
        hyperparams,
        {"n_timesteps": steps, "eval_every": eval_every, "eval_seeds": eval_seeds},
    )
    plan = TrainingPlan(trained, checked, out, seed, algo, values, minutes, workers)
    console = Console(highlight=False, markup=False)
    said: list[int] = []

    def show(number: int, progress: object) -> None:
        if number not in said:
            said.append(number)
            console.print(f"trial {number}: into {out / f'trial-{number:03d}'}")

    try:
        results = search(plan, search_space(algo, space), trials, show)
    except KeyboardInterrupt:
        console.print("stopped; the same command goes on with the study")
        raise SystemExit(130) from None
    table = Table("trial", "state", "score", "values", box=None, pad_edge=False)
    for result in sorted(results, key=lambda item: (item.value is None, item.value)):
        values_text = ", ".join(
            f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
            for name, value in sorted(result.parameters.items())
        )
        score = "-" if result.value is None else f"{result.value:.4g}"
        table.add_row(str(result.number), result.state, score, values_text)
    console.print(table)
    console.print(f"best values: {out / BEST}")

"""``signals train``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from agents.display import Display
from agents.fault_options import fault_options, gather_faults
from signals.errors import InputError, MissingDependencyError
from signals.faults import FaultSpec
from signals.options import FiniteRange

if TYPE_CHECKING:
    from agents.progress import Progress
    from agents.training import Course, TrainingPlan


@click.command()
@click.argument("scenario", nargs=-1)
@click.option(
    "--algo",
    type=click.Choice(["ppo", "dqn", "lookahead"]),
    help="Default: ppo, or that of the run to resume or to begin --from.",
)
@click.option(
    "--period",
    "periods",
    multiple=True,
    help="Period to train on; repeat it. Default: all but whole days.",
)
@click.option(
    "--steps",
    type=click.IntRange(1),
    help="Decisions to take; the round they end in is finished.",
)
@click.option("--minutes", type=FiniteRange(0.1, 10080.0), help="Stop after this wall-clock time.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), help="Default: 0.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Run folder.")
@click.option("--resume", is_flag=True, help="Go on with the stopped run in --out.")
@click.option(
    "--workers",
    type=click.IntRange(1),
    default=2,
    show_default=True,
    help="Simulations at once.",
)
@click.option(
    "--hyperparams",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="YAML of your own, in the shape of agents/hyperparams/ALGO.yaml.",
)
@click.option(
    "--recipe",
    help="YAML with scenarios, algorithm and hyperparameters; 'universal' is how the shipped "
    "policy was trained.",
)
@click.option(
    "--from",
    "first",
    help="Begin with the weights of a run folder, or of the shipped policy 'universal'.",
)
@click.option(
    "--check",
    "checks",
    multiple=True,
    help="Scenario whose validation days choose the weights; repeat it. Default: those trained on.",
)
@click.option(
    "--action-model",
    type=click.Choice(["phase", "extend", "split"]),
    help="Choose any phase; keep the present one or go to the next of the plan; or choose the "
    "phase that the next cycle's splits favour.",
)
@click.option("--eval-every", type=click.IntRange(1), help="Decisions between validations.")
@click.option("--eval-seeds", type=click.IntRange(1), help="Validation days per period.")
@click.option(
    "--baselines/--no-baselines",
    default=True,
    show_default=True,
    help="Judge the classical agents on the validation days as well, and say who is better.",
)
@click.option("--cluster", default="", help="Address of a Ray cluster whose machines simulate.")
@fault_options
def train(
    scenario: tuple[str, ...],
    algo: str | None,
    periods: tuple[str, ...],
    steps: int | None,
    minutes: float | None,
    seed: int | None,
    out: Path,
    resume: bool,
    workers: int,
    hyperparams: Path | None,
    recipe: str | None,
    first: str | None,
    checks: tuple[str, ...],
    action_model: str | None,
    eval_every: int | None,
    eval_seeds: int | None,
    baselines: bool,
    cluster: str,
    faults_file: Path | None,
    faults: tuple[str, ...],
) -> None:
    """Train a phase-scoring policy on each SCENARIO at once.

    A SCENARIO may be a network, whose junctions share the policy, and a range of generated ones.
    Writes a run folder with configuration, learning curve, tensorboard files and the weights that
    validated best. ^C saves; --resume goes on.

    \b
    Examples:
      signals train gangnam --period am_peak --period pm_peak --out runs/gangnam
      signals train gangnam --from universal --out runs/tuned
      signals train generated:junction:0-49 --check generated:grid:10000 --out runs/many
      signals train --recipe universal --out runs/universal
    """  # noqa: D301
    try:
        from agents.train import End
        from agents.train import train as run
        from agents.training import (
            Recipe,
            TrainingPlan,
            check_new,
            hyperparameters,
            prepare_folder,
        )
    except ImportError as error:
        raise MissingDependencyError(str(error.name or error), "train", "signals train") from error

    if not resume:
        check_new(out)  # before any net is built
    own: Path | None = hyperparams
    if recipe is not None:
        known = Recipe.read(recipe)
        if scenario or algo or hyperparams:
            raise InputError(
                "a recipe names scenarios, algorithm and hyperparameters; leave SCENARIO, --algo "
                "and --hyperparams out"
            )
        scenario, algo, own = known.scenarios, known.algo, known.file
        checks = checks or known.checks
        seed = known.seed if seed is None else seed
        minutes = known.minutes if minutes is None else minutes
    first = "" if first is None or resume else first
    _check(first, cluster)
    trained, checked, algo = _asked(scenario, checks, periods, algo, out if resume else None, first)
    values = hyperparameters(
        algo,
        trained[0].scenario if len(trained) == 1 else "",
        own,
        {
            "n_timesteps": steps,
            "eval_every": eval_every,
            "eval_seeds": eval_seeds,
            "action_model": action_model,
        },
    )
    plan = TrainingPlan(
        trained,
        checked,
        out,
        seed or 0,
        algo,
        values,
        minutes,
        workers,
        gather_faults(faults_file, faults),
        first,
        cluster,
        baselines,
    )
    config = prepare_folder(plan, resume)
    if resume:
        if hyperparams is not None:
            raise InputError(
                f"{out} goes on with the hyperparameters it was begun with; "
                "leave --hyperparams out, or train into a new folder"
            )
        plan = _resumed(plan, config, periods, steps, seed)
    console = Console()
    _announce(console, plan)
    with Display(console) as display:
        progress, end, verdict = run(plan, resume, display.show)
    _conclude(console, progress, verdict)
    if end is End.INTERRUPTED:
        console.print(f"stopped; go on with: signals train --resume --out {out}", highlight=False)
        raise SystemExit(130)


def _check(first: str, cluster: str) -> None:
    """Refuse what would stop the training before it has begun, while nothing is written."""
    if first:
        from agents.pretrained import pretrained_run

        pretrained_run(first)
    if cluster:
        from agents.cluster import check

        check(cluster)


def _asked(
    scenario: tuple[str, ...],
    checks: tuple[str, ...],
    periods: tuple[str, ...],
    algo: str | None,
    resumed: Path | None,
    first: str,
) -> tuple[tuple[Course, ...], tuple[Course, ...], str]:
    """What is trained on, what is validated on, and the algorithm; a resumed run knows them."""
    from agents.courses import courses_of
    from agents.pretrained import folder_of
    from agents.runfolder import read_config

    stored = {} if resumed is None else read_config(resumed)
    if not scenario:
        scenario = tuple(course["scenario"] for course in stored.get("courses", ()))
    if not scenario:
        raise InputError("no SCENARIO given; name one or more, or a --recipe")
    if stored and not checks and stored.get("checks") != stored.get("courses"):
        checks = tuple(course["scenario"] for course in stored.get("checks", ()))
    trained, checked = courses_of(scenario, checks, periods)
    if algo is None and first:
        stored = read_config(folder_of(first))
    # Runs of old did not write down their algorithm.
    return trained, checked, algo or (str(stored.get("algo", "dqn")) if stored else "ppo")


def _conclude(console: Console, progress: Progress, verdict: str) -> None:
    best = "none yet" if progress.best_s is None else f"{progress.best_s:.1f} s/veh"
    console.print(
        f"{progress.taken}, {progress.episodes} runs, "
        f"{progress.elapsed_s / 60:.1f} min; best validation delay {best}",
        highlight=False,
    )
    if verdict:
        console.print(verdict, highlight=False, markup=False)


def _announce(console: Console, plan: TrainingPlan) -> None:
    if plan.faults:
        named = ", ".join(fault.text for fault in plan.faults)
        console.print(f"detector faults: {named}", highlight=False, markup=False)
    periods = f" ({', '.join(plan.courses[0].periods)})" if len(plan.courses) == 1 else ""
    console.print(
        f"training {plan.title}{periods} for {plan.hyperparameters['n_timesteps']:,} decisions "
        f"into {plan.out}",
        highlight=False,
        markup=False,
    )


def _resumed(
    plan: TrainingPlan,
    config: dict[str, Any],
    periods: tuple[str, ...],
    steps: int | None,
    seed: int | None,
) -> TrainingPlan:
    """The plan that the run was begun with, for as many decisions as are asked for."""
    if seed not in (None, int(config["seed"])):
        raise InputError(
            f"{plan.out} was begun with --seed {config['seed']}, not {seed}; "
            "leave --seed out, or train into a new folder"
        )
    given = list(plan.courses[0].periods)
    if periods and given != list(config["periods"]):
        raise InputError(
            f"{plan.out} trains on {', '.join(config['periods'])}, not {', '.join(given)}; "
            "leave --period out, or train into a new folder"
        )
    faults = tuple(FaultSpec.from_dict(item) for item in config.get("faults", ()))
    if plan.faults and plan.faults != faults:
        raise InputError(
            f"{plan.out} trains under {', '.join(item.text for item in faults) or 'no faults'}; "
            "leave --fault and --faults out, or train into a new folder"
        )
    stored = dict(config["hyperparameters"])
    stored["n_timesteps"] = steps or int(stored["n_timesteps"])
    from agents.training import Course

    return replace(
        plan,
        courses=tuple(Course(c["scenario"], tuple(c["periods"])) for c in config["courses"]),
        checks=tuple(Course(c["scenario"], tuple(c["periods"])) for c in config["checks"]),
        seed=int(config["seed"]),
        hyperparameters=stored,
        faults=faults,
        # What was begun with is in the checkpoint.
        first="" if (plan.out / "checkpoint").is_dir() else str(config.get("first", "")),
    )

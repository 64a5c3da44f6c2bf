"""Tuning of hyperparameters with Optuna: each trial is a short training, judged by its validation.

A trial that validates worse than the median of the others at the same decisions is ended early
(Optuna's median pruner). The study is kept in a file, so that the same command goes on with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from agents.progress import Progress
from agents.train import End, train
from agents.training import HYPERPARAMS, TrainingPlan, prepare_folder, read_yaml
from signals.errors import InputError, MissingDependencyError, WorkError

try:
    import optuna
    from sqlalchemy.exc import SQLAlchemyError
except ImportError as error:
    raise MissingDependencyError("optuna", "tune", "signals tune") from error

STUDY = "study.db"
BEST = "best.yaml"
FIRST_TRIALS = 4
"""Trials that are never ended early."""


@dataclass(frozen=True)
class TrialResult:
    """One trial.

    Attributes:
        number: From 0 up; also of its folder.
        state: ``complete``, ``pruned`` or ``failed``.
        value: Best validation score, None when there is none.
        parameters: What was tried.
    """

    number: int
    state: str
    value: float | None
    parameters: dict[str, Any]


def search_space(algo: str, file: Path | None = None) -> dict[str, Any]:
    """What is searched for an algorithm.

    Args:
        algo: ``dqn``, ``ppo`` or ``lookahead``.
        file: YAML of the user's own in the shape of ``agents/hyperparams/tune.yaml``.

    Raises:
        InputError: The file cannot be read or has nothing for the algorithm.
    """
    source = file or HYPERPARAMS / "tune.yaml"
    data = read_yaml(source)
    space = data.get(algo)
    if not isinstance(space, dict):
        raise InputError(
            f"{source} has no section '{algo}' of what is searched; it has "
            f"{', '.join(map(str, data)) or 'none'}"
        )
    for name, bounds in space.items():
        choice = isinstance(bounds, list) and bounds
        if not choice and not (isinstance(bounds, dict) and {"low", "high"} <= set(bounds)):
            raise InputError(
                f"{source}: {algo}.{name} is {bounds!r}; give a list, or low, high and log"
            )
    return space


def suggest(trial: Any, space: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """Draw values for a trial.

    Args:
        trial: Optuna's trial.
        space: See `search_space`.
        defaults: All hyperparameters; their types count.

    Raises:
        InputError: The space names an unknown hyperparameter.
    """
    found: dict[str, Any] = {}
    for name, bounds in space.items():
        if name not in defaults:
            raise InputError(
                f"the search names unknown hyperparameter '{name}'; "
                f"allowed: {', '.join(sorted(defaults))}"
            )
        if isinstance(bounds, list):
            found[name] = trial.suggest_categorical(name, bounds)
        elif isinstance(defaults[name], int):
            found[name] = trial.suggest_int(name, int(bounds["low"]), int(bounds["high"]))
        else:
            log = bool(bounds.get("log", False))
            found[name] = trial.suggest_float(
                name, float(bounds["low"]), float(bounds["high"]), log=log
            )
    return found


def tune(
    plan: TrainingPlan,
    space: dict[str, Any],
    trials: int,
    report: Callable[[int, Progress], None],
) -> list[TrialResult]:
    """Search for hyperparameters.

    Args:
        plan: What each trial trains, and for how long; its folder holds the study.
        space: See `search_space`.
        trials: How many to run, those of an earlier call included.
        report: Called with the trial's number and its progress, often.

    Returns:
        All trials of the study.

    Raises:
        WorkError: No trial came to an end.
        InputError: The study in the folder cannot be read.
        KeyboardInterrupt: The trial that ran is dropped; what came before it is kept.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    plan.out.mkdir(parents=True, exist_ok=True)
    try:
        study = optuna.create_study(
            study_name=f"{plan.algo} on {plan.title}",
            storage=f"sqlite:///{plan.out / STUDY}",
            sampler=optuna.samplers.TPESampler(seed=plan.seed),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=FIRST_TRIALS),
            load_if_exists=True,
        )
    except (optuna.exceptions.OptunaError, SQLAlchemyError) as error:
        raise InputError(
            f"{plan.out / STUDY} is no study that can be read; give another --out"
        ) from error

    def objective(trial: Any) -> float:
        values = {**plan.hyperparameters, **suggest(trial, space, plan.hyperparameters)}
        own = replace(
            plan, out=plan.out / f"trial-{trial.number:03d}", hyperparameters=values,
            baselines=False,
        )  # fmt: skip
        prepare_folder(own, resume=False)
        validated: list[int] = []

        def watch(progress: Progress) -> None:
            report(trial.number, progress)
            score = progress.validation
            if score is None or progress.decisions in validated or progress.doing:
                return
            validated.append(progress.decisions)
            trial.report(score.value, progress.decisions)
            if trial.should_prune():
                raise optuna.TrialPruned

        progress, end, _ = train(own, False, watch)
        if end is End.INTERRUPTED:
            raise KeyboardInterrupt
        if progress.best is None:
            raise WorkError(f"trial {trial.number} validated nothing; give it more --steps")
        return progress.best.value

    ended = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    done = sum(trial.state in ended for trial in study.trials)
    if trials > done:
        study.optimize(objective, n_trials=trials - done, catch=())
    results = [
        TrialResult(trial.number, trial.state.name.lower(), trial.value, dict(trial.params))
        for trial in study.trials
    ]
    if not any(result.state == "complete" for result in results):
        raise WorkError("no trial came to an end; give more --steps or --minutes")
    best = min((r for r in results if r.state == "complete"), key=lambda r: r.value or 0.0)
    text = yaml.safe_dump({"default": best.parameters}, sort_keys=True)
    (plan.out / BEST).write_text(
        f"# Found by signals tune: trial {best.number}, score {best.value:.4g}\n{text}",
        encoding="utf-8",
    )
    return results

"""Learning curves: validation over decisions, the mean of runs with different seeds."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agents.evaluation.statistics import Estimate, estimate
from agents.runfolder import read_config
from signals.errors import InputError, RunFolderError

POINTS = 50


@dataclass(frozen=True)
class Point:
    """One point of a curve.

    Attributes:
        decisions: Decisions taken.
        score: Mean of the runs with its 95 % interval.
    """

    decisions: int
    score: Estimate


@dataclass(frozen=True)
class Curve:
    """The validations of several runs.

    Attributes:
        unit: ``s/veh``, or ``of the best classical agents``.
        points: In order of decisions.
        runs: (decisions, score) of each run.
        seeds: Of each run.
    """

    unit: str
    points: tuple[Point, ...]
    runs: tuple[tuple[tuple[int, float], ...], ...]
    seeds: tuple[int, ...]


def read_curve(folders: Sequence[Path]) -> Curve:
    """The curve of some runs.

    Between validations a run keeps the last value, so that a point holds only what was known then;
    the curve reaches as far as every run does.

    Args:
        folders: Run folders that differ in their seed alone.

    Raises:
        RunFolderError: One is no run, or has not validated.
        InputError: They were trained on different scenarios or with different hyperparameters.
    """
    if not folders:
        raise InputError("no run folder given; give one or more")
    configs = [read_config(folder) for folder in folders]
    keys = ("scenario", "periods", "courses", "checks", "algo", "hyperparameters", "faults")
    for folder, config in zip(folders, configs, strict=True):
        for key in keys:
            if config.get(key) != configs[0].get(key):
                raise InputError(
                    f"{folder} and {folders[0]} differ in {key}; give runs that differ in "
                    "--seed alone"
                )
    seeds = tuple(int(config["seed"]) for config in configs)
    if len(set(seeds)) != len(seeds):
        raise InputError(f"seeds are {', '.join(map(str, seeds))}; give runs of different seeds")
    lines = [_validations(folder) for folder in folders]
    ratios = all(line["ratio"] is not None for run in lines for line in run)
    name = "ratio" if ratios else "delay_s"
    runs = tuple(
        tuple((int(line["decisions"]), float(line[name])) for line in run) for run in lines
    )
    first, last = max(run[0][0] for run in runs), min(run[-1][0] for run in runs)
    if last < first:
        raise InputError("the runs share no stretch of decisions; train them longer")
    points = []
    for decisions in np.unique(np.linspace(first, last, POINTS).astype(int)).tolist():
        points.append(Point(decisions, estimate([_at(run, decisions) for run in runs])))
    return Curve("of the best classical agents" if ratios else "s/veh", tuple(points), runs, seeds)


def _validations(folder: Path) -> list[dict[str, float]]:
    file = folder / "validation.jsonl"
    try:
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
        # A last line without its end was being written when the training was stopped.
        found = [
            {"decisions": line["decisions"], "delay_s": line["delay_s"], "ratio": line.get("ratio")}
            for line in (json.loads(text) for text in lines if text.endswith("\n"))
        ]
    except FileNotFoundError:
        found = []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunFolderError(f"{file} is damaged ({error}); train the run anew") from error
    if not found:
        raise RunFolderError(f"{folder} has no validations; train it longer")
    return found


def _at(run: Sequence[tuple[int, float]], decisions: int) -> float:
    return next(score for when, score in reversed(run) if when <= decisions)


def write_csv(curve: Curve, file: Path) -> None:
    """Decisions, mean, interval and number of runs."""
    with file.open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["decisions", "mean", "low_95", "high_95", "runs"])
        for point in curve.points:
            score = point.score
            rows.writerow([point.decisions, score.mean, score.low, score.high, score.count])


def draw_png(curve: Curve, file: Path, title: str) -> None:
    """Mean and interval over decisions, and each run behind them.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    from signals.errors import MissingDependencyError

    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError("matplotlib", "study", "drawing a curve") from error
    figure = Figure(figsize=(7.0, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for run in curve.runs:
        axes.step(*zip(*run, strict=True), where="post", color="0.75", linewidth=1.0)
    places = [point.decisions for point in curve.points]
    axes.step(places, [point.score.mean for point in curve.points], where="post", color="C0")
    spans = [point.score.ci95 for point in curve.points]
    if all(span is not None for span in spans):
        low, high = zip(*(span for span in spans if span is not None), strict=True)
        axes.fill_between(places, low, high, step="post", alpha=0.25, color="C0")
    axes.set_xlabel("decisions")
    axes.set_ylabel(f"validation, {curve.unit}")
    axes.set_title(title)
    figure.savefig(file, dpi=150)

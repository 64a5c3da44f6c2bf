"""How good weights are on the validation days, by themselves and beside the classical agents."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agents.classical import NAMES
from agents.evaluation.jobs import Job
from agents.evaluation.run import run_job
from agents.runfolder import write_json
from agents.training import TrainingPlan
from agents.workers import Workers

Runs = list[dict[str, Any]]
FILE = "baselines.json"


@dataclass(frozen=True, slots=True)
class Score:
    """One validation.

    Attributes:
        delay_s: Mean delay of the runs (s/veh).
        ratio: Mean over the scenarios of delay / delay of the best classical agent there; None when
            these were not judged before.
    """

    delay_s: float
    ratio: float | None = None

    @property
    def value(self) -> float:
        """What weights are chosen by: the ratio where there is one."""
        return self.delay_s if self.ratio is None else self.ratio

    @classmethod
    def of(cls, runs: Runs, references: References | None) -> Score:
        """The score of some runs."""
        delay_s = float(np.mean([run["delay_s"] for run in runs]))
        return cls(delay_s, None if references is None else references.ratio(runs))

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form, the arguments of `Score`."""
        return asdict(self)


def judge(plan: TrainingPlan, agent: str, workers: Workers) -> Runs:
    """Run an agent on the validation days.

    Args:
        plan: Names scenarios and days.
        agent: What `agents.resolve.agents_for` takes.
        workers: Who runs them.

    Returns:
        Scenario, period, day, delay and gridlock of each run.
    """
    jobs = [
        Job(course.scenario, period, agent, day, label=f"validation of {agent}", faults=plan.faults)
        for course in plan.checks
        for period in course.periods
        for day in plan.validation_days
    ]
    return [
        {
            "scenario": result.scenario,
            "period": result.period,
            "day": result.seed,
            "delay_s": result.metrics.delay_s,
        }
        for result in workers.run(run_job, jobs)
    ]


@dataclass(frozen=True)
class References:
    """The classical agents on the validation days.

    Attributes:
        runs: Agent to its runs.
    """

    runs: dict[str, Runs]

    @classmethod
    def judged(cls, plan: TrainingPlan, workers: Workers) -> References:
        """Judge them, or read what was judged before in the same folder."""
        file = plan.out / FILE
        if file.is_file():
            return cls(json.loads(file.read_text(encoding="utf-8")))
        found = cls({name: judge(plan, name, workers) for name in NAMES})
        write_json(file, found.runs)
        return found

    def by_scenario(self, runs: Runs) -> dict[tuple[str, str], float]:
        """Mean delay by scenario and period."""
        found: dict[tuple[str, str], list[float]] = {}
        for run in runs:
            found.setdefault((run["scenario"], run["period"]), []).append(run["delay_s"])
        return {place: float(np.mean(delays)) for place, delays in found.items()}

    def best(self) -> dict[tuple[str, str], tuple[str, float]]:
        """Scenario and period to the best classical agent and its mean delay."""
        table = {name: self.by_scenario(runs) for name, runs in self.runs.items()}
        places = next(iter(table.values()))
        return {
            place: min(((name, delays[place]) for name, delays in table.items()),
                       key=lambda item: item[1])
            for place in places
        }  # fmt: skip

    def ratio(self, runs: Runs) -> float:
        """Mean over scenarios and periods of delay / the best classical agent's."""
        best = self.best()
        return float(
            np.mean([delay / best[place][1] for place, delay in self.by_scenario(runs).items()])
        )

    def verdict(self, folder: Path) -> str:
        """One line on the kept weights of a run folder."""
        runs = _kept_runs(folder)
        ratio = self.ratio(runs)
        word = "better than" if ratio < 1.0 else "WORSE than" if ratio > 1.0 else "equal to"
        best = self.best()
        if len(best) == 1:
            name, delay_s = next(iter(best.values()))
            what = f"{name}, the best classical agent ({delay_s:.1f} s/veh)"
        else:
            what = f"the best classical agent of each of {len(best)} scenarios and periods"
        return f"on the validation days {word} {what}: ratio of delays {ratio:.3f}"


def _kept_runs(folder: Path) -> Runs:
    meta = json.loads((folder / "best" / "meta.json").read_text(encoding="utf-8"))
    lines: Sequence[str] = (folder / "validation.jsonl").read_text(encoding="utf-8").splitlines()
    for line in reversed(lines):
        found: dict[str, Any] = json.loads(line)
        if found["decisions"] == meta["decisions"]:
            runs: Runs = found["runs"]
            return runs
    raise ValueError(f"{folder}/validation.jsonl holds no line of {meta['decisions']} decisions")

"""The optimiser of the classical agents: parameters of least delay on training days.

A coordinate search: one parameter after the other takes the best of its values while the others
keep theirs, round after round, until a round changes nothing. Every trial meets the same training
days; days used for choosing learned policies or for judging are not touched.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Final

from agents.classical import parameters_of
from agents.evaluation.jobs import Job
from agents.evaluation.peers import is_peer, peer_parameters
from agents.evaluation.runner import run_jobs
from agents.runfolder import write_json
from scenarios.demand import TRAINING_SEEDS
from signals.errors import InputError, OutputError, UnknownNameError

_GREEDY: Final = {
    "bonus": (0.2, 0.5, 1.0, 2.0),
    "lane_power": (0.0, 0.5, 1.0),
    "moving_weight": (0.5, 1.0),
}
SPACES: Final[Mapping[str, Mapping[str, tuple[float, ...]]]] = {
    "actuated": {"passage_s": (0.5, 1.0, 1.5, 2.0, 3.0), "max_share": (0.8, 1.0, 1.2, 1.5)},
    "webster": {"max_cycle_s": (0, 100, 120, 145, 180), "saturation_goal": (0.5, 0.6, 0.7, 0.8)},
    "sotl": {"threshold_veh_s": (100, 200, 400, 800, 1600), "platoon_veh": (1, 2, 3, 5)},
    "max_pressure": _GREEDY,
    "max_wave": _GREEDY,
    "degree_of_saturation": {
        "goal": (0.7, 0.8, 0.9),
        "step_s": (4, 6, 10),
        "offset_step_s": (0, 4),
    },
    "schedule_driven": {
        "max_share": (0.8, 1.0, 1.2, 1.5),
        "tail_s": (30, 60, 100),
        "horizon_s": (100, 150, 200),
    },
    "sumo:actuated": {"max_share": (0.8, 1.0, 1.2, 1.5), "max_gap_s": (1.0, 2.0, 3.0)},
    "sumo:delay_based": {"max_share": (0.8, 1.0, 1.2, 1.5), "min_time_loss_s": (0.0, 1.0, 3.0)},
}
"""The values that the search tries, by agent and parameter; `fixed_time` has none to tune."""

Case = tuple[str, str]
Delays = dict[str, float]
"""Mean delay (s/veh) over days of each scenario/period, by its name."""


@dataclass(frozen=True)
class Trial:
    """One setting and what came of it.

    Attributes:
        agent: The agent with its parameters.
        delays: Mean delay over days by scenario and period (s/veh).
        score: Geometric mean of the delays' ratios to the defaults' delays: a busy site weighs as
            much as a quiet one.
        flagged: Runs that gridlocked, teleported or collided.
    """

    agent: str
    delays: Mapping[str, float]
    score: float
    flagged: int


class Tuner:
    """Searches the parameters of one agent.

    Args:
        agent: One of `SPACES`.
        cases: Scenario and period of each.
        days: Training days of each case.
        workers: Runs at once.
        kept: JSON file in which trials are kept and found again; None keeps none.

    Raises:
        UnknownNameError: There is nothing to tune of that agent.
        InputError: The file holds trials of something else.
    """

    def __init__(
        self,
        agent: str,
        cases: Sequence[Case],
        days: int,
        workers: int = 1,
        kept: Path | None = None,
    ) -> None:
        if agent not in SPACES:
            raise UnknownNameError("agent to tune", agent, SPACES)
        self.agent, self._cases, self._days, self._workers = agent, tuple(cases), days, workers
        rows = peer_parameters(agent) if is_peer(agent) else parameters_of(agent)
        self._defaults = {name: rows[name][0] for name in SPACES[agent]}
        self._runs: dict[str, dict[str, Any]] = {}
        self._kept = kept
        self._order = {
            "agent": agent,
            "cases": [f"{scenario}/{period}" for scenario, period in cases],
            "days": [TRAINING_SEEDS.start, TRAINING_SEEDS.start + days - 1],
        }
        if kept is not None and kept.is_file():
            self._read(kept)

    def _read(self, kept: Path) -> None:
        try:
            found = json.loads(kept.read_text(encoding="utf-8"))
            mine = {key: found[key] for key in self._order}
            runs = {str(name): dict(run) for name, run in found["trials"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{kept} holds no trials; give another --out") from error
        if mine != self._order:
            raise InputError(
                f"{kept} holds trials of {mine['agent']} on {', '.join(mine['cases'])}, days "
                f"{mine['days'][0]} to {mine['days'][1]}; give another --out or the same order"
            )
        self._runs = runs

    def search(self, trials: int, on_trial: Callable[[Trial], None] | None = None) -> Trial:
        """Search until nothing improves.

        Args:
            trials: At most so many settings.
            on_trial: Called with each trial.

        Returns:
            The best one; the first among equals, which the defaults are.

        Raises:
            InputError: A run cannot be made.
            WorkError: A run failed.
            OutputError: The file cannot be written.
        """
        seen: set[str] = set()
        self._best = self._try(self._spec(self._defaults))
        for agent in self._settings():
            if agent in seen:
                continue
            if len(seen) >= trials:
                break
            seen.add(agent)
            trial = self._try(agent)
            if on_trial is not None:
                on_trial(trial)
            if trial.score < self._best.score - 1e-9:
                self._best = trial
        return self._best

    def _settings(self) -> Iterator[str]:
        """The defaults, then round after round each value of each parameter."""
        yield self._spec(self._defaults)
        while True:
            began = self._best
            for name, values in SPACES[self.agent].items():
                base = self._values(self._best.agent)
                for value in values:
                    yield self._spec({**base, name: value})
            if self._best is began:
                return

    def _spec(self, values: Mapping[str, float]) -> str:
        return f"{self.agent}:" + ",".join(f"{name}={value:g}" for name, value in values.items())

    def _values(self, spec: str) -> dict[str, float]:
        text = spec.removeprefix(f"{self.agent}:")
        return {
            name: float(value) for name, _, value in (p.partition("=") for p in text.split(","))
        }

    def _try(self, agent: str) -> Trial:
        if agent not in self._runs:
            jobs = [
                Job(scenario, period, agent, TRAINING_SEEDS.start + day)
                for scenario, period in self._cases
                for day in range(self._days)
            ]
            results = run_jobs(jobs, self._workers)
            delays = {
                f"{scenario}/{period}": fmean(
                    result.metrics.delay_s
                    for result in results
                    if (result.scenario, result.period) == (scenario, period)
                )
                for scenario, period in self._cases
            }
            flagged = sum(bool(result.metrics.flags) for result in results)
            self._runs[agent] = {"delays": delays, "flagged": flagged}
            self._write()
        run = self._runs[agent]
        base = self._runs[self._spec(self._defaults)]["delays"]
        product = 1.0
        for case, delay_s in run["delays"].items():
            product *= max(delay_s, 1e-9) / max(base[case], 1e-9)
        score = product ** (1.0 / max(len(run["delays"]), 1))
        return Trial(agent, run["delays"], score, int(run["flagged"]))

    def _write(self) -> None:
        if self._kept is None:
            return
        try:
            self._kept.parent.mkdir(parents=True, exist_ok=True)
            write_json(self._kept, {**self._order, "trials": self._runs})
        except OSError as error:
            raise OutputError(
                f"cannot write {self._kept}: {error.strerror or error}; give another --out"
            ) from error

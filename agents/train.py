"""Training: worker processes run the environments, the best weights by validation are kept.

The verb is in `agents.train_cli`; the layout of a run folder in `agents.runfolder`.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback

from agents.evaluation.runner import Job, run_jobs
from agents.learned.choices import make_choice_env
from agents.learned.dqn_setup import DqnSetup
from agents.learned.ppo_setup import PpoSetup
from agents.learned.setup import Setup
from agents.learned.vecenv import OverlappedVecEnv
from agents.runfolder import write_json
from agents.training import TrainingPlan
from signals.errors import InputError, RunFolderError
from signals.observation import ObservationSpec
from signals.rewards import LOST_SCALE_S
from signals.world import resolve

_SETUPS: dict[str, Callable[[TrainingPlan], Setup]] = {"dqn": DqnSetup, "ppo": PpoSetup}


@dataclass(frozen=True, slots=True)
class Progress:
    """State of a training, for whoever shows it.

    Attributes:
        decisions: Decisions taken so far.
        total: Decisions planned.
        episodes: Runs finished.
        lost_veh_h: Vehicle hours lost per run, mean of the last ten.
        validation_s: Latest validation delay (s/veh), or None.
        best_s: Best validation delay (s/veh), or None.
        elapsed_s: Wall-clock seconds.
        doing: What is being done when it is not learning.
    """

    decisions: int
    total: int
    episodes: int
    lost_veh_h: float
    validation_s: float | None
    best_s: float | None
    elapsed_s: float
    doing: str = ""


class Trainer(BaseCallback):
    """Watches a run: validates, keeps the best weights, saves, reports, stops in time.

    Args:
        plan: What is trained.
        setup: The algorithm.
        report: Called with the progress, often.
    """

    def __init__(
        self, plan: TrainingPlan, setup: Setup, report: Callable[[Progress], None]
    ) -> None:
        super().__init__()
        self._plan = plan
        self._setup = setup
        self._doing = ""
        self._report = report
        self._lost: list[float] = []
        self._episodes = 0
        self._latest_s: float | None = None
        self._best_s: float | None = None
        self._begun = time.monotonic()
        self._validated_at = 0
        self.out_of_time = False

    def restore(self) -> None:
        """Take up the counters of a stopped run."""
        state = json.loads((self._plan.out / "checkpoint" / "state.json").read_text())
        self._best_s = state["best_s"]
        self._latest_s = state["latest_s"]
        self._validated_at = state["decisions"]
        self._episodes = state["episodes"]

    def _on_step(self) -> bool:
        for info in self.locals["infos"]:
            if "day_reward" in info:
                self._episodes += 1
                self._lost.append(-float(info["day_reward"]) * LOST_SCALE_S / 3600.0)
        self._report(self.progress())
        if self.num_timesteps - self._validated_at >= self._plan.hyperparameters["eval_every"]:
            self.validate()
            self.save()
        elapsed_s = time.monotonic() - self._begun
        if self._plan.minutes is not None and elapsed_s > self._plan.minutes * 60.0:
            self.out_of_time = True
        return not self.out_of_time

    def progress(self) -> Progress:
        """Where the run stands."""
        recent = self._lost[-10:]
        return Progress(
            decisions=self.num_timesteps,
            total=int(self._plan.hyperparameters["n_timesteps"]),
            episodes=self._episodes,
            lost_veh_h=float(np.mean(recent)) if recent else float("nan"),
            validation_s=self._latest_s,
            best_s=self._best_s,
            elapsed_s=time.monotonic() - self._begun,
            doing=self._doing,
        )

    @property
    def begun(self) -> bool:
        """Whether learning has begun, so that there is something to save."""
        return hasattr(self, "model")

    def say(self, doing: str) -> None:
        """Show what is being done before learning begins."""
        self._doing = doing
        self._report(self.progress())

    def left(self) -> float:
        """Share of the training time that is left, 1 without a limit."""
        if self._plan.minutes is None:
            return 1.0
        return max(1.0 - (time.monotonic() - self._begun) / (self._plan.minutes * 60.0), 0.0)

    def validate(self) -> None:
        """Run the validation days, keep the weights when their mean delay is the best so far."""
        self._validated_at = self.num_timesteps
        candidate = self._plan.out / "candidate"
        shutil.rmtree(candidate, ignore_errors=True)
        (candidate / "best").mkdir(parents=True)
        torch.save(self._setup.scorer(self.model).state_dict(), candidate / "best" / "scorer.pt")
        shutil.copy(self._plan.out / "config.json", candidate / "config.json")
        write_json(candidate / "best" / "meta.json", {"decisions": self.num_timesteps})
        jobs = [
            Job(
                scenario=self._plan.scenario,
                period=period,
                agent=str(candidate),
                seed=day,
                label="learned",
                faults=self._plan.faults,
            )
            for period in self._plan.periods
            for day in self._plan.validation_days
        ]
        results = run_jobs(jobs, self._plan.workers)
        runs = [
            {"period": result.period, "day": result.seed, "delay_s": result.metrics.delay_s}
            for result in results
        ]
        self._latest_s = float(np.mean([run["delay_s"] for run in runs]))
        self.logger.record("validation/delay_s", self._latest_s)
        line = {
            "decisions": self.num_timesteps,
            "delay_s": self._latest_s,
            "runs": runs,
            "elapsed_s": round(time.monotonic() - self._begun, 1),
        }
        with (self._plan.out / "validation.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")
        if self._best_s is None or self._latest_s < self._best_s:
            self._best_s = self._latest_s
            meta = {"decisions": self.num_timesteps, "validation_delay_s": self._best_s}
            write_json(candidate / "best" / "meta.json", meta)
            for name in ("scorer.pt", "meta.json"):
                (candidate / "best" / name).replace(self._plan.out / "best" / name)
            self._keep_observations()
        shutil.rmtree(candidate, ignore_errors=True)
        self._report(self.progress())

    def _keep_observations(self, count: int = 512) -> None:
        seen = self._setup.seen(self.model)
        if not seen:
            return
        filled = len(seen["mask"])
        rows = np.linspace(0, filled - 1, min(count, filled)).astype(int)
        shapes = ObservationSpec(
            resolve(self._plan.scenario, self._plan.periods[0]).junction
        ).shapes
        arrays = {name: array[rows].reshape(-1, *shapes[name]) for name, array in seen.items()}
        temporary = self._plan.out / "observations.part.npz"
        np.savez_compressed(temporary, **arrays)
        temporary.replace(self._plan.out / "observations.npz")

    def save(self) -> None:
        """Write the checkpoint beside the old one, then put it in its place."""
        fresh = self._plan.out / "checkpoint.part"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
        self._setup.save(self.model, fresh)
        write_json(
            fresh / "state.json",
            {
                "decisions": self.num_timesteps,
                "episodes": self._episodes,
                "best_s": self._best_s,
                "latest_s": self._latest_s,
            },
        )
        old = self._plan.out / "checkpoint"
        shutil.rmtree(old, ignore_errors=True)
        fresh.rename(old)


def train(
    plan: TrainingPlan, resume: bool, report: Callable[[Progress], None]
) -> tuple[Progress, bool]:
    """Train until the planned number of decisions or minutes.

    Args:
        plan: What to train; its folder was prepared by `prepare_folder`.
        resume: Go on from the checkpoint.
        report: Called with the progress, often.

    Returns:
        The final progress, and whether the run was stopped before it was done (by ^C or by time).
    """
    torch.set_num_threads(1)
    # Stopped before its first checkpoint, a run begins anew.
    resume = resume and (plan.out / "checkpoint" / "model.zip").is_file()
    setup = _SETUPS[plan.algo](plan)
    trainer = Trainer(plan, setup, report)
    # Workers inherit that they ignore ^C; it is for this process, which saves.
    interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        make = partial(
            make_choice_env, plan.scenario, plan.periods, plan.hyperparameters, plan.faults
        )
        envs = OverlappedVecEnv([make] * int(plan.hyperparameters["n_envs"]), start_method="spawn")
    finally:
        signal.signal(signal.SIGINT, interrupt)
    stopped = False
    try:
        model = _resumed(plan, setup, envs) if resume else setup.create(envs)
        model.left = trainer.left
        if resume:
            trainer.restore()
        left = int(plan.hyperparameters["n_timesteps"]) - model.num_timesteps
        if left <= 0:
            raise InputError(
                f"{plan.out} has taken {model.num_timesteps:,} decisions already; give more --steps"
            )
        envs.seed(plan.seed + model.num_timesteps)
        try:
            if not resume:
                setup.begin(model, trainer.say)
            model.learn(
                left, callback=trainer, reset_num_timesteps=not resume, tb_log_name=plan.algo
            )
            if trainer.progress().decisions > trainer._validated_at:
                trainer.validate()
            stopped = trainer.out_of_time
        except KeyboardInterrupt:
            stopped = True
        if trainer.begun:
            trainer.save()
    finally:
        with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
            envs.close()
    return trainer.progress(), stopped


def _resumed(plan: TrainingPlan, setup: Setup, envs: OverlappedVecEnv) -> Any:
    checkpoint = plan.out / "checkpoint"
    try:
        return setup.load(checkpoint, envs)
    except Exception as error:
        raise RunFolderError(f"{checkpoint} cannot be loaded: {error}") from error


__all__ = ["Progress", "Trainer", "train"]

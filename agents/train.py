"""Training: worker processes run the environments, the best weights by validation are kept.

The verb is in `agents.train_cli`; the layout of a run folder in `agents.runfolder`.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.monitor import Monitor

from agents.evaluation.runner import Job, run_jobs
from agents.learned.dqn import ElapsedReplayBuffer, PhaseDQN, membership
from agents.learned.policy import PhaseScoringPolicy
from agents.learned.vecenv import OverlappedVecEnv
from agents.runfolder import provenance, read_config, write_json
from scenarios.demand import TRAINING_SEEDS, VALIDATION_SEEDS
from signals.errors import InputError, OutputError, RunFolderError
from signals.observation import ObservationSpec
from signals.rewards import LOST_SCALE_S
from signals.world import resolve

HYPERPARAMS = Path(__file__).parent / "hyperparams"


@dataclass(frozen=True)
class TrainingPlan:
    """What to train and for how long.

    Attributes:
        scenario: Catalogue name or folder.
        periods: Periods drawn from; at least one.
        out: Run folder.
        seed: Seeds weights, exploration and the order of days.
        hyperparameters: Resolved values, see ``agents/hyperparams/dqn.yaml``.
        minutes: Wall-clock limit, or None.
        workers: Processes of a validation.
    """

    scenario: str
    periods: tuple[str, ...]
    out: Path
    seed: int
    hyperparameters: dict[str, Any]
    minutes: float | None
    workers: int


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
    """

    decisions: int
    total: int
    episodes: int
    lost_veh_h: float
    validation_s: float | None
    best_s: float | None
    elapsed_s: float


def hyperparameters(
    algo: str, scenario: str, file: Path | None = None, overrides: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Defaults, then the scenario's section, then overrides.

    Args:
        algo: ``dqn``.
        scenario: Section to look for.
        file: YAML of the user's own in the same shape.
        overrides: Values from the command line; None values are ignored.

    Raises:
        InputError: The file cannot be read, or names an unknown hyperparameter.
    """
    shipped = yaml.safe_load((HYPERPARAMS / f"{algo}.yaml").read_text(encoding="utf-8"))
    values: dict[str, Any] = dict(shipped["default"])
    known = set(values)
    sections = [shipped.get(scenario, {})]
    if file is not None:
        try:
            own = yaml.safe_load(file.read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError) as error:
            raise InputError(f"{file} is no readable YAML: {error}") from error
        if not isinstance(own, dict):
            raise InputError(f"{file}: give sections of hyperparameters, first 'default'")
        for name in set(own) & known:
            raise InputError(f"{file}: '{name}' stands at the top; put it under 'default:'")
        for name in own:
            if name != "default" and not isinstance(own[name], dict):
                raise InputError(
                    f"{file}: unknown section '{name}'; allowed: default, and names of scenarios"
                )
        sections += [own.get("default", {}), own.get(scenario, {})]
    sections.append({key: value for key, value in (overrides or {}).items() if value is not None})
    for section in sections:
        if not isinstance(section, dict):
            raise InputError(
                f"hyperparameters {section!r} are no section; put them under 'default:'"
            )
        for key, value in section.items():
            if key not in known:
                raise InputError(
                    f"unknown hyperparameter '{key}'; allowed: {', '.join(sorted(known))}"
                )
            if type(value) is bool or not isinstance(value, type(values[key]) | int):
                raise InputError(
                    f"hyperparameter {key} is {value!r}; give a value like {values[key]!r}"
                )
            values[key] = value
    return values


def make_env(scenario: str, periods: Sequence[str], values: dict[str, Any]) -> Any:
    """One training environment; runs inside a worker process."""
    # ^C is for the parent, which saves; a worker that dies with it would lose the run.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    from signals.envs.junction_env import JunctionEnv

    return Monitor(
        JunctionEnv(
            scenario,
            list(periods),
            decision_interval_s=int(values["decision_interval_s"]),
            reward=str(values["reward"]),
            walkers_share=(float(values["walkers_low"]), float(values["walkers_high"])),
        )
    )


def prepare_folder(plan: TrainingPlan, resume: bool) -> dict[str, Any]:
    """Create the run folder, or check that the one to resume fits.

    Args:
        plan: What will be trained.
        resume: Go on with a stopped run.

    Returns:
        The configuration of the run.

    Raises:
        RunFolderError: It exists without --resume, or was made for another spec.
        OutputError: It cannot be written.
    """
    world = resolve(plan.scenario, plan.periods[0])
    spec_hash = ObservationSpec(world.junction).hash
    if resume:
        config = read_config(plan.out)
        if config["spec_hash"] != spec_hash:
            raise RunFolderError(
                f"{plan.out} was trained for another observation spec "
                f"({config['spec_hash'][:12]}, now {spec_hash[:12]}); train into a new folder"
            )
        return config
    if plan.out.exists() and (not plan.out.is_dir() or any(plan.out.iterdir())):
        raise RunFolderError(
            f"{plan.out} exists and is not empty; give another --out, or --resume to go on with it"
        )
    try:
        (plan.out / "best").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot create {plan.out}: {error.strerror}; choose another --out"
        ) from error
    config = {
        "scenario": plan.scenario,
        "periods": list(plan.periods),
        "seed": plan.seed,
        "algo": "dqn",
        "hyperparameters": plan.hyperparameters,
        "spec_hash": spec_hash,
        "content_hash": world.content_hash,
        "training_days": [TRAINING_SEEDS.start, TRAINING_SEEDS.stop],
        "validation_days": list(_validation_days(plan)),
        **provenance(),
    }
    write_json(plan.out / "config.json", config)
    return config


def _validation_days(plan: TrainingPlan) -> range:
    first = VALIDATION_SEEDS.start
    return range(first, first + int(plan.hyperparameters["eval_seeds"]))


class Trainer(BaseCallback):
    """Watches a run: validates, keeps the best weights, saves, reports, stops in time.

    Args:
        plan: What is trained.
        report: Called with the progress, often.
    """

    def __init__(self, plan: TrainingPlan, report: Callable[[Progress], None]) -> None:
        super().__init__()
        self._plan = plan
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
            if "episode" in info:
                self._episodes += 1
                self._lost.append(-float(info["episode"]["r"]) * LOST_SCALE_S / 3600.0)
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
        )

    def validate(self) -> None:
        """Run the validation days, keep the weights when their mean delay is the best so far."""
        self._validated_at = self.num_timesteps
        candidate = self._plan.out / "candidate"
        shutil.rmtree(candidate, ignore_errors=True)
        (candidate / "best").mkdir(parents=True)
        policy = self.model.policy
        assert isinstance(policy, PhaseScoringPolicy)
        torch.save(policy.scorer.state_dict(), candidate / "best" / "scorer.pt")
        shutil.copy(self._plan.out / "config.json", candidate / "config.json")
        write_json(candidate / "best" / "meta.json", {"decisions": self.num_timesteps})
        jobs = [
            Job(
                scenario=self._plan.scenario,
                period=period,
                agent=str(candidate),
                seed=day,
                label="learned",
            )
            for period in self._plan.periods
            for day in _validation_days(self._plan)
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
        buffer = self.model.replay_buffer  # type: ignore[attr-defined]
        filled = buffer.buffer_size if buffer.full else buffer.pos
        if not filled:
            return
        rows = np.linspace(0, filled - 1, min(count, filled)).astype(int)
        shapes = ObservationSpec(
            resolve(self._plan.scenario, self._plan.periods[0]).junction
        ).shapes
        arrays = {
            name: array[rows, 0].reshape(-1, *shapes[name])
            for name, array in buffer.observations.items()
        }
        temporary = self._plan.out / "observations.part.npz"
        np.savez_compressed(temporary, **arrays)
        temporary.replace(self._plan.out / "observations.npz")

    def save(self) -> None:
        """Write the checkpoint beside the old one, then put it in its place."""
        fresh = self._plan.out / "checkpoint.part"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
        model = self.model
        assert isinstance(model, PhaseDQN)
        model.save(fresh / "model.zip")
        model.save_replay_buffer(fresh / "replay.pkl")
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
    values = plan.hyperparameters
    torch.set_num_threads(1)
    count = int(values["n_envs"])
    # Stopped before its first checkpoint, a run begins anew.
    resume = resume and (plan.out / "checkpoint" / "model.zip").is_file()
    # Workers inherit that they ignore ^C; it is for this process, which saves.
    interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        envs = OverlappedVecEnv(
            [partial(make_env, plan.scenario, plan.periods, values) for _ in range(count)],
            start_method="spawn",
        )
    finally:
        signal.signal(signal.SIGINT, interrupt)
    trainer = Trainer(plan, report)
    stopped = False
    try:
        model = _model(plan, envs, resume)
        junction = resolve(plan.scenario, plan.periods[0]).junction
        parts = len(junction.groups) + 1 if values["reward"] == "lost_seconds" else 1
        model.membership = membership(junction, parts)
        model.updates_per_step = int(values["updates_per_step"])
        if resume:
            trainer.restore()
        left = int(values["n_timesteps"]) - model.num_timesteps
        if left <= 0:
            raise InputError(
                f"{plan.out} has taken {model.num_timesteps:,} decisions already; give more --steps"
            )
        envs.seed(plan.seed + model.num_timesteps)
        try:
            model.learn(left, callback=trainer, reset_num_timesteps=not resume, tb_log_name="dqn")
            if trainer.progress().decisions > trainer._validated_at:
                trainer.validate()
            stopped = trainer.out_of_time
        except KeyboardInterrupt:
            stopped = True
        trainer.save()
    finally:
        with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
            envs.close()
    return trainer.progress(), stopped


def _model(plan: TrainingPlan, envs: OverlappedVecEnv, resume: bool) -> PhaseDQN:
    values = plan.hyperparameters
    if resume:
        checkpoint = plan.out / "checkpoint"
        try:
            model = PhaseDQN.load(checkpoint / "model.zip", env=envs)
            model.load_replay_buffer(checkpoint / "replay.pkl")
        except Exception as error:
            raise RunFolderError(f"{checkpoint} cannot be loaded: {error}") from error
        return model
    names = (
        "learning_rate",
        "buffer_size",
        "batch_size",
        "tau",
        "gamma",
        "exploration_fraction",
        "exploration_initial_eps",
        "exploration_final_eps",
        "max_grad_norm",
    )
    model = PhaseDQN(
        PhaseScoringPolicy,
        envs,
        **{name: values[name] for name in names},
        # A short run begins to learn early enough to learn at all.
        learning_starts=min(int(values["learning_starts"]), int(values["n_timesteps"]) // 5),
        # SB3 would learn between the steps; it is done while the workers simulate instead.
        train_freq=1,
        gradient_steps=0,
        target_update_interval=envs.num_envs,
        replay_buffer_class=ElapsedReplayBuffer,
        replay_buffer_kwargs={"gamma": values["gamma"]},
        policy_kwargs={"width": int(values["width"])},
        tensorboard_log=str(plan.out / "tensorboard"),
        seed=plan.seed,
        device="cpu",
    )
    return model


__all__ = [
    "Progress",
    "Trainer",
    "TrainingPlan",
    "hyperparameters",
    "prepare_folder",
    "train",
]

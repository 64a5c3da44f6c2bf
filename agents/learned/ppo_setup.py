"""Training with PPO on stable-baselines3, beginning from what a classical agent does."""

from __future__ import annotations

import multiprocessing
import signal
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from agents.learned.actor_critic import PhaseActorCritic, clone
from agents.learned.demonstrations import Lesson, show
from agents.learned.network import PhaseScorer, membership
from agents.learned.ppo import PhasePPO
from agents.learned.setup import Say
from agents.learned.vecenv import OverlappedVecEnv
from agents.training import TrainingPlan
from scenarios.demand import TRAINING_SEEDS
from signals.world import resolve

_OURS = (
    "n_steps",
    "batch_size",
    "n_epochs",
    "gamma",
    "gae_lambda",
    "clip_range",
    "ent_coef",
    "max_grad_norm",
    "target_kl",
)


class PpoSetup:
    """See `agents.learned.setup.Setup`.

    Args:
        plan: What to train.
    """

    def __init__(self, plan: TrainingPlan) -> None:
        self._plan = plan
        self._values = plan.hyperparameters

    def create(self, envs: OverlappedVecEnv) -> PhasePPO:
        """See `Setup.create`."""
        values = self._values
        model = PhasePPO(
            PhaseActorCritic,
            envs,
            learning_rate=_Falling(
                float(values["learning_rate"]), float(values["learning_rate_end"])
            ),
            **{name: values[name] for name in _OURS},
            policy_kwargs={"width": int(values["width"])},
            tensorboard_log=str(self._plan.out / "tensorboard"),
            vf_coef=0.0,
            seed=self._plan.seed,
            device="cpu",
        )
        return self._ready(model)

    def begin(self, model: PhasePPO, say: Say) -> None:
        """Let the actor choose as the teacher does."""
        values, teacher = self._values, str(self._values["teacher"])
        days = int(values["teacher_days"])
        if not days:
            return
        say(f"watching {teacher}")
        lessons = [
            Lesson(
                self._plan.scenario,
                period,
                TRAINING_SEEDS.start + day,
                teacher,
                int(values["decision_interval_s"]),
                float(values["walkers_low"]),
                self._plan.faults,
            )
            for day in range(days)
            for period in self._plan.periods
        ]
        with ProcessPoolExecutor(
            self._plan.workers,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=signal.signal,
            initargs=(signal.SIGINT, signal.SIG_IGN),
        ) as pool:
            shown = list(pool.map(show, lessons))
        observations = {
            name: torch.from_numpy(np.concatenate([seen[name] for seen, _ in shown]))
            for name in shown[0][0]
        }
        clone(
            model.policy,  # type: ignore[arg-type]
            observations,
            torch.from_numpy(np.concatenate([chosen for _, chosen in shown])),
            epochs=int(values["teacher_epochs"]),
            batch_size=int(values["teacher_batch_size"]),
            learning_rate=float(values["teacher_learning_rate"]),
            generator=torch.Generator().manual_seed(self._plan.seed),
        )
        policy: Any = model.policy
        model.averaged.load_state_dict(policy.scorer.state_dict())
        say("")

    def save(self, model: PhasePPO, folder: Path) -> None:
        """See `Setup.save`."""
        model.save(folder / "model.zip")
        torch.save(model.averaged.state_dict(), folder / "averaged.pt")

    def load(self, folder: Path, envs: OverlappedVecEnv) -> PhasePPO:
        """See `Setup.load`."""
        model = PhasePPO.load(folder / "model.zip", env=envs)
        model.averaged.load_state_dict(torch.load(folder / "averaged.pt", weights_only=True))
        return self._ready(model)

    def scorer(self, model: PhasePPO) -> PhaseScorer:
        """See `Setup.scorer`: the mean of the recent weights."""
        return model.averaged

    def seen(self, model: PhasePPO) -> dict[str, NDArray[np.float32]]:
        """See `Setup.seen`."""
        buffer: Any = model.rollout_buffer
        rows = (buffer.buffer_size if buffer.full else buffer.pos) * buffer.n_envs
        if not rows:
            last: Any = model._last_obs
            return dict(last or {})
        return {
            name: array.reshape(-1, array.shape[-1])[:rows]
            for name, array in buffer.observations.items()
        }

    def _ready(self, model: PhasePPO) -> PhasePPO:
        junction = resolve(self._plan.scenario, self._plan.periods[0]).junction
        model.membership = membership(junction)
        model.memory = float(self._values["memory"])
        model.critic_epochs = int(self._values["critic_epochs"])
        model.critic_learning_rate = float(self._values["critic_learning_rate"])
        return model


class _Falling:
    """A learning rate that falls in proportion to what is left of the training.

    Args:
        first: At the beginning.
        last: At the end.
    """

    def __init__(self, first: float, last: float) -> None:
        self._first, self._last = first, last

    def __call__(self, remaining: float) -> float:
        return self._last + (self._first - self._last) * remaining

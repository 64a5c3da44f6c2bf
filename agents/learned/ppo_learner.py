"""Training with PPO on stable-baselines3, beginning from what a classical agent does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.logger import Logger

from agents.learned.actor_critic import PhaseActorCritic, clone
from agents.learned.learner import falling_rate, spaces_only
from agents.learned.network import PhaseScorer
from agents.learned.ppo import Choices, PhasePPO, best_lessons, flattened
from agents.learned.rollout import Behaviour, Rollout
from agents.training import Sizes

_OURS = (
    "batch_size",
    "n_epochs",
    "gamma",
    "gae_lambda",
    "clip_range",
    "ent_coef",
    "max_grad_norm",
    "target_kl",
)


class PpoLearner:
    """See `agents.learned.learner.Learner`.

    Args:
        values: Hyperparameters.
        sizes: Largest junction of the training.
        seed: Seeds weights and draws.
        first: Weights to begin with, or None.
    """

    def __init__(
        self, values: dict[str, Any], sizes: Sizes, seed: int, first: PhaseScorer | None
    ) -> None:
        self._values, self._sizes, self._seed = values, sizes, seed
        self._left = 1.0
        self.model = PhasePPO(
            PhaseActorCritic,
            spaces_only(sizes.maxima),
            learning_rate=self._rate,
            n_steps=int(values["batch_size"]),
            **{name: values[name] for name in _OURS},
            policy_kwargs={"width": int(values["width"])},
            vf_coef=0.0,
            seed=seed,
            device="cpu",
        )
        self.model.memory = float(values["memory"])
        self.model.critic_epochs = int(values["critic_epochs"])
        self.model.critic_learning_rate = float(values["critic_learning_rate"])
        if first is not None:
            self._policy.scorer.load_state_dict(first.state_dict())
            self.model.averaged.load_state_dict(first.state_dict())

    @property
    def _policy(self) -> PhaseActorCritic:
        policy = self.model.policy
        assert isinstance(policy, PhaseActorCritic)
        return policy

    def _rate(self, _: float) -> float:
        return falling_rate(self._values, self._left)

    def watch(self, lessons: Sequence[Rollout]) -> None:
        """Let the actor choose as the best teacher of each day does."""
        trajectories = best_lessons(lessons)
        if not trajectories:
            return
        observations, actions = flattened(trajectories, self._sizes.maxima)
        clone(
            self._policy,
            observations,
            actions,
            epochs=int(self._values["teacher_epochs"]),
            batch_size=int(self._values["teacher_batch_size"]),
            learning_rate=float(self._values["teacher_learning_rate"]),
            generator=torch.Generator().manual_seed(self._seed),
        )
        self.model.averaged.load_state_dict(self._policy.scorer.state_dict())

    def behaviour(self, left: float) -> tuple[Behaviour, float]:
        """See `Learner.behaviour`."""
        return "draw", 0.0

    def meanwhile(self) -> None:
        """Nothing: it learns from what the present weights chose."""

    def take(self, rollouts: Sequence[Rollout], left: float) -> None:
        """See `Learner.take`."""
        self._left = left
        trajectories = [item for rollout in rollouts for item in rollout.trajectories]
        if not trajectories:
            return
        self._choices.fill(
            trajectories,
            self._policy,
            self._sizes.maxima,
            self._sizes.groups,
            float(self._values["gamma"]),
            float(self._values["gae_lambda"]),
        )
        self.model.train()

    @property
    def _choices(self) -> Choices:
        found: Any = self.model.rollout_buffer
        assert isinstance(found, Choices)
        return found

    def scorer(self) -> PhaseScorer:
        """See `Learner.scorer`."""
        return self._policy.scorer

    def kept(self) -> PhaseScorer:
        """See `Learner.kept`: the mean of the recent weights."""
        return self.model.averaged

    def seen(self, count: int) -> dict[str, NDArray[np.float32]]:
        """See `Learner.seen`."""
        choices = self._choices
        if not hasattr(choices, "chosen"):
            return {}
        rows = np.linspace(0, len(choices) - 1, min(count, len(choices))).astype(int)
        return {
            name: choices.seen[name].numpy()[rows].reshape(-1, *shape)
            for name, shape in self._sizes.maxima.shapes.items()
        }

    def log_to(self, logger: Logger) -> None:
        """See `Learner.log_to`."""
        self.model.set_logger(logger)

    def save(self, folder: Path) -> None:
        """See `Learner.save`."""
        torch.save(
            {
                "policy": self._policy.state_dict(),
                "optimizer": self._policy.optimizer.state_dict(),
                "critic_optimizer": self.model._critic_optimizer.state_dict(),
                "averaged": self.model.averaged.state_dict(),
                "left": self._left,
            },
            folder / "model.pt",
        )

    def load(self, folder: Path) -> None:
        """See `Learner.load`."""
        state = torch.load(folder / "model.pt", weights_only=True)
        self._policy.load_state_dict(state["policy"])
        self._policy.optimizer.load_state_dict(state["optimizer"])
        self.model._critic_optimizer.load_state_dict(state["critic_optimizer"])
        self.model.averaged.load_state_dict(state["averaged"])
        self._left = float(state["left"])

"""Training with DQN on stable-baselines3."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.logger import Logger

from agents.learned.dqn import NoBuffer, PhaseDQN
from agents.learned.learner import falling_rate, spaces_only
from agents.learned.network import PhaseScorer
from agents.learned.policy import PhaseScoringPolicy
from agents.learned.replay import Replay
from agents.learned.rollout import Behaviour, Rollout
from agents.training import Sizes

_OURS = ("tau", "gamma", "max_grad_norm")


class DqnLearner:
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
        self._values = values
        self._seed = seed
        self._left = 1.0
        self._taken = 0
        self.model = PhaseDQN(
            PhaseScoringPolicy,
            spaces_only(sizes.maxima),
            learning_rate=self._rate,
            **{name: values[name] for name in _OURS},
            buffer_size=1,
            replay_buffer_class=NoBuffer,
            policy_kwargs={"width": int(values["width"])},
            seed=seed,
            device="cpu",
        )
        self.model.replay = Replay(
            int(values["buffer_size"]),
            sizes.maxima,
            sizes.groups,
            float(values["gamma"]),
            int(values["n_choices"]),
            np.random.default_rng([seed, 51]),
        )
        if first is not None:
            for network in (self.model.q_net, self.model.q_net_target):
                network.scorer.load_state_dict(first.state_dict())  # type: ignore[union-attr]

    def _rate(self, _: float) -> float:
        return falling_rate(self._values, self._left)

    def watch(self, lessons: Sequence[Rollout]) -> None:
        """See `Learner.watch`."""
        self._keep(lessons)
        if len(self.model.replay):
            self._learn(int(self._values["teacher_updates"]))
        self._taken = 0

    def behaviour(self, left: float) -> tuple[Behaviour, float]:
        """See `Learner.behaviour`."""
        values = self._values
        first, last = float(values["epsilon"]), float(values["epsilon_end"])
        done = min((1.0 - left) / float(values["epsilon_fraction"]), 1.0)
        return "explore", first + (last - first) * done

    def meanwhile(self) -> None:
        """Learn as much as the last round allows."""
        updates = int(self._taken * float(self._values["updates_per_decision"]))
        self._taken = 0
        if updates and len(self.model.replay):
            self._learn(updates)

    def take(self, rollouts: Sequence[Rollout], left: float) -> None:
        """See `Learner.take`."""
        self._left = left
        self._keep(rollouts)

    def _keep(self, rollouts: Sequence[Rollout]) -> None:
        for rollout in rollouts:
            for trajectory in rollout.trajectories:
                self.model.replay.add(trajectory)
            self._taken += rollout.decisions

    def _learn(self, updates: int) -> None:
        self.model.train(updates, int(self._values["batch_size"]))

    def scorer(self) -> PhaseScorer:
        """See `Learner.scorer`."""
        found: PhaseScorer = self.model.q_net.scorer  # type: ignore[assignment]
        return found

    def kept(self) -> PhaseScorer:
        """See `Learner.kept`: the slowly following target, which single updates sway less."""
        found: PhaseScorer = self.model.q_net_target.scorer  # type: ignore[assignment]
        return found

    def seen(self, count: int) -> dict[str, NDArray[np.float32]]:
        """See `Learner.seen`."""
        return self.model.replay.recent(count)

    def log_to(self, logger: Logger) -> None:
        """See `Learner.log_to`."""
        self.model.set_logger(logger)

    def save(self, folder: Path) -> None:
        """See `Learner.save`."""
        torch.save(
            {
                "policy": self.model.policy.state_dict(),
                "optimizer": self.model.policy.optimizer.state_dict(),
                "taken": self._taken,
                "left": self._left,
                "random": str(self.model.replay.random.bit_generator.state),
            },
            folder / "model.pt",
        )
        self.model.replay.save(folder / "replay.npz")

    def load(self, folder: Path) -> None:
        """See `Learner.load`."""
        state = torch.load(folder / "model.pt", weights_only=True)
        self.model.policy.load_state_dict(state["policy"])
        self.model.policy.optimizer.load_state_dict(state["optimizer"])
        self._taken, self._left = int(state["taken"]), float(state["left"])
        self.model.replay.random.bit_generator.state = ast.literal_eval(state["random"])
        self.model.replay.load(folder / "replay.npz")

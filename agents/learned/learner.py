"""What training needs to know of an algorithm."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import gymnasium
import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import DummyVecEnv

from agents.learned.network import PhaseScorer
from agents.learned.rollout import Behaviour, Rollout
from signals.features import Maxima
from signals.observation import space_of


class Learner(Protocol):
    """Learns from rollouts that workers made with its weights."""

    def watch(self, lessons: Sequence[Rollout]) -> None:
        """Learn from what teachers did, before anything else."""

    def behaviour(self, left: float) -> tuple[Behaviour, float]:
        """How the next rollouts choose, and how often at random.

        Args:
            left: Share of the training that is left.
        """

    def meanwhile(self) -> None:
        """Called once a round while the workers simulate."""

    def take(self, rollouts: Sequence[Rollout], left: float) -> None:
        """Learn from a round of rollouts."""

    def scorer(self) -> PhaseScorer:
        """The network that acts."""

    def kept(self) -> PhaseScorer:
        """The network that is validated and kept."""

    def seen(self, count: int) -> dict[str, NDArray[np.float32]]:
        """(observations, ...) recent padded observations by name; may be empty."""

    def log_to(self, logger: Logger) -> None:
        """Where to write what is learned."""

    def save(self, folder: Path) -> None:
        """Write all that `load` needs."""

    def load(self, folder: Path) -> None:
        """Take up what `save` wrote."""


def falling_rate(values: dict[str, Any], left: float) -> float:
    """The learning rate, which falls evenly from its first value to its last.

    Args:
        values: Hyperparameters ``learning_rate`` and ``learning_rate_end``.
        left: Share of the training that is left.
    """
    first, last = float(values["learning_rate"]), float(values["learning_rate_end"])
    return last + (first - last) * left


class _Spaces(gymnasium.Env[Any, Any]):
    """Tells stable-baselines3 the spaces; rollouts come from elsewhere."""

    def __init__(self, maxima: Maxima) -> None:
        self.observation_space = space_of(maxima.shapes)
        self.action_space = gymnasium.spaces.Discrete(maxima.phases)


def spaces_only(maxima: Maxima) -> DummyVecEnv:
    """An environment with spaces and nothing else."""
    return DummyVecEnv([lambda: _Spaces(maxima)])

"""PPO over choices that last as long as they last (Schulman et al., 2017)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import DictRolloutBuffer

from agents.learned.choices import DISCOUNT_STEP_S
from agents.learned.vecenv import OverlappedVecEnv


class ElapsedRolloutBuffer(DictRolloutBuffer):
    """Discounts by the seconds between choices.

    Set ``envs`` to the `OverlappedVecEnv` that the choices come from.
    """

    envs: OverlappedVecEnv

    def reset(self) -> None:
        """See ``DictRolloutBuffer.reset``."""
        super().reset()
        self.elapsed_s: NDArray[np.float32] = np.zeros(
            (self.buffer_size, self.n_envs), dtype=np.float32
        )

    def add(self, *args: Any, **kwargs: Any) -> None:
        """See ``DictRolloutBuffer.add``."""
        self.elapsed_s[self.pos] = self.envs.elapsed_s
        super().add(*args, **kwargs)

    def compute_returns_and_advantage(
        self, last_values: torch.Tensor, dones: NDArray[np.bool_]
    ) -> None:
        """Generalised advantage estimation with a discount and a trace per second."""
        following = last_values.clone().cpu().numpy().flatten()
        going_on = 1.0 - dones.astype(np.float32)
        advantage: Any = 0.0
        for step in reversed(range(self.buffer_size)):
            steps = self.elapsed_s[step] / DISCOUNT_STEP_S
            discount = self.gamma**steps
            error = self.rewards[step] + discount * following * going_on - self.values[step]
            advantage = error + discount * self.gae_lambda**steps * going_on * advantage
            self.advantages[step] = advantage
            following = self.values[step]
            going_on = 1.0 - self.episode_starts[step]
        self.returns = self.advantages + self.values


class PhasePPO(PPO):
    """PPO whose discount and trace are per `DISCOUNT_STEP_S` of street time.

    Args:
        args: Arguments of ``PPO``.
        kwargs: Further arguments of ``PPO``.
    """

    left: Callable[[], float] | None = None
    """Share of the time that is left, when a training ends by the clock."""

    def _update_current_progress_remaining(self, num_timesteps: int, total_timesteps: int) -> None:
        super()._update_current_progress_remaining(num_timesteps, total_timesteps)
        if self.left is not None:
            self._current_progress_remaining = min(self._current_progress_remaining, self.left())

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "left"]

    def _setup_model(self) -> None:
        self.rollout_buffer_class = ElapsedRolloutBuffer
        super()._setup_model()
        self._attach()

    def set_env(self, env: Any, force_reset: bool = True) -> None:
        """See ``PPO.set_env``."""
        super().set_env(env, force_reset)
        self._attach()

    def _attach(self) -> None:
        if isinstance(self.env, OverlappedVecEnv) and hasattr(self, "rollout_buffer"):
            buffer: Any = self.rollout_buffer
            buffer.envs = self.env

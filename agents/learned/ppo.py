"""PPO over choices that last as long as they last (Schulman et al., 2017).

Advantages are estimated group by group: the time that each signal group's vehicles lose is observed
by itself, and the movements of the group predict it, so that the noise of the other streams stays
out of the prediction. Their sum is the advantage of the choice.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import DictRolloutBuffer

from agents.learned.actor_critic import PhaseActorCritic
from agents.learned.choices import DISCOUNT_STEP_S
from agents.learned.network import PhaseScorer
from agents.learned.vecenv import OverlappedVecEnv


class PartsRolloutBuffer(DictRolloutBuffer):
    """Keeps rewards by part and the seconds between choices.

    Set ``envs`` to the `OverlappedVecEnv` that the choices come from, and ``worth`` to a function
    from flattened observations to their predicted worth by part, and ``learned``.
    """

    envs: OverlappedVecEnv
    worth: Callable[[dict[str, NDArray[np.float32]]], NDArray[np.float32]]
    learned: NDArray[np.bool_]
    """(parts,) which parts somebody answers for; the others are noise."""
    returned: NDArray[np.float32]
    """(choices, parts) discounted rewards that followed, in the order of ``observations``."""

    def reset(self) -> None:
        """See ``DictRolloutBuffer.reset``."""
        super().reset()
        self.elapsed_s: NDArray[np.float32] = np.zeros(
            (self.buffer_size, self.n_envs), dtype=np.float32
        )
        self.parts: NDArray[np.float32] | None = None

    def add(self, *args: Any, **kwargs: Any) -> None:
        """See ``DictRolloutBuffer.add``."""
        if self.parts is None:
            self.parts = np.zeros((self.buffer_size, *self.envs.parts.shape), dtype=np.float32)
        self.elapsed_s[self.pos] = self.envs.elapsed_s
        self.parts[self.pos] = self.envs.parts
        super().add(*args, **kwargs)

    def estimate(self, last: dict[str, NDArray[np.float32]], dones: NDArray[np.bool_]) -> None:
        """Generalised advantage estimation by part, with a discount and a trace per second.

        A day that ends is no end of traffic: the worth of its last moment, which is close to that
        of its last choice, still counts.

        Args:
            last: Observations after the last choices.
            dones: Whether these begin a new day.
        """
        assert self.parts is not None
        steps, envs, parts = self.parts.shape
        flat = {name: array.reshape(steps * envs, -1) for name, array in self.observations.items()}
        worth = self.worth(flat).reshape(steps, envs, parts)
        following, going_on = self.worth(last), 1.0 - dones.astype(np.float32)
        advantages = np.zeros_like(worth)
        advantage: Any = np.zeros((envs, parts), dtype=np.float32)
        for step in reversed(range(steps)):
            passed = (self.elapsed_s[step] / DISCOUNT_STEP_S)[:, None]
            discount, on = self.gamma**passed, going_on[:, None]
            ahead = np.where(on > 0.0, following, worth[step])
            error = self.parts[step] + discount * ahead - worth[step]
            advantage = error + discount * self.gae_lambda**passed * on * advantage
            advantages[step] = advantage
            following, going_on = worth[step], 1.0 - self.episode_starts[step]
        # The order of ``swap_and_flatten``, which ``get`` brings the observations into.
        self.returned = (advantages + worth).swapaxes(0, 1).reshape(steps * envs, parts)
        self.values = worth.sum(axis=2)
        self.advantages = advantages[:, :, self.learned].sum(axis=2)
        self.returns = self.advantages + self.values


class PhasePPO(PPO):
    """PPO with advantages by signal group, per `DISCOUNT_STEP_S` of street time.

    The critic is trained by itself (``vf_coef`` should be 0), and the weights that are kept are a
    running mean of the actor's, which single noisy updates sway less.

    Args:
        args: Arguments of ``PPO``.
        kwargs: Further arguments of ``PPO``.
    """

    membership: torch.Tensor
    """(movements, parts) 1 where a movement answers for a part of the reward."""
    memory = 0.9
    """Weight of the old mean after each update."""
    critic_epochs = 6
    """Passes of the critic over the choices of an update."""
    critic_learning_rate = 0.001
    left: Callable[[], float] | None = None
    """Share of the time that is left, when a training ends by the clock."""
    averaged: PhaseScorer
    """Running mean of the actor's weights."""

    def _setup_model(self) -> None:
        self.rollout_buffer_class = PartsRolloutBuffer
        super()._setup_model()
        assert isinstance(self.policy, PhaseActorCritic)
        self.averaged = deepcopy(self.policy.scorer)
        self._critic_optimizer = torch.optim.Adam(self.policy.critic.parameters())
        self._attach()

    def set_env(self, env: Any, force_reset: bool = True) -> None:
        """See ``PPO.set_env``."""
        super().set_env(env, force_reset)
        self._attach()

    def _attach(self) -> None:
        if isinstance(self.env, OverlappedVecEnv) and hasattr(self, "rollout_buffer"):
            buffer: Any = self.rollout_buffer
            buffer.envs, buffer.worth = self.env, self._worth

    def _worth(self, observations: dict[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        policy: Any = self.policy
        with torch.no_grad():
            seen = {name: torch.from_numpy(array) for name, array in observations.items()}
            found: NDArray[np.float32] = (policy.value_parts(seen) @ self.membership).numpy()
        return found

    def collect_rollouts(self, *args: Any, **kwargs: Any) -> bool:
        """See ``PPO.collect_rollouts``."""
        going_on = super().collect_rollouts(*args, **kwargs)
        if going_on:
            last: Any = self._last_obs
            buffer: Any = self.rollout_buffer
            buffer.learned = (self.membership.sum(dim=0) > 0).numpy()
            buffer.estimate(last, self._last_episode_starts)
        return going_on

    def train(self) -> None:
        """Update the actor by PPO, then the critic, then the mean."""
        super().train()
        self._train_critic()
        policy: Any = self.policy
        with torch.no_grad():
            for mean, fresh in zip(
                self.averaged.parameters(), policy.scorer.parameters(), strict=True
            ):
                mean.lerp_(fresh, 1.0 - self.memory)

    def _train_critic(self) -> None:
        policy: Any = self.policy
        buffer: Any = self.rollout_buffer
        learned = self.membership.sum(dim=0) > 0
        seen = {name: torch.from_numpy(array) for name, array in buffer.observations.items()}
        target = torch.from_numpy(buffer.returned)
        for group in self._critic_optimizer.param_groups:
            group["lr"] = self.critic_learning_rate
        losses = []
        for _ in range(self.critic_epochs):
            for rows in np.array_split(np.random.permutation(len(target)), len(target) // 256 + 1):
                batch = {name: array[rows] for name, array in seen.items()}
                found = policy.value_parts(batch) @ self.membership
                loss = ((found - target[rows])[:, learned] ** 2).sum(dim=1).mean()
                self._critic_optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(policy.critic.parameters(), 10.0)
                self._critic_optimizer.step()
                losses.append(loss.item())
        spread = buffer.returns.var()
        self.logger.record("train/critic_loss", float(np.mean(losses)))
        self.logger.record(
            "train/explained", float(1.0 - buffer.advantages.var() / max(spread, 1e-9))
        )

    def _update_current_progress_remaining(self, num_timesteps: int, total_timesteps: int) -> None:
        super()._update_current_progress_remaining(num_timesteps, total_timesteps)
        if self.left is not None:
            self._current_progress_remaining = min(self._current_progress_remaining, self.left())

    def _excluded_save_params(self) -> list[str]:
        ours = ["left", "membership", "averaged", "_critic_optimizer"]
        return [*super()._excluded_save_params(), *ours]

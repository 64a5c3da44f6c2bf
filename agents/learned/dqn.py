"""Masked double DQN whose transitions last as long as they last.

It learns from the choices of `agents.learned.choices`: a transition leads from one choice to the
next and is discounted by the seconds between them. Double DQN: van Hasselt, Guez and Silver, 2016.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import DQN
from stable_baselines3.common.buffers import DictReplayBuffer
from stable_baselines3.common.type_aliases import DictReplayBufferSamples
from torch.nn import functional

from agents.learned.choices import DISCOUNT_STEP_S
from agents.learned.vecenv import OverlappedVecEnv


class ElapsedReplayBuffer(DictReplayBuffer):
    """Keeps how long each transition took and discounts by it.

    Args:
        args: Arguments of ``DictReplayBuffer``.
        gamma: Discount over `DISCOUNT_STEP_S`.
        kwargs: Further arguments of ``DictReplayBuffer``.
    """

    def __init__(self, *args: Any, gamma: float = 0.98, **kwargs: Any) -> None:
        # One column whatever the number of environments: choices come one at a time.
        kwargs["n_envs"] = 1
        super().__init__(*args, **kwargs)
        self._gamma = gamma
        self._elapsed_s: NDArray[np.float32] = np.zeros(self.buffer_size, dtype=np.float32)
        self._parts: NDArray[np.float32] = np.zeros((self.buffer_size, 1), dtype=np.float32)

    def add_choice(
        self,
        observation: dict[str, NDArray[np.float32]],
        action: int,
        parts: NDArray[np.float64],
        elapsed_s: float,
        next_observation: dict[str, NDArray[np.float32]],
        timeout: bool,
    ) -> None:
        """Keep a choice and what came of it.

        Args:
            observation: What was seen, flattened arrays by name.
            action: Phase chosen.
            parts: (parts,) reward until the next choice, discounted to this one.
            elapsed_s: Seconds until the next choice.
            next_observation: What was seen then, or at the end of the run.
            timeout: The run's period ended, which is no end of traffic: its future still counts.
        """
        if self._parts.shape[1] != len(parts):
            self._parts = np.zeros((self.buffer_size, len(parts)), dtype=np.float32)
        self._elapsed_s[self.pos] = elapsed_s
        self._parts[self.pos] = parts
        self.add(
            {name: array[None] for name, array in observation.items()},
            {name: array[None] for name, array in next_observation.items()},
            np.array([[action]]),
            np.array([parts.sum()], dtype=np.float32),
            np.array([timeout]),
            [{"TimeLimit.truncated": timeout}],
        )

    def sample_choices(self, batch_size: int) -> tuple[DictReplayBufferSamples, torch.Tensor]:
        """Draw choices.

        Args:
            batch_size: How many.

        Returns:
            The samples, and (batch, parts) their reward by part.
        """
        filled = self.buffer_size if self.full else self.pos
        rows = np.random.randint(0, filled, size=batch_size)
        return self._get_samples(rows), self.to_torch(self._parts[rows])

    def _get_samples(  # type: ignore[override]
        self, batch_inds: Any, env: Any = None
    ) -> DictReplayBufferSamples:
        samples = super()._get_samples(batch_inds, env)
        elapsed_s = self._elapsed_s[batch_inds].reshape(-1, 1)
        discounts = self._gamma ** (elapsed_s / DISCOUNT_STEP_S)
        return samples._replace(discounts=self.to_torch(discounts.astype(np.float32)))


class PhaseDQN(DQN):
    """DQN that explores open phases only, learns with double Q and starts from the plan.

    Until ``learning_starts`` it follows the time-of-day plan with random open phases mixed in, so
    that the first experience is of a junction that works.

    Args:
        args: Arguments of ``DQN``.
        kwargs: Further arguments of ``DQN``.
    """

    plan_share = 0.97
    """Share of the plan's wishes before learning starts."""

    membership: torch.Tensor
    """(movements, parts) 1 where a movement's worth adds to a part of the reward; a part without
    movements is not learned."""
    updates_per_step = 1
    """Gradient steps taken while the workers of an `OverlappedVecEnv` simulate one step."""

    def _setup_model(self) -> None:
        super()._setup_model()
        self._overlap()

    def set_env(self, env: Any, force_reset: bool = True) -> None:
        """See ``DQN.set_env``."""
        super().set_env(env, force_reset)
        self._overlap()

    def _overlap(self) -> None:
        if isinstance(self.env, OverlappedVecEnv):
            self.env.while_waiting = self._learn_meanwhile

    def _learn_meanwhile(self) -> None:
        if self.num_timesteps > self.learning_starts and self.updates_per_step:
            self.train(self.updates_per_step, self.batch_size)

    _last_infos: list[dict[str, Any]] | None = None

    def _sample_action(
        self, learning_starts: int, action_noise: Any = None, n_envs: int = 1
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        assert isinstance(self._last_obs, dict)
        with torch.no_grad():
            seen = {name: torch.from_numpy(array) for name, array in self._last_obs.items()}
            actions = self.q_net(seen).argmax(dim=1).numpy()
        early = self.num_timesteps < learning_starts
        for index, mask in enumerate(self._last_obs["mask"]):
            open_phases = np.flatnonzero(mask > 0.5)
            if early and self._last_infos and np.random.rand() < self.plan_share:
                wish = int(self._last_infos[index]["plan_wish"])
                rows = self._last_obs["phases"][index].reshape(len(mask), -1)
                present = int(np.argmax(rows[:, 0]))
                actions[index] = next(
                    (phase for phase in (wish, present) if mask[phase] > 0.5), open_phases[0]
                )
            elif early or np.random.rand() < self.exploration_rate:
                actions[index] = np.random.choice(open_phases)
        return actions, actions

    def _store_transition(
        self,
        replay_buffer: Any,
        buffer_action: NDArray[Any],
        new_obs: Any,
        reward: NDArray[Any],
        dones: NDArray[Any],
        infos: list[dict[str, Any]],
    ) -> None:
        """Keep the choice of each environment."""
        assert isinstance(self._last_obs, dict)
        for index, info in enumerate(infos):
            after = (
                info["terminal_observation"]
                if dones[index]
                else {name: array[index] for name, array in new_obs.items()}
            )
            replay_buffer.add_choice(
                {name: array[index] for name, array in self._last_obs.items()},
                int(buffer_action[index]),
                info["reward_parts"],
                float(info["step_s"]),
                after,
                bool(dones[index]),
            )
        self._last_infos = infos
        self._last_obs = new_obs

    left: Callable[[], float] | None = None
    """Not used: exploration falls with the decisions taken."""

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "_last_infos", "membership", "left"]

    def train(self, gradient_steps: int, batch_size: int = 100) -> None:
        """Gradient steps on Huber loss against double-Q targets, part by part.

        Args:
            gradient_steps: How many.
            batch_size: Transitions in each.
        """
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        losses = []
        assert isinstance(self.replay_buffer, ElapsedReplayBuffer)
        network: Any = self.q_net
        target_network: Any = self.q_net_target
        learned = self.membership.sum(dim=0) > 0
        for _ in range(gradient_steps):
            batch, parts = self.replay_buffer.sample_choices(batch_size)
            with torch.no_grad():
                best = network(batch.next_observations).argmax(dim=1)
                ahead = target_network.parts(batch.next_observations, best) @ self.membership
                discounts = batch.discounts if batch.discounts is not None else self.gamma
                target = parts + (1.0 - batch.dones) * discounts * ahead
            taken = batch.actions.long().squeeze(1)
            now = network.parts(batch.observations, taken) @ self.membership
            errors = functional.smooth_l1_loss(now, target, reduction="none")
            loss = errors[:, learned].sum(dim=1).mean()
            losses.append(loss.item())
            self.policy.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(self.policy.parameters(), self.max_grad_norm)
            self.policy.optimizer.step()
        self._n_updates += gradient_steps
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        self.logger.record("train/loss", float(np.mean(losses)))

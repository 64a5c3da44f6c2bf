"""Masked double DQN over transitions that last as long as they last.

A transition leads over some choices of `agents.learned.rollout` (n-step returns; Hessel et al.,
"Rainbow", AAAI 2018) and is discounted by the seconds in between. Double DQN: van Hasselt, Guez and
Silver, 2016.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from stable_baselines3 import DQN
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.utils import polyak_update
from torch.nn import functional

from agents.learned.replay import Replay


class NoBuffer(ReplayBuffer):
    """Takes no memory: choices are kept in a `Replay`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.pos, self.full, self.buffer_size = 0, False, 0


class PhaseDQN(DQN):
    """DQN that learns from a `Replay`, with double Q and by part of the reward.

    Args:
        args: Arguments of ``DQN``.
        kwargs: Further arguments of ``DQN``.
    """

    replay: Replay

    def train(self, gradient_steps: int, batch_size: int = 100) -> None:
        """Gradient steps on Huber loss against double-Q targets, part by part.

        Args:
            gradient_steps: How many.
            batch_size: Transitions in each.
        """
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        losses = []
        scorer: Any = self.q_net.scorer
        target_scorer: Any = self.q_net_target.scorer
        for _ in range(gradient_steps):
            batch = self.replay.sample(batch_size)
            after = batch.after
            with torch.no_grad():
                best = scorer(**after).argmax(dim=1)
                ahead = target_scorer.parts(
                    after["movements"], after["phases"], after["serves"], best
                )
                target = batch.parts + batch.discounts * _by_group(ahead, batch.members)
            seen = batch.seen
            now = _by_group(
                scorer.parts(seen["movements"], seen["phases"], seen["serves"], batch.actions),
                batch.members,
            )
            answered = batch.members.sum(dim=1).clamp(max=1.0)
            errors = functional.smooth_l1_loss(now, target, reduction="none") * answered
            loss = errors.sum(dim=1).mean()
            losses.append(loss.item())
            self.policy.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(self.policy.parameters(), self.max_grad_norm)
            self.policy.optimizer.step()
            polyak_update(self.q_net.parameters(), self.q_net_target.parameters(), self.tau)
        self._n_updates += gradient_steps
        if losses:
            self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
            self.logger.record("train/loss", float(np.mean(losses)))

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "replay"]


def _by_group(parts: torch.Tensor, members: torch.Tensor) -> torch.Tensor:
    """(B, 1, M) worth by movement to (B, G) worth by signal group."""
    return torch.bmm(parts, members).squeeze(1)

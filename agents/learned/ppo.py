"""PPO over choices that last as long as they last (Schulman et al., 2017).

Advantages are estimated group by group: the time that each signal group's vehicles lose is observed
by itself, and the movements of the group predict it, so that the noise of the other streams stays
out of the prediction. Their sum is the advantage of the choice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import DictRolloutBuffer
from stable_baselines3.common.type_aliases import DictRolloutBufferSamples
from torch import Tensor

from agents.learned.actor_critic import PhaseActorCritic
from agents.learned.network import PhaseScorer
from agents.learned.rollout import DISCOUNT_STEP_S, Rollout, Trajectory, pad
from signals.features import Maxima


class Choices(DictRolloutBuffer):
    """All choices of a round, of junctions of any size, with their advantages."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.pos, self.full = 0, True

    def fill(
        self,
        trajectories: Sequence[Trajectory],
        policy: PhaseActorCritic,
        maxima: Maxima,
        groups: int,
        gamma: float,
        trace: float,
    ) -> None:
        """Generalised advantage estimation by part, with a discount and a trace per second.

        A day that ends is no end of traffic: the worth of its last moment still counts.

        Args:
            trajectories: What was chosen and what came of it.
            policy: Its critic says what moments are worth.
            maxima: Sizes that observations are padded to.
            groups: Most signal groups of a junction.
            gamma: Discount over `DISCOUNT_STEP_S`.
            trace: Trace over `DISCOUNT_STEP_S`.
        """
        columns: dict[str, list[NDArray[np.float32]]] = {}
        members, actions, log_chances, returned, advantages, values = [], [], [], [], [], []
        for item in trajectories:
            count, parts = len(item), item.parts.shape[1]
            flat = _flat(item, maxima)
            own = np.zeros((maxima.movements, groups), dtype=np.float32)
            own[: item.members.shape[0], :parts] = item.members
            with torch.no_grad():
                seen = {name: torch.from_numpy(array) for name, array in flat.items()}
                worth = (policy.value_parts(seen) @ torch.from_numpy(own)).numpy()
            reward = np.zeros((count, groups), dtype=np.float32)
            reward[:, :parts] = item.parts
            advantage = np.zeros((count, groups), dtype=np.float32)
            trail: Any = np.zeros(groups, dtype=np.float32)
            for step in reversed(range(count)):
                passed = float(item.elapsed_s[step]) / DISCOUNT_STEP_S
                discount = gamma**passed
                error = reward[step] + discount * worth[step + 1] - worth[step]
                trail = error + discount * trace**passed * trail
                advantage[step] = trail
            learned = own.sum(axis=0) > 0
            for name, array in flat.items():
                columns.setdefault(name, []).append(array[:count])
            members.append(np.broadcast_to(own, (count, *own.shape)))
            actions.append(item.actions)
            log_chances.append(item.log_chances)
            returned.append(advantage + worth[:count])
            advantages.append(advantage[:, learned].sum(axis=1))
            values.append(worth[:count].sum(axis=1))
        self.seen = {name: torch.from_numpy(np.concatenate(rows)) for name, rows in columns.items()}
        self.members = torch.from_numpy(np.concatenate(members))
        self.returned = torch.from_numpy(np.concatenate(returned))
        self.chosen = torch.from_numpy(np.concatenate(actions))
        self.chances = torch.from_numpy(np.concatenate(log_chances))
        self.gains = torch.from_numpy(np.concatenate(advantages))
        self.values = np.concatenate(values)
        self.returns = self.values + self.gains.numpy()

    def __len__(self) -> int:
        return len(self.chosen)

    def get(self, batch_size: int | None = None) -> Iterator[DictRolloutBufferSamples]:  # type: ignore[override]
        """Shuffled batches, as ``PPO.train`` asks for them."""
        order: Any = torch.randperm(len(self))
        values = torch.from_numpy(self.values)
        returns = torch.from_numpy(self.returns)
        for rows in order.split(batch_size or len(self)):
            yield DictRolloutBufferSamples(
                {name: array[rows] for name, array in self.seen.items()},
                self.chosen[rows],
                values[rows],
                self.chances[rows],
                self.gains[rows],
                returns[rows],
            )


def _flat(item: Trajectory, maxima: Maxima) -> dict[str, NDArray[np.float32]]:
    """(choices + 1, size) padded and flattened arrays by name."""
    rows = [{name: array[row] for name, array in item.seen.items()} for row in range(len(item) + 1)]
    return {name: array.reshape(len(rows), -1) for name, array in pad(rows, maxima).items()}


def best_lessons(lessons: Sequence[Rollout]) -> list[Trajectory]:
    """What the best teacher of each day chose."""
    best: dict[tuple[str, str, int], Rollout] = {}
    for lesson in lessons:
        place = (lesson.scenario, lesson.period, lesson.day)
        if place not in best or lesson.lost_veh_h < best[place].lost_veh_h:
            best[place] = lesson
    return [item for lesson in best.values() for item in lesson.trajectories]


def flattened(
    trajectories: Sequence[Trajectory], maxima: Maxima
) -> tuple[dict[str, Tensor], Tensor]:
    """Observations and choices of all trajectories, to be imitated."""
    parts = [_flat(item, maxima) for item in trajectories]
    return (
        {
            name: torch.from_numpy(np.concatenate([part[name][:-1] for part in parts]))
            for name in parts[0]
        },
        torch.from_numpy(np.concatenate([item.actions for item in trajectories])),
    )


class PhasePPO(PPO):
    """PPO with advantages by signal group, per `DISCOUNT_STEP_S` of street time.

    The critic is trained by itself (``vf_coef`` should be 0), and the weights that are kept are a
    running mean of the actor's, which single noisy updates sway less.

    Args:
        args: Arguments of ``PPO``.
        kwargs: Further arguments of ``PPO``.
    """

    memory = 0.9
    """Weight of the old mean after each update."""
    critic_epochs = 6
    """Passes of the critic over the choices of an update."""
    critic_learning_rate = 0.001
    averaged: PhaseScorer
    """Running mean of the actor's weights."""

    def _setup_model(self) -> None:
        self.rollout_buffer_class = Choices
        super()._setup_model()
        assert isinstance(self.policy, PhaseActorCritic)
        self.averaged = deepcopy(self.policy.scorer)
        self._critic_optimizer = torch.optim.Adam(self.policy.critic.parameters())

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
        choices: Any = self.rollout_buffer
        for group in self._critic_optimizer.param_groups:
            group["lr"] = self.critic_learning_rate
        losses = []
        for _ in range(self.critic_epochs):
            order: Any = torch.randperm(len(choices))
            for rows in order.split(256):
                batch = {name: array[rows] for name, array in choices.seen.items()}
                members = choices.members[rows]
                found = torch.bmm(policy.value_parts(batch).unsqueeze(1), members).squeeze(1)
                answered = members.sum(dim=1).clamp(max=1.0)
                loss = (((found - choices.returned[rows]) ** 2) * answered).sum(dim=1).mean()
                self._critic_optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(policy.critic.parameters(), 10.0)
                self._critic_optimizer.step()
                losses.append(loss.item())
        self.logger.record("train/critic_loss", float(np.mean(losses)))

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "averaged", "_critic_optimizer"]

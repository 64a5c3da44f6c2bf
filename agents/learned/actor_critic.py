"""Actor and critic over the phase-scoring network, as a stable-baselines3 policy."""

from __future__ import annotations

from typing import Any

import torch
from stable_baselines3.common.distributions import CategoricalDistribution
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import Tensor

from agents.learned.network import PhaseScorer
from agents.learned.policy import fold

_VALUE_SCALE = 10.0
"""Values are tens of the reward's unit; the network answers in ones."""


class PhaseActorCritic(ActorCriticPolicy):
    """The actor draws a phase by its score; the critic says what the present moment is worth.

    The critic is a second `PhaseScorer` whose parts of the present phase add up to the value, so
    that every movement answers for its own future.

    Args:
        args: Arguments of ``ActorCriticPolicy``.
        width: Units of the hidden layers.
        kwargs: Further arguments of ``ActorCriticPolicy``.
    """

    def __init__(self, *args: Any, width: int = 64, **kwargs: Any) -> None:
        self.width = width
        super().__init__(*args, **kwargs)

    def _build(self, lr_schedule: Any) -> None:
        self.scorer = PhaseScorer(self.width)
        self.critic = PhaseScorer(self.width)
        make: Any = self.optimizer_class
        self.optimizer = make(self.parameters(), lr=lr_schedule(1), **self.optimizer_kwargs)

    def _get_constructor_parameters(self) -> dict[str, Any]:
        return {**super()._get_constructor_parameters(), "width": self.width}

    def value_parts(self, obs: dict[str, Tensor]) -> Tensor:
        """(batch, movements) what the present moment is worth to each movement."""
        movements, phases, serves = fold(obs)
        present = phases[:, :, 0].argmax(dim=1)
        return _VALUE_SCALE * self.critic.parts(movements, phases, serves, present).squeeze(1)

    def predict_values(self, obs: Any) -> Tensor:
        """(batch, 1) value of each observation."""
        return self.value_parts(obs).sum(dim=1, keepdim=True)

    def get_distribution(self, obs: Any) -> Any:
        """The distribution over phases; closed ones have no chance."""
        scores = self.scorer(*fold(obs), obs["mask"])
        return CategoricalDistribution(scores.shape[1]).proba_distribution(action_logits=scores)

    def forward(self, obs: Any, deterministic: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """Action (batch,), value (batch, 1) and log probability (batch,)."""
        distribution = self.get_distribution(obs)
        actions = distribution.get_actions(deterministic=deterministic)
        return actions, self.predict_values(obs), distribution.log_prob(actions)

    def evaluate_actions(self, obs: Any, actions: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Value (batch, 1), log probability and entropy (batch,) of given actions."""
        distribution = self.get_distribution(obs)
        return self.predict_values(obs), distribution.log_prob(actions), distribution.entropy()

    def _predict(self, observation: Any, deterministic: bool = False) -> Tensor:
        actions: Tensor = self.get_distribution(observation).get_actions(
            deterministic=deterministic
        )
        return actions


def clone(
    policy: PhaseActorCritic,
    observations: dict[str, Tensor],
    actions: Tensor,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    generator: torch.Generator,
) -> list[float]:
    """Teach the actor to choose as somebody else chose.

    Args:
        policy: Its scorer learns.
        observations: Flattened arrays, (choices, size) each.
        actions: (choices,) int64 phases chosen.
        epochs: Passes over the choices.
        batch_size: Choices of one gradient step.
        learning_rate: Of Adam.
        generator: Order of the choices.

    Returns:
        Mean cross entropy of each epoch.
    """
    optimizer = torch.optim.Adam(policy.scorer.parameters(), lr=learning_rate)
    losses = []
    for _ in range(epochs):
        total = 0.0
        order: Any = torch.randperm(len(actions), generator=generator)
        for rows in order.split(batch_size):
            batch = {name: array[rows] for name, array in observations.items()}
            scores = policy.scorer(*fold(batch), batch["mask"])
            loss = torch.nn.functional.cross_entropy(scores, actions[rows])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += loss.item() * len(rows)
        losses.append(total / len(actions))
    return losses

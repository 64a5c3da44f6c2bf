"""The phase-scoring network as a stable-baselines3 policy."""

from __future__ import annotations

from typing import Any

from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.dqn.policies import DQNPolicy
from torch import Tensor

from agents.learned.network import PhaseScorer
from signals.observation import MOVEMENT_FEATURES, PHASE_FEATURES


class PhaseScoringNetwork(BasePolicy):
    """Q values of all phases, masked.

    Args:
        observation_space: Dict of the flattened movements, phases, serves and mask.
        action_space: Discrete, one action a phase.
        width: Units of the hidden layers.
    """

    def __init__(self, observation_space: Any, action_space: Any, width: int = 64) -> None:
        super().__init__(observation_space, action_space, normalize_images=False)
        self.scorer = PhaseScorer(width)

    def forward(self, obs: dict[str, Tensor]) -> Tensor:
        """(batch, phases) Q values, closed phases far below all others."""
        scores: Tensor = self.scorer(*fold(obs), obs["mask"])
        return scores

    def parts(self, obs: dict[str, Tensor], taken: Tensor) -> Tensor:
        """(batch, movements) what the taken phase is worth to each movement."""
        return self.scorer.parts(*fold(obs), taken).squeeze(1)

    def _predict(self, observation: Any, deterministic: bool = True) -> Tensor:
        best: Tensor = self(observation).argmax(dim=1).reshape(-1)
        return best


def fold(obs: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Flattened arrays back to (batch, M, F), (batch, P, G) and (batch, P, M)."""
    batch, phases = obs["mask"].shape
    return (
        obs["movements"].view(batch, -1, len(MOVEMENT_FEATURES)),
        obs["phases"].view(batch, phases, len(PHASE_FEATURES)),
        obs["serves"].view(batch, phases, -1),
    )


class PhaseScoringPolicy(DQNPolicy):
    """DQN policy over a `PhaseScorer`; pass it as the ``policy`` of `agents.learned.dqn.PhaseDQN`.

    Args:
        observation_space: Dict of the flattened movements, phases, serves and mask.
        action_space: Discrete, one action a phase.
        lr_schedule: Learning rate schedule.
        width: Units of the hidden layers.
        kwargs: Further arguments of ``DQNPolicy``.
    """

    def __init__(
        self,
        observation_space: Any,
        action_space: Any,
        lr_schedule: Any,
        width: int = 64,
        **kwargs: Any,
    ) -> None:
        self.width = width
        super().__init__(observation_space, action_space, lr_schedule, **kwargs)

    def make_q_net(self) -> Any:
        """A fresh network on the policy's device."""
        return PhaseScoringNetwork(self.observation_space, self.action_space, self.width).to(
            self.device
        )

    def _get_constructor_parameters(self) -> dict[str, Any]:
        return {**super()._get_constructor_parameters(), "width": self.width}

    @property
    def scorer(self) -> PhaseScorer:
        """The network that acts."""
        network: PhaseScorer = self.q_net.scorer  # type: ignore[assignment]
        return network

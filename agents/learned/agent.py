"""A trained scorer as an agent."""

from __future__ import annotations

import torch

from agents.learned.network import PhaseScorer
from signals.observation import Observation


class LearnedAgent:
    """Wishes for the phase of the highest score.

    Args:
        scorer: Trained network.
        name: Shown in results.
        decision_interval_s: Seconds between decisions.
    """

    def __init__(self, scorer: PhaseScorer, name: str = "learned", decision_interval_s: int = 5):
        self.name = name
        self.decision_interval_s = decision_interval_s
        self._scorer = scorer.eval()

    def reset(self, seed: int) -> None:
        """Nothing to forget."""

    def decide(self, observation: Observation, clock_s: float) -> int:
        """The open phase of the highest score."""
        with torch.no_grad():
            scores = self._scorer(
                *(
                    torch.from_numpy(array.copy()).unsqueeze(0)
                    for array in observation.arrays().values()
                )
            )
        return int(scores.argmax(dim=1).item())

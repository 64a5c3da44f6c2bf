"""A trained scorer as an agent."""

from __future__ import annotations

import numpy as np
import torch

from agents.learned.network import PhaseScorer
from signals.action_models import ActionModel
from signals.observation import Observation


class LearnedAgent:
    """Wishes for the phase of the highest score.

    Args:
        scorer: Trained network.
        name: Shown in results.
        decision_interval_s: Seconds between decisions.
        model: What it may wish at all; None leaves it every open phase.
    """

    def __init__(
        self,
        scorer: PhaseScorer,
        name: str = "learned",
        decision_interval_s: int = 5,
        model: ActionModel | None = None,
    ) -> None:
        self.name = name
        self.decision_interval_s = decision_interval_s
        self._scorer = scorer.eval()
        self._model = model

    def reset(self, seed: int) -> None:
        """Nothing to forget: an action model with a memory is made for each run."""

    def decide(self, observation: Observation, clock_s: float) -> int:
        """The open phase of the highest score."""
        arrays = observation.arrays()
        if self._model is not None:
            open_ = self._model.mask(observation.mask > 0.5, observation.state.phase, clock_s)
            arrays["mask"] = open_.astype(np.float32)
        with torch.no_grad():
            scores = self._scorer(
                *(torch.from_numpy(array.copy()).unsqueeze(0) for array in arrays.values())
            )
        action = int(scores.argmax(dim=1).item())
        return action if self._model is None else self._model.wish(action, clock_s)

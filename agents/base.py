"""What every agent is: something that wishes for a phase."""

from __future__ import annotations

from typing import Protocol

from signals.observation import Observation


class Agent(Protocol):
    """Decides for one junction.

    Attributes:
        name: Shown in results.
        decision_interval_s: Seconds between decisions; plan followers use 1.
    """

    @property
    def name(self) -> str:
        """Shown in results."""

    @property
    def decision_interval_s(self) -> int:
        """Seconds between decisions."""

    def reset(self, seed: int) -> None:
        """Forget everything before a run.

        Args:
            seed: Seeds whatever the agent draws.
        """

    def decide(self, observation: Observation, clock_s: float) -> int:
        """Wish for a phase.

        Args:
            observation: What the detectors and lights say now.
            clock_s: Seconds since midnight.

        Returns:
            Index into the junction's phase table; the guard may refuse it.
        """

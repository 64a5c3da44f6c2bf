"""Fixed time (고정식): the plan, second by second."""

from __future__ import annotations

from signals.junction import Junction
from signals.observation import Observation
from signals.plan import Plan


class FixedTime:
    """Wishes for whatever the time-of-day plan serves now.

    Args:
        junction: Junction to control.
        plan: Its plan.
    """

    name = "fixed_time"
    decision_interval_s = 1

    def __init__(self, junction: Junction, plan: Plan) -> None:
        self._junction = junction
        self._plan = plan

    def reset(self, seed: int) -> None:
        """Nothing to forget."""

    def decide(self, observation: Observation, clock_s: float) -> int:
        """The plan's phase at the clock time."""
        return self._plan.wish(self._junction, clock_s)

"""A learned agent in a simulation, with what the street does when it cannot see.

In the street a policy that sees too little is not asked, and the junction follows its plan, see
`signals.sight`; so it does here, by the same rule.
"""

from __future__ import annotations

from agents.base import Agent
from signals.junction import Junction
from signals.observation import Observation
from signals.plan import Plan
from signals.sight import Sight


class Sighted:
    """Follows the plan while the policy is blind.

    Args:
        policy: Who decides otherwise.
        junction: What it controls.
        plan: The junction's plan.
    """

    def __init__(self, policy: Agent, junction: Junction, plan: Plan) -> None:
        self.policy = policy
        self.name = policy.name
        self._junction, self._plan = junction, plan
        self._sight = Sight(junction)
        self.reset(0)

    @property
    def decision_interval_s(self) -> int:
        """Seconds between decisions; a plan is followed every second."""
        return 1 if self._blind else self.policy.decision_interval_s

    def reset(self, seed: int) -> None:
        """Begin with open eyes."""
        self.policy.reset(seed)
        self._blind, self._looked_s = False, 0.0

    def decide(self, observation: Observation, clock_s: float) -> int:
        """What the policy wishes, or whose turn it is in the plan."""
        if not self._blind or clock_s - self._looked_s >= self.policy.decision_interval_s:
            self._blind, self._looked_s = bool(self._sight.lost(observation)), clock_s
        if self._blind:
            return self._plan.wish(self._junction, int(clock_s))
        return self.policy.decide(observation, clock_s)

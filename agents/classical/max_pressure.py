"""Max pressure: serve the phase whose lanes are fuller than their exits by most.

Sources: P. Varaiya, Max pressure control of a network of signalized intersections, Transportation
Research Part C 36 (2013); for streets that hold only so many vehicles, J. Gregoire et al.,
Capacity-aware backpressure traffic signal control, IEEE Transactions on Control of Network Systems
2 (2015): pressures are vehicles per lane, so that a short pocket that fills weighs as much as a
wide street. They are counted over the 150 m zones upstream and the exits downstream, and a change
must pay for its intergreen and walk: the present phase keeps a bonus.
"""

from __future__ import annotations

import numpy as np

from agents.classical.choosing import best_phase
from signals.junction import Junction
from signals.observation import Observation
from signals.plan import Plan


class MaxPressure:
    """Phase with the greatest pressure among those that the guard would grant.

    The defaults were chosen on training demand days, see ``signals tune-classical``.

    Args:
        junction: Junction to control.
        plan: Not used; every classical agent is built alike.
        decision_interval_s: Seconds between decisions.
        bonus: Pressure of the present phase is multiplied by 1 + bonus.
        moving_weight: Weight of a moving vehicle, a stopped one counts 1.
        lane_power: A movement's pressure is multiplied by its lanes to this power: 0 compares
            lanes, 1 is Varaiya's rule, under which wide streets starve short pockets.
    """

    name = "max_pressure"

    def __init__(
        self,
        junction: Junction,
        plan: Plan,
        decision_interval_s: int = 5,
        bonus: float = 1.0,
        moving_weight: float = 1.0,
        lane_power: float = 0.0,
    ) -> None:
        self.decision_interval_s = decision_interval_s
        self._bonus = bonus
        self._moving = moving_weight
        kinds = [movement.kind for movement in junction.movements]
        counts = np.array([kind in ("through", "left") for kind in kinds], dtype=np.float64)
        self._lanes = np.array([max(len(item.lanes), 1) for item in junction.movements])
        self._exits = np.array([max(len(item.exits), 1) for item in junction.movements])
        self._weight = counts * self._lanes.astype(np.float64) ** lane_power

    def reset(self, seed: int) -> None:
        """Nothing to forget."""

    def decide(self, observation: Observation, clock_s: float) -> int:
        """The open phase of greatest pressure."""
        seen = observation.measures
        stopped = seen.near_stopped + seen.far_stopped
        moving = seen.near + seen.far - stopped
        upstream = (stopped + self._moving * moving) / self._lanes
        pressure = (upstream - seen.exit_stopped / self._exits) * self._weight
        scores = observation.serves @ np.maximum(pressure, 0.0)
        return best_phase(scores, observation, self._bonus)

"""Max wave: serve the phase with the greatest wave, vehicles queued and on their way alike.

Source: the greedy controller of J. Ault and G. Sharon, Reinforcement Learning Benchmarks for
Traffic Signal Control (RESCO), NeurIPS Datasets and Benchmarks 2021, whose wave of an approach is
its queue and the vehicles that approach it. They look 200 m upstream and end a green for a yellow
only; here zones reach 150 m, and a change binds the junction for intergreens and walks, so that
the present phase keeps a bonus and lanes can be compared instead of whole streets.
"""

from __future__ import annotations

from agents.classical.choosing import best_phase
from agents.classical.streams import Streams
from signals.junction import Junction
from signals.observation import Observation
from signals.plan import Plan


class MaxWave:
    """Phase with the greatest wave among those that the guard would grant.

    The defaults were set by hand on a training day of a few sites; ``signals tune-classical`` finds
    those of a site.

    Args:
        junction: Junction to control.
        plan: Not used; every classical agent is built alike.
        decision_interval_s: Seconds between decisions.
        bonus: The wave of the present phase is multiplied by 1 + bonus.
        moving_weight: Weight of a moving vehicle, a stopped one counts 1.
        lane_power: A stream's wave is its vehicles a lane, times its lanes to this power: 0
            compares lanes, 1 is the rule of the source.
    """

    name = "max_wave"

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
        self._streams = Streams(junction)
        self._weight = self._streams.lanes ** (lane_power - 1.0)

    def reset(self, seed: int) -> None:
        """Nothing to forget."""

    def decide(self, observation: Observation, clock_s: float) -> int:
        """The open phase of the greatest wave."""
        streams, seen = self._streams, observation.measures
        stopped = streams.stopped(seen)
        wave = (stopped + self._moving * (streams.seen(seen) - stopped)) * self._weight
        return best_phase(streams.serves @ wave, observation, self._bonus)

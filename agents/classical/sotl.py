"""Self-organising traffic lights: a red that has gathered enough waiting asks for its green.

Sources: C. Gershenson, Self-organizing Traffic Lights, Complex Systems 16 (2005); S. Cools, C.
Gershenson and B. D'Hooghe, Self-Organizing Traffic Lights: A Realistic Simulation (2013); the rules
on platoons and blocked exits from C. Gershenson and D. Rosenblueth, Self-organizing Traffic Lights
at Multiple-street Intersections, Complexity 17 (2012). Each second a red stream counts the vehicles
that approach or wait (vehicle seconds). A phase whose red streams have counted more than the
threshold takes over, the fullest first, unless the tail of a platoon is about to pass the present
green or its own queue, which keeps what it had gathered until it has left, still asks for more; a
green that nobody approaches is given up at once, and one whose exits are blocked counts
for nobody. The sources know two directions and no crosswalks: more phases compete by their counts,
and minimum greens and walks are the guard's.
"""

from __future__ import annotations

import numpy as np

from agents.classical.stages import stages
from agents.classical.streams import Streams
from signals.junction import Junction
from signals.observation import Observation
from signals.plan import Plan

_STREET_VEH = 20.0
"""Standing vehicles on 150 m of one lane."""


class Sotl:
    """Counts of vehicle seconds at red, with the rules on platoons.

    The defaults were set by hand on a training day of a few sites; ``signals tune-classical`` finds
    those of a site.

    Args:
        junction: Junction to control.
        plan: Its phases are those that compete; order and timing are not used.
        threshold_veh_s: Vehicle seconds at red that ask for a green, counted a lane of 150 m: in a
            pocket of half that length each vehicle counts twice.
        platoon_veh: A tail of at most so many vehicles on a lane is let through before a change.
    """

    name = "sotl"
    decision_interval_s = 1

    def __init__(
        self,
        junction: Junction,
        plan: Plan,
        threshold_veh_s: float = 400.0,
        platoon_veh: float = 1.0,
    ) -> None:
        self._streams = Streams(junction)
        # A pocket that is full asks as loudly as a street that is.
        self._scale = _STREET_VEH / self._streams.room
        self._chosen = np.zeros(len(junction.phases), dtype=np.bool_)
        self._chosen[[stage.phase for stage in stages(junction, plan)]] = True
        self._threshold = threshold_veh_s
        self._platoon = platoon_veh
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Begin to count anew."""
        self._counts = np.zeros(len(self._streams))
        self._vehicles = np.zeros(len(self._streams))
        self._counted_s: float | None = None

    def decide(self, observation: Observation, clock_s: float) -> int:
        """Hold, or take the phase that has gathered the most."""
        streams, seen = self._streams, observation.measures
        now = observation.state.phase
        passed_s = 1.0 if self._counted_s is None else clock_s - self._counted_s
        self._counted_s = clock_s
        green = streams.green(observation.state)
        vehicles = streams.seen(seen) - streams.stopped(seen) + streams.queued(seen)
        free = ~streams.blocked(seen)
        left = np.minimum(vehicles / np.maximum(self._vehicles, 1e-9), 1.0)
        self._counts = np.where(green, self._counts * left, self._counts + vehicles * passed_s)
        self._vehicles = vehicles
        open_ = observation.mask > 0
        waits = streams.serves * np.where(free, self._counts * self._scale, 0.0)
        gathered = waits * ~green
        scores = np.where(open_ & self._chosen, gathered.sum(axis=1), -np.inf)
        if not observation.state.held_s and open_[now]:
            return now
        scores[now] = -np.inf
        best = int(np.argmax(scores))
        if not open_[now]:
            return best if np.isfinite(scores[best]) else int(np.argmax(open_))
        if not np.isfinite(scores[best]) or scores[best] <= 0.0:
            return now
        passing = streams.serves[now] & free
        if not (vehicles[passing] > 0).any():
            return best
        ending = passing & ~streams.serves[best]
        tail = (seen.near - seen.near_stopped)[streams.rows] / streams.lanes
        if ((tail > 0) & (tail <= self._platoon) & ending).any():
            return now
        own = float((waits[now] * passing).sum())
        return best if scores[best] > self._threshold + own else now

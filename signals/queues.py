"""Queues on the approaches of a junction, as the simulator knows them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final

from signals.junction import Junction
from signals.schedule import Schedule

QUEUE_SPEED_MPS: Final = 5.0 / 3.6
"""Slower than this is standing in a queue (5 km/h)."""
QUEUE_SAMPLE_S: Final = 5
"""Time between two looks at the queues."""
GRIDLOCK_S: Final = 300.0
"""An approach from which nobody arrives for longer than this, while somebody waited as long."""

Reach = list[tuple[str, float]]
"""Lanes of an approach: id, and distance of the lane's begin to the stop line (m)."""


@dataclass(frozen=True, slots=True)
class QueueStats:
    """Queues of one approach, see `QueueSampler`.

    Attributes:
        p95_m: 95th percentile of the queue's length (m).
        longest_m: The longest (m).
        p95_vehicles: 95th percentile of the vehicles in it.
        most_vehicles: The most.
    """

    p95_m: float
    longest_m: float
    p95_vehicles: float
    most_vehicles: float

    @classmethod
    def of(cls, lengths_m: Sequence[float], vehicles: Sequence[int]) -> QueueStats:
        """Sum up what was seen at each look."""
        return cls(
            percentile(lengths_m, 0.95),
            max(lengths_m, default=0.0),
            percentile(vehicles, 0.95),
            float(max(vehicles, default=0)),
        )


class QueueSampler:
    """Queues of each approach, looked at every 5 s of a SUMO run.

    A vehicle is in the queue when it is slower than 5 km/h on a lane that leads to the stop line,
    on whichever edge between the previous signal (or the entry) and the junction, and does not
    stand at a bus stop. The queue's length is the distance from the stop line to the rear of the
    last such vehicle, the longest of the approach's lanes. Vehicles that wait outside the net for
    room count as vehicles, and add no length. This is the simulator's truth, not what detectors
    report: they end at 150 m.

    Args:
        sumo: ``libsumo`` or ``traci``, its run started.
        junction: The judged junction.
        schedule: Says which leg vehicles outside the net wait for.
    """

    def __init__(self, sumo: ModuleType, junction: Junction, schedule: Schedule) -> None:
        self._sumo = sumo
        self._schedule = schedule
        self._reach = approach_lanes(sumo, junction, upstream_lanes(sumo))
        self.times_s: list[float] = []
        self.lengths_m: dict[str, list[float]] = {leg: [] for leg in self._reach}
        self.vehicles: dict[str, list[int]] = {leg: [] for leg in self._reach}

    def sample(self) -> None:
        """Look at the queues now."""
        lanes, vehicles = self._sumo.lane, self._sumo.vehicle
        outside: defaultdict[str, int] = defaultdict(int)
        for name in self._sumo.simulation.getPendingVehicles():
            outside[self._schedule.leg_of(name)] += 1
        self.times_s.append(float(self._sumo.simulation.getTime()))
        for leg, reach in self._reach.items():
            count, length_m = outside[leg], 0.0
            for lane, stop_line_m in reach:
                for name in lanes.getLastStepVehicleIDs(lane):
                    if vehicles.getSpeed(name) < QUEUE_SPEED_MPS and not vehicles.isStopped(name):
                        count += 1
                        front_m = stop_line_m - vehicles.getLanePosition(name)
                        length_m = max(length_m, front_m + vehicles.getLength(name))
            self.lengths_m[leg].append(length_m)
            self.vehicles[leg].append(count)

    def stats(self) -> dict[str, QueueStats]:
        """By leg."""
        return {leg: QueueStats.of(self.lengths_m[leg], self.vehicles[leg]) for leg in self._reach}

    def series(self, step_s: int = 30) -> dict[str, Any]:
        """The timeline of queue lengths, thinned: the longest of each `step_s`.

        Returns:
            ``time_s`` (end of each step) and ``queue_m`` by leg.
        """
        return thinned(self.times_s, self.lengths_m, step_s)


def percentile(values: Iterable[float], share: float) -> float:
    """The smallest value that at least `share` of all values do not exceed; 0 of none."""
    ordered = sorted(values)
    if not ordered:
        return 0.0
    rank = -(-len(ordered) * share // 1)
    return float(ordered[max(int(rank), 1) - 1])


def thinned(
    times_s: Sequence[float], lengths_m: Mapping[str, Sequence[float]], step_s: int
) -> dict[str, Any]:
    """Queue lengths by name, the longest of each `step_s`, see `QueueSampler.series`."""
    size = max(step_s // QUEUE_SAMPLE_S, 1)
    starts = range(0, len(times_s), size)
    return {
        "time_s": [times_s[start : start + size][-1] for start in starts],
        "queue_m": {
            name: [round(max(values[start : start + size]), 1) for start in starts]
            for name, values in lengths_m.items()
        },
    }


def upstream_lanes(sumo: ModuleType) -> Mapping[str, list[str]]:
    """Each lane's upstream lanes, as far as no signal stands between."""
    signalled = {
        link[0][0]
        for light in sumo.trafficlight.getIDList()
        for link in sumo.trafficlight.getControlledLinks(light)
        if link
    }
    before: defaultdict[str, list[str]] = defaultdict(list)
    for lane in sumo.lane.getIDList():
        if not lane.startswith(":") and lane not in signalled:
            for link in sumo.lane.getLinks(lane):
                before[link[0]].append(lane)
    return before


def approach_lanes(
    sumo: ModuleType, junction: Junction, before: Mapping[str, list[str]]
) -> dict[str, Reach]:
    """Each leg's lanes up to the previous signal.

    A lane that leads to several approach lanes belongs to one leg, at its shortest distance.

    Args:
        sumo: ``libsumo`` or ``traci``, its run started.
        junction: The junction.
        before: See `upstream_lanes`.
    """
    reach: dict[str, Reach] = {}
    taken = {lane.id for lane in junction.lanes}
    for leg in dict.fromkeys(lane.leg for lane in junction.lanes):
        found = [
            (lane.id, float(sumo.lane.getLength(lane.id)))
            for lane in junction.lanes
            if lane.leg == leg
        ]
        for lane, begin_m in found:  # grows while it is walked: breadth first, upstream
            for upstream in before.get(lane, ()):
                if upstream not in taken:
                    taken.add(upstream)
                    found.append((upstream, begin_m + float(sumo.lane.getLength(upstream))))
        reach[leg] = found
    return reach

"""What each junction of a network is judged by.

A trip passes several junctions, so that its delay belongs to none of them. A junction is judged by
the time that vehicles lose on its approaches: between the signal upstream (or the entry) and its
stop line, looked at every 5 s. The network as a whole is judged by its trips, see
`signals.metrics`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from signals.capacity import junction_los
from signals.junction import Junction
from signals.queues import (
    GRIDLOCK_S,
    QUEUE_SAMPLE_S,
    QUEUE_SPEED_MPS,
    QueueStats,
    Reach,
    approach_lanes,
    thinned,
    upstream_lanes,
)
from signals.schedule import Schedule, leg_name

_MORE_THAN_RED_S = 60.0


@dataclass(frozen=True, slots=True)
class StreetMetrics:
    """One approach of a junction in a network.

    Attributes:
        vehicles: Vehicles that were seen on it, or waited outside the net for it.
        lost_s: Vehicle seconds lost on it, against free driving at the allowed speed.
        delay_s: ``lost_s`` a vehicle.
        los: KHCM level of service for that delay.
        queue: Its queues.
    """

    vehicles: int
    lost_s: float
    delay_s: float
    los: str
    queue: QueueStats


@dataclass(frozen=True, slots=True)
class JunctionMetrics:
    """One junction in a network; times and vehicles as in `StreetMetrics`, over its approaches.

    Attributes:
        vehicles: Vehicles seen, each once an approach.
        lost_s: Vehicle seconds lost.
        delay_s: ``lost_s`` a vehicle.
        los: KHCM level of service for that delay.
        queue_p95_m: The largest of the approaches' 95th percentiles (m).
        longest_queue_m: The longest queue of any approach (m).
        approaches: By leg.
    """

    vehicles: int
    lost_s: float
    delay_s: float
    los: str
    queue_p95_m: float
    longest_queue_m: float
    approaches: Mapping[str, StreetMetrics]


@dataclass(slots=True)
class _Street:
    """What was seen on one approach so far."""

    name: str
    reach: Reach
    gridlock_s: float
    seen: set[str] = field(default_factory=set)
    lost_s: float = 0.0
    lengths_m: list[float] = field(default_factory=list)
    queued: list[int] = field(default_factory=list)
    there: set[str] = field(default_factory=set)
    still_since_s: float | None = None
    worst_still: tuple[float, int] = (0.0, 0)

    def discharge(self, here: set[str], standing: int, now_s: float) -> None:
        """Note how long vehicles stand while nobody leaves."""
        if self.there - here or not standing:
            self.still_since_s = None
        else:
            if self.still_since_s is None:
                self.still_since_s = now_s
            self.worst_still = max(self.worst_still, (now_s - self.still_since_s, standing))
        self.there = here

    def metrics(self) -> StreetMetrics:
        vehicles = len(self.seen)
        delay_s = self.lost_s / vehicles if vehicles else 0.0
        queue = QueueStats.of(self.lengths_m, self.queued)
        return StreetMetrics(vehicles, self.lost_s, delay_s, junction_los(delay_s), queue)


class NetworkSampler:
    """Looks at every approach of every junction, every 5 s of a SUMO run.

    Queues are those of `signals.queues.QueueSampler`.

    Args:
        sumo: ``libsumo`` or ``traci``, its run started.
        junctions: The judged junctions.
        schedule: Says which approach vehicles outside the net wait for.
    """

    def __init__(self, sumo: ModuleType, junctions: Sequence[Junction], schedule: Schedule) -> None:
        self._sumo = sumo
        self._schedule = schedule
        before = upstream_lanes(sumo)
        self._streets: dict[str, dict[str, _Street]] = {}
        for junction in junctions:
            longest_red_s = max(
                (junction.timing.groups[group.id].max_red_s for group in junction.groups),
                default=0,
            )
            self._streets[junction.id] = {
                leg: _Street(
                    leg_name(junctions, junction, leg),
                    reach,
                    max(GRIDLOCK_S, longest_red_s + _MORE_THAN_RED_S),
                )
                for leg, reach in approach_lanes(sumo, junction, before).items()
            }
        self.times_s: list[float] = []

    def sample(self) -> None:
        """Look at the approaches now."""
        outside: defaultdict[str, list[str]] = defaultdict(list)
        for name in self._sumo.simulation.getPendingVehicles():
            outside[self._schedule.leg_of(name)].append(name)
        now_s = float(self._sumo.simulation.getTime())
        self.times_s.append(now_s)
        for streets in self._streets.values():
            for street in streets.values():
                self._look(street, outside[street.name], now_s)

    def _look(self, street: _Street, outside: list[str], now_s: float) -> None:
        lanes, vehicles = self._sumo.lane, self._sumo.vehicle
        here: set[str] = set()
        standing, length_m, lost = 0, 0.0, 0.0
        for lane, stop_line_m in street.reach:
            for name in lanes.getLastStepVehicleIDs(lane):
                here.add(name)
                if vehicles.isStopped(name):
                    continue
                speed_mps = vehicles.getSpeed(name)
                lost += max(1.0 - speed_mps / max(vehicles.getAllowedSpeed(name), 0.1), 0.0)
                if speed_mps < QUEUE_SPEED_MPS:
                    standing += 1
                    front_m = stop_line_m - vehicles.getLanePosition(name)
                    length_m = max(length_m, front_m + vehicles.getLength(name))
        street.lost_s += QUEUE_SAMPLE_S * (lost + len(outside))
        street.lengths_m.append(length_m)
        street.queued.append(standing + len(outside))
        street.discharge(here, standing, now_s)
        street.seen.update(here, outside)

    def junctions(self) -> dict[str, JunctionMetrics]:
        """The judgement, by junction."""
        found = {}
        for junction, streets in self._streets.items():
            approaches = {leg: street.metrics() for leg, street in streets.items()}
            vehicles = sum(item.vehicles for item in approaches.values())
            lost_s = sum(item.lost_s for item in approaches.values())
            delay_s = lost_s / vehicles if vehicles else 0.0
            queues = [item.queue for item in approaches.values()]
            found[junction] = JunctionMetrics(
                vehicles=vehicles,
                lost_s=lost_s,
                delay_s=delay_s,
                los=junction_los(delay_s),
                queue_p95_m=max((queue.p95_m for queue in queues), default=0.0),
                longest_queue_m=max((queue.longest_m for queue in queues), default=0.0),
                approaches=approaches,
            )
        return found

    def flags(self) -> tuple[str, ...]:
        """Approaches that nobody left for long while vehicles stood there, in words."""
        return tuple(
            f"gridlock: nobody left approach {street.name} for {street.worst_still[0]:.0f} s "
            f"while {street.worst_still[1]} vehicles stood"
            for streets in self._streets.values()
            for street in streets.values()
            if street.worst_still[0] > street.gridlock_s
        )

    def series(self, step_s: int = 30) -> dict[str, Any]:
        """The timeline of queue lengths by approach, see `signals.queues.QueueSampler.series`."""
        lengths_m = {
            street.name: street.lengths_m
            for streets in self._streets.values()
            for street in streets.values()
        }
        return thinned(self.times_s, lengths_m, step_s)

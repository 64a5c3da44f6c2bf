"""What a run is judged by: SUMO's own trip records and the queues on the approaches.

Delay has one definition everywhere: (sum of timeLoss + departDelay over all trips, unfinished
included, + waiting of vehicles never inserted) / all scheduled vehicles, in s/veh. SUMO writes one
trip for each scheduled vehicle when it runs with ``--tripinfo-output.write-unfinished`` and
``--tripinfo-output.write-undeparted``; the departDelay of a vehicle that was never inserted is its
wait until the end of the run. `summarise` holds the trips to the route file, and flags a run in
which a scheduled vehicle left none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from signals.capacity import crosswalk_los, junction_los
from signals.junction import Junction
from signals.network_metrics import JunctionMetrics, NetworkSampler
from signals.queues import QueueSampler
from signals.schedule import ELSEWHERE, Schedule
from signals.trips import ApproachMetrics, Tally, TripReader, incomplete, read_trips


@dataclass(frozen=True)
class RunMetrics:
    """What one run is judged by; times in seconds, nothing is None but what was not there.

    Attributes:
        vehicles: All scheduled vehicles.
        delay_s: Delay (s/veh), see the module.
        los: KHCM level of service of the junction; None for a network.
        stops: Stops per vehicle (SUMO's waitingCount).
        arrived: Vehicles that finished.
        throughput_veh_h: Arrivals per hour.
        unfinished: Inserted, not arrived at the end.
        never_inserted: Scheduled, never inserted.
        longest_wait_s: Largest sum of standing time and departDelay of one vehicle.
        worst_junction: The junction with the greatest delay a vehicle; the only one of a single.
        worst_junction_delay_s: Its delay (s/veh); of a network see `JunctionMetrics.delay_s`.
        pedestrians: People on foot who set out.
        pedestrian_delay_s: Mean time lost by one of them; a walk that did not end counts the time
            that its person stood, because SUMO writes no time loss for it.
        crosswalk_los: KHCM level of service for that delay.
        longest_pedestrian_wait_s: Longest standing time of one person.
        buses: Scheduled buses.
        bus_delay_s: Delay of buses (s/bus).
        person_delay_s: Delay of all people: vehicle delays times occupants and pedestrian delays.
        co2_g: CO2 per scheduled vehicle (g), None without emissions.
        approaches: By leg; empty for a network.
        queue_p95_m: The largest of the approaches' 95th percentiles (m).
        longest_queue_m: The longest queue of any approach (m).
        teleports: Vehicles that SUMO took off the street and put down elsewhere.
        collisions: Pairs of vehicles that collided.
        flags: What makes the run suspect, in words; empty for a sound run.
        junctions: By junction of a network; empty for a single one.
    """

    vehicles: int
    delay_s: float
    los: str | None
    stops: float
    arrived: int
    throughput_veh_h: float
    unfinished: int
    never_inserted: int
    longest_wait_s: float
    worst_junction: str
    worst_junction_delay_s: float
    pedestrians: int
    pedestrian_delay_s: float | None
    crosswalk_los: str | None
    longest_pedestrian_wait_s: float | None
    buses: int
    bus_delay_s: float | None
    person_delay_s: float | None
    co2_g: float | None
    approaches: Mapping[str, ApproachMetrics]
    queue_p95_m: float | None
    longest_queue_m: float | None
    teleports: int
    collisions: int
    flags: tuple[str, ...]
    junctions: Mapping[str, JunctionMetrics] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        data = asdict(self)
        data["flags"] = list(self.flags)
        return data


@dataclass
class Incidents:
    """What must not happen in a sound run, counted second by second.

    Attributes:
        teleports: Vehicles that SUMO took off the street to dissolve a jam.
        collisions: Pairs of vehicles that collided.
    """

    teleports: int = 0
    collisions: set[tuple[str, str]] = field(default_factory=set)

    def watch(self, sumo: ModuleType) -> None:
        """Count those of the last second.

        Args:
            sumo: ``libsumo`` or ``traci``.
        """
        self.teleports += sumo.simulation.getStartingTeleportNumber()
        for collision in sumo.simulation.getCollisions():
            self.collisions.add((collision.collider, collision.victim))


def summarise(
    trips_file: Path,
    junction: Junction,
    schedule: Schedule,
    begin_s: float,
    end_s: float,
    queues: QueueSampler | None = None,
    incidents: Incidents | None = None,
) -> RunMetrics:
    """Judge a run by its trip records.

    Args:
        trips_file: SUMO tripinfo XML, written with unfinished and undeparted vehicles.
        junction: The judged junction.
        schedule: Its demand day.
        begin_s: Begin of the run (clock seconds).
        end_s: End of the run (clock seconds).
        queues: Queues sampled during the run.
        incidents: Teleports and collisions seen during the run.

    Raises:
        SimulationError: The records cannot be read.
    """
    reader = read_trips(trips_file, schedule, end_s)
    seen = incidents or Incidents()
    flags = _flags(reader.legs, begin_s, end_s, seen) + incomplete(reader, schedule, end_s)
    sampled = queues.stats() if queues else {}
    legs = list(dict.fromkeys(lane.leg for lane in junction.lanes))
    if ELSEWHERE in reader.legs:
        legs.append(ELSEWHERE)
    found = _judged(reader, begin_s, end_s, seen, flags)
    return replace(
        found,
        los=junction_los(found.delay_s),
        worst_junction=junction.id,
        worst_junction_delay_s=found.delay_s,
        approaches={leg: reader.legs[leg].approach(sampled.get(leg)) for leg in legs},
        queue_p95_m=max((stats.p95_m for stats in sampled.values()), default=None),
        longest_queue_m=max((stats.longest_m for stats in sampled.values()), default=None),
    )


def summarise_network(
    trips_file: Path,
    schedule: Schedule,
    begin_s: float,
    end_s: float,
    sampler: NetworkSampler,
    incidents: Incidents | None = None,
) -> RunMetrics:
    """Judge a run of several junctions: the network by its trips, each junction by its approaches.

    Args:
        trips_file: As for `summarise`.
        schedule: The demand day, read for all junctions.
        begin_s: Begin of the run (clock seconds).
        end_s: End of the run (clock seconds).
        sampler: What was seen on the approaches.
        incidents: Teleports and collisions seen during the run.

    Raises:
        SimulationError: The records cannot be read.
    """
    reader = read_trips(trips_file, schedule, end_s)
    seen = incidents or Incidents()
    flags = sampler.flags() + _flags({}, begin_s, end_s, seen)
    flags += incomplete(reader, schedule, end_s)
    junctions = sampler.junctions()
    worst = max(junctions, key=lambda name: junctions[name].delay_s, default="")
    return replace(
        _judged(reader, begin_s, end_s, seen, flags),
        worst_junction=worst,
        worst_junction_delay_s=junctions[worst].delay_s if worst else 0.0,
        queue_p95_m=max((item.queue_p95_m for item in junctions.values()), default=None),
        longest_queue_m=max((item.longest_queue_m for item in junctions.values()), default=None),
        junctions=junctions,
    )


def _judged(
    reader: TripReader, begin_s: float, end_s: float, seen: Incidents, flags: tuple[str, ...]
) -> RunMetrics:
    """What the trips alone say."""
    total = reader.total
    whole = total.approach(None)
    pedestrian_delay_s = _mean(reader.walkers_lost_s)
    heads = reader.persons + len(reader.walkers_lost_s)
    return RunMetrics(
        vehicles=total.vehicles,
        delay_s=whole.delay_s,
        los=None,
        stops=whole.stops,
        arrived=total.arrived,
        throughput_veh_h=total.arrived * 3600.0 / (end_s - begin_s),
        unfinished=total.unfinished,
        never_inserted=total.never_inserted,
        longest_wait_s=reader.longest_wait_s,
        worst_junction="",
        worst_junction_delay_s=0.0,
        pedestrians=len(reader.walkers_lost_s),
        pedestrian_delay_s=pedestrian_delay_s,
        crosswalk_los=None if pedestrian_delay_s is None else crosswalk_los(pedestrian_delay_s),
        longest_pedestrian_wait_s=max(reader.walkers_waited_s, default=None),
        buses=len(reader.buses_lost_s),
        bus_delay_s=_mean(reader.buses_lost_s),
        person_delay_s=(
            (reader.persons_lost_s + sum(reader.walkers_lost_s)) / heads if heads else None
        ),
        co2_g=reader.co2_mg / 1000.0 / total.vehicles
        if reader.has_emissions and total.vehicles
        else None,
        approaches={},
        queue_p95_m=None,
        longest_queue_m=None,
        teleports=seen.teleports,
        collisions=len(seen.collisions),
        flags=flags,
    )


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _flags(
    legs: Mapping[str, Tally], begin_s: float, end_s: float, seen: Incidents
) -> tuple[str, ...]:
    found = []
    for leg, tally in sorted(legs.items()):
        stuck = tally.gridlock(begin_s, end_s)
        if stuck is not None:
            found.append(
                f"gridlock: nobody from {leg} arrived for {stuck[0]:.0f} s "
                f"while {stuck[1]} vehicles stood"
            )
    if seen.teleports:
        found.append(f"teleports: {seen.teleports} vehicles")
    if seen.collisions:
        found.append(f"collisions: {len(seen.collisions)}")
    return tuple(found)

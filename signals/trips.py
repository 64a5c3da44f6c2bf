"""SUMO's trip records of a run, added up for each leg and for all.

SUMO writes one trip for each scheduled vehicle when it runs with
``--tripinfo-output.write-unfinished`` and ``--tripinfo-output.write-undeparted``; the departDelay
of a vehicle that was never inserted is its wait until the end of the run.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from signals.capacity import junction_los
from signals.errors import SimulationError
from signals.queues import GRIDLOCK_S, QueueStats
from signals.schedule import Schedule


@dataclass(frozen=True, slots=True)
class ApproachMetrics:
    """One leg of the junction (접근로).

    Attributes:
        vehicles: Scheduled vehicles.
        delay_s: Delay (s/veh).
        los: KHCM level of service.
        stops: Stops per vehicle.
        unfinished: Inserted, not arrived.
        never_inserted: Scheduled, never inserted.
        queue: Queues, None when nobody sampled them.
    """

    vehicles: int
    delay_s: float
    los: str
    stops: float
    unfinished: int
    never_inserted: int
    queue: QueueStats | None


@dataclass(slots=True)
class Tally:
    """Vehicles of one leg, or of all."""

    vehicles: int = 0
    lost_s: float = 0.0
    stops: int = 0
    arrived: int = 0
    never_inserted: int = 0
    arrivals_s: list[float] = field(default_factory=list)
    waiters: list[tuple[float, float]] = field(default_factory=list)

    @property
    def unfinished(self) -> int:
        """Inserted, not arrived at the end."""
        return self.vehicles - self.arrived - self.never_inserted

    def approach(self, queue: QueueStats | None) -> ApproachMetrics:
        """What a leg is judged by.

        Args:
            queue: Its queues, None when nobody sampled them.
        """
        delay_s = self.lost_s / self.vehicles if self.vehicles else 0.0
        return ApproachMetrics(
            self.vehicles,
            delay_s,
            junction_los(delay_s),
            self.stops / self.vehicles if self.vehicles else 0.0,
            self.unfinished,
            self.never_inserted,
            queue,
        )

    def gridlock(self, begin_s: float, end_s: float) -> tuple[float, int] | None:
        """The longest time without an arrival in which somebody stood all along, and how many."""
        marks = [begin_s, *sorted(self.arrivals_s), end_s]
        worst: tuple[float, int] | None = None
        for start_s, stop_s in pairwise(marks):
            if stop_s - start_s <= max(GRIDLOCK_S, worst[0] if worst else 0.0):
                continue
            there = sum(due_s <= start_s and gone_s >= stop_s for due_s, gone_s in self.waiters)
            if there:
                worst = (stop_s - start_s, there)
        return worst


class TripReader:
    """Adds up a tripinfo file.

    Args:
        schedule: The demand day.
        end_s: End of the run (clock seconds).

    Attributes:
        seen: Vehicles that left a trip.
        total: All vehicles.
        legs: Vehicles by the leg that they came from.
        longest_wait_s: Largest sum of standing time and departDelay of one vehicle.
        buses_lost_s: Time lost by each bus (s).
        persons: People in vehicles.
        persons_lost_s: What they lost together (s).
        walkers_lost_s: Time lost by each person on foot (s); a walk that did not end counts the
            time that its person stood.
        walkers_waited_s: Standing time of each (s).
        co2_mg: CO2 of all vehicles (mg).
        has_emissions: Whether SUMO wrote emissions.
    """

    def __init__(self, schedule: Schedule, end_s: float) -> None:
        self._schedule = schedule
        self._end_s = end_s
        self.seen: set[str] = set()
        self.total = Tally()
        self.legs: defaultdict[str, Tally] = defaultdict(Tally)
        self.longest_wait_s = 0.0
        self.buses_lost_s: list[float] = []
        self.persons = 0.0
        self.persons_lost_s = 0.0
        self.walkers_lost_s: list[float] = []
        self.walkers_waited_s: list[float] = []
        self.co2_mg = 0.0
        self.has_emissions = False

    def read(self, trips_file: Path) -> None:
        """Add every trip and every walk of the file."""
        for _, element in ET.iterparse(trips_file):
            if element.tag == "tripinfo":
                self._vehicle(element)
            elif element.tag == "personinfo":
                self._person(element)
            if element.tag in ("tripinfo", "personinfo"):
                element.clear()

    def _vehicle(self, element: ET.Element) -> None:
        name = element.attrib["id"]
        depart_s, arrival_s = float(element.attrib["depart"]), float(element.attrib["arrival"])
        held_s = float(element.attrib["departDelay"])
        lost_s = float(element.attrib["timeLoss"]) + held_s
        waited_s = float(element.attrib["waitingTime"]) + held_s
        inserted = depart_s >= 0.0
        arrived = arrival_s >= 0.0 and not element.get("vaporized")
        self.seen.add(name)
        for tally in (self.total, self.legs[self._schedule.leg_of(name)]):
            tally.vehicles += 1
            tally.lost_s += lost_s
            tally.stops += int(element.attrib["waitingCount"])
            tally.arrived += arrived
            tally.never_inserted += not inserted
            if arrived:
                tally.arrivals_s.append(arrival_s)
            if waited_s > GRIDLOCK_S:
                due_s = (depart_s if inserted else self._end_s) - held_s
                tally.waiters.append((due_s, arrival_s if arrived else self._end_s))
        self.longest_wait_s = max(self.longest_wait_s, waited_s)
        persons = self._schedule.persons_in(name)
        self.persons += persons
        self.persons_lost_s += persons * lost_s
        if element.get("vType", "").partition("@")[0] in self._schedule.bus_types:
            self.buses_lost_s.append(lost_s)
        emissions = element.find("emissions")
        if emissions is not None:
            self.has_emissions = True
            self.co2_mg += float(emissions.attrib["CO2_abs"])

    def _person(self, element: ET.Element) -> None:
        if float(element.attrib["depart"]) < 0.0:
            return  # SUMO reads ahead: people due after the end of the run
        lost_s = 0.0
        for walk in element.iter("walk"):
            ended = float(walk.attrib["arrival"]) >= 0.0
            lost_s += float(walk.attrib["timeLoss" if ended else "waitingTime"])
        self.walkers_lost_s.append(lost_s)
        self.walkers_waited_s.append(float(element.attrib["waitingTime"]))


def read_trips(trips_file: Path, schedule: Schedule, end_s: float) -> TripReader:
    """Add up the records of a run.

    Args:
        trips_file: SUMO tripinfo XML, written with unfinished and undeparted vehicles.
        schedule: The demand day.
        end_s: End of the run (clock seconds).

    Raises:
        SimulationError: The records cannot be read.
    """
    reader = TripReader(schedule, end_s)
    try:
        reader.read(trips_file)
    except (OSError, ET.ParseError, KeyError, ValueError) as error:
        raise SimulationError(
            f"SUMO's records of the run cannot be read: {trips_file}: {error}"
        ) from error
    return reader


def incomplete(reader: TripReader, schedule: Schedule, end_s: float) -> tuple[str, ...]:
    """A flag where a vehicle that should have set out left no trip."""
    lost = schedule.scheduled(end_s) - reader.seen
    if not lost:
        return ()
    return (f"incomplete: {len(lost)} scheduled vehicles left no trip, e.g. {min(lost)}",)

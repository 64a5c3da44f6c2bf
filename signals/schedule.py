"""What is due: the vehicles of a demand day, read from SUMO's own route file."""

from __future__ import annotations

import gzip
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from signals.errors import InputError
from signals.junction import Junction

ELSEWHERE: Final = "elsewhere"
"""Leg of vehicles whose route does not enter the junction, or is not in the route file."""


def leg_name(junctions: Sequence[Junction], junction: Junction, leg: str) -> str:
    """Name of a leg among all judged ones: bare, or in a network with the junction before it."""
    return leg if len(junctions) == 1 else f"{junction.id}/{leg}"


@dataclass(frozen=True)
class Schedule:
    """What the route file of a demand day says of each vehicle; SUMO's trip records do not.

    Attributes:
        legs: Vehicle, trip or flow id to the leg of the junction that its route enters by; of
            several junctions the first on its way, named ``JUNCTION/LEG`` (see `leg_name`).
        persons: Vehicle id to its occupants, driver included (the parameter ``persons`` of the
            vehicle, else of its type, else 1).
        bus_types: Vehicle types of class ``bus``.
        departures: Vehicle id to scheduled departure (s); None when flows leave that to SUMO.
    """

    legs: Mapping[str, str]
    persons: Mapping[str, float]
    bus_types: frozenset[str]
    departures: Mapping[str, float] | None

    @classmethod
    def read(
        cls,
        route_file: Path,
        junction: Junction | Sequence[Junction],
        additional_files: Sequence[Path] = (),
    ) -> Schedule:
        """Read a route file, and vehicle types and routes from additional files.

        Args:
            route_file: SUMO routes: vehicles, trips or flows.
            junction: Its approach lanes say which edge belongs to which leg; or several of them.
            additional_files: Further SUMO inputs of the run.

        Raises:
            InputError: One of the files is missing or no XML.
        """
        several = (junction,) if isinstance(junction, Junction) else tuple(junction)
        reader = _ScheduleReader(several)
        for file in (*additional_files, route_file):
            try:
                with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as stream:
                    reader.read(stream)
            except (OSError, ET.ParseError, KeyError, ValueError) as error:
                reason = getattr(error, "strerror", None) or error
                raise InputError(f"cannot read {file}: {reason}; give a SUMO XML file") from error
        return cls(
            reader.legs,
            reader.persons,
            frozenset(reader.bus_types),
            None if reader.has_flows else reader.departures,
        )

    def leg_of(self, vehicle: str) -> str:
        """The leg of a vehicle; copies made by flows and ``--scale`` go where the original does."""
        return self.legs.get(vehicle) or self.legs.get(vehicle.rpartition(".")[0], ELSEWHERE)

    def persons_in(self, vehicle: str) -> float:
        """Occupants of a vehicle."""
        found = self.persons.get(vehicle)
        return self.persons.get(vehicle.rpartition(".")[0], 1.0) if found is None else found

    def scheduled(self, end_s: float) -> frozenset[str]:
        """Vehicles due before the end of the run; empty when flows leave that to SUMO."""
        if self.departures is None:
            return frozenset()
        return frozenset(name for name, due_s in self.departures.items() if due_s < end_s)


class _ScheduleReader:
    """Collects the parts of a `Schedule` in the order in which SUMO would meet them."""

    def __init__(self, junctions: Sequence[Junction]) -> None:
        self.legs: dict[str, str] = {}
        self.persons: dict[str, float] = {}
        self.bus_types: set[str] = set()
        self.departures: dict[str, float] = {}
        self.has_flows = False
        self._routes: dict[str, str] = {}
        self._type_persons: dict[str, float] = {}
        self._leg_of_edge = {
            lane.id.rpartition("_")[0]: leg_name(junctions, junction, lane.leg)
            for junction in junctions
            for lane in junction.lanes
        }

    def read(self, stream: IO[bytes] | gzip.GzipFile) -> None:
        for _, element in ET.iterparse(stream):
            if element.tag == "vType":
                self._type(element)
            elif element.tag == "route" and "id" in element.attrib:
                self._routes[element.attrib["id"]] = self._leg(element.get("edges", ""))
            elif element.tag in ("vehicle", "trip", "flow"):
                self._vehicle(element)
            if element.tag not in ("param", "route"):  # those belong to the element around them
                element.clear()

    def _type(self, element: ET.Element) -> None:
        name = element.attrib["id"]
        if element.get("vClass") == "bus":
            self.bus_types.add(name)
        self._type_persons[name] = _persons(element, 1.0)

    def _vehicle(self, element: ET.Element) -> None:
        name = element.attrib["id"]
        inner = element.find("route")
        if inner is not None:
            leg = self._leg(inner.get("edges", ""))
        elif "route" in element.attrib:
            leg = self._routes.get(element.attrib["route"], ELSEWHERE)
        else:
            ends = (element.get("from", ""), element.get("via", ""), element.get("to", ""))
            leg = self._leg(" ".join(ends))
        self.legs[name] = leg
        self.persons[name] = _persons(element, self._type_persons.get(element.get("type", ""), 1.0))
        try:
            self.departures[name] = float(element.attrib["depart"])
        except (KeyError, ValueError):  # a flow, or a departure SUMO is to work out
            self.has_flows = True

    def _leg(self, edges: str) -> str:
        return next(
            (self._leg_of_edge[edge] for edge in edges.split() if edge in self._leg_of_edge),
            ELSEWHERE,
        )


def _persons(element: ET.Element, default: float) -> float:
    for parameter in element.iter("param"):
        if parameter.get("key") == "persons":
            return float(parameter.get("value", default))
    return default

"""SUMO route and additional files: read, held against the net, and put together into one demand."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

from signals.errors import JunctionError, ScenarioError
from signals.netreader import Finding
from signals.netreading.net import SumoNet, read_xml

Element = ElementTree.Element

DEFINITIONS = ("vType", "vTypeDistribution", "route", "routeDistribution")
MOVERS = ("vehicle", "trip", "flow", "person", "personFlow", "container", "containerFlow")
_FLOWS = ("flow", "personFlow", "containerFlow")
_FURNITURE = (
    "busStop",
    "trainStop",
    "containerStop",
    "parkingArea",
    "chargingStation",
    "overheadWireSegment",
    "stoppingPlace",
    "taz",
    "rerouter",
    "variableSpeedSign",
    "calibrator",
)
_WORDS = ("triggered", "containerTriggered", "begin", "now", "split")
_AFTER_LAST_S = 300


@dataclass
class Inputs:
    """What the files hold.

    Attributes:
        definitions: Vehicle types, routes and their distributions, in file order.
        movers: Vehicles, trips, flows, persons, in order of departure.
        furniture: Stops and whatever else stands in the street.
        programs: Signal programs (tlLogic) of additional files.
        findings: What was left out.
    """

    definitions: list[Element] = field(default_factory=list)
    movers: list[Element] = field(default_factory=list)
    furniture: list[Element] = field(default_factory=list)
    programs: list[Element] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def read_inputs(routes: Sequence[Path], additional: Sequence[Path], net: SumoNet) -> Inputs:
    """Read all files and check that they belong to the net.

    Args:
        routes: Route files.
        additional: Additional files; demand in them counts, detectors and outputs are left out.
        net: The net.

    Raises:
        ScenarioError: A file is broken, no SUMO file of its kind, or made for another net.
    """
    found = Inputs()
    for file in (*additional, *routes):
        is_routes = file in routes
        root = _root(file, "SUMO routes" if is_routes else "a SUMO additional file")
        dropped: dict[str, int] = {}
        here: list[Element] = []
        for element in root:
            if element.tag in DEFINITIONS:
                found.definitions.append(element)
                here.append(element)
            elif element.tag in MOVERS:
                found.movers.append(element)
                here.append(element)
            elif element.tag in _FURNITURE:
                found.furniture.append(element)
            elif element.tag == "tlLogic":
                found.programs.append(element)
            else:
                dropped[element.tag] = dropped.get(element.tag, 0) + 1
        _check_edges(file, here, net)
        found.findings += [
            Finding("", "dropped", f"{file.name}: {count} <{tag}> left out")
            for tag, count in sorted(dropped.items())
        ]
        if is_routes and not any(item.tag in MOVERS for item in here):
            found.findings.append(Finding("", "demand", f"{file.name}: nobody travels in it"))
    found.movers.sort(key=lambda item: start_s(item) or 0.0)
    return found


def _root(file: Path, what: str) -> Element:
    try:
        # SUMO takes any root in a route file; what is something else is told by its name.
        root = read_xml(file, None, what)
    except JunctionError as error:
        raise ScenarioError(str(error)) from error
    if root.tag in ("net", "configuration", "sumoConfiguration", "html", "osm", "tripinfos"):
        raise ScenarioError(f"{file} holds <{root.tag}>, expected <routes>; give {what}")
    return root


def seconds(text: str) -> float | None:
    """A SUMO time in seconds: a number or ``[D:]H:M:S``; None for words such as ``triggered``.

    Raises:
        ScenarioError: It is neither.
    """
    if text in _WORDS:
        return None
    parts = text.split(":")
    try:
        numbers = [float(part) for part in parts]
        if len(numbers) > 4 or not all(math.isfinite(number) for number in numbers):
            raise ValueError
    except ValueError:
        raise ScenarioError(
            f"time '{text}' in the routes; allowed: seconds, [days:]hours:minutes:seconds, or one "
            f"of {', '.join(_WORDS)}"
        ) from None
    total = 0.0
    for number, weight in zip(reversed(numbers), (1, 60, 3600, 86400), strict=False):
        total += number * weight
    return total


def start_s(element: Element) -> float | None:
    """When a mover sets out, or a flow begins (s); None when SUMO works it out."""
    if element.tag in _FLOWS:
        return seconds(element.get("begin", "0"))
    return seconds(element.get("depart", "0"))


def flow_end_s(element: Element) -> float | None:
    """When a flow ends (s), None when it goes on."""
    text = element.get("end")
    if text is not None:
        return seconds(text)
    number, period = element.get("number"), element.get("period")
    if number is not None and period is not None:
        try:
            return (start_s(element) or 0.0) + float(number) * float(period)
        except ValueError:
            return None
    return None


def window_s(
    movers: Iterable[Element], begin_s: float | None, end_s: float | None
) -> tuple[int, int]:
    """Begin and end of the run: what is given, else the first departure to 5 min after the last.

    Raises:
        ScenarioError: The end is not after the begin, or nobody travels within.
    """
    starts, ends = [], []
    for mover in movers:
        start = start_s(mover)
        if start is None:
            continue
        starts.append(start)
        ends.append(max(start, flow_end_s(mover) or start) if mover.tag in _FLOWS else start)
    if not starts:
        raise ScenarioError(
            "nobody travels in the routes; give --routes with vehicles, trips, flows or persons"
        )
    begin = math.floor(min(starts)) if begin_s is None else math.floor(begin_s)
    end = math.ceil(max(ends)) + _AFTER_LAST_S if end_s is None else math.ceil(end_s)
    if end <= begin:
        raise ScenarioError(f"--end is {end}, --begin {begin} s; give an end after the begin")
    if not any(
        start < end and max(start, last) >= begin for start, last in zip(starts, ends, strict=True)
    ):
        raise ScenarioError(
            f"nobody travels between {begin} and {end} s; the routes hold departures from "
            f"{min(starts):g} to {max(ends):g} s"
        )
    return begin, end


def _check_edges(file: Path, elements: Sequence[Element], net: SumoNet) -> None:
    lost: dict[str, str] = {}
    broken: list[str] = []
    known: set[str] = set()
    onward = _neighbours(net)
    for element in elements:
        name = f"{element.tag} '{element.get('id', '?')}'"
        for edges, is_route in _edges_of(element):
            for edge in edges:
                if edge in net.edges:
                    known.add(edge)
                else:
                    lost.setdefault(edge, name)
            if is_route:
                for before, after in pairwise(edges):
                    if before in onward and after in net.edges and after not in onward[before]:
                        broken.append(f"{name} goes from edge '{before}' to '{after}'")
    if lost:
        edge, name = next(iter(lost.items()))
        raise ScenarioError(
            f"{file} does not belong to net {net.file}: {name} uses edge '{edge}', and "
            f"{len(lost)} of the {len(lost) + len(known)} edges it names are not in the net; "
            "give the routes that were made for this net"
        )
    if broken:
        raise ScenarioError(
            f"{file} does not fit net {net.file}: {broken[0]}, which no connection joins"
            + (f" (and {len(broken) - 1} more)" if len(broken) > 1 else "")
            + "; give the routes that were made for this net"
        )


def _neighbours(net: SumoNet) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {
        name: set() for name, edge in net.edges.items() if not edge.function
    }
    for connections in net.leaving.values():
        for connection in connections:
            if connection.from_edge in found:
                found[connection.from_edge].add(connection.to_edge)
    return found


def _edges_of(element: Element) -> Iterator[tuple[list[str], bool]]:
    """Edges that an element names, and whether they are a route that vehicles drive."""
    for part in element.iter():
        edges = part.get("edges")
        if edges is not None:
            yield edges.split(), part.tag == "route"
        if part.tag in (*MOVERS, "walk", "ride", "personTrip", "transport", "stop"):
            ends = [part.get(name, "") for name in ("from", "to", "edge")]
            yield [edge for edge in (*ends, *part.get("via", "").split()) if edge], False
            lane = part.get("lane")
            if lane:
                yield [lane.rpartition("_")[0]], False

"""A SUMO net file as plain records: nodes, edges, lanes, connections and signal programs.

It needs no SUMO and keeps the last nets that were read, because one net holds many lights.
"""

from __future__ import annotations

import gzip
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from xml.etree import ElementTree

from signals.errors import JunctionError

Point = tuple[float, float]

_RAILS = ("tram", "rail_urban", "rail", "rail_electric", "rail_fast", "subway")


@dataclass(frozen=True, slots=True)
class NetLane:
    """A lane; ``uses`` is who it is for: ``vehicle``, ``bus``, ``tram`` or ``path``."""

    id: str
    edge: str
    index: int
    speed_mps: float
    length_m: float
    width_m: float
    shape: tuple[Point, ...]
    uses: str


@dataclass(frozen=True, slots=True)
class NetEdge:
    """An edge; ``function`` is empty for a street."""

    id: str
    function: str
    start: str
    end: str
    lanes: tuple[NetLane, ...]

    @property
    def shape(self) -> tuple[Point, ...]:
        """The axis: the middle lane, or the mean of all lanes when their number is even."""
        count = len(self.lanes)
        if count % 2:
            return self.lanes[count // 2].shape
        points = min((len(lane.shape) for lane in self.lanes), default=0)
        return tuple(
            (
                sum(lane.shape[step][0] for lane in self.lanes) / count,
                sum(lane.shape[step][1] for lane in self.lanes) / count,
            )
            for step in range(points)
        )


@dataclass(frozen=True, slots=True)
class NetNode:
    """A node with its right-of-way matrix.

    Attributes:
        id: Node id.
        type: SUMO's type, e.g. ``traffic_light`` or ``rail_crossing``.
        centre: Position (m).
        incoming: Incoming lanes in the order of the matrix.
        rows: Inner lane to its row of the matrix; empty in a net without inner lanes.
        foes: Row to the rows that cross or merge.
        yields: Row to the rows it gives way to.
    """

    id: str
    type: str
    centre: Point
    incoming: tuple[str, ...]
    rows: Mapping[str, int]
    foes: Mapping[int, frozenset[int]]
    yields: Mapping[int, frozenset[int]]

    @property
    def signalised(self) -> bool:
        """Whether road traffic meets a light here."""
        return self.type.startswith("traffic_light")


@dataclass(frozen=True, slots=True)
class NetConnection:
    """One lane to one lane; ``tls`` is empty where nothing controls it."""

    from_edge: str
    from_lane: str
    to_edge: str
    to_lane: str
    via: str
    tls: str
    index: int
    direction: str


@dataclass(frozen=True, slots=True)
class NetProgram:
    """One signal program (tlLogic): seconds and state string of each phase, in order."""

    tls: str
    id: str
    type: str
    offset_s: float
    phases: tuple[tuple[float, str], ...]


@dataclass
class SumoNet:
    """Everything the reader needs of a net.

    Attributes:
        file: Where it came from.
        left_hand: Whether traffic drives on the left.
        nodes: By id.
        edges: By id, inner ones included.
        lanes: By id.
        leaving: Lane id to the connections that leave it.
        entering: Lane id to the connections that enter it.
        controlled: Light id to its connections.
        programs: Light id to its programs.
    """

    file: Path
    left_hand: bool = False
    nodes: dict[str, NetNode] = field(default_factory=dict)
    edges: dict[str, NetEdge] = field(default_factory=dict)
    lanes: dict[str, NetLane] = field(default_factory=dict)
    leaving: dict[str, list[NetConnection]] = field(default_factory=lambda: defaultdict(list))
    entering: dict[str, list[NetConnection]] = field(default_factory=lambda: defaultdict(list))
    controlled: dict[str, list[NetConnection]] = field(default_factory=lambda: defaultdict(list))
    programs: dict[str, list[NetProgram]] = field(default_factory=lambda: defaultdict(list))

    @property
    def lights(self) -> tuple[str, ...]:
        """Ids of all lights, those with programs first, in file order."""
        return tuple(dict.fromkeys((*self.programs, *self.controlled)))


def read_net(net_file: Path) -> SumoNet:
    """Read a net, or take it from memory when the file did not change.

    Args:
        net_file: SUMO net, plain or gzipped.

    Raises:
        JunctionError: The file is missing, is no XML, or is no net.
    """
    try:
        stamp = net_file.stat()
    except OSError as error:
        raise JunctionError(f"net {net_file} does not exist; give a SUMO net file") from error
    return _read(net_file.resolve(), net_file, stamp.st_mtime_ns, stamp.st_size)


@lru_cache(maxsize=4)
def _read(_resolved: Path, net_file: Path, _mtime_ns: int, _size: int) -> SumoNet:
    net = SumoNet(net_file)
    root = read_xml(net_file, "net", "a SUMO net, made by netconvert")
    try:
        net.left_hand = root.get("lefthand") in ("true", "1")
        for element in root:
            if element.tag == "edge":
                _edge(net, element)
            elif element.tag == "junction":
                _node(net, element)
            elif element.tag == "connection":
                _connection(net, element)
        for program in programs_of(root):
            net.programs[program.tls].append(program)
        _check(net)
    except (KeyError, ValueError) as error:
        raise JunctionError(
            f"{net_file} is no SUMO net: {error!r}; make it with netconvert"
        ) from error
    return net


def read_xml(file: Path, root_tag: str | None, what: str) -> ElementTree.Element:
    """The root of an XML file, plain or gzipped.

    Args:
        file: The file.
        root_tag: Tag that the root must have, None for any.
        what: What the file should be, for the message.

    Raises:
        JunctionError: The file cannot be read, is broken, or holds something else.
    """
    try:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as stream:
            root = ElementTree.parse(stream).getroot()
    except ElementTree.ParseError as error:
        raise JunctionError(
            f"{file} is no well-formed XML: {error}; give {what}, complete and in the encoding "
            "that its first line names"
        ) from error
    except (OSError, EOFError, LookupError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise JunctionError(f"{file} cannot be read ({reason}); give {what}") from error
    if root_tag is not None and root.tag != root_tag:
        raise JunctionError(f"{file} holds <{root.tag}>, expected <{root_tag}>; give {what}")
    return root


def programs_of(root: Iterable[ElementTree.Element]) -> list[NetProgram]:
    """The signal programs among the children of a net's or additional file's root.

    Raises:
        KeyError: One has no id.
        ValueError: A duration is no number.
    """
    return [
        NetProgram(
            tls=element.attrib["id"],
            id=element.get("programID", "0"),
            type=element.get("type", "static"),
            offset_s=_number(element.get("offset", "0")),
            phases=tuple(
                (float(phase.get("duration", "1")), phase.attrib["state"])
                for phase in element.findall("phase")
            ),
        )
        for element in root
        if element.tag == "tlLogic"
    ]


def _number(text: str) -> float:
    """A number; SUMO also allows words (``begin``) for an offset, which count as 0."""
    try:
        return float(text)
    except ValueError:
        return 0.0


def _points(text: str) -> tuple[Point, ...]:
    return tuple(
        (float(parts[0]), float(parts[1])) for parts in (item.split(",") for item in text.split())
    )


def _uses(element: ElementTree.Element) -> str:
    allow, disallow = element.get("allow"), element.get("disallow", "")

    def allows(kind: str) -> bool:
        if allow is not None:
            return allow == "all" or kind in allow.split()
        return disallow != "all" and kind not in disallow.split()

    if allows("passenger"):
        return "vehicle"
    if allows("bus"):
        return "bus"
    if any(allows(kind) for kind in _RAILS):
        return "tram"
    return "path" if allows("bicycle") else "vehicle"


def _edge(net: SumoNet, element: ElementTree.Element) -> None:
    edge_id = element.attrib["id"]
    lanes = tuple(
        NetLane(
            id=lane.attrib["id"],
            edge=edge_id,
            index=int(lane.get("index", "0")),
            speed_mps=float(lane.attrib["speed"]),
            length_m=float(lane.attrib["length"]),
            width_m=float(lane.get("width", "3.2")),
            shape=_points(lane.get("shape", "")),
            uses=_uses(lane),
        )
        for lane in element.findall("lane")
    )
    function = element.get("function", "")
    net.edges[edge_id] = NetEdge(
        edge_id,
        "" if function == "normal" else function,
        element.get("from", ""),
        element.get("to", ""),
        lanes,
    )
    net.lanes.update((lane.id, lane) for lane in lanes)


def _node(net: SumoNet, element: ElementTree.Element) -> None:
    inner = element.get("intLanes", "").split()
    foes: dict[int, frozenset[int]] = {}
    yields: dict[int, frozenset[int]] = {}
    for request in element.findall("request"):
        row = int(request.attrib["index"])
        foes[row] = _set_bits(request.get("foes", ""))
        yields[row] = _set_bits(request.get("response", ""))
    node_id = element.attrib["id"]
    net.nodes[node_id] = NetNode(
        id=node_id,
        type=element.get("type", ""),
        centre=(float(element.get("x", "0")), float(element.get("y", "0"))),
        incoming=tuple(element.get("incLanes", "").split()),
        rows={lane: row for row, lane in enumerate(inner)},
        foes=foes,
        yields=yields,
    )


def _set_bits(text: str) -> frozenset[int]:
    """Positions of the ones; the last character is row 0."""
    return frozenset(row for row, bit in enumerate(reversed(text)) if bit == "1")


def _connection(net: SumoNet, element: ElementTree.Element) -> None:
    from_edge, to_edge = element.attrib["from"], element.attrib["to"]
    connection = NetConnection(
        from_edge=from_edge,
        from_lane=f"{from_edge}_{element.attrib['fromLane']}",
        to_edge=to_edge,
        to_lane=f"{to_edge}_{element.attrib['toLane']}",
        via=element.get("via", ""),
        tls=element.get("tl", ""),
        index=int(element.get("linkIndex", "-1")),
        direction=element.get("dir", "s"),
    )
    net.leaving[connection.from_lane].append(connection)
    net.entering[connection.to_lane].append(connection)
    if connection.tls and connection.index >= 0:
        net.controlled[connection.tls].append(connection)


def _check(net: SumoNet) -> None:
    for light, connections in net.controlled.items():
        for connection in connections:
            for lane in (connection.from_lane, connection.to_lane):
                if lane not in net.lanes:
                    raise ValueError(f"light '{light}' controls lane '{lane}', which is not there")

"""Reads a `Junction` from a SUMO net: lanes, movements, conflicts, geometry for the timing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.sax import SAXParseException

from signals.errors import JunctionError, MissingDependencyError
from signals.junction import (
    Junction,
    Lane,
    LanePiece,
    Movement,
    MovementKind,
    SignalGroup,
    check_phases,
    maximal_phases,
)
from signals.timing import (
    GroupTiming,
    TimingRules,
    TimingTable,
    change_interval_s,
    pedestrian_times_s,
    yellow_and_all_red_s,
)

ZONE_REACH_M = 150.0
EXIT_REACH_M = 100.0
_COMPASS = ("N", "NE", "E", "SE", "S", "SW", "W", "NW")
_KINDS: dict[str, MovementKind] = {
    "s": "through",
    "l": "left",
    "L": "left",
    "r": "right",
    "R": "right",
    "t": "uturn",
}
_CODES = {"through": "S", "left": "L", "right": "R", "uturn": "U", "pedestrian": "P"}


@dataclass
class _Link:
    """One controlled connection while the junction is being read."""

    index: int
    request: int
    kind: MovementKind
    leg: str
    exit_leg: str
    lane: str
    exit_lane: str
    bus: bool
    path_m: float
    speed_mps: float
    crossing: str = ""
    areas: set[str] = field(default_factory=set)


def read_junction(
    net_file: Path,
    tls_id: str,
    rules: TimingRules,
    phases: Sequence[tuple[str, Sequence[str]]] | None = None,
) -> Junction:
    """Build the junction that one traffic light of a net controls.

    Args:
        net_file: SUMO net.
        tls_id: Traffic light id, which must also be the id of its only node.
        rules: What the engineer sets about timing.
        phases: Name and groups of each phase; None takes every maximal compatible set.

    Returns:
        The junction with phases checked against the conflicts of the net.

    Raises:
        JunctionError: The light does not exist, or a phase is unlawful.
        MissingDependencyError: sumolib is not installed.
    """
    try:
        import sumolib
    except ImportError as error:
        raise MissingDependencyError("sumolib", "sim", f"reading {net_file}") from error
    if not net_file.is_file():
        raise JunctionError(f"net {net_file} does not exist; give a SUMO net file")
    try:
        net = sumolib.net.readNet(str(net_file), withInternal=True, withPedestrianConnections=True)
    except (SAXParseException, KeyError, ValueError) as error:
        raise JunctionError(
            f"{net_file} is no SUMO net: {error}; make it with netconvert"
        ) from error
    known = [light.getID() for light in net.getTrafficLights()]
    if tls_id not in known or not net.hasNode(tls_id):
        raise JunctionError(
            f"{net_file} has no traffic light '{tls_id}' of one node; "
            f"allowed: {', '.join(known) or 'none'}"
        )
    node = net.getNode(tls_id)
    legs = _legs(node)
    links = _links(net, node, tls_id, legs)
    lanes = _lanes(net, node, links, legs)
    movements, groups = _movements_and_groups(net, node, links, lanes, legs, rules)
    conflicts, green, red = _conflicts(node, links, groups, rules)
    table = check_phases(
        groups, conflicts, phases if phases is not None else maximal_phases(groups, conflicts)
    )
    return Junction(
        id=tls_id,
        lanes=lanes,
        movements=movements,
        groups=groups,
        phases=table,
        conflicts=conflicts,
        link_green=green,
        link_red=red,
        timing=_timing(links, movements, groups, rules),
    )


def _bearing_deg(node: Any, edge: Any, outgoing: bool) -> float:
    """Compass bearing of an arm as seen from the junction (deg, north 0, clockwise)."""
    shape = edge.getShape()
    if not outgoing:
        shape = shape[::-1]
    centre = node.getCoord()
    left_m = 50.0
    target = shape[-1]
    for before, after in pairwise(shape):
        length_m = math.dist(before[:2], after[:2])
        if length_m >= left_m:
            share = left_m / length_m
            target = tuple(
                start + share * (end - start)
                for start, end in zip(before[:2], after[:2], strict=True)
            )
            break
        left_m -= length_m
    dx, dy = target[0] - centre[0], target[1] - centre[1]
    return math.degrees(math.atan2(dx, dy)) % 360.0


def _legs(node: Any) -> dict[str, tuple[str, int]]:
    """Edge id of every arm edge to ``(leg name, bearing in whole degrees)``."""
    bearings = [(edge, _bearing_deg(node, edge, False)) for edge in node.getIncoming()]
    bearings += [(edge, _bearing_deg(node, edge, True)) for edge in node.getOutgoing()]
    bearings = [(edge, angle) for edge, angle in bearings if edge.getFunction() == ""]
    arms: list[tuple[float, list[Any]]] = []
    for edge, angle in sorted(bearings, key=lambda item: (item[1], item[0].getID())):
        for position, (mean, members) in enumerate(arms):
            if abs((angle - mean + 180.0) % 360.0 - 180.0) < 22.5:
                turned = (angle - mean + 180.0) % 360.0 - 180.0
                arms[position] = (
                    (mean + turned / (len(members) + 1)) % 360.0,
                    [*members, edge],
                )
                break
        else:
            arms.append((angle, [edge]))
    named: dict[str, tuple[str, int]] = {}
    used: dict[str, int] = {}
    for mean, members in arms:
        name = _COMPASS[round(mean / 45.0) % 8]
        used[name] = used.get(name, 0) + 1
        if used[name] > 1:
            name = f"{name}{used[name]}"
        for edge in members:
            named[edge.getID()] = (name, round(mean) % 360)
    return named


def _bus_only(lane: Any) -> bool:
    return bool(lane.allows("bus")) and not lane.allows("passenger")


def _links(net: Any, node: Any, tls_id: str, legs: dict[str, tuple[str, int]]) -> list[_Link]:
    found: dict[int, _Link] = {}
    request = 0
    crossing_requests: dict[str, int] = {}
    # The order of sumolib's own node.getLinkIndex, which is the order of the net's
    # right-of-way matrix: incoming lanes, then their connections, walking areas included.
    for lane_id in node._incLanes:
        edge_id, _, number = lane_id.rpartition("_")
        for connection in net.getEdge(edge_id).getLane(int(number)).getOutgoing():
            from_edge = connection.getFromLane().getEdge()
            to_edge = connection.getToLane().getEdge()
            if to_edge.getFunction() == "walkingarea" or (
                from_edge.getFunction() == "walkingarea" and to_edge.getFunction() != "crossing"
            ):
                continue
            position = request
            request += 1
            if to_edge.getFunction() == "crossing":
                crossing_requests[to_edge.getID()] = position
                continue
            if connection.getTLSID() != tls_id:
                continue
            found[connection.getTLLinkIndex()] = _Link(
                index=connection.getTLLinkIndex(),
                request=position,
                kind=_KINDS.get(connection.getDirection(), "through"),
                leg=legs[from_edge.getID()][0],
                exit_leg=legs[to_edge.getID()][0],
                lane=lane_id,
                exit_lane=connection.getToLane().getID(),
                bus=_bus_only(connection.getFromLane()),
                path_m=_path_length_m(net, connection),
                speed_mps=connection.getFromLane().getSpeed(),
            )
    for crossing, position in sorted(crossing_requests.items()):
        edge = net.getEdge(crossing)
        lane = edge.getLane(0)
        areas = set()
        index = -1
        for connection in _incoming(edge):
            areas.add(connection.getFromLane().getID())
            if connection.getTLSID() == tls_id and connection.getTLLinkIndex() >= 0:
                index = connection.getTLLinkIndex()
        for connection in lane.getOutgoing():
            areas.add(connection.getToLane().getID())
        if index < 0:
            continue
        leg = _crossed_leg(edge, node, legs)
        found[index] = _Link(
            index=index,
            request=position,
            kind="pedestrian",
            leg=leg,
            exit_leg=leg,
            lane="",
            exit_lane="",
            bus=False,
            path_m=edge.getLength(),
            speed_mps=0.0,
            crossing=edge.getID(),
            areas=areas,
        )
    if not found:
        raise JunctionError(f"traffic light '{tls_id}' controls no connection; nothing to control")
    return [found[index] for index in sorted(found)]


def _incoming(edge: Any) -> list[Any]:
    return [connection for group in edge.getIncoming().values() for connection in group]


def _path_length_m(net: Any, connection: Any) -> float:
    """Length of the internal path from stop line to exit (m)."""
    via = connection.getViaLaneID()
    total = 0.0
    seen = set()
    while via and via not in seen:
        seen.add(via)
        lane = net.getLane(via)
        total += lane.getLength()
        onward = [item for item in lane.getOutgoing() if item.getViaLaneID()]
        via = onward[0].getViaLaneID() if onward else ""
    return total


def _crossed_leg(edge: Any, node: Any, legs: dict[str, tuple[str, int]]) -> str:
    shape = edge.getLane(0).getShape()
    x = sum(point[0] for point in shape) / len(shape) - node.getCoord()[0]
    y = sum(point[1] for point in shape) / len(shape) - node.getCoord()[1]
    bearing = math.degrees(math.atan2(x, y)) % 360.0
    return min(set(legs.values()), key=lambda leg: abs((leg[1] - bearing + 180.0) % 360.0 - 180.0))[
        0
    ]


def _upstream(net: Any, lane: Any, claimed: set[str]) -> tuple[LanePiece, ...]:
    """The lane's own zone, then the lanes that feed it, to 150 m or the next signal."""
    pieces: list[LanePiece] = []
    left_m = ZONE_REACH_M
    current = lane
    while left_m > 0.5:
        length_m = current.getLength()
        pieces.append(LanePiece(current.getID(), max(0.0, length_m - left_m), length_m))
        left_m -= length_m
        feeders = [
            connection
            for connection in _lane_incoming(current)
            if connection.getFromLane().getEdge().getFunction() == ""
        ]
        if current.getEdge().getFromNode().getType().startswith("traffic_light") or not feeders:
            break
        feeders.sort(key=lambda item: (item.getDirection() != "s", item.getFromLane().getID()))
        current = feeders[0].getFromLane()
        if current.getID() in claimed:
            break
        claimed.add(current.getID())
    return tuple(pieces)


def _lane_incoming(lane: Any) -> list[Any]:
    return [
        connection
        for group in lane.getEdge().getIncoming().values()
        for connection in group
        if connection.getToLane().getID() == lane.getID()
    ]


def _lanes(
    net: Any, node: Any, links: Sequence[_Link], legs: dict[str, tuple[str, int]]
) -> tuple[Lane, ...]:
    approach: dict[str, set[str]] = {}
    for link in links:
        if link.lane:
            approach.setdefault(link.lane, set()).add(link.kind)
    claimed: set[str] = set(approach)
    # Through lanes claim the lane upstream of a pocket first: it is theirs in the street.
    order = sorted(
        approach, key=lambda lane: ("through" not in approach[lane], _lane_key(net.getLane(lane)))
    )
    zones = {lane: _upstream(net, net.getLane(lane), claimed) for lane in order}
    result = []
    for lane_id in sorted(approach, key=lambda lane: _lane_key(net.getLane(lane))):
        lane = net.getLane(lane_id)
        result.append(
            Lane(
                id=lane_id,
                leg=legs[lane.getEdge().getID()][0],
                length_m=lane.getLength(),
                width_m=lane.getWidth(),
                speed_mps=lane.getSpeed(),
                bus_only=_bus_only(lane),
                zone=zones[lane_id],
            )
        )
    return tuple(result)


def _lane_key(lane: Any) -> tuple[str, int]:
    return lane.getEdge().getID(), lane.getIndex()


def _movements_and_groups(
    net: Any,
    node: Any,
    links: Sequence[_Link],
    lanes: Sequence[Lane],
    legs: dict[str, tuple[str, int]],
    rules: TimingRules,
) -> tuple[tuple[Movement, ...], tuple[SignalGroup, ...]]:
    bearing = dict(legs.values())
    streams: dict[tuple[str, str, str], list[_Link]] = {}
    for link in links:
        if link.kind == "pedestrian" and not rules.pedestrians:
            continue
        kind: str = link.kind
        if link.kind == "pedestrian":
            kind = "ped"
        elif link.bus:
            kind = "bus"
        # Two exits of one kind (a fork) are two movements.
        exit_leg = link.exit_leg if link.kind != "pedestrian" else link.crossing
        streams.setdefault((link.leg, kind, exit_leg), []).append(link)
    names: dict[tuple[str, str, str], str] = {}
    for leg, kind, exit_leg in streams:
        twins = [key for key in streams if key[0] == leg and key[1] == kind]
        suffix = f"-{twins.index((leg, kind, exit_leg)) + 1}" if len(twins) > 1 else ""
        names[(leg, kind, exit_leg)] = f"{leg}.{kind}{suffix}"
    lane_kinds: dict[str, set[str]] = {}
    for (_, kind, _exit), members in streams.items():
        for link in members:
            if link.lane:
                lane_kinds.setdefault(link.lane, set()).add(kind)
    group_of = _group_names(streams, names, lane_kinds)
    movements: list[Movement] = []
    for key, members in streams.items():
        leg, kind, _ = key
        first = members[0]
        exits = {link.exit_lane for link in members if link.exit_lane}
        pieces = tuple(
            LanePiece(lane, 0.0, min(EXIT_REACH_M, net.getLane(lane).getLength()))
            for lane in sorted(exits)
        )
        letter = _CODES[first.kind]
        movements.append(
            Movement(
                id=names[key],
                code=f"{letter}{bearing[leg]:03d}{bearing[first.exit_leg]:03d}",
                kind=first.kind,
                leg=leg,
                exit_leg=first.exit_leg,
                lanes=tuple(
                    sorted(
                        {link.lane for link in members if link.lane}
                        | {area for link in members for area in link.areas}
                    )
                ),
                exits=pieces,
                links=tuple(link.index for link in members),
                group=group_of[names[key]],
                bus=kind == "bus",
                crossing=first.crossing,
                crossing_m=round(first.path_m, 3) if first.kind == "pedestrian" else 0.0,
            )
        )
    movements.sort(key=lambda item: (item.kind == "pedestrian", item.id))
    groups: list[SignalGroup] = []
    for group_id in sorted(
        {movement.group for movement in movements},
        key=lambda item: (item.endswith("ped") or ".ped" in item, item),
    ):
        inside = [movement for movement in movements if movement.group == group_id]
        groups.append(
            SignalGroup(
                id=group_id,
                kind="pedestrian"
                if inside[0].kind == "pedestrian"
                else "bus"
                if all(movement.bus for movement in inside)
                else "vehicle",
                links=tuple(sorted(index for movement in inside for index in movement.links)),
                movements=tuple(movement.id for movement in inside),
            )
        )
    return tuple(movements), tuple(groups)


def _group_names(
    streams: dict[tuple[str, str, str], list[_Link]],
    names: dict[tuple[str, str, str], str],
    lane_kinds: dict[str, set[str]],
) -> dict[str, str]:
    """Movement name to group name.

    Right turns follow the through group, U-turns the left group; movements that share a lane
    share a light, because a driver at its head cannot obey two.
    """
    parent = {name: name for name in names.values()}

    def root(name: str) -> str:
        while parent[name] != name:
            name = parent[name]
        return name

    def join(keep: str, other: str) -> None:
        parent[root(other)] = root(keep)

    by_leg: dict[str, dict[str, list[str]]] = {}
    for (leg, kind, _), name in names.items():
        by_leg.setdefault(leg, {}).setdefault(kind, []).append(name)
    rank = {"through": 0, "bus": 1, "left": 2, "right": 3, "uturn": 4}
    lane_streams: dict[str, list[tuple[int, str]]] = {}
    for (leg, kind, exit_leg), members in streams.items():
        for link in members:
            if link.lane:
                lane_streams.setdefault(link.lane, []).append(
                    (rank[kind], names[(leg, kind, exit_leg)])
                )
    for leg_streams in by_leg.values():
        for kind, home in (("right", "through"), ("uturn", "left")):
            for name in leg_streams.get(kind, []):
                if home in leg_streams:
                    join(leg_streams[home][0], name)
    for shared in lane_streams.values():
        ordered = sorted(set(shared))
        for _, name in ordered[1:]:
            if root(name) != root(ordered[0][1]):
                join(ordered[0][1], name)
    return {name: root(name) for name in names.values()}


def _conflicts(
    node: Any,
    links: Sequence[_Link],
    groups: Sequence[SignalGroup],
    rules: TimingRules,
) -> tuple[tuple[tuple[str, str], ...], str, str]:
    """Conflicting group pairs, and the green and red characters of every link."""
    by_index = {link.index: link for link in links}
    size = max(by_index) + 1
    group_of = {index: group.id for group in groups for index in group.links}
    pairs: set[tuple[str, str]] = set()
    yields = ["G"] * size
    red = ["r"] * size
    for first in links:
        foes = [
            second
            for second in links
            if second.index != first.index and node.areFoes(first.request, second.request)
        ]
        gives_way = [
            second
            for second in foes
            if node._prohibits[first.request][-(second.request + 1)] == "1"
        ]
        if first.kind in ("right", "uturn") and foes:
            yields[first.index] = "g"
        # On red only where the net makes the turn yield to everything it meets.
        if (
            first.kind == "right"
            and not first.bus
            and rules.right_turn_on_red
            and len(gives_way) == len(foes)
        ):
            red[first.index] = "s"
        for second in foes:
            if first.index not in group_of or second.index not in group_of:
                continue
            one, other = group_of[first.index], group_of[second.index]
            if one == other or "right" in (first.kind, second.kind):
                continue
            pairs.add((min(one, other), max(one, other)))
    return tuple(sorted(pairs)), "".join(yields), "".join(red)


def _timing(
    links: Sequence[_Link],
    movements: Sequence[Movement],
    groups: Sequence[SignalGroup],
    rules: TimingRules,
) -> TimingTable:
    by_index = {link.index: link for link in links}
    table: dict[str, GroupTiming] = {}
    for group in groups:
        members = [by_index[index] for index in group.links]
        if group.kind == "pedestrian":
            walk_s, clearance_s = pedestrian_times_s(
                max(link.path_m for link in members), rules.walking_speed_mps
            )
            table[group.id] = GroupTiming(
                walk_s, clearance_s, rules.pedestrian_buffer_s, rules.pedestrian_max_red_s
            )
            continue
        # Right turns leave the conflict area at its near corner; the others bound the clearing.
        bound = [link for link in members if link.kind != "right"] or members
        # The interval is not monotonic in speed: take the longest of all links, not of the fastest.
        slowest, path_m = max(
            ((link.speed_mps, link.path_m) for link in bound),
            key=lambda item: change_interval_s(*item),
        )
        yellow_s, all_red_s = yellow_and_all_red_s(slowest, path_m)
        table[group.id] = GroupTiming(
            rules.min_green_s,
            rules.yellow_s if rules.yellow_s is not None else yellow_s,
            rules.all_red_s if rules.all_red_s is not None else all_red_s,
            rules.max_red_s,
        )
    return TimingTable(table, rules.max_green_s, rules.recall)

"""Arms and controlled connections of one light."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from signals.junction import MovementKind
from signals.netreading.net import NetConnection, NetEdge, NetNode, Point, SumoNet

_COMPASS = ("N", "NE", "E", "SE", "S", "SW", "W", "NW")
_KINDS: dict[str, MovementKind] = {
    "s": "through",
    "l": "left",
    "L": "left",
    "r": "right",
    "R": "right",
    "t": "uturn",
}

Leg = tuple[str, int]
"""Name and bearing in whole degrees."""
Legs = dict[tuple[str, bool], Leg]
"""``(edge id, whether it leaves the node)`` to its leg."""


@dataclass(frozen=True, slots=True)
class Link:
    """One controlled connection, or one crosswalk.

    Attributes:
        index: Position in the state string; several links may share one.
        node: Node it runs over.
        row: Its row of the node's right-of-way matrix, -1 when the net gives none.
        kind: What it does.
        leg: Leg it comes from; the crossed one for a crosswalk.
        exit_leg: Leg it leaves by.
        lane: Approach lane, empty for a crosswalk.
        exit_lane: Lane it leaves on.
        uses: Who the approach lane is for, see `NetLane`.
        near_turn: Whether it is a turn to the kerb side, which yields instead of conflicting.
        path_m: Length from stop line to exit (m); of a crosswalk, its length.
        speed_mps: Limit of the approach lane (m/s).
        crossing: Crossing edge, empty for vehicles.
        areas: Waiting areas at both kerbs.
        path: Its course; of a crosswalk, its axis.
        width_m: Width of a crosswalk (m).
    """

    index: int
    node: str
    row: int
    kind: MovementKind
    leg: str
    exit_leg: str
    lane: str
    exit_lane: str
    uses: str
    near_turn: bool
    path_m: float
    speed_mps: float
    crossing: str = ""
    areas: frozenset[str] = frozenset()
    path: tuple[Point, ...] = ()
    width_m: float = 0.0


def nodes_of(net: SumoNet, tls_id: str) -> tuple[NetNode, ...]:
    """The nodes that a light controls, sorted by id."""
    found = set()
    for connection in net.controlled.get(tls_id, []):
        node = _node_of(net, connection)
        if node is not None:
            found.add(node)
    return tuple(net.nodes[node] for node in sorted(found))


def _node_of(net: SumoNet, connection: NetConnection) -> str | None:
    edge = net.edges[connection.from_edge]
    if not edge.function:
        return edge.end if edge.end in net.nodes else None
    # Inner edges are named ``:node_number``.
    node = edge.id[1:].rpartition("_")[0]
    return node if node in net.nodes else None


def legs_of(net: SumoNet, nodes: tuple[NetNode, ...]) -> Legs:
    """The legs of all nodes of a light, named by compass direction as seen from their node.

    A name that comes twice gets a number. Edges within 22.5 degrees of each other are one leg.
    """
    named: Legs = {}
    used: dict[str, int] = {}
    around: dict[str, list[tuple[NetEdge, bool]]] = {node.id: [] for node in nodes}
    for edge in net.edges.values():
        if edge.function or not edge.lanes:
            continue
        if edge.end in around:
            around[edge.end].append((edge, False))
        if edge.start in around:
            around[edge.start].append((edge, True))
    for node in nodes:
        bearings = [
            (_bearing_deg(node, edge, leaves), edge.id, leaves) for edge, leaves in around[node.id]
        ]
        arms: list[tuple[float, list[tuple[str, bool]]]] = []
        for angle, edge_id, leaves in sorted(bearings):
            for position, (mean, members) in enumerate(arms):
                turned = (angle - mean + 180.0) % 360.0 - 180.0
                if abs(turned) < 22.5:
                    arms[position] = (
                        (mean + turned / (len(members) + 1)) % 360.0,
                        [*members, (edge_id, leaves)],
                    )
                    break
            else:
                arms.append((angle, [(edge_id, leaves)]))
        for mean, members in arms:
            name = _COMPASS[round(mean / 45.0) % 8]
            used[name] = used.get(name, 0) + 1
            if used[name] > 1:
                name = f"{name}{used[name]}"
            named.update((key, (name, round(mean) % 360)) for key in members)
    return named


def _bearing_deg(node: NetNode, edge: NetEdge, leaves: bool) -> float:
    """Compass bearing of an arm 50 m from the junction (deg, north 0, clockwise)."""
    shape = edge.shape if leaves else edge.shape[::-1]
    if not shape:
        return 0.0
    left_m = 50.0
    target = shape[-1]
    for before, after in pairwise(shape):
        length_m = math.dist(before, after)
        if length_m >= left_m:
            share = left_m / length_m
            target = (
                before[0] + share * (after[0] - before[0]),
                before[1] + share * (after[1] - before[1]),
            )
            break
        left_m -= length_m
    dx, dy = target[0] - node.centre[0], target[1] - node.centre[1]
    return math.degrees(math.atan2(dx, dy)) % 360.0


def links_of(net: SumoNet, tls_id: str, nodes: tuple[NetNode, ...], legs: Legs) -> tuple[Link, ...]:
    """Every controlled connection and crosswalk of a light, by index.

    Args:
        net: The net.
        tls_id: The light.
        nodes: Its nodes.
        legs: Their legs.
    """
    near = "left" if net.left_hand else "right"
    counted = {node.id: _counted_rows(net, node) for node in nodes if not node.rows}
    found: list[Link] = []
    crossings: dict[str, set[int]] = {}
    for connection in net.controlled.get(tls_id, []):
        node_id = _node_of(net, connection)
        if node_id is None:
            continue
        for end in (connection.to_edge, connection.from_edge):
            if net.edges[end].function == "crossing":
                crossings.setdefault(end, set()).add(connection.index)
                break
        else:
            if (connection.from_edge, False) not in legs or (connection.to_edge, True) not in legs:
                continue
            node = net.nodes[node_id]
            way = _way(net, connection)
            rows = [node.rows[lane] for lane in way if lane in node.rows]
            row = rows[0] if rows else -1
            if not node.rows:
                row = counted[node_id].get((connection.from_lane, connection.to_lane), -1)
            lane = net.lanes[connection.from_lane]
            kind = _KINDS.get(connection.direction, "through")
            found.append(
                Link(
                    index=connection.index,
                    node=node_id,
                    row=row,
                    kind=kind,
                    leg=legs[connection.from_edge, False][0],
                    exit_leg=legs[connection.to_edge, True][0],
                    lane=lane.id,
                    exit_lane=connection.to_lane,
                    uses=lane.uses,
                    near_turn=kind == near,
                    path_m=_way_length_m(net, connection, way),
                    speed_mps=lane.speed_mps,
                    path=_path(net, connection, way),
                )
            )
    for crossing in sorted(crossings):
        found += _crosswalk(net, crossing, crossings[crossing], legs)
    return tuple(sorted(found, key=lambda link: (link.index, bool(link.crossing))))


def _crosswalk(net: SumoNet, crossing: str, indices: set[int], legs: Legs) -> list[Link]:
    node = net.nodes[crossing[1:].rpartition("_")[0]]
    lane = net.edges[crossing].lanes[0]
    areas = {item.from_lane for item in net.entering[lane.id]}
    areas |= {item.to_lane for item in net.leaving[lane.id]}
    leg = _crossed_leg(node, lane.shape, net, legs)
    return [
        Link(
            index=index,
            node=node.id,
            row=node.rows.get(lane.id, -1),
            kind="pedestrian",
            leg=leg,
            exit_leg=leg,
            lane="",
            exit_lane="",
            uses="",
            near_turn=False,
            path_m=lane.length_m,
            speed_mps=0.0,
            crossing=crossing,
            areas=frozenset(areas),
            path=lane.shape,
            width_m=lane.width_m,
        )
        for index in sorted(indices)
    ]


def _crossed_leg(
    node: NetNode, shape: tuple[tuple[float, float], ...], net: SumoNet, legs: Legs
) -> str:
    x = sum(point[0] for point in shape) / max(len(shape), 1) - node.centre[0]
    y = sum(point[1] for point in shape) / max(len(shape), 1) - node.centre[1]
    bearing = math.degrees(math.atan2(x, y)) % 360.0
    own = {
        leg
        for (edge, leaves), leg in legs.items()
        if (net.edges[edge].start if leaves else net.edges[edge].end) == node.id
    }
    return min(
        sorted(own),
        key=lambda leg: abs((leg[1] - bearing + 180.0) % 360.0 - 180.0),
        default=("", 0),
    )[0]


def _way(net: SumoNet, connection: NetConnection) -> list[str]:
    """Inner lanes from stop line to exit, in order."""
    way: list[str] = []
    via = connection.via
    while via and via not in way:
        way.append(via)
        onward = [item.via for item in net.leaving[via] if item.via]
        via = onward[0] if onward else ""
    return way


def _way_length_m(net: SumoNet, connection: NetConnection, way: list[str]) -> float:
    if way:
        return sum(net.lanes[lane].length_m for lane in way if lane in net.lanes)
    start, end = net.lanes[connection.from_lane].shape, net.lanes[connection.to_lane].shape
    return math.dist(start[-1], end[0]) if start and end else 0.0


def _path(net: SumoNet, connection: NetConnection, way: list[str]) -> tuple[Point, ...]:
    if way:
        return tuple(point for lane in way if lane in net.lanes for point in net.lanes[lane].shape)
    start, end = net.lanes[connection.from_lane].shape, net.lanes[connection.to_lane].shape
    return (start[-1], end[0]) if start and end else ()


def _counted_rows(net: SumoNet, node: NetNode) -> dict[tuple[str, str], int]:
    """Rows of a net without inner lanes: incoming lanes in order, and their connections."""
    rows: dict[tuple[str, str], int] = {}
    for lane in node.incoming:
        for item in net.leaving[lane]:
            if net.edges[item.to_edge].function != "walkingarea":
                rows[item.from_lane, item.to_lane] = len(rows)
    return rows

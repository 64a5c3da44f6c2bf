"""Approach lanes and the stretch of street that each one's video zone watches."""

from __future__ import annotations

from collections.abc import Sequence

from signals.junction import Lane, LanePiece
from signals.netreading.links import Legs, Link
from signals.netreading.net import NetLane, SumoNet

ZONE_REACH_M = 150.0
EXIT_REACH_M = 100.0
_SHORTEST_PIECE_M = 0.2
"""SUMO takes no detector on less."""


def lanes_of(net: SumoNet, links: Sequence[Link], legs: Legs) -> tuple[Lane, ...]:
    """The approach lanes of a light, each with its zone."""
    approach: dict[str, set[str]] = {}
    for link in links:
        if link.lane:
            approach.setdefault(link.lane, set()).add(link.kind)
    claimed: set[str] = set(approach)
    # Through lanes claim the lane upstream of a pocket first: it is theirs in the street.
    order = sorted(
        approach, key=lambda lane: ("through" not in approach[lane], _key(net.lanes[lane]))
    )
    zones = {lane: _upstream(net, net.lanes[lane], claimed) for lane in order}
    return tuple(
        Lane(
            id=lane.id,
            leg=legs[lane.edge, False][0],
            length_m=lane.length_m,
            width_m=lane.width_m,
            speed_mps=lane.speed_mps,
            bus_only=lane.uses == "bus",
            zone=zones[lane.id],
        )
        for lane in sorted((net.lanes[lane_id] for lane_id in approach), key=_key)
    )


def exits_of(net: SumoNet, lanes: set[str]) -> tuple[LanePiece, ...]:
    """The first 100 m of the lanes that a movement leaves on."""
    return tuple(
        LanePiece(lane, 0.0, min(EXIT_REACH_M, net.lanes[lane].length_m))
        for lane in sorted(lanes)
        if net.lanes[lane].length_m > _SHORTEST_PIECE_M
    )


def _upstream(net: SumoNet, lane: NetLane, claimed: set[str]) -> tuple[LanePiece, ...]:
    """The lane's own zone, then the lanes that feed it, to 150 m or the next signal.

    Streets of real nets are cut into short edges: the zone goes on across them and across nodes
    without a light. A lane belongs to one zone only.
    """
    pieces: list[LanePiece] = []
    left_m = ZONE_REACH_M
    current = lane
    while left_m > 0.5:
        length_m = current.length_m
        if length_m > _SHORTEST_PIECE_M:
            pieces.append(LanePiece(current.id, max(0.0, length_m - left_m), length_m))
        left_m -= length_m
        feeders = [
            connection
            for connection in net.entering[current.id]
            if not net.edges[connection.from_edge].function
        ]
        origin = net.nodes.get(net.edges[current.edge].start)
        if origin is None or origin.signalised or not feeders:
            break
        feeders.sort(key=lambda item: (item.direction != "s", item.from_lane))
        current = net.lanes[feeders[0].from_lane]
        if current.id in claimed:
            break
        claimed.add(current.id)
    return tuple(pieces) or (LanePiece(lane.id, 0.0, lane.length_m),)


def _key(lane: NetLane) -> tuple[str, int]:
    return lane.edge, lane.index

"""Mean flows of a network: what enters at the rim, sent on by the turning shares.

The flow of an approach is what its street brings: the turning flows of the junction upstream. That
is one linear equation per approach, solved at once.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np

from scenarios.demand import hourly_volumes
from scenarios.layout import split_movement
from scenarios.schema import Site
from scenarios.streets.junctions import Streets, leg_ref

Place = tuple[str, str]
Move = tuple[Place, str]
"""An approach and the turn taken there."""


@dataclass(frozen=True)
class Flows:
    """Mean flows of one period (veh/h).

    Attributes:
        approach: General traffic of each approach, line buses not counted.
        turn: General traffic of each turn of an approach.
        bus: Line buses of each movement, keys as in `turn` with ``bus`` for median bus lanes.
    """

    approach: Mapping[Place, float]
    turn: Mapping[Move, float]
    bus: Mapping[Move, float]

    def movement(self, place: Place, kind: str) -> float:
        """General traffic and line buses of one movement."""
        return self.turn.get((place, kind), 0.0) + self.bus.get((place, kind), 0.0)

    def total(self, place: Place) -> float:
        """Everything that arrives at a stop line."""
        buses = sum(value for (where, _), value in self.bus.items() if where == place)
        return self.approach[place] + buses


def entry_share(streets: Streets, place: Place, base: str) -> float:
    """General traffic that enters by an outer leg / volume of its street, in an ordinary period."""
    demand = streets.site.demand
    entry = demand.entries[".".join(place)]
    return entry.share.value[base] * demand.level.value.get(entry.volume, {}).get(base, 1.0)


def entry_volume_veh_h(streets: Streets, place: Place, period: str) -> float:
    """Mean general traffic that enters by an outer leg during a period (veh/h)."""
    demand = streets.site.demand
    base = streets.base(period)
    span = streets.site.periods[base]
    # Only `demand.volumes` is looked at, which both formats share.
    entry = demand.entries[".".join(place)]
    hours = hourly_volumes(cast(Site, streets.site), entry.volume)
    seconds = np.zeros(24)
    for second in range(span.begin_s, span.end_s, 60):
        seconds[second // 3600] += min(60, span.end_s - second)
    mean = float(np.dot(seconds, hours) / seconds.sum())
    return mean * entry_share(streets, place, base)


def mean_flows(streets: Streets, period: str) -> Flows:
    """Mean flows of all approaches and turns; a special period has those of the one it is like."""
    base = streets.base(period)
    places = [(name, leg) for name, view in streets.junctions.items() for leg in view.legs]
    number = {place: index for index, place in enumerate(places)}
    inflow = np.zeros(len(places))
    for place in streets.outer:
        inflow[number[place]] = entry_volume_veh_h(streets, place, base)
    onward = np.zeros((len(places), len(places)))
    shares: dict[Move, float] = {}
    for place in places:
        turning = streets.site.junctions[place[0]].legs[place[1]].turning.value
        targets = streets.targets(place)
        for turn, share in turning.items():
            shares[place, turn] = share
            exit_place = (place[0], targets[turn])
            if exit_place in streets.onward:
                onward[number[streets.onward[exit_place]], number[place]] += share
    flow = np.linalg.solve(np.eye(len(places)) - onward, inflow)
    approach = {place: float(flow[number[place]]) for place in places}
    bus: dict[Move, float] = {}
    for line in streets.site.demand.bus_lines.values():
        path = path_between(streets, leg_ref(line.start), leg_ref(line.end), bus=True)
        for move in path or ():
            bus[move] = bus.get(move, 0.0) + line.per_h.value[base]
    return Flows(approach, {move: approach[move[0]] * share for move, share in shares.items()}, bus)


def path_between(
    streets: Streets, start: Place, end: Place, *, bus: bool = False
) -> tuple[Move, ...] | None:
    """The shortest lawful way from one outer leg to another, or None.

    Args:
        streets: The site.
        start: Where it enters.
        end: Where it leaves.
        bus: Line buses, which keep to median bus lanes where there are some.
    """
    heap: list[tuple[float, int, Place, tuple[Move, ...]]] = [(0.0, 0, start, ())]
    done: set[Place] = set()
    count = 0
    while heap:
        length_m, _, place, path = heapq.heappop(heap)
        if place in done:
            continue
        done.add(place)
        for turn, leg in _ways(streets, place, bus):
            exit_place = (place[0], leg)
            moves = (*path, (place, turn))
            if exit_place == end:
                return moves
            if exit_place in streets.onward:
                count += 1
                step_m = streets.bearing_m(exit_place)[1]
                there = streets.onward[exit_place]
                heapq.heappush(heap, (length_m + step_m, count, there, moves))
    return None


def edges_of(streets: Streets, moves: tuple[Move, ...]) -> tuple[str, ...]:
    """The edges of a way, from the rim to the rim."""
    edges: list[str] = []
    exit_edge = ""
    for place, turn in moves:
        part = streets.leg(place)
        target = streets.targets(place).get(turn)
        if turn == "bus":
            target = streets.junctions[place[0]].movements[f"{place[1]}.bus"].to
        assert target is not None
        edges += part.approach_edges
        exit_edge = streets.layouts[place[0]].legs[target].out
    return (*edges, exit_edge)


def _ways(streets: Streets, place: Place, bus: bool) -> list[tuple[str, str]]:
    movements = streets.junctions[place[0]].movements
    if bus and f"{place[1]}.bus" in movements:
        return [("bus", movements[f"{place[1]}.bus"].to)]
    return [
        (split_movement(name)[1], item.to)
        for name, item in movements.items()
        if split_movement(name)[0] == place[1]
        and split_movement(name)[1] not in ("bus", "uturn")
        and not (bus and streets.leg((place[0], item.to)).leg.departure.bus_lanes.value)
    ]

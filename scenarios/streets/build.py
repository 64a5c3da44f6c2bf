"""Second-format site to SUMO net and bus stops, built by the means of `scenarios.network`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from xml.sax.saxutils import quoteattr

from scenarios.cache import cache_folder, cached_file, digest
from scenarios.layout import LegLayout
from scenarios.network import (
    CURB_RADIUS_M,
    NETCONVERT_OPTIONS,
    Network,
    convert,
    document,
    junction_connections,
    lanes_xml,
    setbacks,
    sumo_version,
    write_text,
)
from scenarios.streets.junctions import StreetLayout, StreetLegLayout, Streets, leg_ref

STOP_SPARE_M = 3.0
"""Edges of a built net are a little shorter than planned."""


def plain_xml(streets: Streets, setback_m: Mapping[str, float] | None = None) -> dict[str, str]:
    """Plain XML for netconvert, file suffix (``nod``, ``edg``, ``con``) to text.

    Args:
        streets: The site.
        setback_m: Distance of each stop line from its centre by stop edge, once it is known:
            pockets are measured from the stop line, nodes from the centre.
    """
    setback_m = setback_m or {}
    nodes, edges, continuations, connections = [], [], [], []
    for name, layout in streets.layouts.items():
        lon, lat = layout.position(0.0, 0.0)
        nodes.append(
            f'<node id="{name}" x="{lon:.8f}" y="{lat:.8f}" type="traffic_light" tl="{name}"'
            f' radius="{CURB_RADIUS_M:g}"/>'
        )
        for part in layout.legs.values():
            assert isinstance(part, StreetLegLayout)
            setback = setback_m.get(part.stop, 0.0)
            if part.onward is not None:
                nodes.append(_node(layout, part, "split", part.stop_m + setback))
                edges += _inner_edges(part, part.onward[0])
            else:
                approach = part.leg.approach
                block_m = approach.block_m.value
                nodes.append(_node(layout, part, "rim", block_m))
                nodes.append(_node(layout, part, "entry", block_m + approach.entry_m.value))
                if part.pocket_lanes:
                    nodes.append(_node(layout, part, "split", part.pocket_m + setback))
                edges += _outer_edges(part)
            continuations += _continuations(part)
        connections += junction_connections(layout)
    return {
        "nod": document("nodes", nodes),
        "edg": document("edges", edges),
        "con": document("connections", continuations + connections),
    }


def stops_xml(streets: Streets) -> str:
    """SUMO additional file with the bus stops."""
    lines = []
    for name, stop in streets.site.demand.bus_stops.items():
        part = streets.leg(leg_ref(stop.leg))
        near, length = stop.distance_m.value, stop.length_m.value
        if stop.side == "departure":
            median = part.leg.departure.bus_lanes.value
            lane = f"{part.out}_{part.out_index(1) if median else 1}"
            start, end = near, near + length
        else:
            median = part.leg.approach.bus_lanes.value
            edge, reach = part.stop, _stop_reach_m(part)
            index = part.stop_index(1) if median else 1
            if near + length > reach - STOP_SPARE_M:
                # No stop lies across two edges: it moves upstream as a whole.
                edge, near = part.block, max(near - reach, STOP_SPARE_M)
                index = part.block_lanes + bool(_inner(part)) - 1 if median else _inner(part)
            lane = f"{edge}_{index}"
            start, end = -(near + length), -near
        lines.append(
            f'<busStop id={quoteattr(name)} lane="{lane}" startPos="{start:g}" endPos="{end:g}"/>'
        )
    return document("additional", lines)


def build_network(streets: Streets) -> Network:
    """The site's net and stops, from the cache or freshly built.

    Raises:
        MissingDependencyError: netconvert is not installed.
        SimulationError: netconvert refused the net.
    """
    plain = plain_xml(streets)
    stops = stops_xml(streets)
    key = digest(*plain.values(), *NETCONVERT_OPTIONS, sumo_version())[:20]
    folder = cache_folder() / "networks"
    warnings: list[str] = []
    stop_edges = {
        part.stop: name for name, layout in streets.layouts.items() for part in layout.legs.values()
    }

    def build(target: Path) -> None:
        first = target.with_name("first.net.xml")
        convert(plain, first)
        warnings.extend(convert(plain_xml(streets, setbacks(first, stop_edges)), target))

    name = streets.site.id
    net_file = cached_file(folder / f"{name}-{key}.net.xml", build)
    stops_file = cached_file(
        folder / f"{name}-{digest(stops)[:20]}.stops.add.xml",
        lambda target: write_text(target, stops),
    )
    return Network(net_file, stops_file, tuple(warnings))


def _inner(part: LegLayout) -> int:
    """1 where the block has a sidewalk, which takes index 0."""
    return int(isinstance(part, StreetLegLayout) and part.inner)


def _stop_reach_m(part: LegLayout) -> float:
    """Length of the edge that ends at the stop line."""
    if isinstance(part, StreetLegLayout) and part.inner:
        return part.stop_m
    return part.pocket_m or part.leg.approach.block_m.value


def _node(layout: StreetLayout, part: StreetLegLayout, piece: str, distance_m: float) -> str:
    lon, lat = layout.position(part.leg.bearing_deg.value, distance_m)
    return (
        f'<node id="{part.junction}.{part.name}_{piece}_node" x="{lon:.8f}" y="{lat:.8f}"'
        ' type="priority"/>'
    )


def _edge(
    part: StreetLegLayout, edge_id: str, start: str, end: str, count: int, inside: str
) -> str:
    return (
        f'<edge id="{edge_id}" from="{start}" to="{end}" numLanes="{count}"'
        f' speed="{part.leg.speed_limit_kmh.value / 3.6:.4f}" priority="3"'
        f" name={quoteattr(part.leg.street)}>{inside}</edge>"
    )


def _lanes(part: StreetLegLayout, count: int, sidewalk: bool) -> str:
    approach = part.leg.approach
    bus = approach.bus_lanes.value
    return lanes_xml(
        count,
        bus,
        approach.lane_width_m.value,
        part.leg.sidewalk_width_m.value if sidewalk else None,
        " bus" if bus else "",
    )


def _inner_edges(part: StreetLegLayout, neighbour: str) -> list[str]:
    split = f"{part.junction}.{part.name}_split_node"
    return [
        _edge(part, part.block, neighbour, split, part.block_lanes + 1,
              _lanes(part, part.block_lanes, True)),
        _edge(part, part.stop, split, part.junction, part.stop_lanes + 1,
              _lanes(part, part.stop_lanes, True)),
    ]  # fmt: skip


def _outer_edges(part: StreetLegLayout) -> list[str]:
    stem = f"{part.junction}.{part.name}"
    rim = f"{stem}_rim_node"
    before = rim
    lines = [
        _edge(part, part.entry, f"{stem}_entry_node", rim, part.block_lanes,
              _lanes(part, part.block_lanes, False)),
    ]  # fmt: skip
    if part.pocket_lanes:
        before = f"{stem}_split_node"
        lines.append(
            _edge(part, part.block, rim, before, part.block_lanes,
                  _lanes(part, part.block_lanes, False))
        )  # fmt: skip
    lines.append(
        _edge(part, part.stop, before, part.junction, part.stop_lanes + 1,
              _lanes(part, part.stop_lanes, True))
    )  # fmt: skip
    leaving = part.leg.departure
    lines.append(
        _edge(part, part.out, part.junction, rim, part.out_lanes + 1,
              lanes_xml(part.out_lanes, leaving.bus_lanes.value, leaving.lane_width_m.value,
                        part.leg.sidewalk_width_m.value, ""))
    )  # fmt: skip
    return lines


def _continuations(part: StreetLegLayout) -> list[str]:
    """Along the approach: straight on, and from the innermost general lane into the pocket."""
    general = part.leg.approach.general_lanes.value
    edges = part.approach_edges
    offset = _inner(part)
    lines = []

    def link(start: str, start_lane: int, end: str, end_lane: int) -> None:
        lines.append(
            f'<connection from="{start}" to="{end}" fromLane="{start_lane}" toLane="{end_lane}"/>'
        )

    if len(edges) == 3:
        for lane in range(part.block_lanes):
            link(edges[0], lane, edges[1], lane)
    before, stop = edges[-2], edges[-1]
    for lane in range(part.block_lanes):
        # General lanes count from the kerb, so the pocket pushes only the bus lanes inwards.
        shift = 1 if lane < general else 1 + part.pocket_lanes
        link(before, lane + offset, stop, lane + shift)
    for extra in range(part.pocket_lanes):
        link(before, general - 1 + offset, stop, general + 1 + extra)
    return lines

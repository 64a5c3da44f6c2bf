"""Site file to SUMO net: plain XML, netconvert, a cache keyed by content.

The approach of a leg spans several edges, as in nets of real streets: an entry that stores long
queues, the block, and the piece with the left-turn pocket. Sidewalks lie along the edges that touch
the junction.
"""

from __future__ import annotations

import importlib.metadata
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree
from xml.sax.saxutils import quoteattr

from scenarios.cache import cache_folder, cached_file, digest, scratch_folder
from scenarios.layout import LegLayout, SiteLayout, split_movement
from scenarios.schema import Site
from scenarios.sumo_tools import run_program

CURB_RADIUS_M = 8.0
"""Corner radius of the junction (assumed; drives the speed of right turns)."""

NETCONVERT_OPTIONS = (
    "--proj.utm", "true",
    "--no-turnarounds", "true",
    "--junctions.corner-detail", "5",
    "--junctions.limit-turn-speed", "5.5",
    "--rectangular-lane-cut", "false",
    "--tls.default-type", "static",
    "--no-warnings", "false",
    "--xml-validation", "never",
)  # fmt: skip


@dataclass(frozen=True)
class Network:
    """A built net.

    Attributes:
        net_file: SUMO net; its traffic light and its centre node are named after the site.
        stops_file: Bus stops.
        warnings: What netconvert had to say, empty when the net came from the cache.
    """

    net_file: Path
    stops_file: Path
    warnings: tuple[str, ...] = ()


def plain_xml(site: Site, setback_m: Mapping[str, float] | None = None) -> dict[str, str]:
    """Plain XML for netconvert, file suffix (``nod``, ``edg``, ``con``) to text.

    Args:
        site: The site.
        setback_m: Distance of each leg's stop line from the centre, once it is known: pockets are
            measured from the stop line, nodes from the centre.
    """
    setback_m = setback_m or {}
    layout = SiteLayout(site)
    nodes, edges, connections = [], [], []
    lon, lat = layout.position(0.0, 0.0)
    nodes.append(
        f'<node id="{site.id}" x="{lon:.8f}" y="{lat:.8f}" type="traffic_light" tl="{site.id}"'
        f' radius="{CURB_RADIUS_M:g}"/>'
    )
    for part in layout.legs.values():
        nodes += _nodes(layout, part, setback_m.get(part.name, 0.0))
        edges += _edges(site, part)
        connections += _lane_continuations(part)
    connections += junction_connections(layout)
    return {
        "nod": document("nodes", nodes),
        "edg": document("edges", edges),
        "con": document("connections", connections),
    }


def junction_connections(layout: SiteLayout) -> list[str]:
    """Connections, right of way and crosswalks of one junction."""
    site, connections = layout.site, []
    for name, movement in site.movements.items():
        source = layout.legs[split_movement(name)[0]]
        target = layout.legs[movement.to]
        exits = layout.exit_lanes(name, movement)
        for number, exit_number in zip(movement.lanes, exits, strict=True):
            connections.append(
                f'<connection from="{source.stop}" to="{target.out}"'
                f' fromLane="{source.stop_index(number)}"'
                f' toLane="{target.out_index(exit_number)}"/>'
            )
    connections += _right_turns_yield(layout)
    for part in layout.legs.values():
        if part.leg.crosswalk_width_m is not None:
            connections.append(
                f'<crossing node="{site.id}" edges="{part.stop} {part.out}"'
                f' width="{part.leg.crosswalk_width_m.value:g}" priority="true"/>'
            )
    return connections


def stops_xml(site: Site) -> str:
    """SUMO additional file with the bus stops."""
    layout = SiteLayout(site)
    lines = []
    for name, stop in site.bus_stops.items():
        part = layout.legs[stop.leg]
        near, length = stop.distance_m.value, stop.length_m.value
        if stop.side == "approach":
            lane = f"{part.stop}_{part.stop_index(1)}"
            start, end = -(near + length), -near
        else:
            lane = f"{part.out}_{part.out_index(1)}"
            start, end = near, near + length
        lines.append(
            f'<busStop id={quoteattr(name)} lane="{lane}" startPos="{start:g}" endPos="{end:g}"/>'
        )
    return document("additional", lines)


def build_network(site: Site) -> Network:
    """The site's net and stops, from the cache or freshly built.

    Raises:
        MissingDependencyError: netconvert is not installed.
        SimulationError: netconvert refused the net.
    """
    plain = plain_xml(site)
    stops = stops_xml(site)
    key = digest(*plain.values(), *NETCONVERT_OPTIONS, sumo_version())[:20]
    folder = cache_folder() / "networks"
    warnings: list[str] = []

    def build(target: Path) -> None:
        first = target.with_name("first.net.xml")
        convert(plain, first)
        warnings.extend(convert(plain_xml(site, _setbacks(site, first)), target))

    net_file = cached_file(folder / f"{site.id}-{key}.net.xml", build)
    stops_file = cached_file(
        folder / f"{site.id}-{digest(stops)[:20]}.stops.add.xml",
        lambda target: write_text(target, stops),
    )
    return Network(net_file, stops_file, tuple(warnings))


def sumo_version() -> str:
    """Version of the installed SUMO wheel, so that another SUMO never reads this one's cache."""
    try:
        return importlib.metadata.version("eclipse-sumo")
    except importlib.metadata.PackageNotFoundError:
        return "system"


def write_text(target: Path, text: str) -> None:
    """Write a file as UTF-8."""
    target.write_text(text, encoding="utf-8")


def convert(plain: Mapping[str, str], target: Path) -> list[str]:
    """Run netconvert on plain XML, write the net, return its warnings.

    Raises:
        MissingDependencyError: netconvert is not installed.
        SimulationError: netconvert refused the net.
    """
    with scratch_folder(target.parent) as folder:
        files = {}
        for suffix, text in plain.items():
            files[suffix] = folder / f"site.{suffix}.xml"
            write_text(files[suffix], text)
        raw = folder / "site.net.xml"
        said = run_program(
            "netconvert",
            (
                "--node-files", str(files["nod"]),
                "--edge-files", str(files["edg"]),
                "--connection-files", str(files["con"]),
                "--output-file", str(raw),
                *NETCONVERT_OPTIONS,
            ),
            "building the net",
        )  # fmt: skip
        # The header comment holds the date and this machine's paths: without it the same site
        # gives the same bytes.
        net = re.sub(r"<!--.*?-->\s*", "", raw.read_text(encoding="utf-8"), flags=re.DOTALL)
        write_text(target, net)
    return [line for line in said.splitlines() if line.startswith("Warning")]


def _setbacks(site: Site, net_file: Path) -> dict[str, float]:
    """Distance of each leg's stop line from the centre of a built net (m)."""
    parts = SiteLayout(site).legs
    found = setbacks(net_file, {part.stop: site.id for part in parts.values()})
    return {name: found[part.stop] for name, part in parts.items()}


def setbacks(net_file: Path, stop_edges: Mapping[str, str]) -> dict[str, float]:
    """Distance of stop lines from the centre of their node in a built net (m).

    Args:
        net_file: The net.
        stop_edges: Edge that ends at the stop line to its node.
    """
    tree = ElementTree.parse(net_file).getroot()
    middle = {
        node.get("id", ""): (float(node.get("x", "0")), float(node.get("y", "0")))
        for node in tree.iter("junction")
    }
    found = {}
    for edge in tree.iter("edge"):
        node = stop_edges.get(edge.get("id", ""))
        if node is None:
            continue
        ends = [lane.get("shape", "").split()[-1].split(",") for lane in edge.iter("lane")]
        along = [math.dist(middle[node], (float(end[0]), float(end[1]))) for end in ends]
        # The innermost lane runs closest to the leg's axis.
        found[edge.get("id", "")] = round(min(along), 2)
    return found


def document(root: str, lines: list[str]) -> str:
    """An XML file of one root element."""
    body = "\n".join(f"    {line}" for line in lines)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{root}>\n{body}\n</{root}>\n'


def _nodes(layout: SiteLayout, part: LegLayout, setback_m: float) -> list[str]:
    approach = part.leg.approach
    places = {"block": approach.block_m.value}
    places["entry"] = approach.block_m.value + approach.entry_m.value
    if part.pocket_lanes:
        places["pocket"] = part.pocket_m + setback_m
    lines = []
    for name, distance_m in places.items():
        lon, lat = layout.position(part.leg.bearing_deg.value, distance_m)
        lines.append(
            f'<node id="{part.name}_{name}_node" x="{lon:.8f}" y="{lat:.8f}" type="priority"/>'
        )
    return lines


def lanes_xml(
    count: int, bus_lanes: int, width_m: float, sidewalk_m: float | None, keep_out: str
) -> str:
    """Lane elements of an edge from the kerb inwards.

    Args:
        count: Vehicle lanes, bus lanes included.
        bus_lanes: How many of them, next to the median, only buses may use.
        width_m: Of each vehicle lane.
        sidewalk_m: Width of the sidewalk at index 0, None without one.
        keep_out: Further vehicle classes that may not use the general lanes.
    """
    first = 0 if sidewalk_m is None else 1
    text = ""
    if sidewalk_m is not None:
        text += f'<lane index="0" allow="pedestrian" width="{sidewalk_m:g}"/>'
    for index in range(first, first + count):
        is_bus = index >= first + count - bus_lanes
        use = 'allow="bus emergency"' if is_bus else f'disallow="pedestrian bicycle{keep_out}"'
        text += f'<lane index="{index}" {use} width="{width_m:g}"/>'
    return text


def _edges(site: Site, part: LegLayout) -> list[str]:
    approach, name = part.leg.approach, part.name
    width_m = approach.lane_width_m.value
    bus = approach.bus_lanes.value
    sidewalk_m = part.leg.sidewalk_width_m.value

    def edge(edge_id: str, start: str, end: str, count: int, inside: str) -> str:
        sidewalk = 'allow="pedestrian"' in inside
        return (
            f'<edge id="{edge_id}" from="{start}" to="{end}" numLanes="{count + sidewalk}"'
            f' speed="{part.leg.speed_limit_kmh.value / 3.6:.4f}" priority="3"'
            f" name={quoteattr(part.leg.street)}>{inside}</edge>"
        )

    # Line buses stay in the median lane up to the stop line where there is one.
    keep_out = " bus" if bus else ""
    entry, block = f"{name}_entry_node", f"{name}_block_node"
    lines = [
        edge(part.entry, entry, block, part.block_lanes,
             lanes_xml(part.block_lanes, bus, width_m, None, keep_out)),
    ]  # fmt: skip
    before = block
    if part.pocket_lanes:
        before = f"{name}_pocket_node"
        lines.append(
            edge(part.block, block, before, part.block_lanes,
                 lanes_xml(part.block_lanes, bus, width_m, None, keep_out))
        )  # fmt: skip
    lines.append(
        edge(part.stop, before, site.id, part.stop_lanes,
             lanes_xml(part.stop_lanes, bus, width_m, sidewalk_m, keep_out))
    )  # fmt: skip
    leaving = part.leg.departure
    lines.append(
        edge(part.out, site.id, block, part.out_lanes,
             lanes_xml(part.out_lanes, leaving.bus_lanes.value, leaving.lane_width_m.value,
                       sidewalk_m, ""))
    )  # fmt: skip
    return lines


def _right_turns_yield(layout: SiteLayout) -> list[str]:
    """A right turn yields to whoever leaves by the same leg.

    netconvert ranks one street above the other and would let its right turns go first; on red they
    may not.
    """
    lines = []
    for name, movement in layout.site.movements.items():
        leg, kind = split_movement(name)
        if kind != "right":
            continue
        target = layout.legs[movement.to].out
        others = {
            split_movement(other)[0]
            for other, item in layout.site.movements.items()
            if item.to == movement.to and split_movement(other)[0] not in (leg, movement.to)
        }
        lines += [
            f'<prohibition prohibitor="{layout.legs[other].stop}-&gt;{target}"'
            f' prohibited="{layout.legs[leg].stop}-&gt;{target}"/>'
            for other in sorted(others)
        ]
    return lines


def _lane_continuations(part: LegLayout) -> list[str]:
    """Along the approach: straight on, and from the innermost general lane into the pocket."""
    general = part.leg.approach.general_lanes.value
    lines = []

    def link(start: str, start_lane: int, end: str, end_lane: int) -> None:
        lines.append(
            f'<connection from="{start}" to="{end}" fromLane="{start_lane}" toLane="{end_lane}"/>'
        )

    before = part.entry
    if part.pocket_lanes:
        for index in range(part.block_lanes):
            link(part.entry, index, part.block, index)
        before = part.block
    for index in range(part.block_lanes):
        # General lanes count from the kerb, so the pocket pushes only the bus lanes inwards.
        shift = 1 if index < general else 1 + part.pocket_lanes
        link(before, index, part.stop, index + shift)
    for extra in range(part.pocket_lanes):
        link(before, general - 1, part.stop, general + 1 + extra)
    return lines

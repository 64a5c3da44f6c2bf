"""The ground of a junction, read from its SUMO net: lanes, markings and the ways through it.

Everything is in metres from the junction's centre, x east and y north.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from signals.errors import JunctionError, MissingDependencyError
from signals.junction import Junction

Point = tuple[float, float]
"""East and north of the centre (m)."""
Line = Sequence[Point]
"""Points in order; of an outline, its corners."""

ARM_M: Final = 48.0
"""How much of each arm a plan shows beyond the stop lines (m)."""
ARROW_ARM_M: Final = 13.0
"""How far a way through the junction, drawn as a phase's arrow, reaches into the arms (m)."""


@dataclass(frozen=True)
class Strip:
    """A lane as drawn: its axis and width (m)."""

    axis: Line
    width_m: float
    use: str


@dataclass(frozen=True)
class Ground:
    """What the drawings need of a net, metres from the junction's centre.

    Attributes:
        outlines: Polygons of intersections.
        strips: Lanes: ``road``, ``bus``, ``walk`` (sidewalk) or ``crosswalk``.
        dividers: Lines between lanes of one direction.
        centres: Lines between the two directions.
        stops: Stop lines.
        arrows: Approach lane to where its arrow is painted (position, bearing in degrees).
        paths: Link of the signal state string to the way that it lets through.
        reach_m: Distance of the farthest stop line or crosswalk from the centre.
        arms: Leg to its bearing (degrees clockwise from north).
    """

    outlines: tuple[Line, ...]
    strips: tuple[Strip, ...]
    dividers: tuple[Line, ...]
    centres: tuple[Line, ...]
    stops: tuple[Line, ...]
    arrows: Mapping[str, tuple[Point, float]]
    paths: Mapping[int, Line]
    reach_m: float
    arms: Mapping[str, float]


def read_ground(net_file: Path, junction: Junction) -> Ground:
    """Read the surroundings of a junction from its net.

    Args:
        net_file: SUMO net.
        junction: The junction; its id is the traffic light's and its node's.

    Raises:
        MissingDependencyError: sumolib is not installed.
        JunctionError: The net has no such node.
    """
    try:
        import sumolib
    except ImportError as error:
        raise MissingDependencyError("sumolib", "sim", f"reading {net_file}") from error
    net = sumolib.net.readNet(str(net_file), withInternal=True, withPedestrianConnections=True)
    if not net.hasNode(junction.id):
        raise JunctionError(
            f"{net_file} has no node '{junction.id}'; its traffic light must carry the node's name"
        )
    middle: Point = net.getNode(junction.id).getCoord()
    stops, arrows = _stop_lines(net, junction, middle)
    paths = _paths(net, junction, middle)
    crossings = [path for link, path in paths.items() if _is_crossing(junction, link)]
    reach_m = max(
        (math.hypot(*point) for line in (*stops, *crossings) for point in line), default=25.0
    )
    outlines, strips, dividers, centres = _surfaces(net, middle, reach_m + 2.0 * ARM_M)
    return Ground(
        outlines=outlines,
        strips=strips,
        dividers=dividers,
        centres=centres,
        stops=stops,
        arrows=arrows,
        paths=paths,
        reach_m=reach_m,
        arms=_arms(net, junction, middle),
    )


def _is_crossing(junction: Junction, link: int) -> bool:
    return any(
        link in movement.links for movement in junction.movements if movement.kind == "pedestrian"
    )


def _shape(item: Any, middle: Point) -> list[Point]:
    return [(point[0] - middle[0], point[1] - middle[1]) for point in item.getShape()]


def _surfaces(
    net: Any, middle: Point, radius_m: float
) -> tuple[tuple[Line, ...], tuple[Strip, ...], tuple[Line, ...], tuple[Line, ...]]:
    outlines = [
        shape
        for node in net.getNodes()
        if len(shape := _shape(node, middle)) > 2 and _near(shape, radius_m)
    ]
    strips: list[Strip] = []
    dividers: list[Line] = []
    centres: list[Line] = []
    for edge in net.getEdges(withInternal=True):
        use = edge.getFunction()
        if use in ("internal", "walkingarea"):
            continue
        lanes = [(lane, _shape(lane, middle)) for lane in edge.getLanes()]
        if not any(_near(axis, radius_m) for _, axis in lanes):
            continue
        for lane, axis in lanes:
            width_m = lane.getWidth()
            if use == "crossing":
                strips.append(Strip(axis, width_m, "crosswalk"))
                continue
            drivable = lane.allows("passenger") or lane.allows("bus")
            kind = "walk" if not drivable else "road" if lane.allows("passenger") else "bus"
            strips.append(Strip(axis, width_m, kind))
            if drivable:
                last = lane is lanes[-1][0]
                (centres if last else dividers).append(_beside(axis, width_m / 2.0))
    return tuple(outlines), tuple(strips), tuple(dividers), tuple(centres)


def _near(line: Line, radius_m: float) -> bool:
    """Whether a line comes near the centre, at its points or between them."""
    if len(line) == 1:
        return math.hypot(*line[0]) <= radius_m
    return any(_distance(first, second) <= radius_m for first, second in itertools.pairwise(line))


def _distance(first: Point, second: Point) -> float:
    """From the origin to a stretch."""
    dx, dy = second[0] - first[0], second[1] - first[1]
    square = dx * dx + dy * dy
    share = 0.0 if not square else -(first[0] * dx + first[1] * dy) / square
    share = min(max(share, 0.0), 1.0)
    return math.hypot(first[0] + share * dx, first[1] + share * dy)


def _beside(line: Line, offset_m: float) -> list[Point]:
    """A line moved to its left by `offset_m`, each point square to the piece it begins."""
    moved: list[Point] = []
    for index, point in enumerate(line):
        first = line[max(index - 1, 0)] if index == len(line) - 1 else point
        second = line[min(index + 1, len(line) - 1)]
        dx, dy = second[0] - first[0], second[1] - first[1]
        length = math.hypot(dx, dy) or 1.0
        moved.append((point[0] - dy / length * offset_m, point[1] + dx / length * offset_m))
    return moved


def _stop_lines(
    net: Any, junction: Junction, middle: Point
) -> tuple[tuple[Line, ...], dict[str, tuple[Point, float]]]:
    stops: list[Line] = []
    arrows: dict[str, tuple[Point, float]] = {}
    for lane in junction.lanes:
        axis = _shape(net.getLane(lane.id), middle)
        before, end = axis[-2], axis[-1]
        dx, dy = end[0] - before[0], end[1] - before[1]
        length = math.hypot(dx, dy) or 1.0
        dx, dy = dx / length, dy / length
        half = lane.width_m / 2.0
        stops.append(
            ((end[0] - dy * half, end[1] + dx * half), (end[0] + dy * half, end[1] - dx * half))
        )
        arrows[lane.id] = (
            (end[0] - 7.0 * dx, end[1] - 7.0 * dy),
            math.degrees(math.atan2(dx, dy)),
        )
    return tuple(stops), arrows


def _paths(net: Any, junction: Junction, middle: Point) -> dict[int, Line]:
    """Each link's way through the junction, with a piece of the arms at both ends."""
    paths: dict[int, Line] = {}
    for lane in junction.lanes:
        start = net.getLane(lane.id)
        for connection in start.getOutgoing():
            link = connection.getTLLinkIndex()
            if connection.getTLSID() != junction.id or link < 0:
                continue
            way = tail(_shape(start, middle), ARROW_ARM_M)
            via, seen = connection.getViaLaneID(), set[str]()
            while via and via not in seen:
                seen.add(via)
                inner = net.getLane(via)
                way += _shape(inner, middle)
                onward = [item for item in inner.getOutgoing() if item.getViaLaneID()]
                via = onward[0].getViaLaneID() if onward else ""
            end = _shape(connection.getToLane(), middle)
            way += tail(end[::-1], ARROW_ARM_M)[::-1]
            paths[link] = _merged(way)
    for movement in junction.movements:
        if movement.kind == "pedestrian":
            for link in movement.links:
                paths[link] = _shape(net.getLane(f"{movement.crossing}_0"), middle)
    return paths


def tail(line: Line, length_m: float) -> list[Point]:
    """The last metres of a line.

    Args:
        line: At least one point.
        length_m: How much to keep; a shorter line is kept whole.

    Returns:
        Points in the order of the line, the last one its end.
    """
    found = [line[-1]]
    left = length_m
    for first, second in zip(line[-2::-1], line[:0:-1], strict=True):
        piece = math.dist(first, second)
        if piece >= left:
            share = left / piece if piece else 0.0
            found.append(
                (
                    second[0] + (first[0] - second[0]) * share,
                    second[1] + (first[1] - second[1]) * share,
                )
            )
            break
        found.append(first)
        left -= piece
    return found[::-1]


def _merged(line: Iterable[Point]) -> list[Point]:
    """The line without points that repeat the one before them."""
    found: list[Point] = []
    for point in line:
        if not found or math.dist(found[-1], point) > 0.05:
            found.append(point)
    return found


def _arms(net: Any, junction: Junction, middle: Point) -> dict[str, float]:
    arms: dict[str, float] = {}
    for leg in dict.fromkeys(lane.leg for lane in junction.lanes):
        ends = [
            tail(_shape(net.getLane(lane.id), middle), 40.0)[0]
            for lane in junction.lanes
            if lane.leg == leg
        ]
        codes = [movement.code for movement in junction.movements if movement.leg == leg]
        if codes and codes[0][1:4].isdigit():
            arms[leg] = float(codes[0][1:4])
        else:
            x = sum(point[0] for point in ends) / len(ends)
            y = sum(point[1] for point in ends) / len(ends)
            arms[leg] = math.degrees(math.atan2(x, y)) % 360.0
    return arms

"""Whether two ways through a junction meet on the ground."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from signals.netreading.links import Link
from signals.netreading.net import Point

_PAINT_M = 0.1
"""A path that only touches the outermost 10 cm of a crosswalk does not cross it."""


def meet(first: Link, second: Link) -> bool:
    """Whether the ways of two links of one node cross.

    The right-of-way matrix of a net leaves out some ways that cross: where lanes of one street
    cross each other, and where a path cuts the corner of a crosswalk. Merging is left to the
    matrix; ways of one street into one street run beside each other.

    Args:
        first: A link.
        second: Another link of the same node.
    """
    if first.crossing and second.crossing:
        return False
    if first.crossing:
        return any(_cross(second.path, area) for area in _paint(first))
    if second.crossing:
        return any(_cross(first.path, area) for area in _paint(second))
    if first.lane == second.lane or first.exit_lane == second.exit_lane:
        return False
    if _edge(first.lane) == _edge(second.lane) and _edge(first.exit_lane) == _edge(
        second.exit_lane
    ):
        return False
    return _cross(first.path, second.path)


def _edge(lane: str) -> str:
    return lane.rpartition("_")[0]


def _paint(crosswalk: Link) -> list[list[Point]]:
    """The outline of each straight piece of a crosswalk."""
    half_m = crosswalk.width_m / 2 - _PAINT_M
    outlines = []
    for (ax, ay), (bx, by) in pairwise(crosswalk.path):
        length_m = math.hypot(bx - ax, by - ay)
        if length_m == 0.0:
            continue
        nx, ny = (ay - by) / length_m * half_m, (bx - ax) / length_m * half_m
        start = (ax + nx, ay + ny)
        outlines.append([start, (bx + nx, by + ny), (bx - nx, by - ny), (ax - nx, ay - ny), start])
    return outlines


def _cross(first: Sequence[Point], second: Sequence[Point]) -> bool:
    if not first or not second or _apart(first, second):
        return False
    return any(_segments_cross(a, b, c, d) for a, b in pairwise(first) for c, d in pairwise(second))


def _apart(first: Sequence[Point], second: Sequence[Point]) -> bool:
    """Whether the bounding boxes are disjoint."""
    return any(
        max(point[axis] for point in one) < min(point[axis] for point in other)
        for axis in (0, 1)
        for one, other in ((first, second), (second, first))
    )


def _segments_cross(a: Point, b: Point, c: Point, d: Point) -> bool:
    def turn(p: Point, q: Point, r: Point) -> float:
        return (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0])

    def within(p: Point, q: Point, r: Point) -> bool:
        return min(p[0], q[0]) <= r[0] <= max(p[0], q[0]) and (
            min(p[1], q[1]) <= r[1] <= max(p[1], q[1])
        )

    abc, abd, cda, cdb = turn(a, b, c), turn(a, b, d), turn(c, d, a), turn(c, d, b)
    if abc * abd < 0.0 and cda * cdb < 0.0:
        return True
    return (
        (abc == 0.0 and within(a, b, c))
        or (abd == 0.0 and within(a, b, d))
        or (cda == 0.0 and within(c, d, a))
        or (cdb == 0.0 and within(c, d, b))
    )

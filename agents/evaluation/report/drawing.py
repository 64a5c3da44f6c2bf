"""The junction drawn to scale as SVG, and its phases as arrows over the same ground.

All drawings have north up; SVG's y points down, the ground's points north.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from xml.sax.saxutils import escape

from agents.evaluation.report.ground import (
    ARM_M,
    ARROW_ARM_M,
    Ground,
    Line,
    Point,
    Strip,
    tail,
)
from signals.junction import Junction, Movement, Phase

ROAD = "#a9afb6"
BUS_LANE = "#c08d80"
SIDEWALK = "#e6e2d8"
MARKING = "#ffffff"
CENTRE_LINE = "#e3b32f"
GREEN = "#12813f"
BUS_GREEN = "#1d5fae"


class _Canvas:
    """Metres to pixels, and SVG text."""

    def __init__(self, half_m: float, size_px: float) -> None:
        self.scale = size_px / (2.0 * half_m)
        self._half_m = half_m

    def at(self, point: Point) -> tuple[float, float]:
        return (point[0] + self._half_m) * self.scale, (self._half_m - point[1]) * self.scale

    def points(self, line: Line) -> str:
        return " ".join("{:.1f},{:.1f}".format(*self.at(point)) for point in line)

    def line(self, line: Line, colour: str, width_m: float, more: str = "") -> str:
        return (
            f'<polyline points="{self.points(line)}" fill="none" stroke="{colour}" '
            f'stroke-width="{width_m * self.scale:.2f}" {more}/>'
        )

    def polygon(self, line: Line, colour: str) -> str:
        return f'<polygon points="{self.points(line)}" fill="{colour}"/>'


def _surface(canvas: _Canvas, ground: Ground, plain: bool) -> list[str]:
    """Roads, sidewalks and crosswalks; `plain` leaves markings and colours out."""
    road = "#dfe2e6" if plain else ROAD
    parts = []
    if not plain:
        parts += [
            canvas.line(strip.axis, SIDEWALK, strip.width_m)
            for strip in ground.strips
            if strip.use == "walk"
        ]
    parts += [canvas.polygon(outline, road) for outline in ground.outlines]
    for strip in ground.strips:
        if strip.use in ("road", "bus"):
            colour = BUS_LANE if strip.use == "bus" and not plain else road
            parts.append(canvas.line(strip.axis, colour, strip.width_m + 0.1))
    for strip in ground.strips:
        if strip.use == "crosswalk":
            parts.append(_zebra(canvas, strip, "#f6f7f8" if plain else MARKING))
    return parts


def _zebra(canvas: _Canvas, strip: Strip, colour: str) -> str:
    """Bars of 0.5 m, one a metre, across the way of the people."""
    dash = 0.5 * canvas.scale
    return canvas.line(
        strip.axis, colour, strip.width_m, f'stroke-dasharray="{dash:.2f} {dash:.2f}"'
    )


def plan_drawing(
    junction: Junction, ground: Ground, streets: Mapping[str, str], size_px: int = 640
) -> str:
    """The junction to scale, as SVG.

    Args:
        junction: Which movements a lane's arrow shows.
        ground: Read by `read_ground`.
        streets: Leg to street name, for the labels.
        size_px: Width and height.
    """
    half_m = math.ceil((ground.reach_m + ARM_M) / 5.0) * 5.0
    canvas = _Canvas(half_m, size_px)
    parts = _surface(canvas, ground, plain=False)
    dash = f'stroke-dasharray="{3.0 * canvas.scale:.1f} {4.0 * canvas.scale:.1f}"'
    parts += [canvas.line(line, MARKING, 0.18, dash) for line in ground.dividers]
    parts += [canvas.line(line, CENTRE_LINE, 0.3) for line in ground.centres]
    parts += [canvas.line(line, MARKING, 0.7) for line in ground.stops]
    for lane, (place, bearing_deg) in ground.arrows.items():
        kinds = {movement.kind for movement in junction.movements if lane in movement.lanes}
        x, y = canvas.at(place)
        parts.append(
            f'<g transform="translate({x:.1f} {y:.1f}) rotate({bearing_deg:.1f}) '
            f'scale({canvas.scale:.3f})">{_lane_arrow(kinds)}</g>'
        )
    parts += [_arm_label(canvas, half_m, ground, leg, streets) for leg in ground.arms]
    parts.append(_scale_bar(canvas, size_px))
    parts.append(_north_arrow(size_px))
    return _svg(size_px, "plan", f"Plan of junction {junction.id}, to scale, north up", parts)


def _svg(size_px: int, name: str, title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg class="{name}" viewBox="0 0 {size_px} {size_px}" role="img">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )


def _lane_arrow(kinds: Iterable[str]) -> str:
    """Painted arrows in a lane's own frame: metres, forward is up."""
    shapes = {
        "through": ("M0 2.6V-1.2", "M0 -2.8L-.62 -1.1H.62Z"),
        "left": ("M0 2.6V.9L-.62 .15", "M-1.3 -.55L-.95 .7L-.1 -.2Z"),
        "right": ("M0 2.6V.9L.62 .15", "M1.3 -.55L.95 .7L.1 -.2Z"),
        "uturn": ("M0 2.6V1.9C0 .9 -1.05 .9 -1.05 1.9V2.2", "M-1.05 3.3L-1.6 2H-.5Z"),
    }
    strokes = "".join(shapes[kind][0] for kind in shapes if kind in kinds)
    heads = "".join(shapes[kind][1] for kind in shapes if kind in kinds)
    return (
        f'<path d="{strokes}" fill="none" stroke="{MARKING}" stroke-width=".32"/>'
        f'<path d="{heads}" fill="{MARKING}"/>'
    )


def _arm_label(
    canvas: _Canvas, half_m: float, ground: Ground, leg: str, streets: Mapping[str, str]
) -> str:
    turn = math.radians(ground.arms[leg])
    sin, cos = math.sin(turn), math.cos(turn)
    edge_m = half_m / max(abs(sin), abs(cos)) - 7.0
    x, y = canvas.at((edge_m * sin, edge_m * cos))
    text = f"{leg}  {streets[leg]}" if streets.get(leg) else leg
    width = 13.0 + sum(12.5 if ord(sign) > 0x2E7F else 6.6 for sign in text)
    size = 2.0 * half_m * canvas.scale
    x = min(max(x, width / 2.0 + 4.0), size - width / 2.0 - 4.0)
    y = min(max(y, 16.0), size - 16.0)
    return (
        f'<rect x="{x - width / 2:.1f}" y="{y - 12:.1f}" width="{width:.1f}" height="23" rx="3" '
        f'fill="#fff" stroke="#8b929a" stroke-width=".7"/>'
        f'<text x="{x:.1f}" y="{y + 4:.1f}" text-anchor="middle" class="label">'
        f"{escape(text)}</text>"
    )


def _scale_bar(canvas: _Canvas, size_px: int) -> str:
    length = 20.0 * canvas.scale
    left, y = 18.0, size_px - 22.0
    parts = [
        f'<rect x="8" y="{y - 22:.1f}" width="{length + 42:.1f}" height="36" rx="3" fill="#fff" '
        f'fill-opacity=".88"/><path d="M{left} {y:.1f}h{length:.1f}" stroke="#222"/>'
    ]
    for share, text in ((0.0, "0"), (0.5, "10"), (1.0, "20 m")):
        x = left + share * length
        parts.append(
            f'<path d="M{x:.1f} {y - 4:.1f}v8" stroke="#222"/>'
            f'<text x="{x:.1f}" y="{y - 8:.1f}" class="small" text-anchor="middle">{text}</text>'
        )
    return "".join(parts)


def _north_arrow(size_px: int) -> str:
    x = size_px - 26.0
    return (
        f'<g transform="translate({x:.1f} 34)"><circle r="21" fill="#fff" fill-opacity=".88"/>'
        '<path d="M0 -13L6 10L0 5.5L-6 10Z" fill="#222"/>'
        '<text y="-14" class="small" text-anchor="middle" font-weight="600">N</text></g>'
    )


def phase_ground(ground: Ground, size_px: int = 170) -> str:
    """The ground under every phase drawing, as an SVG symbol to refer to."""
    canvas = _phase_canvas(ground, size_px)
    return "".join(_surface(canvas, ground, plain=True))


def phase_drawing(junction: Junction, ground: Ground, phase: Phase, size_px: int = 170) -> str:
    """One phase: arrows of what is green, crosswalks that walk, as SVG.

    Refers to the symbol ``ground``, see `phase_ground`.
    """
    canvas = _phase_canvas(ground, size_px)
    parts = ['<use href="#ground"/>']
    movements = [item for item in junction.movements if item.group in phase.groups]
    order = {"pedestrian": 0, "right": 1, "uturn": 2, "left": 3, "through": 4}
    for movement in sorted(movements, key=lambda item: (order[item.kind], item.id)):
        parts.append(_movement_arrow(canvas, ground, junction, movement))
    words = ", ".join(phase.groups)
    return _svg(size_px, "phase", f"Phase {phase.name}: green {words}", parts)


def _phase_canvas(ground: Ground, size_px: int) -> _Canvas:
    return _Canvas(ground.reach_m + ARROW_ARM_M - 3.0, size_px)


def _movement_arrow(canvas: _Canvas, ground: Ground, junction: Junction, movement: Movement) -> str:
    links = [link for link in movement.links if link in ground.paths]
    if not links:
        return ""
    if movement.kind == "pedestrian":
        return "".join(_walk(canvas, ground.paths[link]) for link in links)
    path = ground.paths[links[len(links) // 2]]
    yields = junction.link_green[links[0]] == "g"
    colour = BUS_GREEN if movement.bus else GREEN
    width_px = 1.5 if yields else 3.4
    return _arrow(canvas, path, colour, width_px)


def _walk(canvas: _Canvas, path: Line) -> str:
    """A walking crosswalk: a dotted way with a head at both ends."""
    inner = tail(tail(path, _length(path) - 2.5)[::-1], _length(path) - 5.0)[::-1]
    return (
        canvas.line(inner, GREEN, 0.0, 'style="stroke-width:2.6px" stroke-dasharray="1.5 3.2"')
        + _head(canvas, path, GREEN, 7.0)
        + _head(canvas, path[::-1], GREEN, 7.0)
    )


def _length(line: Line) -> float:
    return sum(math.dist(first, second) for first, second in itertools.pairwise(line))


def _arrow(canvas: _Canvas, path: Line, colour: str, width_px: float) -> str:
    head_px = 4.5 + 1.9 * width_px
    shaft = tail(path[::-1], max(_length(path) - 0.8 * head_px / canvas.scale, 1.0))[::-1]
    return (
        f'<polyline points="{canvas.points(shaft)}" fill="none" stroke="{colour}" '
        f'stroke-width="{width_px}" stroke-linejoin="round"/>'
        + _head(canvas, path, colour, head_px)
    )


def _head(canvas: _Canvas, path: Line, colour: str, size_px: float) -> str:
    tip = canvas.at(path[-1])
    back = canvas.at(tail(path, size_px / canvas.scale)[0])
    dx, dy = tip[0] - back[0], tip[1] - back[1]
    length = math.hypot(dx, dy) or 1.0
    dx, dy = dx / length, dy / length
    left = (tip[0] - size_px * dx - 0.5 * size_px * dy, tip[1] - size_px * dy + 0.5 * size_px * dx)
    right = (tip[0] - size_px * dx + 0.5 * size_px * dy, tip[1] - size_px * dy - 0.5 * size_px * dx)
    corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in (tip, left, right))
    return f'<polygon points="{corners}" fill="{colour}"/>'

"""Draws a junction's lanes and crosswalks from its net."""

from __future__ import annotations

import itertools
from pathlib import Path
from xml.etree import ElementTree

from scenarios.layout import SiteLayout
from scenarios.schema import Site
from signals.errors import MissingDependencyError, OutputError

REACH_M = 130.0


def draw(net_file: Path, site: Site, target: Path) -> None:
    """Write a picture of the junction and 130 m around it.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        OutputError: the file cannot be written.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.patches import Polygon
    except ImportError as error:
        raise MissingDependencyError("matplotlib", "study", "drawing a picture") from error
    root = ElementTree.parse(net_file).getroot()
    figure = Figure(figsize=(8, 8), dpi=120)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_aspect("equal")
    axes.axis("off")
    middle = (0.0, 0.0)
    for node in root.iter("junction"):
        outline = _points(node.get("shape", ""))
        if node.get("id") == site.id:
            middle = (float(node.get("x", "0")), float(node.get("y", "0")))
        if len(outline) > 2 and node.get("type") != "internal":
            axes.add_patch(Polygon(outline, closed=True, facecolor="#55585c", edgecolor="none"))
    for edge in root.iter("edge"):
        use = edge.get("function", "normal")
        if use in ("internal", "walkingarea"):
            continue
        for lane in edge.iter("lane"):
            walking = lane.get("allow") == "pedestrian"
            bus = "bus" in (lane.get("allow") or "").split()
            colour = "#c9c5bb" if walking else "#9c4f43" if bus else "#6b6f74"
            if use == "crossing":
                colour = "#e8e8e8"
            for outline in _strip(_points(lane.get("shape", "")), float(lane.get("width", "3.2"))):
                axes.add_patch(
                    Polygon(
                        outline, closed=True, facecolor=colour, edgecolor="white", linewidth=0.4
                    )
                )
    for part in SiteLayout(site).legs.values():
        edge = next(item for item in root.iter("edge") if item.get("id") == part.out)
        lanes = [_points(lane.get("shape", "")) for lane in edge.iter("lane")]
        first, last = lanes[-1][0], lanes[-1][-1]
        length = ((last[0] - first[0]) ** 2 + (last[1] - first[1]) ** 2) ** 0.5
        ahead = min(1.0, 75.0 / length)
        axes.annotate(
            f"{part.name}  {part.leg.street.split('(')[0].strip()}",
            (first[0] + (last[0] - first[0]) * ahead, first[1] + (last[1] - first[1]) * ahead),
            ha="center",
            fontsize=9,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8},
        )
    axes.set_xlim(middle[0] - REACH_M, middle[0] + REACH_M)
    axes.set_ylim(middle[1] - REACH_M, middle[1] + REACH_M)
    try:
        figure.savefig(target, facecolor="#f4f2ec", format="png")
    except OSError as error:
        raise OutputError(
            f"cannot write {target} ({error.strerror}); give --picture a writable file"
        ) from error


def _points(text: str) -> list[tuple[float, float]]:
    pairs = [item.split(",") for item in text.split()]
    return [(float(pair[0]), float(pair[1])) for pair in pairs]


def _strip(line: list[tuple[float, float]], width_m: float) -> list[list[tuple[float, float]]]:
    """A lane's outline, one quadrilateral per piece of its axis."""
    found = []
    for (x0, y0), (x1, y1) in itertools.pairwise(line):
        length = ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5 or 1.0
        nx, ny = -(y1 - y0) / length * width_m / 2, (x1 - x0) / length * width_m / 2
        found.append(
            [(x0 + nx, y0 + ny), (x1 + nx, y1 + ny), (x1 - nx, y1 - ny), (x0 - nx, y0 - ny)]
        )
    return found

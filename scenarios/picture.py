"""Draws lanes and crosswalks of a junction or a whole network from its net."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from scenarios.layout import SiteLayout
from scenarios.schema import Site
from signals.errors import MissingDependencyError, OutputError

if TYPE_CHECKING:
    from scenarios.streets.scenario import StreetScenario

REACH_M = 130.0
RIM_M = 320.0


def draw(net_file: Path, site: Site, target: Path) -> None:
    """Write a picture of the junction and 130 m around it.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        OutputError: the file cannot be written.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError("matplotlib", "study", "drawing a picture") from error
    root = ElementTree.parse(net_file).getroot()
    figure = Figure(figsize=(8, 8), dpi=120)
    FigureCanvasAgg(figure)
    axes = _axes(figure)
    _draw_net(axes, root)
    middle = _centres(root)[site.id]
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
    _save(figure, target)


def draw_network(found: StreetScenario, target: Path) -> None:
    """Write a picture of a whole network with the names of its junctions, true to scale.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        OutputError: the file cannot be written.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError("matplotlib", "study", "drawing a picture") from error
    root = ElementTree.parse(found.network.net_file).getroot()
    centres = {
        name: place for name, place in _centres(root).items() if name in found.site.junctions
    }
    across = [place[0] for place in centres.values()]
    along = [place[1] for place in centres.values()]
    margin_m = REACH_M if len(centres) == 1 else RIM_M
    box = (
        min(across) - margin_m,
        max(across) + margin_m,
        min(along) - margin_m,
        max(along) + margin_m,
    )
    wide_m, high_m = box[1] - box[0], box[3] - box[2]
    scale = 16.0 / max(wide_m, high_m)
    figure = Figure(figsize=(max(8.0, wide_m * scale), max(5.0, high_m * scale)), dpi=120)
    FigureCanvasAgg(figure)
    axes = _axes(figure)
    _draw_net(axes, root)
    for number, (name, (x, y)) in enumerate(centres.items()):
        # Names stand above and below in turn, so that close junctions stay readable.
        away_m = 0.7 * margin_m if number % 2 == 0 else -0.7 * margin_m
        axes.annotate(
            f"{name}\n{found.site.junctions[name].title.split('(')[0].strip()}",
            (x, y),
            (x, y + away_m),
            ha="center",
            fontsize=9,
            arrowprops={"arrowstyle": "-", "color": "#444444", "linewidth": 0.7},
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85},
        )
    bar_m = 50.0 if len(centres) == 1 else 500.0
    left, low = box[0] + 0.05 * wide_m, box[2] + 0.04 * high_m
    axes.plot([left, left + bar_m], [low, low], color="#222222", linewidth=2.0)
    axes.text(left + bar_m / 2, low + 0.01 * high_m, f"{bar_m:g} m", ha="center", fontsize=9)
    axes.set_xlim(box[0], box[1])
    axes.set_ylim(box[2], box[3])
    _save(figure, target)


def _axes(figure: Any) -> Any:
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_aspect("equal")
    axes.axis("off")
    return axes


def _centres(root: ElementTree.Element) -> dict[str, tuple[float, float]]:
    return {
        node.get("id", ""): (float(node.get("x", "0")), float(node.get("y", "0")))
        for node in root.iter("junction")
    }


def _draw_net(axes: Any, root: ElementTree.Element) -> None:
    """Lanes, crosswalks and junction areas."""
    from matplotlib.patches import Polygon

    for node in root.iter("junction"):
        outline = _points(node.get("shape", ""))
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


def _save(figure: Any, target: Path) -> None:
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

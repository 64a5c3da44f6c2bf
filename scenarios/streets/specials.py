"""Closed lanes and slow blocks as SUMO additional files: a run needs no code of ours."""

from __future__ import annotations

from pathlib import Path

from scenarios.cache import cache_folder, cached_file, digest
from scenarios.layout import LegLayout
from scenarios.network import document, write_text
from scenarios.schema import clock_s
from scenarios.streets.junctions import Streets
from scenarios.streets.schema import Closure


def closure_xml(name: str, closure: Closure, part: LegLayout) -> str:
    """A rerouter that closes lanes of an approach's block for a while.

    Vehicles that reach the block find the lanes closed and change to the others.

    Args:
        name: Id of the rerouter.
        closure: Which lanes, and when.
        part: Layout of the leg.
    """
    edges = part.approach_edges
    block = edges[-2]
    # Lane 1 lies at the median and has the highest index; a sidewalk at index 0 shifts the rest.
    sidewalk = 1 if len(edges) == 2 and part.block in edges else 0
    begin_s = clock_s(closure.begin)
    end_s = begin_s + 60 * closure.minutes.value
    lanes = "".join(
        f'<closingLaneReroute id="{block}_{part.block_lanes - number + sidewalk}" disallow="all"/>'
        for number in closure.lanes.value
    )
    return document(
        "additional",
        [
            f'<rerouter id="{name}" edges="{block}">',
            f'    <interval begin="{begin_s}" end="{end_s}">{lanes}</interval>',
            "</rerouter>",
        ],
    )


def closure_file(site: str, name: str, closure: Closure, part: LegLayout) -> Path:
    """The additional file of a closure, from the cache or freshly written."""
    text = closure_xml(name, closure, part)
    path = cache_folder() / "networks" / f"{site}-{digest(text)[:20]}.closure.add.xml"
    return cached_file(path, lambda target: write_text(target, text))


def friction_xml(streets: Streets, period: str) -> str | None:
    """Variable speed signs that slow the blocks between the junctions, None where nothing does.

    The net keeps the posted limit, from which yellow times follow; the last piece before each stop
    line keeps its speed, so that queues discharge as they do elsewhere.
    """
    friction = streets.site.demand.friction
    factor = friction.value.get(period, 1.0) if friction else 1.0
    if factor == 1.0 or not streets.onward:
        return None
    lines = []
    begin_s = streets.site.periods[period].begin_s
    for place in sorted(streets.onward):
        part = streets.leg(place)
        lanes = " ".join(f"{part.block}_{index}" for index in range(1, part.block_lanes + 1))
        speed_mps = part.leg.speed_limit_kmh.value / 3.6 * factor
        lines += [
            f'<variableSpeedSign id="{part.block}.friction" lanes="{lanes}">',
            f'    <step time="{begin_s}" speed="{speed_mps:.3f}"/>',
            "</variableSpeedSign>",
        ]
    return document("additional", lines)


def friction_file(streets: Streets, period: str) -> Path | None:
    """The additional file of slow blocks, from the cache or freshly written."""
    text = friction_xml(streets, period)
    if text is None:
        return None
    path = cache_folder() / "networks" / f"{streets.site.id}-{digest(text)[:20]}.friction.add.xml"
    return cached_file(path, lambda target: write_text(target, text))

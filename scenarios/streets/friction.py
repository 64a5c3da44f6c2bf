"""Slow blocks between the junctions as a SUMO additional file."""

from __future__ import annotations

from pathlib import Path

from scenarios.cache import cache_folder, cached_file, digest
from scenarios.network import document, write_text
from scenarios.streets.junctions import Streets


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

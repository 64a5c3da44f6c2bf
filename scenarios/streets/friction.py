"""Slow blocks between the junctions as a SUMO additional file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from scenarios.cache import cache_folder, cached_file, digest
from scenarios.network import document, write_text
from scenarios.streets.junctions import Streets


def friction_xml(streets: Streets, parts: Sequence[tuple[int, str]]) -> str | None:
    """Variable speed signs that slow the blocks between the junctions, None where nothing does.

    The net keeps the posted limit, from which yellow times follow; the last piece before each stop
    line keeps its speed, so that queues discharge as they do elsewhere.

    Args:
        streets: The site.
        parts: Clock second and the period that holds from then on.
    """
    friction = streets.site.demand.friction
    factors = [(s, friction.value.get(name, 1.0) if friction else 1.0) for s, name in parts]
    if all(factor == 1.0 for _, factor in factors) or not streets.onward:
        return None
    lines = []
    for place in sorted(streets.onward):
        part = streets.leg(place)
        lanes = " ".join(f"{part.block}_{index}" for index in range(1, part.block_lanes + 1))
        limit_mps = part.leg.speed_limit_kmh.value / 3.6
        lines.append(f'<variableSpeedSign id="{part.block}.friction" lanes="{lanes}">')
        lines += [
            f'    <step time="{begin_s}" speed="{limit_mps * factor:.3f}"/>'
            for begin_s, factor in factors
        ]
        lines.append("</variableSpeedSign>")
    return document("additional", lines)


def friction_file(streets: Streets, parts: Sequence[tuple[int, str]]) -> Path | None:
    """The additional file of slow blocks, from the cache or freshly written, see `friction_xml`."""
    text = friction_xml(streets, parts)
    if text is None:
        return None
    path = cache_folder() / "networks" / f"{streets.site.id}-{digest(text)[:20]}.friction.add.xml"
    return cached_file(path, lambda target: write_text(target, text))

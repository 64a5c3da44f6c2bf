"""Cross-checks of a site file: names that must exist, lanes that must fit, shares that sum to 1."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from pydantic import BaseModel

from scenarios.demand_checks import demand_problems
from scenarios.layout import SiteLayout, split_movement
from scenarios.leg_checks import leg_problems, movement_problems, stop_problems
from scenarios.problems import Problem, unknown
from scenarios.schema import Marked, Site, SiteMovement, SitePlan, Span, Special, clock_s


def site_problems(site: Site) -> list[Problem]:
    """Everything wrong with a site whose fields are right one by one: ``(place, message)``."""
    return [
        *provenance_problems(site.sources, site, ()),
        *leg_problems(site),
        *movement_problems(site),
        *stop_problems(site),
        *phase_problems(site),
        *demand_problems(site),
        *_periods(site),
        *special_problems(
            site.specials,
            site.periods,
            site.legs,
            {name: part.block_lanes for name, part in SiteLayout(site).legs.items()},
        ),
    ]


def provenance_problems(
    sources: Mapping[str, str], model: BaseModel, loc: tuple[str | int, ...]
) -> Iterator[Problem]:
    """Sources that a model names and the file does not list."""
    if isinstance(model, Marked | SiteMovement | SitePlan):
        if model.mark in ("S", "M") and model.source not in sources:
            yield (*loc, "source"), unknown("source", model.source, sources)
        return
    if getattr(model, "mark", "G") != "G" and getattr(model, "source", "") not in sources:
        yield (*loc, "source"), unknown("source", str(getattr(model, "source", "")), sources)
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from provenance_problems(sources, value, (*loc, name))
        elif isinstance(value, dict):
            for key, item in value.items():
                if isinstance(item, BaseModel):
                    yield from provenance_problems(sources, item, (*loc, name, key))


def phase_problems(site: Site) -> Iterator[Problem]:
    """Phases that name unknown signal groups."""
    groups = signal_groups(site)
    for name, members in site.phases.items():
        for index, member in enumerate(members):
            if member not in groups:
                yield ("phases", name, index), unknown("signal group", member, groups)


def signal_groups(site: Site) -> tuple[str, ...]:
    """Signal groups of a site: right turns share the through light, U-turns the left one."""
    found: list[str] = []
    for name in site.movements:
        leg, kind = split_movement(name)
        home = {"right": "through", "uturn": "left"}.get(kind, kind)
        group = f"{leg}.{home}" if f"{leg}.{home}" in site.movements else name
        if group not in found:
            found.append(group)
    found += [f"{leg}.ped" for leg, part in site.legs.items() if part.crosswalk_width_m]
    return tuple(found)


def _periods(site: Site) -> Iterator[Problem]:
    for name, period in site.periods.items():
        loc = ("periods", name)
        if period.end_s <= period.begin_s:
            yield (
                (*loc, "end"),
                f"is {period.end}, not after the begin {period.begin}; one day only",
            )
        for ring in ("ring_a", "ring_b"):
            steps = getattr(period.plan, ring)
            total = sum(step.split_s for step in steps)
            if total != period.plan.cycle_s:
                yield (
                    (*loc, "plan", ring),
                    f"splits sum to {total} s, the cycle is {period.plan.cycle_s} s; "
                    "make them equal",
                )
            groups = signal_groups(site)
            for index, step in enumerate(steps):
                for member in step.groups:
                    if member not in groups:
                        yield (
                            (*loc, "plan", ring, index, "groups"),
                            unknown("signal group", member, groups),
                        )


def special_problems(
    specials: Mapping[str, Special],
    periods: Mapping[str, Span],
    ends: Iterable[str],
    blocks: Mapping[str, int],
) -> Iterator[Problem]:
    """Surges and closures that refer to nothing, or lie outside their period.

    Args:
        specials: Special periods by name.
        periods: Ordinary periods by name.
        ends: Legs where vehicles enter and leave.
        blocks: Lanes of the block of every leg.
    """
    for name, special in specials.items():
        loc = ("specials", name)
        if name in periods:
            yield loc, "is also a period; give it another name"
        if special.like not in periods:
            yield (*loc, "like"), unknown("period", special.like, periods)
            continue
        if special.surge is None and special.closure is None:
            yield loc, "has neither a surge nor a closure; add one"
        span = periods[special.like]
        window = f"allowed: inside period {special.like}"
        if special.surge is not None:
            start_s, end_s = clock_s(special.surge.begin), clock_s(special.surge.end)
            if not span.begin_s <= start_s < end_s <= span.end_s:
                yield (
                    (*loc, "surge"),
                    f"lasts from {special.surge.begin} to {special.surge.end}; {window}",
                )
            if special.surge.leg not in ends:
                yield (*loc, "surge", "leg"), unknown("outer leg", special.surge.leg, ends)
        closure = special.closure
        if closure is None:
            continue
        start_s, minutes = clock_s(closure.begin), closure.minutes.value
        if not span.begin_s <= start_s < start_s + 60 * minutes <= span.end_s:
            yield (*loc, "closure"), f"lasts from {closure.begin} for {minutes} min; {window}"
        if closure.leg not in blocks:
            yield (*loc, "closure", "leg"), unknown("leg", closure.leg, blocks)
            continue
        highest = blocks[closure.leg]
        if any(lane > highest for lane in closure.lanes.value):
            yield (
                (*loc, "closure", "lanes"),
                f"is {closure.lanes.value}; allowed: 1 to {highest}",
            )
        elif len(set(closure.lanes.value)) >= highest:
            yield (*loc, "closure", "lanes"), "closes every lane; leave one open"

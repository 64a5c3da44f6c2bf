"""Cross-checks of a site file: names that must exist, lanes that must fit, shares that sum to 1."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Iterator, Mapping

from pydantic import BaseModel

from scenarios.layout import COMPASS, KINDS, LegLayout, SiteLayout, compass_name, split_movement
from scenarios.schema import Marked, Site, SiteMovement, SitePlan, Span, Special, Volume, clock_s

Problem = tuple[tuple[str | int, ...], str]
_TOLERANCE = 1e-6


def site_problems(site: Site) -> list[Problem]:
    """Everything wrong with a site whose fields are right one by one: ``(place, message)``."""
    return [
        *provenance_problems(site.sources, site, ()),
        *leg_problems(site),
        *movement_problems(site),
        *_stops(site),
        *phase_problems(site),
        *volume_problems(site.demand.volumes),
        *_approaches(site),
        *_mix_and_lines(site),
        *_pedestrians(site),
        *_periods(site),
        *special_problems(
            site.specials,
            site.periods,
            site.legs,
            {name: part.block_lanes for name, part in SiteLayout(site).legs.items()},
        ),
    ]


def unknown(what: str, given: str, allowed: Iterable[str]) -> str:
    """A name that is not there, with the nearest one that is."""
    names = list(allowed)
    near = difflib.get_close_matches(given, names, n=1, cutoff=0.4)
    hint = f"did you mean '{near[0]}'? " if near else ""
    return (
        f"names {what} '{given}', which does not exist; {hint}allowed: {', '.join(names) or 'none'}"
    )


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


def leg_problems(site: Site) -> Iterator[Problem]:
    """Legs that point elsewhere, or have no room for their pocket."""
    for name, leg in site.legs.items():
        if name not in COMPASS:
            yield ("legs", name), f"is no compass name; allowed: {', '.join(COMPASS)}"
            continue
        right = compass_name(leg.bearing_deg.value)
        if right != name:
            yield (
                ("legs", name, "bearing_deg"),
                f"is {leg.bearing_deg.value:g}, which points to {right}; rename the leg to {right}",
            )
        approach = leg.approach
        if approach.pocket and approach.pocket.length_m.value > approach.block_m.value - 60.0:
            yield (
                ("legs", name, "approach", "pocket", "length_m"),
                f"is {approach.pocket.length_m.value:g} m; allowed: up to "
                f"{max(0.0, approach.block_m.value - 60.0):g} m, 60 m less than the block",
            )
        if approach.block_m.value < 80.0:
            yield (
                ("legs", name, "approach", "block_m"),
                f"is {approach.block_m.value:g} m; allowed: 80 m or more, measured from the centre",
            )


def movement_problems(site: Site) -> Iterator[Problem]:
    """Movements whose legs or lanes do not exist or do not fit."""
    layout = SiteLayout(site)
    for name, movement in site.movements.items():
        loc = ("movements", name)
        leg, kind = split_movement(name)
        if leg not in site.legs:
            yield loc, unknown("leg", leg, site.legs)
            continue
        if kind not in KINDS:
            yield loc, unknown("movement kind", kind, KINDS)
            continue
        if movement.to not in site.legs:
            yield (*loc, "to"), unknown("leg", movement.to, site.legs)
            continue
        if (movement.to == leg) != (kind == "uturn"):
            yield (
                (*loc, "to"),
                f"is {movement.to}; a U-turn leaves by its own leg, nothing else does",
            )
            continue
        part = layout.legs[leg]
        wrong = [number for number in movement.lanes if number > part.stop_lanes]
        if wrong:
            yield (
                (*loc, "lanes"),
                f"names lane {wrong[0]} of leg {leg}, which does not exist; "
                f"allowed: 1 to {part.stop_lanes}, counted from the median",
            )
            continue
        yield from _bus_lanes(part, name, movement)
        yield from _exits(layout, name, movement)
    for leg, part in layout.legs.items():
        used = {
            number
            for name, movement in site.movements.items()
            if split_movement(name)[0] == leg
            for number in movement.lanes
        }
        idle = sorted(set(range(1, part.stop_lanes + 1)) - used)
        if idle:
            yield ("movements",), f"no movement uses lane {idle[0]} of leg {leg}; give it one"


def _bus_lanes(part: LegLayout, name: str, movement: SiteMovement) -> Iterator[Problem]:
    bus_lanes = part.leg.approach.bus_lanes.value
    kind = split_movement(name)[1]
    wrong = [number for number in movement.lanes if (number <= bus_lanes) != (kind == "bus")]
    if wrong:
        use = "is a bus lane" if kind != "bus" else "is no bus lane"
        allowed = f"1 to {bus_lanes}" if kind == "bus" else f"{bus_lanes + 1} to {part.stop_lanes}"
        if kind == "bus" and not bus_lanes:
            allowed = f"none, leg {part.name} has no bus lane"
        yield (
            ("movements", name, "lanes"),
            f"names lane {wrong[0]}, which {use}; allowed: {allowed}",
        )


def _exits(layout: SiteLayout, name: str, movement: SiteMovement) -> Iterator[Problem]:
    target = layout.legs[movement.to]
    exits = layout.exit_lanes(name, movement)
    if len(exits) != len(movement.lanes):
        yield (
            ("movements", name, "exit_lanes"),
            f"has {len(exits)} lanes for {len(movement.lanes)} lanes; give one for each",
        )
        return
    bus_lanes = target.leg.departure.bus_lanes.value
    kind = split_movement(name)[1]
    lowest = 1 if kind == "bus" else bus_lanes + 1
    highest = (bus_lanes or target.out_lanes) if kind == "bus" else target.out_lanes
    wrong = [number for number in exits if not lowest <= number <= highest]
    if wrong:
        yield (
            ("movements", name, "exit_lanes" if movement.exit_lanes else "lanes"),
            f"lane {wrong[0]} of the departure of leg {movement.to} does not exist or is kept for "
            "others; "
            f"allowed: {lowest} to {highest}, counted from the median",
        )


def _stops(site: Site) -> Iterator[Problem]:
    for name, stop in site.bus_stops.items():
        loc = ("bus_stops", name)
        if stop.leg not in site.legs:
            yield (*loc, "leg"), unknown("leg", stop.leg, site.legs)
            continue
        leg = site.legs[stop.leg]
        bus_lanes = (leg.approach if stop.side == "approach" else leg.departure).bus_lanes.value
        if not bus_lanes:
            yield (*loc, "leg"), f"the {stop.side} of leg {stop.leg} has no bus lane to stop in"
        room = (
            leg.approach.pocket.length_m.value
            if stop.side == "approach" and leg.approach.pocket
            else leg.approach.block_m.value - 40.0
        )
        far_end_m = stop.distance_m.value + stop.length_m.value
        if far_end_m > room:
            yield (
                (*loc, "distance_m"),
                f"the stop ends {far_end_m:g} m from the junction; allowed: up to {room:g} m",
            )


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


def volume_problems(volumes: Mapping[str, Volume]) -> Iterator[Problem]:
    """Counts that are incomplete or refer to nothing."""
    for name, volume in volumes.items():
        loc = ("demand", "volumes", name)
        if volume.veh_per_h is not None:
            if volume.veh_per_day is not None or volume.shape_of is not None:
                yield loc, "has veh_per_h and also a daily total; keep one of them"
            elif not any(volume.veh_per_h.value):
                yield (*loc, "veh_per_h"), "is 0 all day; give at least one hour with traffic"
        elif volume.veh_per_day is None or volume.shape_of is None:
            yield loc, "needs veh_per_h, or both veh_per_day and shape_of"
        else:
            other = volumes.get(volume.shape_of.value)
            counted = [key for key, item in volumes.items() if item.veh_per_h is not None]
            if other is None or other.veh_per_h is None:
                yield (*loc, "shape_of"), unknown("counted volume", volume.shape_of.value, counted)


def _approaches(site: Site) -> Iterator[Problem]:
    for leg, item in site.demand.approaches.items():
        loc: tuple[str | int, ...] = ("demand", "approaches", leg)
        if leg not in site.legs:
            yield loc, unknown("leg", leg, site.legs)
            continue
        if item.volume not in site.demand.volumes:
            yield (*loc, "volume"), unknown("volume", item.volume, site.demand.volumes)
        yield from per_period(site.periods, item.direction_share, (*loc, "direction_share"))
        kinds = [split_movement(name)[1] for name in site.movements if name.startswith(f"{leg}.")]
        kinds = [kind for kind in kinds if kind != "bus"]
        for kind in item.turning.value:
            if kind not in kinds:
                yield (*loc, "turning"), f"{unknown('movement', kind, kinds)} for leg {leg}"
        total = sum(item.turning.value.values())
        if abs(total - 1.0) > _TOLERANCE:
            yield (*loc, "turning"), f"shares sum to {total:g}; make them sum to 1"
    for leg in site.legs:
        if leg not in site.demand.approaches:
            yield ("demand", "approaches"), f"leg {leg} has no demand; add it"


def per_period(
    periods: Collection[str], values: Iterable[str], loc: tuple[str | int, ...]
) -> Iterator[Problem]:
    """Whether a table has a value for each period, and for no other.

    Args:
        periods: Periods of the site.
        values: Periods of the table.
        loc: Where the table stands in the file.

    Yields:
        Place and what is wrong.
    """
    given = set(values)
    for period in given - set(periods):
        yield (*loc, period), unknown("period", period, periods)
    for period in periods:
        if period not in given:
            yield loc, f"has no value for period '{period}'; add it"


def _mix_and_lines(site: Site) -> Iterator[Problem]:
    demand = site.demand
    total = sum(demand.mix.value.values())
    if abs(total - 1.0) > _TOLERANCE:
        yield ("demand", "mix"), f"shares sum to {total:g}; make them sum to 1"
    low, high = demand.dwell_s.value
    if low > high:
        yield ("demand", "dwell_s"), f"is [{low:g}, {high:g}]; put the smaller first"
    low, high = demand.variation.peak_hour_factor.value
    if low > high:
        yield (
            ("demand", "variation", "peak_hour_factor"),
            f"is [{low:g}, {high:g}]; put the smaller first",
        )
    shares: dict[str, float] = {}
    for name, line in demand.bus_lines.items():
        loc = ("demand", "bus_lines", name)
        key = f"{line.origin}.bus"
        if key not in site.movements or site.movements[key].to != line.destination:
            ways = [
                f"{split_movement(item)[0]} to {movement.to}"
                for item, movement in site.movements.items()
                if item.endswith(".bus")
            ]
            yield (
                loc,
                f"runs {line.origin} to {line.destination}, where no bus movement leads; "
                f"allowed: {', '.join(ways) or 'none'}",
            )
        shares[line.origin] = shares.get(line.origin, 0.0) + line.share.value
        if shares[line.origin] > 1.0 + _TOLERANCE:
            yield (*loc, "share"), f"lines from {line.origin} share out more than all its buses"
        for index, stop in enumerate(line.stops):
            if stop not in site.bus_stops:
                yield (*loc, "stops", index), unknown("bus stop", stop, site.bus_stops)


def _pedestrians(site: Site) -> Iterator[Problem]:
    walks = site.demand.pedestrians
    loc = ("demand", "pedestrians")
    yield from per_period(site.periods, walks.per_crosswalk_h, (*loc, "per_crosswalk_h"))
    for name, leg in site.legs.items():
        room = leg.approach.pocket.length_m.value if leg.approach.pocket else 1e9
        room = min(room, leg.approach.block_m.value - 40.0) - 5.0
        if walks.sidewalk_m.value > room:
            yield (
                (*loc, "sidewalk_m"),
                f"is {walks.sidewalk_m.value:g} m; allowed: up to {room:g} m, "
                f"the sidewalk of leg {name}",
            )


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

"""Cross-checks of a second-format site file, in two steps.

The first looks at names and references; only when all of them hold can the site be taken apart into
junctions, each of which then passes the checks of a single one.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from scenarios.checks import phase_problems, provenance_problems, special_problems
from scenarios.demand_checks import per_period, volume_problems
from scenarios.layout import COMPASS
from scenarios.leg_checks import leg_problems, movement_problems
from scenarios.problems import Problem, unknown
from scenarios.streets.flows import path_between
from scenarios.streets.junctions import STORAGE_M, Streets, leg_ref, turn_target
from scenarios.streets.schema import StreetSite

_TOLERANCE = 1e-6
_LEAST_STOP_EDGE_M = 5.0


def street_problems(site: StreetSite) -> list[Problem]:
    """Everything wrong with a site whose fields are right one by one: ``(place, message)``."""
    first = [
        *provenance_problems(site.sources, site, ()),
        *_streets(site),
        *_legs(site),
        *_sequences(site),
        *_plans(site),
    ]
    if first:
        return first
    streets = Streets(site)
    return [
        *_junctions(streets),
        *_lanes_meet(streets),
        *_turning(streets),
        *_demand(streets),
        *_buses(streets),
        *_periods(site),
        *_days(site),
        *_specials(streets),
        *_corridors(streets),
    ]


def _legs(site: StreetSite) -> Iterator[Problem]:
    inner = {text for street in site.streets for text in (street.start, street.end)}
    for name, junction in site.junctions.items():
        for leg, part in junction.legs.items():
            loc = ("junctions", name, "legs", leg)
            if leg not in COMPASS:
                yield loc, f"is no compass name; allowed: {', '.join(COMPASS)}"
            elif part.bearing_deg is None and f"{name}.{leg}" not in inner:
                yield (
                    (*loc, "bearing_deg"),
                    "is missing; give the compass bearing of a leg that no street continues",
                )
            uses = part.lanes.value
            buses = [use == "bus" for use in uses]
            if any(not first and then for first, then in pairwise(buses)):
                yield (*loc, "lanes"), "has a bus lane behind a general lane; begin with bus lanes"
            pocket = part.pocket_lanes.value
            if len(uses) - sum(buses) - pocket < 1:
                yield (
                    (*loc, "pocket_lanes"),
                    f"is {pocket}; allowed: 0 to {max(0, len(uses) - sum(buses) - 1)}, "
                    "so that one lane reaches back",
                )


def _streets(site: StreetSite) -> Iterator[Problem]:
    known = [f"{name}.{leg}" for name, item in site.junctions.items() for leg in item.legs]
    used: set[str] = set()
    for index, street in enumerate(site.streets):
        for key, text in (("from", street.start), ("to", street.end)):
            loc = ("streets", index, key)
            if text not in known:
                yield loc, unknown("leg", text, known)
            elif text in used:
                yield loc, f"names {text} again; one street ends at each leg"
            used.add(text)
        if leg_ref(street.start)[0] == leg_ref(street.end)[0]:
            yield ("streets", index), "begins and ends at one junction; join two"


def _sequences(site: StreetSite) -> Iterator[Problem]:
    for name, junction in site.junctions.items():
        for index, phase in enumerate(junction.sequence):
            if phase not in junction.phases:
                yield (
                    ("junctions", name, "sequence", index),
                    unknown("phase", phase, junction.phases),
                )


def _plans(site: StreetSite) -> Iterator[Problem]:
    for period in site.periods:
        if period not in site.plans:
            yield ("plans",), f"has no plans for period '{period}'; add them"
    for period, plans in site.plans.items():
        if period not in site.periods:
            yield ("plans", period), unknown("period", period, site.periods)
        for name in site.junctions:
            if name not in plans.junctions:
                yield ("plans", period, "junctions"), f"has no plan for junction {name}; add it"
        for name, plan in plans.junctions.items():
            loc = ("plans", period, "junctions", name)
            if name not in site.junctions:
                yield loc, unknown("junction", name, site.junctions)
                continue
            steps = len(site.junctions[name].sequence)
            if len(plan.splits_s) != steps:
                yield (
                    (*loc, "splits_s"),
                    f"has {len(plan.splits_s)} splits; the sequence of {name} has {steps} steps",
                )
            elif plans.cycle_s % sum(plan.splits_s):
                yield (
                    (*loc, "splits_s"),
                    f"sum to {sum(plan.splits_s)} s, the cycle is {plans.cycle_s} s; make them "
                    "equal, or half of it",
                )


def _junctions(streets: Streets) -> Iterator[Problem]:
    for name, view in streets.junctions.items():
        for problem in (leg_problems(view), movement_problems(view), phase_problems(view)):
            for loc, message in problem:
                yield ("junctions", name, *loc), message
        bearings = {leg: part.bearing_deg.value for leg, part in view.legs.items()}
        for leg, part in streets.site.junctions[name].legs.items():
            for use in part.lanes.value:
                for turn in use.split("+"):
                    if turn_target(leg, turn, bearings) is None:
                        yield (
                            ("junctions", name, "legs", leg, "lanes"),
                            f"has a lane for '{turn}', but no leg lies on that side",
                        )


def _lanes_meet(streets: Streets) -> Iterator[Problem]:
    for place, there in streets.onward.items():
        leaving, arriving = streets.leg(place).leg.departure, streets.leg(there).leg.approach
        for key, out, into in (
            ("out_lanes", leaving.general_lanes.value, arriving.general_lanes.value),
            ("out_bus_lanes", leaving.bus_lanes.value, arriving.bus_lanes.value),
        ):
            if out != into:
                yield (
                    ("junctions", place[0], "legs", place[1], key),
                    f"is {out}; the block to {there[0]}.{there[1]} has {into}, pockets not "
                    "counted; make them equal",
                )


def _turning(streets: Streets) -> Iterator[Problem]:
    for name, junction in streets.site.junctions.items():
        for leg, part in junction.legs.items():
            loc = ("junctions", name, "legs", leg, "turning")
            kinds = streets.targets((name, leg))
            for kind in part.turning.value:
                if kind not in kinds:
                    yield loc, f"{unknown('movement', kind, kinds)} for leg {name}.{leg}"
            total = sum(part.turning.value.values())
            if abs(total - 1.0) > _TOLERANCE:
                yield loc, f"shares sum to {total:g}; make them sum to 1"


def _demand(streets: Streets) -> Iterator[Problem]:
    demand = streets.site.demand
    yield from volume_problems(demand.volumes)
    outer = [f"{name}.{leg}" for name, leg in streets.outer]
    for ref, entry in demand.entries.items():
        loc: tuple[str | int, ...] = ("demand", "entries", ref)
        if ref not in outer:
            yield loc, unknown("outer leg", ref, outer)
        if entry.volume not in demand.volumes:
            yield (*loc, "volume"), unknown("volume", entry.volume, demand.volumes)
        yield from per_period(streets.site.periods, entry.share.value, (*loc, "share"))
    for ref in outer:
        if ref not in demand.entries:
            yield ("demand", "entries"), f"leg {ref} has no demand; add it"
    periods = streets.site.periods
    yield from per_period(periods, demand.speed_factor.value, ("demand", "speed_factor"))
    for key, table in (
        ("friction", demand.friction),
        ("kerb", demand.kerb.level if demand.kerb else None),
    ):
        for period in table.value if table else ():
            if period not in streets.site.periods:
                yield ("demand", key, period), unknown("period", period, streets.site.periods)
    for name, levels in demand.level.value.items():
        if name not in demand.volumes:
            yield ("demand", "level", name), unknown("volume", name, demand.volumes)
        for period in levels:
            if period not in streets.site.periods:
                yield (
                    ("demand", "level", name, period),
                    unknown("period", period, streets.site.periods),
                )
    for name, junction in streets.site.junctions.items():
        yield from per_period(
            streets.site.periods,
            junction.per_crosswalk_h.value,
            ("junctions", name, "per_crosswalk_h"),
        )
    total = sum(demand.mix.value.values())
    if abs(total - 1.0) > _TOLERANCE:
        yield ("demand", "mix"), f"shares sum to {total:g}; make them sum to 1"
    spans = {
        "bus_dwell_s": demand.bus_dwell_s,
        "variation": demand.variation.peak_hour_factor,
        **({"kerb": demand.kerb.dwell_s} if demand.kerb else {}),
    }
    for key, span in spans.items():
        if span.value[0] > span.value[1]:
            yield ("demand", key), f"is {list(span.value)}; put the smaller first"
    for name, layout in streets.layouts.items():
        for leg, part in layout.legs.items():
            edge_m = part.pocket_m or part.leg.approach.block_m.value - 40.0
            if (name, leg) in streets.onward:
                edge_m = part.pocket_m or STORAGE_M
            if part.leg.crosswalk_width_m and demand.sidewalk_m.value > edge_m - _LEAST_STOP_EDGE_M:
                yield (
                    ("demand", "sidewalk_m"),
                    f"is {demand.sidewalk_m.value:g} m; allowed: up to "
                    f"{edge_m - _LEAST_STOP_EDGE_M:g} m, the sidewalk of leg {name}.{leg}",
                )


def _buses(streets: Streets) -> Iterator[Problem]:
    demand = streets.site.demand
    known = [f"{name}.{leg}" for name, view in streets.junctions.items() for leg in view.legs]
    for name, stop in demand.bus_stops.items():
        if stop.leg not in known:
            yield ("demand", "bus_stops", name, "leg"), unknown("leg", stop.leg, known)
            continue
        part = streets.leg(leg_ref(stop.leg))
        block_m = part.leg.approach.block_m.value
        far_m = stop.distance_m.value + stop.length_m.value
        if far_m > block_m - 60.0:
            yield (
                ("demand", "bus_stops", name, "distance_m"),
                f"the stop ends {far_m:g} m from the junction; allowed: up to {block_m - 60.0:g} m",
            )
    outer = [f"{name}.{leg}" for name, leg in streets.outer]
    for name, line in demand.bus_lines.items():
        loc = ("demand", "bus_lines", name)
        wrong = [ref for ref in (line.start, line.end) if ref not in outer]
        if wrong:
            yield loc, unknown("outer leg", wrong[0], outer)
            continue
        path = path_between(streets, leg_ref(line.start), leg_ref(line.end), bus=True)
        if path is None:
            yield loc, f"no lawful way leads from {line.start} to {line.end}"
            continue
        yield from per_period(streets.site.periods, line.per_h.value, (*loc, "per_h"))
        for index, stop_name in enumerate(line.stops):
            if stop_name not in demand.bus_stops:
                yield (*loc, "stops", index), unknown("bus stop", stop_name, demand.bus_stops)


def _periods(site: StreetSite) -> Iterator[Problem]:
    for name, span in site.periods.items():
        if span.end_s <= span.begin_s:
            yield (
                ("periods", name, "end"),
                f"is {span.end}, not after the begin {span.begin}; one day only",
            )


def _days(site: StreetSite) -> Iterator[Problem]:
    for name, parts in site.days.items():
        if name in site.periods or name in site.specials:
            yield ("days", name), "is a period already; take another name"
        if "00:00" not in parts:
            yield ("days", name), f"begins at {min(parts)}; a day begins at '00:00'"
        if list(parts) != sorted(parts):
            yield ("days", name), "has its times out of order; put the earlier ones first"
        for clock, part in parts.items():
            if part.period not in site.periods:
                yield ("days", name, clock), unknown("ordinary period", part.period, site.periods)
            if part.level is not None and not 0 < part.level.value <= 3:
                yield (
                    ("days", name, clock, "level"),
                    f"is {part.level.value:g}; general traffic / volume, above 0 to 3",
                )


def _specials(streets: Streets) -> Iterator[Problem]:
    outer = [f"{name}.{leg}" for name, leg in streets.outer]
    known = [f"{name}.{leg}" for name, view in streets.junctions.items() for leg in view.legs]
    blocks = {ref: streets.leg(leg_ref(ref)).block_lanes for ref in known}
    yield from special_problems(streets.site.specials, streets.site.periods, outer, blocks)
    yield from _closed_ways(streets)


def _closed_ways(streets: Streets) -> Iterator[Problem]:
    """Closures that leave a turn upstream no lane to go on: SUMO ends when a vehicle needs it."""
    for name, special in streets.site.specials.items():
        closure = special.closure
        if closure is None or "." not in closure.leg:
            continue
        behind = {place: exit_place for exit_place, place in streets.onward.items()}
        if leg_ref(closure.leg) not in behind:
            continue
        junction, leg = behind[leg_ref(closure.leg)]
        layout = streets.layouts[junction]
        for movement_id, movement in layout.site.movements.items():
            lanes = layout.exit_lanes(movement_id, movement)
            if movement.to == leg and lanes and set(lanes) <= set(closure.lanes.value):
                yield (
                    ("specials", name, "closure", "lanes"),
                    f"is {closure.lanes.value}, all that {junction} {movement_id} leads into; "
                    "leave one of these lanes open",
                )


def _corridors(streets: Streets) -> Iterator[Problem]:
    site = streets.site
    for name, corridor in site.corridors.items():
        loc = ("corridors", name)
        for index, junction in enumerate(corridor.junctions):
            if junction not in site.junctions:
                yield (*loc, "junctions", index), unknown("junction", junction, site.junctions)
                return
        for start, end in pairwise(corridor.junctions):
            if not any(a[0] == start and b[0] == end for a, b in streets.onward.items()):
                yield (*loc, "junctions"), f"no street leads from {start} to {end}"
        for period in corridor.measured_kmh.value:
            if period not in site.periods:
                yield (*loc, "measured_kmh", period), unknown("period", period, site.periods)

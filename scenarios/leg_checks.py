"""Cross-checks of legs, movements and bus stops: lanes that must exist and fit."""

from __future__ import annotations

from collections.abc import Iterator

from scenarios.layout import COMPASS, KINDS, LegLayout, SiteLayout, compass_name, split_movement
from scenarios.problems import Problem, unknown
from scenarios.schema import Site, SiteMovement


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


def stop_problems(site: Site) -> Iterator[Problem]:
    """Bus stops without a bus lane, or with no room to stand in."""
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

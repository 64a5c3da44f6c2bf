"""Cross-checks of demand: counts, shares that sum to 1, bus lines, people on foot."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from scenarios.layout import split_movement
from scenarios.problems import Problem, unknown
from scenarios.schema import Site, Volume

_TOLERANCE = 1e-6


def demand_problems(site: Site) -> Iterator[Problem]:
    """Everything wrong with the demand of a site whose fields are right one by one."""
    yield from volume_problems(site.demand.volumes)
    yield from _approaches(site)
    yield from _mix_and_lines(site)
    yield from _pedestrians(site)


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

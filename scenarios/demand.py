"""One seed, one demand day: vehicles, buses and people on foot, written as a SUMO route file.

Everything random is drawn here from one seeded numpy generator per stream, so that the same seed
gives the same bytes and two agents meet the same day. Streams have generators of their own:
changing the pedestrians leaves every vehicle alone.

Seeds are kept apart by use: learn on `TRAINING_SEEDS`, choose on `VALIDATION_SEEDS`, report on
`HELD_OUT_SEEDS`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np

from scenarios.cache import cache_folder, cached_file, digest
from scenarios.layout import SiteLayout, split_movement
from scenarios.schema import Site
from scenarios.vehicles import PEDESTRIAN_TYPE, SPEED_FACTOR_BOUNDS, VEHICLE_TYPES
from signals.errors import InputError

TRAINING_SEEDS: Final = range(0, 10_000)
VALIDATION_SEEDS: Final = range(10_000, 20_000)
HELD_OUT_SEEDS: Final = range(20_000, 30_000)

QUARTER_S: Final = 900
_STREAMS: Final = {"day": 0, "vehicles": 1, "buses": 2, "pedestrians": 3}
_BUS_HEADWAY_JITTER: Final = 0.4
_SPARE_WALK_M: Final = 2.0


@dataclass(frozen=True)
class Demand:
    """The demand of one site and period."""

    site: Site
    period: str

    def __reduce__(self) -> tuple[type[Demand], tuple[Site, str]]:
        """Pickled without what is computed on demand."""
        return Demand, (self.site, self.period)

    @cached_property
    def layout(self) -> SiteLayout:
        """Edges and lanes of the site."""
        return SiteLayout(self.site)

    @cached_property
    def begin_s(self) -> int:
        """Clock time at which demand begins (s since midnight)."""
        return self.site.periods[self.period].begin_s

    @cached_property
    def end_s(self) -> int:
        """Clock time at which demand ends (s since midnight)."""
        return self.site.periods[self.period].end_s

    def approach_volume_veh_h(self, leg: str) -> float:
        """Mean volume that enters by a leg during the period (veh/h), buses included."""
        item = self.site.demand.approaches[leg]
        share = item.direction_share[self.period].value
        hours = hourly_volumes(self.site, item.volume)
        seconds = np.zeros(24)
        for second in range(self.begin_s, self.end_s, 60):
            seconds[second // 3600] += min(60, self.end_s - second)
        return float(np.dot(seconds, hours) / seconds.sum() * share)

    def line_bus_volume_veh_h(self, leg: str) -> float:
        """Mean volume of the bus lines that enter by a leg (veh/h)."""
        lines = [line for line in self.site.demand.bus_lines.values() if line.origin == leg]
        part = sum(line.share.value for line in lines)
        return self.approach_volume_veh_h(leg) * self.site.demand.mix.value.get("bus", 0.0) * part

    def movement_volume_veh_h(self, name: str) -> float:
        """Mean volume of one movement (veh/h), e.g. ``N.left``."""
        leg, kind = split_movement(name)
        if kind == "bus":
            return self.line_bus_volume_veh_h(leg)
        general = self.approach_volume_veh_h(leg) - self.line_bus_volume_veh_h(leg)
        turning = self.site.demand.approaches[leg].turning.value
        return general * {str(key): part for key, part in turning.items()}.get(kind, 0.0)

    def general_mix(self, leg: str) -> dict[str, float]:
        """Shares of the vehicle types outside the bus lines, summing to 1."""
        mix = {str(key): part for key, part in self.site.demand.mix.value.items()}
        lines = [line for line in self.site.demand.bus_lines.values() if line.origin == leg]
        mix["bus"] = mix.get("bus", 0.0) * max(0.0, 1.0 - sum(line.share.value for line in lines))
        total = sum(mix.values())
        return {name: mix.get(name, 0.0) / total for name in VEHICLE_TYPES}

    def xml(self, seed: int) -> str:
        """The route file of one demand day.

        Args:
            seed: 0 or more; the ranges of this module say what for.
        """
        check_seed(seed)
        trips = [*self._vehicles(seed), *self._buses(seed), *self._people(seed)]
        trips.sort(key=lambda trip: (trip[0], trip[1]))
        lines = ['<?xml version="1.0" encoding="UTF-8"?>', "<routes>"]
        persons = {str(key): mean for key, mean in self.site.demand.persons.value.items()}
        lines += [
            f"    {kind.xml(name, persons.get(name, 1.0))}" for name, kind in VEHICLE_TYPES.items()
        ]
        lines.append(f"    {PEDESTRIAN_TYPE}")
        lines += [f"    {route}" for route in self._routes()]
        lines += [f"    {text}" for _, _, text in trips]
        lines.append("</routes>")
        return "\n".join(lines) + "\n"

    def file(self, seed: int) -> Path:
        """The route file of one demand day, from the cache or freshly drawn."""
        return day_file(self.site.id, self.key, seed, lambda to: _write(to, self.xml(seed)))

    @cached_property
    def key(self) -> str:
        """Identifies everything but the seed that the route file depends on."""
        return digest(
            self.site.demand.model_dump_json(),
            self.site.model_dump_json(include={"legs", "movements", "bus_stops"}),
            self.site.periods[self.period].begin,
            self.site.periods[self.period].end,
            self.period,
            repr(VEHICLE_TYPES) + PEDESTRIAN_TYPE,
            Path(__file__).read_text(encoding="utf-8"),
        )[:20]

    def _random(self, seed: int, stream: str, part: int = 0) -> np.random.Generator:
        return np.random.default_rng([seed, _STREAMS[stream], part])

    def _day_factors(self, seed: int) -> dict[str, float]:
        random = self._random(seed, "day")
        variation = self.site.demand.variation
        common = _lognormal(random, variation.common_cv.value)
        return {
            leg: common * _lognormal(random, variation.approach_cv.value)
            for leg in sorted(self.site.demand.approaches)
        }

    def _quarters(self, seed: int, leg_number: int) -> np.ndarray:
        """Volume of each quarter hour against the hour's mean; shape (quarters,), mean 1."""
        random = self._random(seed, "day", 1 + leg_number)
        low, high = self.site.demand.variation.peak_hour_factor.value
        count = math.ceil((self.end_s - self.begin_s) / QUARTER_S)
        weights = np.ones(count)
        for start in range(0, count - count % 4, 4):
            factor = random.uniform(low, high)
            weights[start : start + 4] = (4.0 - 1.0 / factor) / 3.0
            weights[start + random.integers(4)] = 1.0 / factor
        return weights

    def _arrivals(self, random: np.random.Generator, per_h: np.ndarray) -> Iterator[float]:
        """Clock times of a Poisson stream whose rate is constant over each quarter hour."""
        edges = np.minimum(self.begin_s + QUARTER_S * np.arange(len(per_h) + 1.0), self.end_s)
        expected = np.concatenate([[0.0], np.cumsum(np.diff(edges) * per_h / 3600.0)])
        reached = random.exponential()
        while reached < expected[-1]:
            yield float(np.interp(reached, expected, edges))
            reached += random.exponential()

    def _hour_rates(self, volume: str, quarters: int) -> np.ndarray:
        hours = hourly_volumes(self.site, volume)
        starts = self.begin_s + QUARTER_S * np.arange(quarters)
        return np.asarray([hours[int(start) // 3600 % 24] for start in starts], dtype=float)

    def _vehicles(self, seed: int) -> Iterator[tuple[float, str, str]]:
        factors = self._day_factors(seed)
        for number, leg in enumerate(sorted(self.site.demand.approaches)):
            item = self.site.demand.approaches[leg]
            quarters = self._quarters(seed, number)
            share = item.direction_share[self.period].value * factors[leg]
            buses = self.line_bus_volume_veh_h(leg) / self.approach_volume_veh_h(leg)
            rates = self._hour_rates(item.volume, len(quarters)) * quarters * share * (1.0 - buses)
            random = self._random(seed, "vehicles", number)
            mix = self.general_mix(leg)
            kinds, kind_shares = list(mix), np.asarray(list(mix.values()))
            turning = item.turning.value
            turns, turn_shares = list(turning), np.asarray(list(turning.values()))
            for count, depart_s in enumerate(self._arrivals(random, rates)):
                kind = kinds[int(random.choice(len(kinds), p=kind_shares))]
                turn = turns[int(random.choice(len(turns), p=turn_shares))]
                name = f"{leg}.{count}"
                text = (
                    f'<vehicle id="{name}" type="{kind}" route="{leg}.{turn}"'
                    f' depart="{depart_s:.2f}" departLane="best" departSpeed="max"'
                    f' speedFactor="{speed_factor(random, kind):.2f}">'
                    f'<param key="persons" value="{self._persons(random, kind)}"/></vehicle>'
                )
                yield depart_s, name, text

    def _buses(self, seed: int) -> Iterator[tuple[float, str, str]]:
        """Line buses: even headways with jitter, because they run to a timetable."""
        low, high = self.site.demand.dwell_s.value
        for number, (line_id, line) in enumerate(sorted(self.site.demand.bus_lines.items())):
            random = self._random(seed, "buses", number)
            volume = self.approach_volume_veh_h(line.origin)
            per_h = volume * self.site.demand.mix.value.get("bus", 0.0) * line.share.value
            if per_h <= 0.0:
                continue
            headway_s = 3600.0 / per_h
            origin = self.layout.legs[line.origin]
            lane = origin.block_lanes - 1
            start_s = self.begin_s + random.uniform(0.0, headway_s)
            count = 0
            while start_s + count * headway_s < self.end_s:
                jitter = random.uniform(-0.5, 0.5) * _BUS_HEADWAY_JITTER * headway_s
                due_s = start_s + count * headway_s + jitter
                depart_s = min(max(due_s, self.begin_s), self.end_s - 1.0)
                name = f"{line_id}.{count}"
                stops = "".join(
                    f'<stop busStop="{stop}" duration="{random.uniform(low, high):.0f}"/>'
                    for stop in line.stops
                )
                text = (
                    f'<vehicle id="{name}" type="bus" line="{line_id}"'
                    f' route="{line.origin}.bus" depart="{depart_s:.2f}" departLane="{lane}"'
                    f' departSpeed="max" speedFactor="{speed_factor(random, "bus"):.2f}">'
                    f'{stops}<param key="persons" value="{self._persons(random, "bus")}"/>'
                    "</vehicle>"
                )
                yield depart_s, name, text
                count += 1

    def _persons(self, random: np.random.Generator, kind: str) -> int:
        """People in one vehicle: the driver and a Poisson number of others."""
        persons = {str(key): mean for key, mean in self.site.demand.persons.value.items()}
        return 1 + int(random.poisson(persons.get(kind, 1.0) - 1.0))

    def _people(self, seed: int) -> Iterator[tuple[float, str, str]]:
        """People on foot, each over the crosswalk of one leg, some over the next leg's as well.

        At a leg the approach lies on the far side seen clockwise: a walk from ``N_out`` to
        ``E_out`` must cross leg E, because both corners of leg E are reached and no shorter way
        exists.
        """
        walks = self.site.demand.pedestrians
        per_h = walks.per_crosswalk_h[self.period].value
        crossed = [leg for leg, part in self.site.legs.items() if part.crosswalk_width_m]
        two = walks.two_legs_share.value
        quarters = math.ceil((self.end_s - self.begin_s) / QUARTER_S)
        for number, leg in enumerate(sorted(crossed)):
            random = self._random(seed, "pedestrians", number)
            # Somebody who crosses two legs counts on both crosswalks.
            rates = np.full(quarters, per_h / (1.0 + two))
            for count, depart_s in enumerate(self._arrivals(random, rates)):
                name = f"ped.{leg}.{count}"
                yield depart_s, name, self._walk(random, name, leg, crossed, depart_s)

    def _walk(
        self,
        random: np.random.Generator,
        name: str,
        leg: str,
        crossed: list[str],
        depart_s: float,
    ) -> str:
        layout, walks = self.layout, self.site.demand.pedestrians
        clockwise = bool(random.integers(2))
        following = layout.next_clockwise(leg)
        before = layout.around[layout.around.index(leg) - 1]
        # Corner counter-clockwise of the leg: its approach and the departure of the leg before.
        corners = [
            (layout.legs[leg].stop, layout.legs[before].out),
            (layout.legs[leg].out, layout.legs[following].stop),
        ]
        start, end = corners if clockwise else corners[::-1]
        origin = start[int(random.integers(2))]
        onward = following if clockwise else before
        two = random.random() < walks.two_legs_share.value and onward in crossed
        reach_m = walks.sidewalk_m.value * random.uniform(0.4, 1.0)
        back_m = walks.sidewalk_m.value * random.uniform(0.4, 1.0)
        if two:
            # Over the leg to its far corner, then over the neighbouring leg.
            middle = end[1]
            target = layout.legs[onward].out if clockwise else layout.legs[onward].stop
            legs_xml = (
                f'<walk from="{origin}" to="{middle}"'
                f' arrivalPos="{self._offset(middle, _SPARE_WALK_M)}"/>'
                f'<walk from="{middle}" to="{target}" arrivalPos="{self._offset(target, back_m)}"/>'
            )
            return (
                f'<person id="{name}" type="pedestrian" depart="{depart_s:.2f}"'
                f' departPos="{self._offset(origin, reach_m)}">{legs_xml}</person>'
            )
        target = end[int(random.integers(2))]
        return (
            f'<person id="{name}" type="pedestrian" depart="{depart_s:.2f}"'
            f' departPos="{self._offset(origin, reach_m)}">'
            f'<walk from="{origin}" to="{target}" arrivalPos="{self._offset(target, back_m)}"/>'
            "</person>"
        )

    def _offset(self, edge: str, distance_m: float) -> str:
        """Position on an edge, `distance_m` from the junction."""
        return f"{-distance_m:.1f}" if edge.endswith("_in") else f"{distance_m:.1f}"

    def _routes(self) -> list[str]:
        lines = []
        for name, movement in self.site.movements.items():
            origin = self.layout.legs[split_movement(name)[0]]
            edges = " ".join([*origin.approach_edges, self.layout.legs[movement.to].out])
            lines.append(f'<route id="{name}" edges="{edges}"/>')
        return lines


def check_seed(seed: int) -> None:
    """Refuse what is no demand day.

    Raises:
        InputError: The seed is negative.
    """
    if seed < 0:
        raise InputError(f"demand seed is {seed}; allowed: 0 or more")


def day_file(name: str, key: str, seed: int, write: Callable[[Path], None]) -> Path:
    """The route file of one demand day, from the cache or freshly drawn.

    Args:
        name: Names the cache folder, with the key.
        key: Identifies everything but the seed that the file depends on.
        seed: The demand day.
        write: Draws the day and writes it to a file.

    Raises:
        InputError: The seed is negative.
    """
    check_seed(seed)
    return cached_file(cache_folder() / "demand" / f"{name}-{key}" / f"{seed}.rou.xml", write)


def hourly_volumes(site: Site, name: str) -> tuple[float, ...]:
    """24 two-way hourly volumes of a street (veh/h), whichever way the file gives them."""
    volume = site.demand.volumes[name]
    if volume.veh_per_h is not None:
        return tuple(float(count) for count in volume.veh_per_h.value)
    if volume.veh_per_day is None or volume.shape_of is None:
        raise InputError(
            f"volume '{name}' of site '{site.id}' needs veh_per_h, or veh_per_day and shape_of"
        )
    shape = hourly_volumes(site, volume.shape_of.value)
    return tuple(volume.veh_per_day.value * count / sum(shape) for count in shape)


def _lognormal(random: np.random.Generator, cv: float) -> float:
    """A lognormal factor with mean 1 and the given coefficient of variation."""
    sigma = math.sqrt(math.log1p(cv * cv))
    return float(math.exp(random.normal(-0.5 * sigma * sigma, sigma)))


def speed_factor(random: np.random.Generator, kind: str) -> float:
    """Desired speed / limit of one driver, drawn from the type's distribution."""
    mean, deviation = VEHICLE_TYPES[kind].speed_factor
    low, high = SPEED_FACTOR_BOUNDS
    return min(max(float(random.normal(mean, deviation)), low), high)


def _write(target: Path, text: str) -> None:
    target.write_text(text, encoding="utf-8")

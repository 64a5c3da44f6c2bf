"""One seed, one demand day of a network: general traffic by turning shares, buses, people on foot.

Drawn as `scenarios.demand` draws the day of one junction: one generator per stream, so that the
same seed gives the same bytes. A vehicle finds its way by drawing a turn at each junction, so that
the counts of every turn come out as the site file says.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, cast

import numpy as np

from scenarios import demand as single
from scenarios.cache import digest
from scenarios.demand import QUARTER_S, check_seed, day_file, hourly_volumes, speed_factor
from scenarios.network import write_text
from scenarios.schema import Site, clock_s
from scenarios.specials import arrivals
from scenarios.streets import junction_demand
from scenarios.streets.flows import (
    Flows,
    Move,
    Place,
    edges_of,
    entry_share,
    mean_flows,
    path_between,
)
from scenarios.streets.junction_demand import PART_NAMES, JunctionDemand, Stretch, Trip
from scenarios.streets.junctions import Streets, leg_ref
from scenarios.vehicles import PEDESTRIAN_TYPE, VEHICLE_TYPES
from signals.errors import InputError

_STREAMS: Final = {"day": 0, "vehicles": 1, "buses": 2, "kerb": 4, "surge": 5}
_HEADWAY_JITTER: Final = 0.4
_MOST_TURNS: Final = 60
_KERB_LEAST_EDGE_M: Final = 150.0
_KERB_SPACE_M: Final = 8.0


@dataclass(frozen=True)
class StreetDemand:
    """The demand of one network and period.

    Attributes:
        streets: The site.
        period: Ordinary or special.
        average: Without the differences between days: what calibration compares with.
        stretch: The part of a whole day that it is for, other than the period's own hours.
    """

    streets: Streets
    period: str
    average: bool = False
    stretch: Stretch | None = None

    def __reduce__(self) -> tuple[type[StreetDemand], tuple[Streets, str, bool, Stretch | None]]:
        """Pickled without what is computed on demand."""
        return StreetDemand, (self.streets, self.period, self.average, self.stretch)

    @cached_property
    def base(self) -> str:
        """The ordinary period whose volumes and plans hold."""
        return self.streets.base(self.period)

    @cached_property
    def begin_s(self) -> int:
        """Clock time at which demand begins (s since midnight)."""
        return (self.stretch or self.streets.site.periods[self.base]).begin_s

    @cached_property
    def end_s(self) -> int:
        """Clock time at which demand ends (s since midnight)."""
        return (self.stretch or self.streets.site.periods[self.base]).end_s

    @cached_property
    def flows(self) -> Flows:
        """Mean flows of the ordinary period."""
        return mean_flows(self.streets, self.base)

    def junction(self, name: str) -> JunctionDemand:
        """The demand as one junction meets it."""
        return JunctionDemand(
            *(self.streets.junctions[name], self.base, self.flows, self.streets.layouts[name]),
            stretch=self.stretch,
        )

    def xml(self, seed: int) -> str:
        """The route file of one demand day.

        Args:
            seed: 0 or more; the ranges of `scenarios.demand` say what for.

        Raises:
            InputError: The seed is negative.
        """
        check_seed(seed)
        routes: dict[tuple[str, ...], str] = {}
        return self.document(self.trips(seed, routes), routes)

    def trips(self, seed: int, routes: dict[tuple[str, ...], str]) -> list[Trip]:
        """Everybody's departure, name and XML.

        Args:
            seed: The demand day.
            routes: Edges to the name of the route; new ones are added.
        """
        trips = [*self._vehicles(seed, routes), *self._buses(seed, routes)]
        trips += self._surge(seed, routes)
        for number, name in enumerate(sorted(self.streets.junctions)):
            trips += self.junction(name).walkers(seed, number)
        return trips

    def document(self, trips: list[Trip], routes: dict[tuple[str, ...], str]) -> str:
        """The route file of trips, in the order of their departures."""
        trips.sort(key=lambda trip: (trip[0], trip[1]))
        persons = {str(k): mean for k, mean in self.streets.site.demand.persons.value.items()}
        lines = ['<?xml version="1.0" encoding="UTF-8"?>', "<routes>"]
        lines += [
            f"    {kind.xml(name, persons.get(name, 1.0))}" for name, kind in VEHICLE_TYPES.items()
        ]
        lines.append(f"    {self._pedestrian_type()}")
        lines += [
            f'    <route id="{name}" edges="{" ".join(edges)}"/>' for edges, name in routes.items()
        ]
        lines += [f"    {text}" for _, _, text in trips]
        lines.append("</routes>")
        return "\n".join(lines) + "\n"

    def file(self, seed: int) -> Path:
        """The route file of one demand day, from the cache or freshly drawn."""
        return day_file(
            self.streets.site.id, self.key, seed, lambda to: write_text(to, self.xml(seed))
        )

    @cached_property
    def key(self) -> str:
        """Identifies everything but the seed that the route file depends on."""
        site = self.streets.site
        special = self.streets.special(self.period)
        surge = special.surge if special else None
        return digest(
            site.model_dump_json(exclude={"plans", "specials", "corridors", "sources"}),
            surge.model_dump_json() if surge else "",
            self.base,
            str(self.average),
            repr(VEHICLE_TYPES) + PEDESTRIAN_TYPE,
            *[
                Path(str(source)).read_text(encoding="utf-8")
                for source in (__file__, junction_demand.__file__, single.__file__)
            ],
        )[:20]

    def _pedestrian_type(self) -> str:
        pace = self.streets.site.demand.walking_pace
        if pace is None:
            return PEDESTRIAN_TYPE
        return PEDESTRIAN_TYPE.replace('desiredMaxSpeed="1.3"', f'desiredMaxSpeed="{pace.value:g}"')

    def _random(self, seed: int, stream: str, part: int = 0) -> np.random.Generator:
        own = () if self.stretch is None or stream == "day" else (self.stretch.number,)
        return np.random.default_rng([seed, _STREAMS[stream], part, 2, *own])

    @property
    def _first_name(self) -> int:
        return self.stretch.number * PART_NAMES if self.stretch else 0

    def _day_factor(self, seed: int, entry: int) -> float:
        if self.average:
            return 1.0
        variation = self.streets.site.demand.variation
        common = single._lognormal(self._random(seed, "day"), variation.common_cv.value)
        own = self._random(seed, "day", 1 + 2 * entry)
        return common * single._lognormal(own, variation.approach_cv.value)

    def _quarters(self, seed: int, entry: int) -> np.ndarray:
        """Volume of each quarter hour against the hour's mean; shape (quarters,), mean 1."""
        count = math.ceil((self.end_s - self.begin_s) / QUARTER_S)
        weights = np.ones(count)
        if self.average:
            return weights
        random = self._random(seed, "day", 2 + 2 * entry)
        low, high = self.streets.site.demand.variation.peak_hour_factor.value
        for start in range(0, count - count % 4, 4):
            factor = random.uniform(low, high)
            weights[start : start + 4] = (4.0 - 1.0 / factor) / 3.0
            weights[start + random.integers(4)] = 1.0 / factor
        return weights

    def _rates(self, seed: int, number: int, place: Place) -> np.ndarray:
        """General traffic that enters, per quarter hour (veh/h)."""
        quarters = self._quarters(seed, number)
        site = self.streets.site
        hours = hourly_volumes(cast(Site, site), site.demand.entries[".".join(place)].volume)
        starts = self.begin_s + QUARTER_S * np.arange(len(quarters))
        volumes = np.asarray([hours[int(start) // 3600 % 24] for start in starts], dtype=float)
        rates: np.ndarray = volumes * entry_share(self.streets, place, self.base) * quarters
        level = self.stretch.level if self.stretch else 1.0
        return rates * level * self._day_factor(seed, number)

    def _vehicles(self, seed: int, routes: dict[tuple[str, ...], str]) -> Iterator[Trip]:
        ways: dict[tuple[Move, ...], tuple[str, ...]] = {}
        for number, place in enumerate(sorted(self.streets.outer)):
            random = self._random(seed, "vehicles", number)
            kerb = self._random(seed, "kerb", number)
            kinds, shares = self._mix
            times = arrivals(random, self._rates(seed, number, place), self.begin_s, self.end_s)
            for count, depart_s in enumerate(times, self._first_name):
                kind = kinds[int(np.searchsorted(shares, random.random(), side="right"))]
                moves = self._walk(random, place)
                edges = ways.get(moves)
                if edges is None:
                    edges = ways[moves] = edges_of(self.streets, moves)
                name = f"{place[0]}.{place[1]}.{count}"
                stop = self._kerb_stop(kerb, kind, moves)
                yield (
                    depart_s,
                    name,
                    self._vehicle(random, name, kind, routes, edges, depart_s, stop),
                )

    def _vehicle(
        self,
        random: np.random.Generator,
        name: str,
        kind: str,
        routes: dict[tuple[str, ...], str],
        edges: tuple[str, ...],
        depart_s: float,
        stops: str = "",
        lane: str = "best",
        line: str = "",
    ) -> str:
        demand = self.streets.site.demand
        route = routes.setdefault(edges, f"r{len(routes)}")
        persons = {str(key): mean for key, mean in demand.persons.value.items()}
        carried = 1 + int(random.poisson(persons.get(kind, 1.0) - 1.0))
        factor = speed_factor(random, kind) * demand.speed_factor.value[self.base]
        return (
            f'<vehicle id="{name}" type="{kind}"{line} route="{route}" depart="{depart_s:.2f}"'
            f' departLane="{lane}" departSpeed="max" speedFactor="{factor:.2f}">'
            f'{stops}<param key="persons" value="{carried}"/></vehicle>'
        )

    @cached_property
    def _mix(self) -> tuple[list[str], np.ndarray]:
        mix = self.streets.site.demand.mix.value
        return [str(key) for key in mix], np.cumsum(list(mix.values()))

    @cached_property
    def _turns(self) -> dict[Place, tuple[list[str], np.ndarray]]:
        found = {}
        for name, junction in self.streets.site.junctions.items():
            for leg, part in junction.legs.items():
                shares = part.turning.value
                found[name, leg] = (
                    [str(turn) for turn in shares],
                    np.cumsum(list(shares.values())),
                )
        return found

    def _walk(self, random: np.random.Generator, place: Place) -> tuple[Move, ...]:
        """The turns of one vehicle from where it enters to where it leaves."""
        moves: list[Move] = []
        for _ in range(_MOST_TURNS):
            turns, shares = self._turns[place]
            turn = turns[min(len(turns) - 1, int(np.searchsorted(shares, random.random())))]
            moves.append((place, turn))
            exit_place = (place[0], self._targets[place][turn])
            if exit_place not in self.streets.onward:
                break
            place = self.streets.onward[exit_place]
        else:
            raise InputError(
                f"site '{self.streets.site.id}': turning shares lead a vehicle in circles for "
                f"{_MOST_TURNS} junctions; lower the shares of U-turns and left turns"
            )
        return tuple(moves)

    @cached_property
    def _targets(self) -> dict[Place, dict[str, str]]:
        return {
            (name, leg): self.streets.targets((name, leg))
            for name, view in self.streets.junctions.items()
            for leg in view.legs
        }

    def _kerb_stop(self, random: np.random.Generator, kind: str, moves: tuple[Move, ...]) -> str:
        """A stop in the kerb lane of one inner block of the way, for some of the vehicles."""
        kerb = self.streets.site.demand.kerb
        if kerb is None:
            return ""
        share = {str(key): part for key, part in kerb.share.value.items()}.get(kind, 0.0)
        if random.random() >= share * kerb.level.value.get(self.base, 1.0):
            return ""
        blocks = [place for place, _ in moves[1:] if self._block_m(place) >= _KERB_LEAST_EDGE_M]
        if not blocks:
            return ""
        place = blocks[int(random.integers(len(blocks)))]
        length_m = self._block_m(place)
        at_m = random.uniform(40.0, length_m - 60.0)
        low, high = kerb.dwell_s.value
        return (
            f'<stop lane="{self.streets.leg(place).block}_1" startPos="{at_m:.1f}"'
            f' endPos="{at_m + _KERB_SPACE_M:.1f}" duration="{random.uniform(low, high):.0f}"/>'
        )

    def _block_m(self, place: Place) -> float:
        """Length of the block's edge on an inner street, without stop piece and junctions."""
        part = self.streets.leg(place)
        return part.leg.approach.block_m.value - (part.pocket_m or 60.0) - 50.0

    def _buses(self, seed: int, routes: dict[tuple[str, ...], str]) -> Iterator[Trip]:
        """Line buses: even headways with jitter, because they run to a timetable."""
        demand = self.streets.site.demand
        low, high = demand.bus_dwell_s.value
        for number, (line_id, line) in enumerate(sorted(demand.bus_lines.items())):
            random = self._random(seed, "buses", number)
            per_h = line.per_h.value[self.base]
            if per_h <= 0.0:
                continue
            start, end = leg_ref(line.start), leg_ref(line.end)
            moves = path_between(self.streets, start, end, bus=True)
            assert moves is not None  # checked with the file
            edges = edges_of(self.streets, moves)
            part = self.streets.leg(start)
            lane = str(part.block_lanes - 1) if moves[0][1] == "bus" else "best"
            headway_s = 3600.0 / per_h
            first_s = self.begin_s + random.uniform(0.0, headway_s)
            for count in range(math.ceil((self.end_s - first_s) / headway_s)):
                jitter = random.uniform(-0.5, 0.5) * _HEADWAY_JITTER * headway_s
                due_s = first_s + count * headway_s + jitter
                depart_s = min(max(due_s, self.begin_s), self.end_s - 1.0)
                stops = "".join(
                    f'<stop busStop="{stop}" duration="{random.uniform(low, high):.0f}"/>'
                    for stop in line.stops
                )
                name = f"{line_id}.{count + self._first_name}"
                text = self._vehicle(
                    random, name, "bus", routes, edges, depart_s, stops, lane, f' line="{line_id}"'
                )
                yield depart_s, name, text

    def _surge(self, seed: int, routes: dict[tuple[str, ...], str]) -> Iterator[Trip]:
        """What comes on top in a special period: cars towards or from one leg, during a window."""
        special = self.streets.special(self.period)
        if special is None or special.surge is None:
            return
        surge = special.surge
        leg = leg_ref(surge.leg)
        others = [place for place in sorted(self.streets.outer) if place != leg]
        ways = [(other, leg) if surge.towards else (leg, other) for other in others]
        paths = [path_between(self.streets, *way) for way in ways]
        open_ = [
            (path, self.flows.approach[other])
            for other, path in zip(others, paths, strict=True)
            if path is not None
        ]
        weights = np.cumsum([weight for _, weight in open_])
        random = self._random(seed, "surge")
        begin_s, end_s = clock_s(surge.begin), clock_s(surge.end)
        rates = np.full(math.ceil((end_s - begin_s) / QUARTER_S), surge.veh_per_h.value)
        for count, depart_s in enumerate(arrivals(random, rates, begin_s, end_s)):
            index = int(np.searchsorted(weights, random.random() * weights[-1]))
            moves, _ = open_[min(index, len(open_) - 1)]
            edges = edges_of(self.streets, moves)
            name = f"surge.{count}"
            yield depart_s, name, self._vehicle(random, name, "car", routes, edges, depart_s)

"""Each junction of a second-format site as a site of its own: legs, movements, plans.

What designs, draws and checks one junction (`scenarios.plan_design`, `scenarios.checks`, the
command line) then works on a junction of a network as well.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from scenarios.layout import LegLayout, SiteLayout, split_movement
from scenarios.schema import (
    Approach,
    Demand,
    Departure,
    Leg,
    Marked,
    Pedestrians,
    Period,
    Pocket,
    Site,
    SiteMovement,
    SitePlan,
    Special,
    Step,
)
from scenarios.streets.schema import StreetJunction, StreetLeg, StreetSite

STORAGE_M: Final = 60.0
"""Length of the last piece of an inner approach that has no pocket."""

_TURN_BEARINGS: Final = {"through": 180.0, "left": 90.0, "right": 270.0, "uturn": 0.0, "bus": 180.0}
_TURN_TOLERANCE_DEG: Final = 60.0


@dataclass(frozen=True)
class Street:
    """One direction of a street: it leaves `start` and arrives at `end`, each a (junction, leg)."""

    start: tuple[str, str]
    end: tuple[str, str]


def leg_ref(text: str) -> tuple[str, str]:
    """``"gangnam.N"`` to ``("gangnam", "N")``."""
    junction, _, leg = text.partition(".")
    return junction, leg


def metres_per_degree(lat: float) -> tuple[float, float]:
    """East and north length of one degree at a latitude (WGS 84 series)."""
    phi = math.radians(lat)
    return (
        111412.84 * math.cos(phi) - 93.5 * math.cos(3 * phi),
        111132.92 - 559.82 * math.cos(2 * phi) + 1.175 * math.cos(4 * phi),
    )


@dataclass(frozen=True)
class StreetLegLayout(LegLayout):
    """Edges of a leg inside a network.

    Attributes:
        junction: Whose leg it is.
        onward: Where the street that leaves by this leg arrives, None at the rim.
        inner: Whether the approach begins at another junction.
    """

    junction: str
    onward: tuple[str, str] | None = None

    @property
    def inner(self) -> bool:
        """Whether a street of the site leads here."""
        return self.onward is not None

    def _edge(self, piece: str) -> str:
        return f"{self.junction}.{self.name}_{piece}"

    @property
    def entry(self) -> str:
        """Edge where vehicles enter, at the rim only."""
        return self._edge("entry")

    @property
    def block(self) -> str:
        """Edge upstream of the pocket; on an inner street the one that leaves the neighbour."""
        return self._edge("block")

    @property
    def stop(self) -> str:
        """Edge that ends at the stop line."""
        return self._edge("in")

    @property
    def out(self) -> str:
        """Edge that leaves the junction."""
        if self.onward is None:
            return self._edge("out")
        junction, leg = self.onward
        return f"{junction}.{leg}_block"

    @property
    def stop_m(self) -> float:
        """Length of the last piece of the approach of an inner leg."""
        return self.pocket_m or STORAGE_M

    @property
    def approach_edges(self) -> tuple[str, ...]:
        """From the rim or the neighbour to the stop line."""
        if self.inner:
            return (self.block, self.stop)
        return super().approach_edges


@dataclass(frozen=True)
class StreetLayout(SiteLayout):
    """All legs of one junction of a network."""

    onward: tuple[tuple[str, tuple[str, str]], ...] = ()

    @cached_property
    def legs(self) -> dict[str, LegLayout]:
        """Leg name to its layout."""
        onward = dict(self.onward)
        return {
            name: StreetLegLayout(name, leg, self.site.id, onward.get(name))
            for name, leg in self.site.legs.items()
        }


@dataclass(frozen=True)
class Streets:
    """A second-format site, taken apart into junctions."""

    site: StreetSite

    def __reduce__(self) -> tuple[type[Streets], tuple[StreetSite]]:
        """Pickled without what is computed on demand."""
        return Streets, (self.site,)

    @cached_property
    def onward(self) -> dict[tuple[str, str], tuple[str, str]]:
        """Leg by which one leaves to the leg by which one arrives, for all inner streets."""
        found = {}
        for street in self.site.streets:
            start, end = leg_ref(street.start), leg_ref(street.end)
            found[start], found[end] = end, start
        return found

    @cached_property
    def junctions(self) -> dict[str, Site]:
        """Junction name to its view as a site."""
        return {name: self._view(name, item) for name, item in self.site.junctions.items()}

    @cached_property
    def layouts(self) -> dict[str, StreetLayout]:
        """Junction name to its lanes and edges."""
        return {
            name: StreetLayout(
                view,
                tuple(
                    (leg, self.onward[name, leg]) for leg in view.legs if (name, leg) in self.onward
                ),
            )
            for name, view in self.junctions.items()
        }

    @cached_property
    def outer(self) -> tuple[tuple[str, str], ...]:
        """Legs at the rim, where vehicles enter and leave."""
        return tuple(
            (name, leg)
            for name, view in self.junctions.items()
            for leg in view.legs
            if (name, leg) not in self.onward
        )

    def leg(self, place: tuple[str, str]) -> LegLayout:
        """Layout of a leg."""
        return self.layouts[place[0]].legs[place[1]]

    def targets(self, place: tuple[str, str]) -> dict[str, str]:
        """Turn to exit leg, for the general traffic of an approach."""
        found = {}
        for name, movement in self.junctions[place[0]].movements.items():
            leg, kind = split_movement(name)
            if leg == place[1] and kind != "bus":
                found[kind] = movement.to
        return found

    def bearing_m(self, place: tuple[str, str]) -> tuple[float, float]:
        """Bearing and length of an inner street, as seen from a junction."""
        here = self.site.junctions[place[0]].location
        there = self.site.junctions[self.onward[place][0]].location
        east, north = metres_per_degree((here.lat.value + there.lat.value) / 2.0)
        x = (there.lon.value - here.lon.value) * east
        y = (there.lat.value - here.lat.value) * north
        return math.degrees(math.atan2(x, y)) % 360.0, math.hypot(x, y)

    def special(self, period: str) -> Special | None:
        """The special part of a period, None for an ordinary one."""
        return self.site.specials.get(period)

    def base(self, period: str) -> str:
        """The ordinary period that a special one is like, or itself."""
        special = self.special(period)
        return special.like if special else period

    def _view(self, name: str, item: StreetJunction) -> Site:
        legs = {leg: self._leg((name, leg), part) for leg, part in item.legs.items()}
        bearings = {leg: part.bearing_deg.value for leg, part in legs.items()}
        movements: dict[str, SiteMovement] = {}
        for leg, part in item.legs.items():
            movements.update(_movements(leg, part, bearings))
        demand = self.site.demand
        walks = Pedestrians(
            per_crosswalk_h={
                period: Marked[float](
                    value=value,
                    mark=item.per_crosswalk_h.mark,
                    source=item.per_crosswalk_h.source,
                )
                for period, value in item.per_crosswalk_h.value.items()
            },
            two_legs_share=demand.two_legs_share,
            sidewalk_m=demand.sidewalk_m,
        )
        return Site(
            format=1,
            id=name,
            title=item.title,
            sources=self.site.sources,
            location=item.location,
            timing=item.timing,
            legs=legs,
            movements=movements,
            phases=item.phases,
            demand=Demand(
                volumes={},
                approaches={},
                variation=demand.variation,
                mix=demand.mix,
                persons=demand.persons,
                dwell_s=demand.bus_dwell_s,
                pedestrians=walks,
            ),
            periods={
                period: Period(
                    begin=span.begin, end=span.end, plan=self._plan(name, item, bearings, period)
                )
                for period, span in self.site.periods.items()
                if period in self.site.plans and name in self.site.plans[period].junctions
            },
        )

    def _leg(self, place: tuple[str, str], part: StreetLeg) -> Leg:
        uses = part.lanes.value
        bus = sum(use == "bus" for use in uses)
        pocket = part.pocket_lanes.value

        def lanes(count: int) -> Marked[int]:
            return Marked[int](value=count, mark=part.lanes.mark, source=part.lanes.source)

        bearing, block = part.bearing_deg, part.block_m
        if place in self.onward:
            location = self.site.junctions[place[0]].location.lat
            bearing_deg, length_m = self.bearing_m(place)
            bearing = Marked[float](
                value=round(bearing_deg, 2) % 360.0, mark=location.mark, source=location.source
            )
            block = Marked[float](
                value=round(length_m, 1), mark=location.mark, source=location.source
            )
        assert bearing is not None  # checked before any junction is taken apart
        return Leg(
            street=part.street,
            bearing_deg=bearing,
            speed_limit_kmh=part.speed_limit_kmh,
            approach=Approach(
                block_m=block,
                entry_m=part.entry_m,
                bus_lanes=lanes(bus),
                general_lanes=lanes(len(uses) - bus - pocket),
                lane_width_m=part.lane_width_m,
                pocket=Pocket(lanes=part.pocket_lanes, length_m=part.pocket_m) if pocket else None,
            ),
            departure=Departure(
                bus_lanes=part.out_bus_lanes,
                general_lanes=part.out_lanes,
                lane_width_m=part.lane_width_m,
            ),
            sidewalk_width_m=part.sidewalk_width_m,
            crosswalk_width_m=part.crosswalk_width_m if part.crosswalk_width_m.value else None,
        )

    def _plan(
        self, name: str, item: StreetJunction, bearings: dict[str, float], period: str
    ) -> SitePlan:
        """Ring A takes the groups of the northern and eastern legs, ring B the others."""
        plans = self.site.plans[period]
        plan = plans.junctions[name]
        rings: dict[str, list[Step]] = {"a": [], "b": []}
        for phase, split_s in zip(item.sequence, plan.splits_s, strict=True):
            parts: dict[str, list[str]] = {"a": [], "b": []}
            for group in item.phases[phase]:
                bearing = bearings[split_movement(group)[0]]
                parts["a" if (bearing + 45.0) % 360.0 < 180.0 else "b"].append(group)
            for ring, groups in parts.items():
                rings[ring].append(Step(groups=groups, split_s=split_s))
        return SitePlan(
            cycle_s=sum(plan.splits_s),
            offset_s=plan.offset_s,
            ring_a=rings["a"],
            ring_b=rings["b"],
            mark=plans.mark,
            source=plans.source,
        )


def turn_target(leg: str, turn: str, bearings: dict[str, float]) -> str | None:
    """The leg that a turn from `leg` leads to, None where there is no street on that side."""
    wanted = bearings[leg] + _TURN_BEARINGS[turn]
    if turn == "uturn":
        return leg
    best, gap = None, _TURN_TOLERANCE_DEG
    for other, bearing in bearings.items():
        away = abs((bearing - wanted + 180.0) % 360.0 - 180.0)
        if other != leg and away < gap:
            best, gap = other, away
    return best


def _movements(leg: str, part: StreetLeg, bearings: dict[str, float]) -> dict[str, SiteMovement]:
    lanes: dict[str, list[int]] = {}
    for number, use in enumerate(part.lanes.value, 1):
        for turn in use.split("+"):
            lanes.setdefault(turn, []).append(number)
    found = {}
    for turn, numbers in lanes.items():
        target = turn_target(leg, turn, bearings)
        if target is not None:
            found[f"{leg}.{turn}"] = SiteMovement(
                to=target,
                lanes=numbers,
                exit_lanes={str(key): item for key, item in part.exit_lanes.items()}.get(turn),
                mark=part.lanes.mark,
                source=part.lanes.source,
            )
    return found

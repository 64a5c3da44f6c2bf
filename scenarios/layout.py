"""Where a site's lanes lie: edge names, lane numbers on the street and in the net."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from scenarios.schema import Leg, Site, SiteMovement

COMPASS = ("N", "NE", "E", "SE", "S", "SW", "W", "NW")
KINDS = ("through", "left", "right", "uturn", "bus")


def compass_name(bearing_deg: float) -> str:
    """The one of eight compass names that is nearest to a bearing."""
    return COMPASS[round(bearing_deg / 45.0) % 8]


def split_movement(name: str) -> tuple[str, str]:
    """``"N.left"`` to ``("N", "left")``; the kind is empty where there is no dot."""
    leg, _, kind = name.partition(".")
    return leg, kind


@dataclass(frozen=True)
class LegLayout:
    """Edges and lanes of one leg.

    Edges: ``N_entry`` (storage upstream of the block), ``N_block`` (only where a pocket splits the
    block), ``N_in`` (to the stop line), ``N_out``. Index 0 of ``N_in`` and ``N_out`` is the
    sidewalk; the other lanes count from the kerb.
    """

    name: str
    leg: Leg

    @property
    def entry(self) -> str:
        """Edge where vehicles enter."""
        return f"{self.name}_entry"

    @property
    def block(self) -> str:
        """Edge upstream of the pocket."""
        return f"{self.name}_block"

    @property
    def stop(self) -> str:
        """Edge that ends at the stop line."""
        return f"{self.name}_in"

    @property
    def out(self) -> str:
        """Edge that leaves the junction."""
        return f"{self.name}_out"

    @property
    def pocket_lanes(self) -> int:
        """Lanes of the pocket, 0 without one."""
        return self.leg.approach.pocket.lanes.value if self.leg.approach.pocket else 0

    @property
    def pocket_m(self) -> float:
        """Length of the pocket, 0 without one."""
        return self.leg.approach.pocket.length_m.value if self.leg.approach.pocket else 0.0

    @property
    def stop_lanes(self) -> int:
        """Vehicle lanes at the stop line."""
        approach = self.leg.approach
        return approach.bus_lanes.value + self.pocket_lanes + approach.general_lanes.value

    @property
    def block_lanes(self) -> int:
        """Vehicle lanes upstream of the pocket."""
        return self.stop_lanes - self.pocket_lanes

    @property
    def out_lanes(self) -> int:
        """Vehicle lanes of the departure."""
        return self.leg.departure.bus_lanes.value + self.leg.departure.general_lanes.value

    @property
    def approach_edges(self) -> tuple[str, ...]:
        """From the entry to the stop line."""
        return (self.entry, self.block, self.stop) if self.pocket_lanes else (self.entry, self.stop)

    def stop_index(self, number: int) -> int:
        """Net index of lane `number` (1 next to the median) at the stop line."""
        return self.stop_lanes - number + 1

    def out_index(self, number: int) -> int:
        """Net index of departure lane `number` (1 next to the median)."""
        return self.out_lanes - number + 1


@dataclass(frozen=True)
class SiteLayout:
    """All legs of a site."""

    site: Site

    @cached_property
    def legs(self) -> dict[str, LegLayout]:
        """Leg name to its layout."""
        return {name: LegLayout(name, leg) for name, leg in self.site.legs.items()}

    @cached_property
    def around(self) -> tuple[str, ...]:
        """Leg names clockwise."""
        return tuple(sorted(self.legs, key=lambda name: self.site.legs[name].bearing_deg.value))

    def next_clockwise(self, leg: str) -> str:
        """The leg that follows clockwise."""
        return self.around[(self.around.index(leg) + 1) % len(self.around)]

    def exit_lanes(self, name: str, movement: SiteMovement) -> tuple[int, ...]:
        """Departure lane of each lane of a movement, numbers from the median.

        Where the file says nothing, buses keep to the bus lanes, left turns and U-turns take the
        innermost general lanes, through and right-turning vehicles the outermost.
        """
        if movement.exit_lanes is not None:
            return tuple(movement.exit_lanes)
        target = self.legs[movement.to]
        bus_lanes = target.leg.departure.bus_lanes.value
        count = len(movement.lanes)
        kind = split_movement(name)[1]
        if kind == "bus":
            return tuple(range(1, count + 1))
        if kind in ("left", "uturn"):
            return tuple(range(bus_lanes + 1, bus_lanes + count + 1))
        return tuple(range(target.out_lanes - count + 1, target.out_lanes + 1))

    def position(self, bearing_deg: float, distance_m: float) -> tuple[float, float]:
        """Longitude and latitude of a point seen from the centre (WGS 84)."""
        lat = self.site.location.lat.value
        lon = self.site.location.lon.value
        phi = math.radians(lat)
        north = 111132.92 - 559.82 * math.cos(2 * phi) + 1.175 * math.cos(4 * phi)
        east = 111412.84 * math.cos(phi) - 93.5 * math.cos(3 * phi)
        turn = math.radians(bearing_deg)
        return (
            lon + distance_m * math.sin(turn) / east,
            lat + distance_m * math.cos(turn) / north,
        )

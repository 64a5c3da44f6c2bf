"""The demand of one junction of a network, as a site of its own would have it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from scenarios.demand import Demand
from scenarios.layout import SiteLayout, split_movement
from scenarios.schema import Site
from scenarios.streets.flows import Flows
from scenarios.streets.junctions import StreetLayout
from scenarios.vehicles import VEHICLE_TYPES

PART_NAMES: Final = 100_000
"""Names of one part of a day are numbered from this times the part's number on."""

Trip = tuple[float, str, str]


@dataclass(frozen=True)
class Stretch:
    """A part of a whole day.

    Attributes:
        begin_s: Clock time of its begin (s since midnight).
        end_s: Clock time of its end.
        number: Which part of the day, from 0; sets names and random streams apart.
        level: General traffic / volume of its hours.
    """

    begin_s: int
    end_s: int
    number: int
    level: float = 1.0


@dataclass(frozen=True)
class JunctionDemand(Demand):
    """The demand of one junction of a network: its share of the network's flows, its walkers.

    Attributes:
        flows: Mean flows of the network.
        junction_layout: Edges of the junction inside the network.
        stretch: The part of a whole day that it is for.
    """

    flows: Flows
    junction_layout: StreetLayout
    stretch: Stretch | None = None

    def __reduce__(  # type: ignore[override]
        self,
    ) -> tuple[type[JunctionDemand], tuple[Site, str, Flows, StreetLayout, Stretch | None]]:
        """Pickled without what is computed on demand."""
        own = (self.site, self.period, self.flows, self.junction_layout, self.stretch)
        return JunctionDemand, own

    @cached_property
    def begin_s(self) -> int:
        """Clock time at which demand begins (s since midnight)."""
        return self.stretch.begin_s if self.stretch else self.site.periods[self.period].begin_s

    @cached_property
    def end_s(self) -> int:
        """Clock time at which demand ends (s since midnight)."""
        return self.stretch.end_s if self.stretch else self.site.periods[self.period].end_s

    @cached_property
    def layout(self) -> SiteLayout:
        """Edges and lanes of the junction."""
        return self.junction_layout

    def approach_volume_veh_h(self, leg: str) -> float:
        """Mean volume of an approach (veh/h), buses included."""
        return self.flows.total((self.site.id, leg))

    def line_bus_volume_veh_h(self, leg: str) -> float:
        """Mean volume of the median bus lanes of an approach (veh/h)."""
        return self.flows.bus.get(((self.site.id, leg), "bus"), 0.0)

    def movement_volume_veh_h(self, name: str) -> float:
        """Mean volume of one movement (veh/h), e.g. ``N.left``."""
        leg, kind = split_movement(name)
        return self.flows.movement((self.site.id, leg), kind)

    def general_mix(self, leg: str) -> dict[str, float]:
        """Shares of the vehicle types outside median bus lanes, summing to 1."""
        mix = {str(key): part for key, part in self.site.demand.mix.value.items()}
        total = sum(mix.values())
        general = self.flows.approach[self.site.id, leg]
        buses = self.flows.total((self.site.id, leg)) - general - self.line_bus_volume_veh_h(leg)
        found = {name: mix.get(name, 0.0) / total * general for name in VEHICLE_TYPES}
        found["bus"] += buses
        whole = max(general + buses, 1e-9)
        return {name: value / whole for name, value in found.items()}

    def walkers(self, seed: int, number: int) -> Iterator[Trip]:
        """People over the crosswalks of this junction; `number` sets its streams apart."""
        part = self.stretch.number if self.stretch else 0
        for depart_s, name, text in self._people(seed + 1_000_003 * (number + 1 + 100 * part)):
            street, _, count = name.rpartition(".")
            own = f"{self.site.id}.{street}.{int(count) + part * PART_NAMES}"
            yield depart_s, own, text.replace(f'id="{name}"', f'id="{own}"', 1)

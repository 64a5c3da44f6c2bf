"""Generated streets as they are drawn: where the lights are, how many lanes, how fast, how busy."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from scenarios.generated.names import GeneratedName

Phasing = Literal["all", "legs", "some"]
Shape = Literal["flat", "peak", "rising", "falling"]

STREET_WIDTH_M = 3.2
"""Width of a lane (m)."""


@dataclass(frozen=True, slots=True)
class Street:
    """One direction of a street.

    Attributes:
        start: Node it comes from.
        end: Node it leads to.
        lanes: Lanes for all all along.
        speed_mps: Limit (m/s).
        turns: Weights of going right, through and left at its end.
        weight: Of the traffic that enters the net, this street's weight; 0 inside.
        bus_lane: One lane more, on the inside and for buses alone.
    """

    start: str
    end: str
    lanes: int
    speed_mps: float
    turns: tuple[float, float, float]
    weight: float
    bus_lane: bool = False

    @property
    def id(self) -> str:
        """Edge id of the net."""
        return f"{self.start}_{self.end}"


@dataclass(frozen=True)
class Drawing:
    """Everything about a generated street.

    Attributes:
        name: Kind and seed.
        places: Node to its position (m).
        lights: Nodes with a light.
        streets: All directions.
        phasing: ``all`` compatible sets, the ``legs`` one by one, or ``some`` of the sets.
        shared_left: Left turns share a lane with through traffic where there are two lanes.
        walkers_h: People a street crossing and hour; 0 builds no crosswalks.
        on_call: Crosswalks are served on a call only.
        right_on_red: Right turns may go on red.
        busyness: Degree of saturation of the busiest signal group under its plan.
        shape: Course of the demand.
        heavy_share: Share of trucks.
        faults: Short forms of what is wrong with the detectors.
        buses_h: Buses an hour on each street with a bus lane.
        stretched_cycle_s: Where walks fill the cycle, Webster's leaves the left turns too little: a
            plan is lengthened until no group is busier than ``busyness``, at most to this.
        duration_s: How long it is run.
    """

    name: GeneratedName
    places: dict[str, tuple[float, float]]
    lights: tuple[str, ...]
    streets: tuple[Street, ...]
    phasing: Phasing
    shared_left: bool
    walkers_h: float
    on_call: bool
    right_on_red: bool
    busyness: float
    shape: Shape
    heavy_share: float
    faults: tuple[str, ...]
    buses_h: float = 0.0
    stretched_cycle_s: int = 0
    # Nets and plans, which are kept under the text of a drawing, are the same for any duration.
    duration_s: int = field(default=1800, repr=False)

    def into(self, light: str) -> tuple[Street, ...]:
        """Streets that lead to a light."""
        return tuple(street for street in self.streets if street.end == light)

    def out_of(self, light: str) -> tuple[Street, ...]:
        """Streets that lead away from a light."""
        return tuple(street for street in self.streets if street.start == light)

    @property
    def continued(self) -> tuple[Street, ...]:
        """Streets that go on where a street widens or narrows, away from the lights."""
        return tuple(
            street
            for street in self.streets
            if street.start not in self.lights and street.weight == 0.0
        )

    @property
    def entries(self) -> tuple[Street, ...]:
        """Streets by which traffic comes in."""
        return tuple(street for street in self.streets if street.weight > 0.0)

    def length_m(self, street: Street) -> float:
        """Distance between the ends of a street."""
        return math.dist(self.places[street.start], self.places[street.end])

    def onward(self, street: Street) -> tuple[tuple[Street, float], ...]:
        """Streets that may follow, from the rightmost to the leftmost, with the turn (deg)."""
        return tuple(
            sorted(
                (
                    (after, _turn_deg(self.places, street, after))
                    for after in self.out_of(street.end)
                    if after.end != street.start
                ),
                key=lambda item: item[1],
            )
        )

    def text(self) -> str:
        """All of it as text, for a content hash."""
        return repr(self)


def _turn_deg(places: dict[str, tuple[float, float]], street: Street, after: Street) -> float:
    """From -180 (sharp right) over 0 (straight on) to 180."""
    (x0, y0), (x1, y1), (x2, y2) = (places[n] for n in (street.start, street.end, after.end))
    before, behind = math.atan2(y1 - y0, x1 - x0), math.atan2(y2 - y1, x2 - x1)
    return (math.degrees(behind - before) + 180.0) % 360.0 - 180.0

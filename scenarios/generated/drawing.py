"""Draws streets at random: where the lights are, how many lanes, how fast, how busy.

The bounds are wide on purpose (domain randomisation: Tobin et al., "Domain randomization for
transferring deep neural networks from simulation to the real world", IROS 2017), so that a policy
that does well on all of them has little reason to fail on one more. All bounds are assumed.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from scenarios.generated.names import KINDS, GeneratedName

Phasing = Literal["all", "legs", "some"]
Shape = Literal["flat", "peak", "rising", "falling"]

_LANES = ((1, 2, 3, 4, 5, 6), (0.14, 0.30, 0.26, 0.16, 0.08, 0.06))
_SPEEDS_KMH = (30.0, 40.0, 50.0, 60.0, 70.0)
STREET_WIDTH_M = 3.2
"""Width of a lane (m)."""


@dataclass(frozen=True, slots=True)
class Street:
    """One direction of a street.

    Attributes:
        start: Node it comes from.
        end: Node it leads to.
        lanes: Lanes all along.
        speed_mps: Limit (m/s).
        turns: Weights of going right, through and left at its end.
        weight: Of the traffic that enters the net, this street's weight; 0 inside.
    """

    start: str
    end: str
    lanes: int
    speed_mps: float
    turns: tuple[float, float, float]
    weight: float

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

    def into(self, light: str) -> tuple[Street, ...]:
        """Streets that lead to a light."""
        return tuple(street for street in self.streets if street.end == light)

    def out_of(self, light: str) -> tuple[Street, ...]:
        """Streets that lead away from a light."""
        return tuple(street for street in self.streets if street.start == light)

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


def draw(name: GeneratedName) -> Drawing:
    """The street of a name; the same name gives the same street."""
    random = np.random.default_rng([KINDS.index(name.kind), name.seed, 41])
    if name.kind == "junction":
        places, lights, pairs = _junction(random)
    else:
        places, lights, pairs = _lattice(random, name.kind == "corridor")
    streets = [
        street
        for start, end, lanes, speed in pairs
        for street in _both_ways(random, start, end, lanes, speed, lights)
    ]
    walkers = random.random() < 0.25
    return Drawing(
        name=name,
        places=places,
        lights=tuple(lights),
        streets=tuple(streets),
        phasing=str(random.choice(["all", "legs", "some"], p=[0.5, 0.15, 0.35])),  # type: ignore[arg-type]
        shared_left=bool(random.random() < 0.3),
        walkers_h=float(random.uniform(20.0, 150.0)) if walkers else 0.0,
        on_call=bool(random.random() < 0.5),
        right_on_red=bool(random.random() < 0.7),
        busyness=float(random.uniform(0.45, 0.90)),
        shape=str(random.choice(["flat", "peak", "rising", "falling"])),  # type: ignore[arg-type]
        heavy_share=float(random.uniform(0.0, 0.12)),
        faults=_faults(random),
    )


def _junction(random: np.random.Generator) -> tuple[Any, list[str], list[Any]]:
    legs = int(random.choice([3, 4, 5], p=[0.3, 0.5, 0.2]))
    base = {3: (0.0, 90.0, 180.0), 4: (0.0, 90.0, 180.0, 270.0)}.get(
        legs, tuple(72.0 * leg for leg in range(5))
    )
    turned = random.uniform(0.0, 360.0)
    places = {"J": (0.0, 0.0)}
    pairs = []
    main, minor = sorted((_lanes(random), _lanes(random)), reverse=True)
    fast, slow = sorted((_speed(random), _speed(random)), reverse=True)
    for leg, heading in enumerate(base):
        angle = math.radians(heading + turned + random.uniform(-12.0, 12.0))
        length_m = random.uniform(130.0, 380.0)
        places[f"R{leg}"] = (
            round(length_m * math.cos(angle), 1),
            round(length_m * math.sin(angle), 1),
        )
        on_main = leg % 2 == 0 if legs != 5 else leg < 2
        pairs.append((f"R{leg}", "J", main if on_main else minor, fast if on_main else slow))
    return places, ["J"], pairs


def _lattice(random: np.random.Generator, corridor: bool) -> tuple[Any, list[str], list[Any]]:
    """Lights in rows and columns, with stubs to the rim on all sides."""
    columns = int(random.integers(3, 6)) if corridor else int(random.choice([2, 3]))
    rows = 1 if corridor else columns
    xs = np.cumsum(random.uniform(150.0, 350.0, columns))
    ys = np.cumsum(random.uniform(150.0, 350.0, rows))
    most = 4 if corridor else 3
    row_lanes = [min(_lanes(random), most) for _ in range(rows)]
    column_lanes = [min(_lanes(random), 2 if corridor else most) for _ in range(columns)]
    if corridor:
        row_lanes = [max(2, row_lanes[0])]
    row_speed, column_speed = _speed(random), _speed(random)
    places: dict[str, tuple[float, float]] = {}
    for row, y in enumerate(ys):
        for column, x in enumerate(xs):
            places[f"L{row}{column}"] = (round(float(x), 1), round(float(y), 1))
    lights = list(places)
    pairs: list[Any] = []

    def rim(name: str, x: float, y: float) -> str:
        places[name] = (round(x, 1), round(y, 1))
        return name

    for row in range(rows):
        line = [f"L{row}{column}" for column in range(columns)]
        y = float(ys[row])
        ends = [
            rim(f"W{row}", float(xs[0]) - random.uniform(150.0, 300.0), y),
            *line,
            rim(f"E{row}", float(xs[-1]) + random.uniform(150.0, 300.0), y),
        ]
        pairs += [(a, b, row_lanes[row], row_speed) for a, b in itertools.pairwise(ends)]
    for column in range(columns):
        line = [f"L{row}{column}" for row in range(rows)]
        x = float(xs[column])
        south, north = random.random() < 0.85, random.random() < 0.85
        if not corridor or south or not north:
            line = [rim(f"S{column}", x, float(ys[0]) - random.uniform(130.0, 250.0)), *line]
        if not corridor or north:
            line.append(rim(f"N{column}", x, float(ys[-1]) + random.uniform(130.0, 250.0)))
        pairs += [(a, b, column_lanes[column], column_speed) for a, b in itertools.pairwise(line)]
    return places, lights, pairs


def _both_ways(
    random: np.random.Generator,
    start: str,
    end: str,
    lanes: int,
    speed_mps: float,
    lights: Sequence[str],
) -> list[Street]:
    found = []
    for one, other in ((start, end), (end, start)):
        entry = one not in lights
        own = lanes
        # Now and then a street is narrower than its twin, which makes exits that fill up.
        if lanes > 1 and random.random() < 0.2:
            own = lanes - 1
        right, left = random.uniform(0.08, 0.25), random.uniform(0.06, 0.25)
        weight = own * random.uniform(0.4, 1.0) if entry else 0.0
        found.append(Street(one, other, own, speed_mps, (right, 1.0 - right - left, left), weight))
    return found


def _lanes(random: np.random.Generator) -> int:
    return int(random.choice(_LANES[0], p=_LANES[1]))


def _speed(random: np.random.Generator) -> float:
    return round(float(random.choice(_SPEEDS_KMH)) / 3.6, 4)


def _faults(random: np.random.Generator) -> tuple[str, ...]:
    """Four of five streets have sound detectors of every kind."""
    chance = random.random()
    if chance < 0.07:  # loops only
        return ("loss:near_zone/*,far_zone/*:0.85",)
    if chance < 0.14:  # cameras that see 50 m
        return ("loss:far_zone/*:1",)
    if chance < 0.20:
        return (f"loss:{random.uniform(0.05, 0.3):.2f}", "miscount:0.05")
    return ()

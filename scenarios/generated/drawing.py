"""Draws streets at random: where the lights are, how many lanes, how fast, how busy.

The bounds are wide on purpose (domain randomisation: Tobin et al., "Domain randomization for
transferring deep neural networks from simulation to the real world", IROS 2017), so that a policy
that does well on all of them has little reason to fail on one more. All bounds are assumed.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from scenarios.generated.avenue import avenue
from scenarios.generated.names import KINDS, GeneratedName
from scenarios.generated.streets import Drawing, Street

_LANES = ((1, 2, 3, 4, 5, 6), (0.14, 0.30, 0.26, 0.16, 0.08, 0.06))
_SPEEDS_KMH = (30.0, 40.0, 50.0, 60.0, 70.0)


def draw(name: GeneratedName) -> Drawing:
    """The street of a name; the same name gives the same street."""
    random = np.random.default_rng([KINDS.index(name.kind), name.seed, 41])
    if name.kind == "avenue":
        return avenue(name, random, _faults(random))
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

"""The demand of a generated street: walks through the net, drawn anew for every day."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scenarios.cache import digest
from scenarios.demand import day_file
from scenarios.generated.net import turn_shares
from scenarios.generated.streets import Drawing, Shape, Street
from scenarios.network import document, write_text
from scenarios.vehicles import PEDESTRIAN_TYPE, SPEED_FACTOR_BOUNDS, VEHICLE_TYPES

BEGIN_S: Final = 7 * 3600
"""The run begins in the morning."""

_SHAPES: Final[dict[Shape, tuple[float, ...]]] = {
    "flat": (1.0, 1.0, 1.0, 1.0, 1.0, 1.0),
    "peak": (0.7, 1.0, 1.3, 1.3, 1.0, 0.7),
    "rising": (0.7, 0.8, 0.95, 1.05, 1.2, 1.3),
    "falling": (1.3, 1.2, 1.05, 0.95, 0.8, 0.7),
}
_DAY_SPREAD: Final = 0.06
"""Standard deviation of a day's volume and of each entry's share in it."""
_TRIES: Final = 50
_SAMPLE: Final = 1500
_CARS: Final = "car"

Turn = tuple[str, str]
"""Edge into a light and edge out of it."""


def walk(drawing: Drawing, start: Street, random: np.random.Generator) -> list[str]:
    """One way through the net that passes no light twice."""
    for _ in range(_TRIES):
        way, seen, here = [start.id], {start.start}, start
        while here.end not in seen:
            seen.add(here.end)
            choices = turn_shares(drawing, here)
            if not choices:
                break
            shares = np.array([share for _, share in choices])
            here = choices[int(random.choice(len(choices), p=shares / shares.sum()))][0]
            way.append(here.id)
        if here.end not in drawing.lights:
            return way
    return []


def turn_weights(drawing: Drawing) -> dict[Turn, float]:
    """Share of the net's traffic that makes each turn, by walks of a fixed seed."""
    random = np.random.default_rng([drawing.name.seed, 42])
    total = sum(street.weight for street in drawing.entries)
    found: dict[Turn, float] = {}
    for street in drawing.entries:
        share = street.weight / total / _SAMPLE
        for _ in range(_SAMPLE):
            way = walk(drawing, street, random)
            for turn in itertools.pairwise(way):
                found[turn] = found.get(turn, 0.0) + share
    return found


@dataclass(frozen=True)
class GeneratedDemand:
    """The demand of a generated street.

    Attributes:
        drawing: The street.
        volume_veh_h: Vehicles that enter the net in an hour, on the mean day.
    """

    drawing: Drawing
    volume_veh_h: float

    def file(self, seed: int) -> Path:
        """The route file of one demand day, from the cache or freshly drawn."""
        name = f"generated-{self.drawing.name.kind}-{self.drawing.name.seed}"
        return day_file(name, self.key, seed, lambda target: self._write(target, seed))

    @cached_property
    def key(self) -> str:
        """Identifies everything but the seed that the route file depends on."""
        return digest(
            self.drawing.text(),
            repr(self.volume_veh_h),
            repr(self.drawing.duration_s),
            Path(__file__).read_text(encoding="utf-8"),
        )[:20]

    def _write(self, target: Path, seed: int) -> None:
        random = np.random.default_rng([seed, 43])
        kinds = (_CARS, "truck", *(("bus",) if self.drawing.buses_h else ()))
        rows = [VEHICLE_TYPES[kind].xml(kind) for kind in kinds]
        movers = sorted([*self._vehicles(random), *self._walkers(random), *self._buses(random)])
        if self.drawing.walkers_h:
            rows.append(PEDESTRIAN_TYPE)
        write_text(target, document("routes", [*rows, *(text for _, text in movers)]))

    def _vehicles(self, random: np.random.Generator) -> Iterator[tuple[float, str]]:
        drawing = self.drawing
        total = sum(street.weight for street in drawing.entries)
        level = random.normal(1.0, _DAY_SPREAD)
        number = 0
        for street in drawing.entries:
            mean = self.volume_veh_h * street.weight / total * level
            mean *= float(np.clip(random.normal(1.0, _DAY_SPREAD), 0.7, 1.3))
            for depart_s in self._moments(mean, random):
                way = walk(drawing, street, random)
                kind = "truck" if random.random() < drawing.heavy_share else _CARS
                mean_factor, spread = VEHICLE_TYPES[kind].speed_factor
                factor = float(np.clip(random.normal(mean_factor, spread), *SPEED_FACTOR_BOUNDS))
                if way:
                    yield (
                        depart_s,
                        f'<vehicle id="v{number}" type="{kind}" depart="{depart_s:.2f}"'
                        f' departLane="best" departSpeed="max" speedFactor="{factor:.3f}">'
                        f'<route edges="{" ".join(way)}"/></vehicle>',
                    )
                number += 1

    def _buses(self, random: np.random.Generator) -> Iterator[tuple[float, str]]:
        """Straight through on their lane."""
        drawing = self.drawing
        for street in drawing.entries if drawing.buses_h else ():
            if not street.bus_lane:
                continue
            way = [street]
            while ahead := [after for after in turn_shares(drawing, way[-1]) if after[0].bus_lane]:
                way.append(max(ahead, key=lambda item: item[1])[0])
            for number, depart_s in enumerate(self._moments(drawing.buses_h, random)):
                yield (
                    depart_s,
                    f'<vehicle id="b{street.id}.{number}" type="bus" depart="{depart_s:.2f}"'
                    f' departLane="{street.lanes + bool(drawing.walkers_h):d}" departSpeed="max">'
                    f'<route edges="{" ".join(item.id for item in way)}"/></vehicle>',
                )

    def _walkers(self, random: np.random.Generator) -> Iterator[tuple[float, str]]:
        drawing = self.drawing
        if not drawing.walkers_h:
            return
        number = 0
        for light in drawing.lights:
            for street in drawing.into(light):
                # From one side of the street to the other, over its crosswalk.
                for start, end in (
                    (street.id, f"{street.end}_{street.start}"),
                    (f"{street.end}_{street.start}", street.id),
                ):
                    for depart_s in self._moments(drawing.walkers_h / 2.0, random):
                        yield (
                            depart_s,
                            f'<person id="p{number}" type="pedestrian" depart="{depart_s:.2f}"'
                            f' departPos="{_place(start, light)}">'
                            f'<walk from="{start}" to="{end}"'
                            f' arrivalPos="{_place(end, light)}"/></person>',
                        )
                        number += 1

    def _moments(self, per_hour: float, random: np.random.Generator) -> NDArray[np.float64]:
        """Departures of a Poisson stream whose rate follows the shape."""
        shape = np.array(_SHAPES[self.drawing.shape])
        step_s = self.drawing.duration_s / len(shape)
        moments = [
            BEGIN_S + step * step_s + random.uniform(0.0, step_s, random.poisson(mean))
            for step, mean in enumerate(per_hour * shape / shape.mean() * step_s / 3600.0)
        ]
        found: NDArray[np.float64] = np.sort(np.concatenate(moments))
        return found


def _place(edge: str, light: str) -> str:
    """Twelve metres from the light, at whichever end of the edge it stands."""
    return "-12" if edge.endswith(f"_{light}") else "12"

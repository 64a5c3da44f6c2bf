"""Special periods: closed lanes as a SUMO additional file, and surges of one junction.

Neither needs any code of ours while the simulation runs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np

from scenarios.cache import cache_folder, cached_file, digest
from scenarios.demand import QUARTER_S, Demand, speed_factor
from scenarios.layout import LegLayout, split_movement
from scenarios.network import document, write_text
from scenarios.schema import Closure, Site, Special, clock_s

_SURGE_STREAM: Final = 9


def closure_xml(name: str, closure: Closure, part: LegLayout) -> str:
    """A rerouter that closes lanes of an approach's block for a while.

    Vehicles that reach the block find the lanes closed and change to the others.

    Args:
        name: Id of the rerouter.
        closure: Which lanes, and when.
        part: Layout of the leg.
    """
    edges = part.approach_edges
    block = edges[-2]
    # Lane 1 lies at the median and has the highest index; a sidewalk at index 0 shifts the rest.
    sidewalk = 1 if len(edges) == 2 and part.block in edges else 0
    begin_s = clock_s(closure.begin)
    end_s = begin_s + 60 * closure.minutes.value
    lanes = "".join(
        f'<closingLaneReroute id="{block}_{part.block_lanes - number + sidewalk}" disallow="all"/>'
        for number in closure.lanes.value
    )
    return document(
        "additional",
        [
            f'<rerouter id="{name}" edges="{block}">',
            f'    <interval begin="{begin_s}" end="{end_s}">{lanes}</interval>',
            "</rerouter>",
        ],
    )


def closure_file(site: str, name: str, closure: Closure, part: LegLayout) -> Path:
    """The additional file of a closure, from the cache or freshly written."""
    text = closure_xml(name, closure, part)
    path = cache_folder() / "networks" / f"{site}-{digest(text)[:20]}.closure.add.xml"
    return cached_file(path, lambda target: write_text(target, text))


@dataclass(frozen=True)
class SurgeDemand(Demand):
    """The demand of one junction in a special period: that of the ordinary one and a surge.

    Attributes:
        special: What is special; `period` names the ordinary one.
    """

    special: Special

    def __reduce__(self) -> tuple[type[SurgeDemand], tuple[Site, str, Special]]:  # type: ignore[override]
        """Pickled without what is computed on demand."""
        return SurgeDemand, (self.site, self.period, self.special)

    @cached_property
    def key(self) -> str:
        """Identifies everything but the seed that the route file depends on."""
        surge = self.special.surge
        ordinary = Demand(self.site, self.period).key
        if surge is None:
            return ordinary
        text = Path(__file__).read_text(encoding="utf-8")
        return digest(ordinary, surge.model_dump_json(), text)[:20]

    def _vehicles(self, seed: int) -> Iterator[tuple[float, str, str]]:
        yield from super()._vehicles(seed)
        surge = self.special.surge
        if surge is None:
            return
        ways = [
            (name, self.movement_volume_veh_h(name))
            for name, movement in self.site.movements.items()
            if split_movement(name)[1] not in ("bus", "uturn")
            and surge.leg == (movement.to if surge.towards else split_movement(name)[0])
        ]
        weights = np.cumsum([volume for _, volume in ways])
        random = np.random.default_rng([seed, _SURGE_STREAM])
        begin_s, end_s = clock_s(surge.begin), clock_s(surge.end)
        rates = np.full(math.ceil((end_s - begin_s) / QUARTER_S), surge.veh_per_h.value)
        for count, depart_s in enumerate(arrivals(random, rates, begin_s, end_s)):
            index = int(np.searchsorted(weights, random.random() * weights[-1]))
            route = ways[min(index, len(ways) - 1)][0]
            name = f"surge.{count}"
            text = (
                f'<vehicle id="{name}" type="car" route="{route}" depart="{depart_s:.2f}"'
                f' departLane="best" departSpeed="max"'
                f' speedFactor="{speed_factor(random, "car"):.2f}">'
                f'<param key="persons" value="{self._persons(random, "car")}"/></vehicle>'
            )
            yield depart_s, name, text


def arrivals(
    random: np.random.Generator, per_h: np.ndarray, begin_s: int, end_s: int
) -> Iterator[float]:
    """Clock times of a Poisson stream whose rate is constant over each quarter hour."""
    edges = np.minimum(begin_s + QUARTER_S * np.arange(len(per_h) + 1.0), end_s)
    expected = np.concatenate([[0.0], np.cumsum(np.diff(edges) * per_h / 3600.0)])
    reached = random.exponential()
    while reached < expected[-1]:
        yield float(np.interp(reached, expected, edges))
        reached += random.exponential()

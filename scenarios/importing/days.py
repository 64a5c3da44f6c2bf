"""Demand days of an imported scenario: the same demand, drawn anew for every seed.

Day N differs from day M in three ways. A vehicle, trip or person with a departure time leaves up to
`jitter_s` earlier or later, uniformly drawn. A flow is written out as single vehicles: one with
``number`` keeps its number at uniformly drawn times, one with a rate (``period``, ``vehsPerHour``,
``probability``) becomes a Poisson stream of that mean rate. And SUMO itself runs with seed N, which
draws types and routes from distributions and the drivers' behaviour. Vehicles that stop by a
timetable (``until``) and those that SUMO lets go (``triggered``) keep their departure.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from scenarios.cache import digest
from scenarios.demand import day_file
from scenarios.importing.inputs import DEFINITIONS, Element, flow_end_s, start_s
from signals.errors import ScenarioError

_FLOW_OF = {"flow": "vehicle", "personFlow": "person", "containerFlow": "container"}
_RATES = ("period", "vehsPerHour", "personsPerHour", "containersPerHour", "perHour", "probability")
_FLOW_ONLY = ("begin", "end", "number", *_RATES)


@dataclass(frozen=True)
class ImportedDemand:
    """The demand of one period.

    Attributes:
        name: Names the cache folder.
        routes_file: All demand, as the import wrote it.
        begin_s: Begin of the period (s).
        end_s: End of the period (s).
        jitter_s: Largest shift of a departure (s).
    """

    name: str
    routes_file: Path
    begin_s: int
    end_s: int
    jitter_s: float

    def file(self, seed: int) -> Path:
        """The route file of one demand day, from the cache or freshly drawn."""
        return day_file(self.name, self.key, seed, lambda target: self._write(target, seed))

    @property
    def key(self) -> str:
        """Identifies everything but the seed that the route file depends on."""
        return digest(
            self.routes_file.read_text(encoding="utf-8"),
            repr((self.begin_s, self.end_s, self.jitter_s)),
            Path(__file__).read_text(encoding="utf-8"),
        )[:20]

    def _write(self, target: Path, seed: int) -> None:
        root = ElementTree.parse(self.routes_file).getroot()
        random = np.random.default_rng([seed, 20])
        timed: list[tuple[float, int, Element]] = []
        day = ElementTree.Element("routes")
        for element in root:
            if element.tag in DEFINITIONS:
                day.append(element)
                continue
            for start, mover in self._drawn(element, random):
                timed.append((start, len(timed), mover))
        for _, _, mover in sorted(timed, key=lambda item: item[:2]):
            day.append(mover)
        ElementTree.indent(day)
        ElementTree.ElementTree(day).write(target, encoding="utf-8", xml_declaration=True)

    def _drawn(
        self, element: Element, random: np.random.Generator
    ) -> Iterator[tuple[float, Element]]:
        if element.tag in _FLOW_OF:
            yield from self._flow(element, random)
            return
        start = start_s(element)
        shift = random.uniform(-self.jitter_s, self.jitter_s)
        if start is None:
            yield float(self.begin_s), element
            return
        if not self.begin_s <= start < self.end_s:
            return
        if not any(stop.get("until") for stop in element.iter("stop")):
            start = min(max(start + shift, self.begin_s), self.end_s - 0.01)
        element.set("depart", f"{start:.2f}")
        yield start, element

    def _flow(self, flow: Element, random: np.random.Generator) -> Iterator[tuple[float, Element]]:
        start = start_s(flow) or 0.0
        end = flow_end_s(flow)
        end = float(self.end_s) if end is None else end
        single = copy.deepcopy(flow)
        single.tag = _FLOW_OF[flow.tag]
        for name in _FLOW_ONLY:
            single.attrib.pop(name, None)
        if single.tag == "vehicle" and "route" not in flow.attrib and flow.find("route") is None:
            single.tag = "trip"
        for number, moment in enumerate(self._moments(flow, start, end, random)):
            if not self.begin_s <= moment < self.end_s:
                continue
            one = copy.deepcopy(single)
            one.set("id", f"{flow.get('id', 'flow')}.{number}")
            one.set("depart", f"{moment:.2f}")
            yield moment, one

    def _moments(
        self, flow: Element, start: float, end: float, random: np.random.Generator
    ) -> list[float]:
        length = max(end - start, 0.0)
        rate = rate_per_s(flow)
        if rate is None:
            count = int(float(flow.get("number", "0")))
        else:
            count = int(random.poisson(rate * length))
            if "number" in flow.attrib:
                count = min(count, int(float(flow.attrib["number"])))
        return sorted(float(moment) for moment in random.uniform(start, end, count))


def rate_per_s(flow: Element) -> float | None:
    """Mean rate of a flow (1/s), None when it only gives a number.

    Raises:
        ScenarioError: The rate is no number.
    """
    name = next((rate for rate in _RATES if rate in flow.attrib), None)
    if name is None:
        return None
    text = flow.attrib[name]
    random = re.fullmatch(r"exp\(([^)]+)\)", text)
    try:
        value = float(random[1] if random else text)
        if name == "probability" or random:
            return value
        return 1.0 / value if name == "period" else value / 3600.0
    except (ValueError, ZeroDivisionError):
        raise ScenarioError(
            f"flow '{flow.get('id', '?')}': {name} is '{text}'; give a number above 0"
        ) from None

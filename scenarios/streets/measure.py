"""Runs a network under its plans and holds what happens against the site file.

Counts are compared by GEH with the flows the site file implies, corridor speeds with the measured
ones. The run is of an average day, without the differences between days, and the first quarter hour
is left out: the network starts empty.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Final
from xml.etree import ElementTree

from scenarios.cache import cache_folder, scratch_folder
from scenarios.catalog import SUMO_OPTIONS
from scenarios.layout import split_movement
from scenarios.plan_search import light_program
from scenarios.streets.demand import StreetDemand
from scenarios.streets.flows import Move, Place
from scenarios.streets.junctions import Streets
from scenarios.streets.scenario import StreetScenario
from scenarios.sumo_tools import run_program

WARM_UP_S: Final = 900
DRAIN_S: Final = 1800
GEH_GOOD: Final = 5.0
SPEED_TOLERANCE: Final = 0.25
_TASK: Final = "running the plans of a network"


@dataclass(frozen=True)
class Count:
    """One counted stream.

    Attributes:
        place: ``junction.leg``, or ``junction.leg turn``.
        profile_veh_h: What the site file implies.
        simulated_veh_h: What crossed the stop line.
        measured: Whether the street was really counted; the other figures of the profile follow
            from assumed volumes and turning shares.
    """

    place: str
    profile_veh_h: float
    simulated_veh_h: float
    measured: bool = False

    @property
    def geh(self) -> float:
        """GEH = sqrt(2 (m - c)^2 / (m + c)), hourly volumes (Geoffrey E. Havers)."""
        total = self.simulated_veh_h + self.profile_veh_h
        if total <= 0.0:
            return 0.0
        return math.sqrt(2.0 * (self.simulated_veh_h - self.profile_veh_h) ** 2 / total)


@dataclass(frozen=True)
class CorridorSpeed:
    """Mean speed of one direction.

    Attributes:
        title: Name of the direction.
        simulated_kmh: Block speeds weighted by length, as the measured figure is made.
        end_to_end_kmh: Length / sum of the mean block times.
        measured_kmh: None where nothing was measured for the period.
        blocks: ``(street, km/h)`` of each block in driving order.
    """

    title: str
    simulated_kmh: float
    end_to_end_kmh: float
    measured_kmh: float | None
    blocks: tuple[tuple[str, float], ...]

    @property
    def error(self) -> float | None:
        """Simulated / measured - 1."""
        return None if self.measured_kmh is None else self.simulated_kmh / self.measured_kmh - 1.0


@dataclass(frozen=True)
class Measurement:
    """One run of a network.

    Attributes:
        counts: Every approach and every turn.
        corridors: Speeds.
        scheduled: Vehicles of the day.
        unfinished: On the way when demand ends.
        waiting_outside: Found no room to enter until then.
        left_after_drain: Still on the way half an hour later.
        delay_s: (timeLoss + departDelay) / vehicles, the drain included.
        refused_s: Seconds in which a guard did not follow its plan.
    """

    counts: tuple[Count, ...]
    corridors: tuple[CorridorSpeed, ...]
    scheduled: int
    unfinished: int
    waiting_outside: int
    left_after_drain: int
    delay_s: float
    refused_s: int

    @property
    def good_share(self) -> float:
        """Share of the counts with GEH below 5."""
        return sum(count.geh < GEH_GOOD for count in self.counts) / max(1, len(self.counts))


def measure(scenario: StreetScenario, period: str, seed: int = 0) -> Measurement:
    """Simulate one average day of a period and the half hour after it.

    Args:
        scenario: The network.
        period: Ordinary or special.
        seed: Draws vehicles and drivers.

    Raises:
        MissingDependencyError: SUMO is not installed.
        SimulationError: SUMO refused the run.
    """
    demand = StreetDemand(scenario.streets, period, average=True)
    with scratch_folder(cache_folder() / "measuring") as folder:
        lights, refused_s = light_file(scenario, period, folder / "lights.add.xml")
        speeds = folder / "speeds.add.xml"
        speeds.write_text(
            f'<additional><edgeData id="speeds" file="{folder}/speeds.xml" excludeEmpty="true"'
            f' begin="{demand.begin_s + WARM_UP_S}" end="{demand.end_s}"/></additional>',
            encoding="utf-8",
        )
        additional = [*scenario.additional_files(period), lights, speeds]
        run_program(
            "sumo",
            (
                "--net-file", str(scenario.network.net_file),
                "--route-files", str(demand.file(seed)),
                "--additional-files", ",".join(map(str, additional)),
                "--begin", str(demand.begin_s),
                "--end", str(demand.end_s + DRAIN_S),
                "--step-length", "1",
                "--seed", str(seed),
                "--no-step-log", "true",
                "--no-warnings", "true",
                "--xml-validation", "never",
                "--vehroute-output", str(folder / "routes.xml"),
                "--vehroute-output.exit-times", "true",
                "--vehroute-output.write-unfinished", "true",
                "--tripinfo-output", str(folder / "trips.xml"),
                "--tripinfo-output.write-unfinished", "true",
                "--tripinfo-output.write-undeparted", "true",
                *SUMO_OPTIONS,
            ),
            _TASK,
        )  # fmt: skip
        counts = _counts(scenario.streets, demand, folder / "routes.xml")
        corridors = _corridors(scenario, period, folder / "speeds.xml")
        trips = _trips(folder / "trips.xml", demand.end_s)
    return Measurement(counts, corridors, *trips, refused_s)


def mean_of(found: Sequence[Measurement]) -> Measurement:
    """The mean of several runs of one network and period, count by count and block by block.

    Args:
        found: One for each seed.
    """
    counts = tuple(
        replace(same[0], simulated_veh_h=fmean(count.simulated_veh_h for count in same))
        for same in zip(*[run.counts for run in found], strict=True)
    )
    corridors = tuple(
        replace(
            same[0],
            simulated_kmh=fmean(item.simulated_kmh for item in same),
            end_to_end_kmh=fmean(item.end_to_end_kmh for item in same),
            blocks=tuple(
                (blocks[0][0], fmean(kmh for _, kmh in blocks))
                for blocks in zip(*[item.blocks for item in same], strict=True)
            ),
        )
        for same in zip(*[run.corridors for run in found], strict=True)
    )
    return Measurement(
        counts,
        corridors,
        scheduled=round(fmean(run.scheduled for run in found)),
        unfinished=round(fmean(run.unfinished for run in found)),
        waiting_outside=round(fmean(run.waiting_outside for run in found)),
        left_after_drain=round(fmean(run.left_after_drain for run in found)),
        delay_s=fmean(run.delay_s for run in found),
        refused_s=round(fmean(run.refused_s for run in found)),
    )


def light_file(scenario: StreetScenario, period: str, target: Path) -> tuple[Path, int]:
    """The lights of all plans under their guards as SUMO programs, and the seconds refused."""
    demand = scenario.steady(period)
    programs, refused_s = [], 0
    for junction, plan in zip(scenario.junctions, scenario.plans(period), strict=True):
        text, refused = light_program(junction, plan, demand.begin_s, demand.end_s)
        programs.append(text.removeprefix("<additional>").removesuffix("</additional>"))
        refused_s += refused
    target.write_text(f"<additional>{''.join(programs)}</additional>", encoding="utf-8")
    return target, refused_s


def _counts(streets: Streets, demand: StreetDemand, file: Path) -> tuple[Count, ...]:
    moves: dict[tuple[str, str], Move] = {}
    for name, layout in streets.layouts.items():
        for movement_id, movement in layout.site.movements.items():
            leg, kind = split_movement(movement_id)
            # A line bus and a car that take the same edges are one count.
            pair = (layout.legs[leg].stop, layout.legs[movement.to].out)
            if kind != "bus" or pair not in moves:
                moves[pair] = ((name, leg), kind)
    start_s, end_s = demand.begin_s + WARM_UP_S, demand.end_s
    seen: dict[Move, int] = dict.fromkeys(moves.values(), 0)
    for _, element in ElementTree.iterparse(file):
        if element.tag != "vehicle":
            continue
        for route in element.iter("route"):
            edges, times = route.get("edges", "").split(), route.get("exitTimes", "").split()
            for (edge, onward), text in zip(pairwise(edges), times, strict=False):
                if start_s <= float(text) < end_s and (edge, onward) in moves:
                    seen[moves[edge, onward]] += 1
        element.clear()
    hours = (end_s - start_s) / 3600.0
    flows = demand.flows
    found: list[Count] = []
    approaches: dict[Place, float] = {}
    for (place, kind), vehicles in seen.items():
        expected = flows.movement(place, kind)
        if kind == "through":
            expected += flows.bus.get((place, "bus"), 0.0)
        found.append(Count(f"{'.'.join(place)} {kind}", expected, vehicles / hours))
        approaches[place] = approaches.get(place, 0.0) + vehicles / hours
    whole = [
        Count(".".join(place), flows.total(place), simulated, _is_measured(streets, place))
        for place, simulated in approaches.items()
    ]
    return (*whole, *found)


def _is_measured(streets: Streets, place: Place) -> bool:
    """Whether the traffic that enters here was counted on this very street."""
    entry = streets.site.demand.entries.get(".".join(place))
    if entry is None or entry.volume in streets.site.demand.level.value:
        return False
    counted = streets.site.demand.volumes[entry.volume].veh_per_h
    return counted is not None and counted.mark == "M"


def _corridors(scenario: StreetScenario, period: str, file: Path) -> tuple[CorridorSpeed, ...]:
    speed: dict[str, float] = {}
    length: dict[str, float] = {}
    for edge in ElementTree.parse(file).getroot().iter("edge"):
        if edge.get("speed"):
            speed[edge.get("id", "")] = max(float(edge.get("speed", "0")), 0.05)
    for edge in ElementTree.parse(scenario.network.net_file).getroot().iter("edge"):
        lane = edge.find("lane")
        if lane is not None:
            length[edge.get("id", "")] = float(lane.get("length", "0"))
    base = scenario.streets.base(period)
    found = []
    for corridor in scenario.site.corridors.values():
        blocks: list[tuple[str, float, float]] = []
        for start, end in pairwise(corridor.junctions):
            here = next(
                there
                for place, there in scenario.streets.onward.items()
                if place[0] == start and there[0] == end
            )
            edges = scenario.streets.leg(here).approach_edges
            metres = sum(length[edge] for edge in edges)
            seconds = sum(length[edge] / speed[edge] for edge in edges if edge in speed)
            blocks.append((f"{start}-{end}", metres, max(seconds, 1e-6)))
        metres = sum(block[1] for block in blocks)
        weighted = sum(block[1] * block[1] / block[2] for block in blocks) / metres
        found.append(
            CorridorSpeed(
                corridor.title,
                3.6 * weighted,
                3.6 * metres / sum(block[2] for block in blocks),
                corridor.measured_kmh.value.get(base),
                tuple((name, 3.6 * far / seconds) for name, far, seconds in blocks),
            )
        )
    return tuple(found)


def _trips(file: Path, end_s: int) -> tuple[int, int, int, int, float]:
    scheduled = unfinished = outside = left = 0
    lost_s = 0.0
    for _, trip in ElementTree.iterparse(file):
        if trip.tag != "tripinfo":
            continue
        depart_s, arrival_s = float(trip.get("depart", "-1")), float(trip.get("arrival", "-1"))
        scheduled += 1
        lost_s += float(trip.get("departDelay", "0"))
        if depart_s >= 0.0:
            lost_s += float(trip.get("timeLoss", "0"))
        late = depart_s < 0.0 or depart_s >= end_s
        outside += late
        unfinished += not late and (arrival_s < 0.0 or arrival_s >= end_s)
        left += arrival_s < 0.0
        trip.clear()
    return scheduled, unfinished, outside, left, lost_s / max(1, scheduled)

"""Measures the simulator against traffic theory: saturation flow and control delay.

Both run SUMO on a tiny net of their own: one approach, one light, no foes. What is measured is what
the KHCM defines:

* saturation flow: vehicles of a standing queue that cross the stop line per hour of green, from the
  fifth vehicle on, so that the start-up loss is outside;
* control delay: travel time with the light minus travel time of the *same vehicles* with the light
  always green. SUMO's `timeLoss` also counts what slower leaders and imperfect driving cost without
  any light, and the difference leaves that out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

import numpy as np

from scenarios.cache import cache_folder, cached_file, digest, scratch_folder
from scenarios.demand import speed_factor
from scenarios.network import sumo_version
from scenarios.sumo_tools import run_program
from scenarios.vehicles import VEHICLE_TYPES
from signals.capacity import saturation_flow_veh_h
from signals.errors import InputError, SimulationError

APPROACH_M: Final = 1000.0
YELLOW_S: Final = 3
FIRST_COUNTED: Final = 4
"""Vehicles of each queue before the count starts: the start-up loss is theirs."""

_MEASURE: Final = "measuring the saturation flow"


@dataclass(frozen=True)
class SaturationFlow:
    """Discharge of one lane.

    Attributes:
        measured_veh_h: From the fifth vehicle on (veh/h and lane).
        formula_veh_h: What the KHCM gives for the same width and mix.
        headway_s: Mean saturation headway.
        startup_loss_s: Mean time that the first four vehicles lose against that headway.
        vehicles: Headways counted.
    """

    measured_veh_h: float
    formula_veh_h: float
    headway_s: float
    startup_loss_s: float
    vehicles: int

    @property
    def ratio(self) -> float:
        """Measured / formula."""
        return self.measured_veh_h / self.formula_veh_h


def measure_saturation_flow(
    mix: Mapping[str, float],
    *,
    lanes: int = 2,
    width_m: float = 3.1,
    speed_kmh: float = 50.0,
    green_s: int = 60,
    cycles: int = 20,
    seeds: Sequence[int] = (0,),
) -> SaturationFlow:
    """Queue discharge per lane in SUMO at a 1 s step.

    Args:
        mix: Shares of the vehicle types (`scenarios.vehicles.VEHICLE_TYPES`), summing to 1.
        lanes: Lanes of the approach, all through.
        width_m: Lane width; SUMO's drivers do not see it, the formula does.
        speed_kmh: Posted limit.
        green_s: Green of every cycle, short enough that the queue outlasts it.
        cycles: Cycles per seed.
        seeds: One run each.

    Raises:
        MissingDependencyError: SUMO is not installed.
    """
    _check_mix(mix)
    cycle_s = 2 * green_s
    headways: list[float] = []
    losses: list[float] = []
    for seed in seeds:
        trips = _trips(mix, 3600.0 / 1.5 * lanes, cycles * cycle_s, np.random.default_rng(seed))
        crossed = _crossings(trips, lanes, speed_kmh, cycle_s, green_s, cycles * cycle_s, seed)
        for times in crossed.values():
            for cycle in range(2, cycles):
                start = cycle * cycle_s
                green = [t - start for t in times if 0.0 <= t - start <= green_s]
                if len(green) <= FIRST_COUNTED + 1:
                    continue
                counted = np.diff(green[FIRST_COUNTED - 1 :])
                headways += counted.tolist()
                losses.append(green[FIRST_COUNTED - 1] - FIRST_COUNTED * float(counted.mean()))
    if not headways:
        raise SimulationError("no queue discharged during the measurement; give more cycles")
    headway_s = float(np.mean(headways))
    return SaturationFlow(
        measured_veh_h=3600.0 / headway_s,
        formula_veh_h=saturation_flow_veh_h(
            heavy_share=mix.get("bus", 0.0) + mix.get("truck", 0.0), width_m=width_m
        ),
        headway_s=headway_s,
        startup_loss_s=float(np.mean(losses)),
        vehicles=len(headways),
    )


def measure_control_delay(
    volume_veh_h: float,
    *,
    mix: Mapping[str, float],
    cycle_s: int,
    green_s: int,
    lanes: int = 1,
    speed_kmh: float = 50.0,
    duration_s: int = 3600,
    seed: int = 0,
) -> float:
    """Mean control delay of Poisson arrivals at a fixed-time light, s/veh.

    Args:
        volume_veh_h: Arrivals over all lanes.
        mix: Shares of the vehicle types.
        cycle_s: Cycle.
        green_s: Displayed green, followed by 3 s of yellow.
        lanes: Through lanes.
        speed_kmh: Posted limit.
        duration_s: How long vehicles arrive; the run goes on until all have left.
        seed: Arrivals, types and desired speeds.

    Raises:
        MissingDependencyError: SUMO is not installed.
    """
    _check_mix(mix)
    trips = _trips(mix, volume_veh_h, duration_s, np.random.default_rng(seed))
    with_light = _travel_times(trips, lanes, speed_kmh, _program(lanes, cycle_s, green_s), seed)
    always_green = _travel_times(trips, lanes, speed_kmh, _program(lanes, cycle_s, cycle_s), seed)
    both = with_light.keys() & always_green.keys()
    return float(np.mean([with_light[name] - always_green[name] for name in both]))


def _check_mix(mix: Mapping[str, float]) -> None:
    unknown = set(mix) - set(VEHICLE_TYPES)
    if unknown:
        raise InputError(
            f"vehicle type '{min(unknown)}' does not exist; allowed: {', '.join(VEHICLE_TYPES)}"
        )
    if not math.isclose(sum(mix.values()), 1.0, abs_tol=1e-6):
        raise InputError(f"mix sums to {sum(mix.values()):g}; make the shares sum to 1")


def _net_file(lanes: int, speed_kmh: float) -> Path:
    """One approach of `lanes` lanes, a light, and an exit."""
    speed = speed_kmh / 3.6
    form = f'numLanes="{lanes}" speed="{speed:.4f}"'

    def build(target: Path) -> None:
        with scratch_folder(target.parent) as folder:
            texts = {
                "nod": '<nodes><node id="a" x="0" y="0"/>'
                f'<node id="j" x="{APPROACH_M}" y="0" type="traffic_light"/>'
                f'<node id="b" x="{APPROACH_M + 400.0}" y="0"/></nodes>',
                "edg": f'<edges><edge id="in" from="a" to="j" {form}/>'
                f'<edge id="out" from="j" to="b" {form}/></edges>',
                "con": "<connections>"
                + "".join(
                    f'<connection from="in" to="out" fromLane="{lane}" toLane="{lane}"/>'
                    for lane in range(lanes)
                )
                + "</connections>",
            }
            for suffix, text in texts.items():
                (folder / f"site.{suffix}.xml").write_text(text, encoding="utf-8")
            run_program(
                "netconvert",
                (
                    "--node-files", str(folder / "site.nod.xml"),
                    "--edge-files", str(folder / "site.edg.xml"),
                    "--connection-files", str(folder / "site.con.xml"),
                    "--output-file", str(target),
                ),
                _MEASURE,
            )  # fmt: skip

    key = digest(f"{lanes} {speed:.4f} {APPROACH_M}", sumo_version())[:16]
    return cached_file(cache_folder() / "networks" / f"approach-{key}.net.xml", build)


def _trips(
    mix: Mapping[str, float], volume_veh_h: float, duration_s: float, random: np.random.Generator
) -> str:
    """A route file with exponential headways."""
    kinds, shares = list(mix), np.asarray(list(mix.values()))
    lines = ["<routes>", *(kind.xml(name) for name, kind in VEHICLE_TYPES.items())]
    lines.append('<route id="r" edges="in out"/>')
    clock, count = float(random.exponential(3600.0 / volume_veh_h)), 0
    while clock < duration_s:
        kind = kinds[int(random.choice(len(kinds), p=shares))]
        lines.append(
            f'<vehicle id="{count}" type="{kind}" route="r" depart="{clock:.2f}"'
            f' departLane="best" departSpeed="max"'
            f' speedFactor="{speed_factor(random, kind):.2f}"/>'
        )
        clock += float(random.exponential(3600.0 / volume_veh_h))
        count += 1
    return "\n".join([*lines, "</routes>"])


def _program(lanes: int, cycle_s: int, green_s: int) -> str:
    """A fixed-time program; a green as long as the cycle never ends."""
    phases = f'<phase duration="{green_s}" state="{"G" * lanes}"/>'
    if green_s < cycle_s:
        phases += f'<phase duration="{YELLOW_S}" state="{"y" * lanes}"/>'
        phases += f'<phase duration="{cycle_s - green_s - YELLOW_S}" state="{"r" * lanes}"/>'
    return f'<tlLogic id="j" type="static" programID="measured" offset="0">{phases}</tlLogic>'


def _simulate(
    folder: Path, trips: str, lanes: int, speed_kmh: float, additional: str, options: Sequence[str]
) -> None:
    (folder / "trips.rou.xml").write_text(trips, encoding="utf-8")
    (folder / "light.add.xml").write_text(f"<additional>{additional}</additional>", "utf-8")
    run_program(
        "sumo",
        (
            "--net-file", str(_net_file(lanes, speed_kmh)),
            "--route-files", str(folder / "trips.rou.xml"),
            "--additional-files", str(folder / "light.add.xml"),
            "--step-length", "1",
            "--time-to-teleport", "-1",
            "--no-step-log", "true",
            "--xml-validation", "never",
            *options,
        ),
        _MEASURE,
    )  # fmt: skip


def _crossings(
    trips: str,
    lanes: int,
    speed_kmh: float,
    cycle_s: int,
    green_s: int,
    duration_s: int,
    seed: int,
) -> dict[str, list[float]]:
    """Times at which a front bumper crosses the stop line, per lane (s)."""
    with scratch_folder(cache_folder() / "measuring") as folder:
        loops = "".join(
            f'<instantInductionLoop id="{lane}" lane="in_{lane}" pos="-0.1"'
            f' file="{folder}/loops.xml"/>'
            for lane in range(lanes)
        )
        _simulate(
            folder,
            trips,
            lanes,
            speed_kmh,
            _program(lanes, cycle_s, green_s) + loops,
            ("--end", str(duration_s), "--seed", str(seed)),
        )
        times: dict[str, list[float]] = {str(lane): [] for lane in range(lanes)}
        for event in ElementTree.parse(folder / "loops.xml").getroot():
            if event.get("state") == "enter":
                times[event.get("id", "")].append(float(event.get("time", "0")))
    return {lane: sorted(found) for lane, found in times.items()}


def _travel_times(
    trips: str, lanes: int, speed_kmh: float, program: str, seed: int
) -> dict[str, float]:
    """Vehicle to its travel time, the wait for insertion included (s)."""
    with scratch_folder(cache_folder() / "measuring") as folder:
        output = folder / "tripinfo.xml"
        _simulate(
            folder,
            trips,
            lanes,
            speed_kmh,
            program,
            ("--tripinfo-output", str(output), "--seed", str(seed)),
        )
        return {
            trip.get("id", ""): float(trip.get("duration", "0"))
            + float(trip.get("departDelay", "0"))
            for trip in ElementTree.parse(output).getroot()
        }

"""SUMO's own tools: a net from an OSM extract, and random trips."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from scenarios.sumo_tools import run_program
from signals.errors import JunctionError, MissingDependencyError, ScenarioError, SimulationError
from signals.netreading.net import SumoNet, read_xml

_TOOL_LIMIT_S = 1800
_RANDOM_TRIPS_PER_LANE_KM_H = 60.0
"""Trips that random demand sends out for each lane kilometre (1/h, assumed)."""

_KOREAN_TYPES = {
    "motorway": (4, 100, 13),
    "motorway_link": (1, 50, 12),
    "trunk": (4, 80, 12),
    "trunk_link": (1, 50, 11),
    "primary": (4, 50, 10),
    "primary_link": (1, 50, 9),
    "secondary": (3, 50, 8),
    "secondary_link": (1, 50, 7),
    "tertiary": (2, 50, 6),
    "tertiary_link": (1, 50, 5),
    "unclassified": (1, 30, 4),
    "residential": (1, 30, 3),
    "living_street": (1, 20, 2),
    "service": (1, 20, 1),
}
"""Lanes a direction, limit (km/h) and priority of streets whose tags say nothing.

Limits: 50 km/h on arterials and 30 km/h on side streets, in force since 17 April 2021 in built-up
areas. Lanes are assumed.
"""
_FOOTWAYS = {"footway": 1, "pedestrian": 1, "path": 1, "cycleway": 1, "steps": 1}


def net_from_osm(osm_file: Path, target: Path) -> list[str]:
    """Make a net of an OSM extract.

    Right-hand traffic, Korean limits where a street has none, sidewalks and crosswalks along
    arterials, lights where OSM has them and where streets of that size would, nodes of one
    junction joined.

    Args:
        osm_file: OSM XML.
        target: Net to write.

    Returns:
        Warnings of netconvert.

    Raises:
        ScenarioError: The file is no OSM extract, or gives no net.
        MissingDependencyError: netconvert is not installed.
    """
    try:
        read_xml(osm_file, "osm", "an OSM extract in XML")
    except JunctionError as error:
        raise ScenarioError(str(error)) from error
    types = target.with_name("types.typ.xml")
    rows = [
        f'<type id="highway.{name}" numLanes="{lanes}" speed="{limit / 3.6:.4f}" '
        f'priority="{priority}" oneway="{"true" if name.startswith("motorway") else "false"}" '
        'disallow="pedestrian tram rail_urban rail rail_electric rail_fast ship"/>'
        for name, (lanes, limit, priority) in _KOREAN_TYPES.items()
    ]
    rows += [
        f'<type id="highway.{name}" numLanes="1" speed="1.5" priority="{priority}" '
        'width="2" allow="pedestrian"/>'
        for name, priority in _FOOTWAYS.items()
    ]
    types.write_text(f"<types>{''.join(rows)}</types>", encoding="utf-8")
    try:
        said = run_program(
            "netconvert",
            (
                "--osm-files", str(osm_file), "--type-files", str(types),
                "--output-file", str(target), "--lefthand", "false",
                "--geometry.remove", "true", "--ramps.guess", "true",
                "--junctions.join", "true", "--junctions.join-dist", "12",
                "--junctions.corner-detail", "5", "--roundabouts.guess", "true",
                "--tls.discard-simple", "false", "--tls.guess-signals", "true",
                "--tls.guess-signals.dist", "30", "--tls.join", "true", "--tls.join-dist", "25",
                "--tls.default-type", "static", "--no-turnarounds", "true",
                "--sidewalks.guess", "true", "--sidewalks.guess.min-speed", "5.8",
                "--sidewalks.guess.max-speed", "22.5", "--crossings.guess", "true",
                "--walkingareas", "true", "--remove-edges.isolated", "true",
                "--output.street-names", "true", "--no-warnings", "false",
                "--xml-validation", "never",
            ),
            "making a net of the OSM extract",
        )  # fmt: skip
    except SimulationError as error:
        raise ScenarioError(f"{osm_file}: {error}; check the extract") from error
    finally:
        types.unlink(missing_ok=True)
    return [line for line in said.splitlines() if line.startswith("Warning")]


def run_tool(name: str, arguments: Sequence[str], needed_for: str) -> None:
    """Run one of SUMO's Python tools."""
    spec = importlib.util.find_spec("sumo")
    homes = [Path(place) for place in (spec.submodule_search_locations or [])] if spec else []
    if os.environ.get("SUMO_HOME"):
        homes.append(Path(os.environ["SUMO_HOME"]))
    for home in homes:
        script = home / "tools" / name
        if script.is_file():
            break
    else:
        raise MissingDependencyError(f"{name} (eclipse-sumo)", "sim", needed_for)
    try:
        done = subprocess.run(
            [sys.executable, str(script), *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=_TOOL_LIMIT_S,
            env={**os.environ, "SUMO_HOME": str(home)},
        )
    except subprocess.TimeoutExpired as error:
        raise SimulationError(f"{name} took longer than {_TOOL_LIMIT_S} s; {needed_for}") from error
    if done.returncode != 0:
        lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        said = next(
            (line for line in lines if line.startswith("Error")), lines[-1] if lines else ""
        )
        raise SimulationError(f"{name} failed while {needed_for}: {said or 'it gave no reason'}")


def random_routes(net: SumoNet, target: Path, begin_s: int, end_s: int, seed: int) -> float:
    """Write random trips as routes: demand for a net that comes with none.

    Args:
        net: The net.
        target: Route file to write.
        begin_s: First departure (s).
        end_s: Last departure (s).
        seed: Seed of SUMO's randomTrips.

    Returns:
        Trips asked for (1/h).

    Raises:
        SimulationError: The tool failed.
    """
    lane_km = sum(
        lane.length_m / 1000.0
        for edge in net.edges.values()
        if not edge.function
        for lane in edge.lanes
        if lane.uses == "vehicle"
    )
    per_h = max(60.0, _RANDOM_TRIPS_PER_LANE_KM_H * lane_km)
    trips = target.with_name("random.trips.xml")
    alternatives = target.with_name(f"{target.name.partition('.')[0]}.rou.alt.xml")
    try:
        run_tool(
            "randomTrips.py",
            (
                "-n", str(net.file), "-o", str(trips), "-r", str(target),
                "-b", str(begin_s), "-e", str(end_s), "-p", f"{3600.0 / per_h:.4f}",
                "-s", str(seed), "--fringe-factor", "10", "--validate", "--remove-loops",
            ),
            "drawing random trips",
        )  # fmt: skip
    finally:
        trips.unlink(missing_ok=True)
        alternatives.unlink(missing_ok=True)
    return per_h

"""Generated networks to measure and test on: a corridor, a grid, a district of 200+ signals.

Each is made by SUMO's own netgenerate, every junction with traffic lights, three lanes at the stop
line and no crosswalks, and is loaded by random trips (randomTrips.py), a demand day for each seed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from xml.etree import ElementTree

import sumo

from signals.junction import Junction
from signals.netreader import read_junction
from signals.plan import Plan, RingStep
from signals.timing import TimingRules
from signals.world import World

BEGIN_S = 8 * 3600
RULES = TimingRules(pedestrians=False)
BLOCK_M = 250
THROUGH_S, OTHER_S = 30, 15


@dataclass(frozen=True)
class Demand:
    """Random trips of a net, one day a seed.

    Attributes:
        net_file: SUMO net.
        folder: Where the days are kept.
        veh_h: Vehicles an hour.
        end_s: Clock time of the last departure (s).
    """

    net_file: Path
    folder: Path
    veh_h: int
    end_s: int

    def __call__(self, seed: int) -> Path:
        """Route file of one day."""
        target = self.folder / f"day-{self.veh_h}-{self.end_s}-{seed}.rou.xml"
        if not target.is_file():
            part = self.folder / f"part-{seed}.rou.xml"
            _run(
                [sys.executable, str(Path(sumo.SUMO_HOME) / "tools" / "randomTrips.py")],
                *("-n", str(self.net_file), "-o", str(self.folder / f"trips-{seed}.xml")),
                *("-r", str(part), "-b", str(BEGIN_S), "-e", str(self.end_s), "--validate"),
                *("--insertion-rate", str(self.veh_h), "--fringe-factor", "10"),
                *("--seed", str(seed), "--min-distance", str(2 * BLOCK_M)),
            )
            part.rename(target)
        return target


def grid(folder: Path, columns: int, rows: int, veh_h: int, seconds: int) -> World:
    """A grid; one row makes a corridor.

    Args:
        folder: Net, junctions and demand are kept here and used again.
        columns: Junctions in a row.
        rows: Rows.
        veh_h: Vehicles an hour.
        seconds: Length of the period.
    """
    own = folder / f"grid-{columns}x{rows}"
    own.mkdir(parents=True, exist_ok=True)
    net_file = own / "net.net.xml"
    if not net_file.is_file():
        _run(
            [str(Path(sumo.SUMO_HOME) / "bin" / "netgenerate")],
            *("--grid", "--grid.x-number", str(columns), "--grid.y-number", str(rows)),
            *("--grid.length", str(BLOCK_M), "--grid.attach-length", str(BLOCK_M)),
            *("-L", "2", "--turn-lanes", "1", "--turn-lanes.length", "80"),
            *("--default.speed", "13.89", "--default-junction-type", "traffic_light"),
            *("--no-turnarounds", "true", "-o", str(net_file)),
        )
    junctions = _junctions(net_file)
    text = json.dumps([junction.hash for junction in junctions])
    return World(
        scenario=f"grid-{columns}x{rows}",
        period="random",
        junctions=junctions,
        plans=tuple(simple_plan(junction) for junction in junctions),
        net_file=net_file,
        additional_files=(),
        begin_s=BEGIN_S,
        end_s=BEGIN_S + seconds,
        routes=Demand(net_file, own, veh_h, BEGIN_S + seconds),
        sumo_options=("--time-to-teleport", "300"),
        content_hash=sha256(text.encode()).hexdigest(),
    )


def simple_plan(junction: Junction) -> Plan:
    """Phases until every group has had its turn, through phases longest."""
    left = {group.id for group in junction.groups}
    steps: list[RingStep] = []
    while left:
        phase = max(junction.phases, key=lambda item: (len(left & set(item.groups)), -item.index))
        through = any(".through" in group for group in phase.groups)
        steps.append(RingStep(phase.groups, THROUGH_S if through else OTHER_S))
        left -= set(phase.groups)
    ring = tuple(steps)
    plan = Plan("simple", sum(step.split_s for step in ring), 0, ring, ring)
    plan.validate(junction)
    return plan


def _junctions(net_file: Path) -> tuple[Junction, ...]:
    kept = net_file.with_suffix(".junctions.json")
    if kept.is_file():
        return tuple(Junction.from_dict(item) for item in json.loads(kept.read_text()))
    lights = sorted({str(item.get("id")) for item in ElementTree.parse(net_file).iter("tlLogic")})
    junctions = tuple(read_junction(net_file, light, RULES) for light in lights)
    kept.write_text(json.dumps([junction.to_dict() for junction in junctions]))
    return junctions


def _run(program: list[str], *options: str) -> None:
    done = subprocess.run([*program, *options], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{program[-1]} failed: {(done.stderr or done.stdout).strip()[-500:]}")

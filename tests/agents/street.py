"""Small networks with traffic, as worlds."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import sumolib

from signals.junction import Junction
from signals.netreader import read_junction
from signals.plan import Plan, RingStep
from signals.timing import TimingRules
from signals.world import World

BEGIN_S = 8 * 3600


def generate(folder: Path, tools: Path, *options: str) -> Path:
    """A net of netgenerate, every junction with lights."""
    net = folder / "some.net.xml"
    subprocess.run(
        [
            str(tools / "netgenerate"),
            *options,
            *("--default-junction-type", "traffic_light", "--no-turnarounds", "true"),
            *("-o", str(net)),
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )
    return net


def plan_of(junction: Junction, offset_s: int = 0) -> Plan:
    """Phases until every group has had its turn, 40 s each."""
    steps, served = [], set[str]()
    for phase in junction.phases:
        if not set(phase.groups) <= served:
            steps.append(RingStep(phase.groups, 40))
            served.update(phase.groups)
    plan = Plan("all_day", 40 * len(steps), offset_s, tuple(steps), tuple(steps))
    plan.validate(junction)
    return plan


def junctions_of(net: Path, rules: TimingRules | None = None) -> list[Junction]:
    lights = sumolib.net.readNet(str(net)).getTrafficLights()
    return [
        read_junction(net, name, rules or TimingRules())
        for name in sorted(light.getID() for light in lights)
    ]


def world_of(
    net: Path,
    folder: Path,
    junctions: Sequence[Junction],
    minutes: int = 5,
    headway_s: float = 2.0,
) -> World:
    """Cars from every edge at the rim to another one, drawn by the day's seed."""
    end_s = BEGIN_S + 60 * minutes
    drawn = sumolib.net.readNet(str(net))
    edges = sorted(edge.getID() for edge in drawn.getEdges())

    def routes(seed: int) -> Path:
        dice = np.random.default_rng(seed)
        rows = ["<routes>"]
        for number, depart in enumerate(np.arange(BEGIN_S, end_s, headway_s)):
            start, end = dice.choice(edges, 2, replace=False)
            path, _ = drawn.getShortestPath(drawn.getEdge(start), drawn.getEdge(end))
            if path:
                way = " ".join(edge.getID() for edge in path)
                rows.append(f'<vehicle id="v{number}" depart="{depart:.1f}">')
                rows.append(f'<route edges="{way}"/></vehicle>')
        file = folder / f"day{seed}.rou.xml"
        file.write_text("\n".join([*rows, "</routes>"]), encoding="utf-8")
        return file

    return World(
        scenario="some",
        period="all_day",
        junctions=tuple(junctions),
        plans=tuple(plan_of(item, 7 * number) for number, item in enumerate(junctions)),
        net_file=net,
        additional_files=(),
        begin_s=BEGIN_S,
        end_s=end_s,
        routes=routes,
        sumo_options=(),
        content_hash="some",
    )


def shortened(world: World, seconds: int) -> World:
    return replace(world, end_s=world.begin_s + seconds)

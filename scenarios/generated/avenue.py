"""Draws wide junctions: crosswalks all round, left-turn pockets, now and then a median bus lane.

What makes such a junction hard is drawn into it: people take half a minute to cross, so that a
phase once begun binds the junction for long, a pocket holds a few vehicles only, and all streams
are about equally busy, for an hour. All bounds are assumed.
"""

from __future__ import annotations

import math

import numpy as np

from scenarios.generated.names import GeneratedName
from scenarios.generated.streets import Drawing, Street

_MAIN_LANES = (3, 4, 5)
_MINOR_LANES = (2, 3, 4)
_FAST_KMH = (50.0, 60.0, 70.0)
_SLOW_KMH = (40.0, 50.0, 60.0)
_LONGEST_CYCLES_S = (120, 140, 160, 180)
LIGHT = "J"
_STRAIGHT_ON = (0.0, 1.0, 0.0)


def avenue(name: GeneratedName, random: np.random.Generator, faults: tuple[str, ...]) -> Drawing:
    """The drawing of a name.

    Args:
        name: Kind and seed.
        random: Draws everything.
        faults: Short forms of what is wrong with the detectors.
    """
    legs = 4 if random.random() < 0.85 else 3
    turned = float(random.uniform(0.0, 360.0))
    main = int(random.choice(_MAIN_LANES))
    minor = min(main, int(random.choice(_MINOR_LANES)))
    fast, slow = float(random.choice(_FAST_KMH)), float(random.choice(_SLOW_KMH))
    bus_lanes = legs == 4 and bool(random.random() < 0.4)
    places = {LIGHT: (0.0, 0.0)}
    streets: list[Street] = []
    for leg in range(legs):
        wide = leg % 2 == 0
        angle = math.radians(90.0 * leg + turned + float(random.uniform(-8.0, 8.0)))
        length_m, pocket_m = float(random.uniform(260.0, 420.0)), float(random.uniform(50.0, 170.0))
        rim, mouth = f"R{leg}", f"P{leg}"
        pocket = bool(random.random() < 0.75)
        nodes = {rim: length_m} | ({mouth: pocket_m} if pocket else {})
        for node, far_m in nodes.items():
            places[node] = (round(far_m * math.cos(angle), 1), round(far_m * math.sin(angle), 1))
        lanes, speed_mps = (main, fast) if wide else (minor, slow)
        # Beside full through lanes the pocket's one lane is full as well.
        right, left = float(random.uniform(0.04, 0.12)), float(random.uniform(0.3, 0.75)) / lanes
        turns = (right, 1.0 - right - left, left)
        weight = lanes * float(random.uniform(0.7, 1.0))
        bus_lane = bus_lanes and wide

        def street(
            start: str,
            end: str,
            turns: tuple[float, float, float] = _STRAIGHT_ON,
            weight: float = 0.0,
            more: int = 0,
            lanes: int = lanes,
            speed_mps: float = round(speed_mps / 3.6, 4),
            bus_lane: bool = bus_lane,
        ) -> Street:
            return Street(start, end, lanes + more, speed_mps, turns, weight, bus_lane)

        if pocket:
            streets += [
                street(rim, mouth, weight=weight),
                street(mouth, LIGHT, turns, more=1),
                street(LIGHT, mouth),
                street(mouth, rim),
            ]
        else:
            streets += [street(rim, LIGHT, turns, weight), street(LIGHT, rim)]
    return Drawing(
        name=name,
        places=places,
        lights=(LIGHT,),
        streets=tuple(streets),
        phasing=str(random.choice(["all", "some"])),  # type: ignore[arg-type]
        shared_left=False,
        walkers_h=float(np.exp(random.uniform(math.log(60.0), math.log(700.0)))),
        on_call=bool(random.random() < 0.15),
        right_on_red=bool(random.random() < 0.8),
        busyness=float(random.uniform(0.6, 0.85)),
        shape=str(random.choice(["flat", "peak", "rising", "falling"])),  # type: ignore[arg-type]
        heavy_share=float(random.uniform(0.0, 0.08)),
        faults=faults,
        buses_h=float(random.uniform(30.0, 150.0)) if bus_lanes else 0.0,
        stretched_cycle_s=int(random.choice(_LONGEST_CYCLES_S)),
        # A jam that a policy makes for itself takes more than half an hour to show.
        duration_s=3600,
    )

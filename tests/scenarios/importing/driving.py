"""Runs of imported worlds, and the independent judge of their lights."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from agents.classical import make
from scenarios.catalog import world as catalog_world
from signals.guard import Guard
from signals.junction import Junction
from signals.observation import Observation
from signals.simulation.episode import Episode
from signals.simulation.sumo_backend import SumoBackend
from signals.timing import TimingRules
from signals.world import World
from tests.independent.lights import LightChecker, Violation

Lights = dict[str, list[tuple[int, str]]]
Decider = Callable[[Sequence[Observation], int], list[int]]


def checker(net: Path, junction: Junction, rules: TimingRules) -> LightChecker:
    """The judge of a light under the rules of the import, its lengthened red included."""
    timing = asdict(rules)
    timing.pop("max_green_s")
    longest = max(row.max_red_s for row in junction.timing.groups.values())
    timing.update(max_red_s=longest, pedestrian_max_red_s=longest, unprotected=True)
    return LightChecker(net, junction.id, timing)


def hostile_lights(junction: Junction, seconds: int, seed: int) -> list[tuple[int, str]]:
    """Random wishes, for ever longer stretches, impossible ones among them; without SUMO."""
    guard, dice = Guard(junction), random.Random(seed)
    state = guard.start(dice.randrange(len(junction.phases)))
    lights, wish = [(0, guard.lights(state))], 0
    for second in range(1, seconds):
        if second % (1 + second // (seconds // 6) * 5) == 0:
            wish = dice.randrange(-1, len(junction.phases) + 1)
        state, _ = guard.tick(state, wish)
        lights.append((second, guard.lights(state)))
    return lights


def run(world: World, decide: Decider, every_s: int, seed: int = 20000) -> Lights:
    """The lights of every junction of a run."""
    episode = Episode(world, SumoBackend())
    lights: Lights = {junction.id: [] for junction in world.junctions}
    try:
        episode.start(seed)
        second, wishes = 0, [0] * len(world.junctions)
        while not episode.finished:
            if second % every_s == 0:
                wishes = decide(episode.observe_all(), second)
            episode.tick_all(wishes)
            for item in episode.junctions:
                lights[item.junction.id].append((second, item.lights))
            second += 1
    finally:
        episode.close()
    return lights


def max_pressure(world: World) -> Decider:
    agents = [
        make("max_pressure", junction, plan)
        for junction, plan in zip(world.junctions, world.plans, strict=True)
    ]
    return lambda seen, second: [
        agent.decide(observation, float(second))
        for agent, observation in zip(agents, seen, strict=True)
    ]


def hostile(world: World, seed: int) -> Decider:
    dice = random.Random(seed)
    return lambda seen, second: [dice.randrange(len(j.phases)) for j in world.junctions]


def load(folder: Path) -> World:
    return catalog_world(str(folder))


def violations(world: World, lights: Lights, rules: TimingRules) -> list[tuple[str, Violation]]:
    return [
        (junction.id, violation)
        for junction in world.junctions
        for violation in checker(world.net_file, junction, rules).check(lights[junction.id])
    ]

"""Cases and hostile wishes for the guard tests."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from signals.errors import JunctionError
from signals.guard import Guard
from signals.junction import Junction
from signals.lights import GuardState
from signals.netreader import read_junction
from signals.timing import TimingRules
from tests.independent.lights import LightChecker

Driver = Callable[[Guard, GuardState, int], Any]


@dataclass(frozen=True)
class Case:
    """A junction with its law, and the judge of its lights."""

    name: str
    junction: Junction
    guard: Guard
    checker: LightChecker


def checker_for(net: Path, tls_id: str, rules: TimingRules) -> LightChecker:
    names = (
        *("min_green_s", "max_red_s", "pedestrian_max_red_s", "walking_speed_mps"),
        *("pedestrian_buffer_s", "right_turn_on_red", "pedestrians", "recall"),
    )
    inputs = asdict(rules)
    return LightChecker(net, tls_id, {name: inputs[name] for name in names})


def make_case(name: str, net: Path, tls_id: str, rules: TimingRules) -> Case:
    """A maximum red of 0 stands for the smallest one that the guard accepts."""
    for attribute in ("max_red_s", "pedestrian_max_red_s"):
        if getattr(rules, attribute) == 0:
            rules = replace(rules, **{attribute: _least_max_red_s(net, tls_id, rules)})
    junction = read_junction(net, tls_id, rules)
    return Case(name, junction, Guard(junction), checker_for(net, tls_id, rules))


def _least_max_red_s(net: Path, tls_id: str, rules: TimingRules) -> int:
    tiny = replace(rules, max_red_s=1, pedestrian_max_red_s=1)
    try:
        Guard(read_junction(net, tls_id, tiny))
    except JunctionError as error:
        match = re.search(r"give at least (\d+)", str(error))
        assert match, error
        return int(match[1])
    raise AssertionError("a maximum red of one second was accepted")


def drive(
    guard: Guard,
    driver: Driver,
    seconds: int,
    *,
    start: int = 0,
    calls: Callable[[int], Iterable[str]] = lambda second: (),
) -> tuple[list[tuple[int, str]], list[tuple[int, int]]]:
    """Run the guard; return the lights of every second, and the calls as (second, link)."""
    state = guard.start(start)
    lights = [(0, guard.lights(state))]
    pressed: list[tuple[int, int]] = []
    links = {group.id: group.links for group in guard.junction.groups}
    for second in range(1, seconds + 1):
        waiting = frozenset(calls(second))
        state, _ = guard.tick(state, driver(guard, state, second), waiting)
        lights.append((second, guard.lights(state)))
        pressed += [(second, link) for group in waiting for link in links[group]]
    return lights, pressed


def in_turn(every_s: int) -> Driver:
    """Wishes for each phase in turn."""
    return lambda guard, state, second: second // every_s % len(guard.junction.phases)


def starving(group: str, seed: int) -> Driver:
    """Wishes anything that is allowed and does not serve the group."""
    dice = random.Random(seed)

    def wish(guard: Guard, state: GuardState, second: int) -> int:
        mask = guard.options(state).mask
        others = [
            phase.index
            for phase in guard.junction.phases
            if mask[phase.index] and group not in phase.groups
        ]
        if state.phase in others and dice.random() < 0.9:
            return state.phase
        return dice.choice(others) if others else state.phase

    return wish

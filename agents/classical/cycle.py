"""Cycle and splits from flow ratios, for agents that re-time the plan's phases."""

from __future__ import annotations

import math
from collections.abc import Sequence

from agents.classical.stages import Stage
from signals import capacity
from signals.junction import Junction

_LOST_PER_CHANGE_S = 2.0
"""Start-up loss that the end of yellow does not give back (s, assumed)."""


def lost_times_s(junction: Junction, stages: Sequence[Stage]) -> list[float]:
    """Time of each stage that moves no vehicle: start-up and the all-red of those that end (s)."""
    walkers = {group.id for group in junction.groups if group.kind == "pedestrian"}
    return [
        _LOST_PER_CHANGE_S
        + max(
            (junction.timing.groups[group].all_red_s for group in stage.ending - walkers),
            default=0,
        )
        for stage in stages
    ]


def timing(
    ratios: Sequence[float],
    shortest_s: Sequence[int],
    lost_s: Sequence[float],
    *,
    least_cycle_s: int,
    most_cycle_s: int,
    goal: float,
) -> tuple[int, list[int]]:
    """The shortest cycle under which no stage is above a degree of saturation, and its splits.

    Where walks hold some stages long, Webster's cycle starves the others: it is lengthened until
    every stage is below the goal; if none will do, the cycle whose worst stage is best.

    Args:
        ratios: Flow ratio of each stage.
        shortest_s: Least split of each (s).
        lost_s: Time of each that moves nobody (s).
        least_cycle_s: Shortest cycle to try (s); at least the sum of the shortest splits is taken.
        most_cycle_s: Longest cycle to try (s).
        goal: Degree of saturation that no stage should exceed.

    Returns:
        Cycle and splits (s).
    """
    least_cycle_s = max(least_cycle_s, sum(shortest_s))
    found, best = (least_cycle_s, list(shortest_s)), math.inf
    for cycle_s in range(least_cycle_s, max(most_cycle_s, least_cycle_s) + 1):
        splits = capacity.splits_s(cycle_s, ratios, shortest_s, lost_s)
        worst = max(
            need * cycle_s / max(split_s - lost, 1.0)
            for need, split_s, lost in zip(ratios, splits, lost_s, strict=True)
        )
        if worst < best - 1e-9:
            best, found = worst, (cycle_s, list(splits))
        if worst <= goal:
            break
    return found

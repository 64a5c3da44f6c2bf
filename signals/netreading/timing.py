"""Timing of the groups of a light, from the geometry of their links."""

from __future__ import annotations

from collections.abc import Sequence

from signals.junction import SignalGroup
from signals.netreading.links import Link
from signals.timing import (
    GroupTiming,
    TimingRules,
    TimingTable,
    change_interval_s,
    pedestrian_times_s,
    yellow_and_all_red_s,
)

_SLOWEST_MPS = 1.0
"""A limit below walking pace says nothing about braking."""


def timing_of(
    links: Sequence[Link], groups: Sequence[SignalGroup], rules: TimingRules
) -> TimingTable:
    """Minimum green, yellow, all-red and maximum red of every group.

    A vehicle group that shares an index with a crosswalk is green for a walk at least, and its
    all-red lasts until people have left the crosswalk.
    """
    table: dict[str, GroupTiming] = {}
    by_index: dict[int, list[Link]] = {}
    for link in links:
        by_index.setdefault(link.index, []).append(link)
    for group in groups:
        members = [link for index in group.links for link in by_index[index]]
        walks = [link for link in members if link.crossing] if rules.pedestrians else []
        walk_s = clearance_s = 0
        if walks:
            walk_s, clearance_s = pedestrian_times_s(
                max(link.path_m for link in walks), rules.walking_speed_mps
            )
        if group.kind == "pedestrian":
            table[group.id] = GroupTiming(
                walk_s, clearance_s, rules.pedestrian_buffer_s, rules.pedestrian_max_red_s
            )
            continue
        yellow_s, all_red_s = _change(members, rules)
        if walks:
            all_red_s = max(all_red_s, clearance_s + rules.pedestrian_buffer_s - yellow_s)
        table[group.id] = GroupTiming(
            max(rules.min_green_s, walk_s), yellow_s, all_red_s, rules.max_red_s
        )
    return TimingTable(table, rules.max_green_s, rules.recall)


def _change(members: Sequence[Link], rules: TimingRules) -> tuple[int, int]:
    vehicles = [link for link in members if not link.crossing]
    # Turns to the kerb side leave the conflict area at its near corner; the others bound it.
    bound = [link for link in vehicles if not link.near_turn] or vehicles
    path_m = max(link.path_m for link in bound)
    # The interval is not monotonic in speed: take the longest of all, not that of the fastest.
    speed_mps = max(
        (max(link.speed_mps, _SLOWEST_MPS) for link in bound),
        key=lambda speed: change_interval_s(speed, path_m),
    )
    yellow_s, all_red_s = yellow_and_all_red_s(speed_mps, path_m)
    return (
        rules.yellow_s if rules.yellow_s is not None else yellow_s,
        rules.all_red_s if rules.all_red_s is not None else all_red_s,
    )

"""Offsets of a good progression (연동): platoons, their dispersion, and the delay they meet.

Between two lights under one cycle the delay depends only on the difference of their offsets. The
platoon that leaves the first light is a cyclic flow profile; it disperses on the way by Robertson's
formula (TRANSYT, Road Research Laboratory Report LR 253, 1969) and queues at the second light. On a
line, or a tree, of junctions every difference can be chosen by itself, and the sum of the delays of
both directions is least where each is (Hillier and Rothery, "The synchronization of traffic signals
for minimum delay", Transportation Science 1, 1967).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

DISPERSION: Final = 0.35
"""Robertson's platoon dispersion factor for moderate friction."""

PLATOON_SHARE: Final = 0.8
"""Travel time of the platoon's head / mean travel time (Robertson)."""

_CYCLES: Final = 4


@dataclass(frozen=True)
class Stream:
    """What leaves the upstream light into the street.

    Attributes:
        volume_veh_h: Mean flow.
        windows: ``(start, seconds)`` of its greens, counted from the upstream cycle's begin; empty
            for traffic that leaves at any time, such as right turns on red.
    """

    volume_veh_h: float
    windows: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class Link:
    """One direction of a street between two lights.

    Attributes:
        streams: What comes from upstream.
        travel_s: Undisturbed travel time.
        windows: Greens downstream, counted from the downstream cycle's begin.
        saturation_veh_h: Discharge of the whole approach.
    """

    streams: tuple[Stream, ...]
    travel_s: float
    windows: tuple[tuple[float, float], ...]
    saturation_veh_h: float


def link_delays(link: Link, cycle_s: int) -> NDArray[np.float64]:
    """Delay of a link for every difference of offsets, downstream minus upstream.

    Args:
        link: The street.
        cycle_s: Common cycle.

    Returns:
        (cycle_s,) vehicle seconds of delay in one cycle.
    """
    arriving = _dispersed(_profile(link.streams, cycle_s), link.travel_s)
    open_ = np.zeros(cycle_s)
    for start, seconds in link.windows:
        open_ += _window(start, seconds, cycle_s)
    serve = np.minimum(open_, 1.0) * link.saturation_veh_h / 3600.0
    # Row d: the arrivals as a light sees them whose cycle begins d seconds later.
    seen = np.stack([np.roll(arriving, -shift) for shift in range(cycle_s)])
    queue = np.zeros(cycle_s)
    delay = np.zeros(cycle_s)
    for cycle in range(_CYCLES):
        for second in range(cycle_s):
            queue = np.maximum(queue + seen[:, second] - serve[second], 0.0)
            if cycle == _CYCLES - 1:
                delay += queue
    return delay


def best_difference_s(forward: Link, backward: Link, cycle_s: int) -> tuple[int, float]:
    """The offset difference that costs both directions least, and what it costs.

    Args:
        forward: From the first junction to the second.
        backward: From the second to the first.
        cycle_s: Common cycle.

    Returns:
        Offset of the second minus offset of the first (s), vehicle seconds in one cycle.
    """
    there = link_delays(forward, cycle_s)
    back = link_delays(backward, cycle_s)
    both = there + back[(-np.arange(cycle_s)) % cycle_s]
    best = int(np.argmin(both))
    return best, float(both[best])


def _window(start_s: float, seconds: float, cycle_s: int) -> NDArray[np.float64]:
    """Share of each second of the cycle that lies in a window; shape (cycle_s,)."""
    found = np.zeros(cycle_s)
    for second in range(round(seconds)):
        found[(round(start_s) + second) % cycle_s] = 1.0
    return found


def _profile(streams: Sequence[Stream], cycle_s: int) -> NDArray[np.float64]:
    """Departures of each second of the cycle (veh); shape (cycle_s,)."""
    total = np.zeros(cycle_s)
    for stream in streams:
        per_cycle = stream.volume_veh_h * cycle_s / 3600.0
        shape = np.zeros(cycle_s)
        for start, seconds in stream.windows:
            shape += _window(start, seconds, cycle_s)
        if not shape.any():
            shape = np.ones(cycle_s)
        total += per_cycle * shape / shape.sum()
    return total


def _dispersed(departures: NDArray[np.float64], travel_s: float) -> NDArray[np.float64]:
    """Arrivals downstream, q'(i + t) = F q(i) + (1 - F) q'(i + t - 1) with t = 0.8 T."""
    head_s = max(1, round(PLATOON_SHARE * travel_s))
    factor = 1.0 / (1.0 + DISPERSION * head_s)
    cycle_s = len(departures)
    arriving = np.full(cycle_s, departures.mean())
    last = float(departures.mean())
    for step in range(_CYCLES * cycle_s):
        last = factor * departures[step % cycle_s] + (1.0 - factor) * last
        arriving[(step + head_s) % cycle_s] = last
    return arriving

"""Where every vehicle is at one moment, asked for once and used by detectors and losses alike."""

from __future__ import annotations

import sys
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from itertools import compress
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from signals.simulation.streets import Streets

_ROUNDING_S = 1e-6


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All vehicles on the road at one moment.

    Attributes:
        ids: Their names, sorted.
        before: (vehicles,) position of each in the snapshot before, -1 for the new ones.
        lane: (vehicles,) number of the lane, see `Streets.lanes`.
        position_m: (vehicles,) front bumper, from the lane's beginning (m).
        speed_mps: (vehicles,) m/s.
        loss_s: (vehicles,) time lost since departure (s).
        length_m: (vehicles,) m.
    """

    ids: tuple[str, ...]
    before: NDArray[np.intp]
    lane: NDArray[np.intp]
    position_m: NDArray[np.float64]
    speed_mps: NDArray[np.float64]
    loss_s: NDArray[np.float64]
    length_m: NDArray[np.float64]


class Traffic:
    """Looks at all vehicles, at most once a second.

    Who is on the road follows from departures and arrivals, so that nobody asks SUMO for thousands
    of names. A vehicle that SUMO teleports is on no lane meanwhile.

    Args:
        sumo: ``libsumo`` or ``traci``, with a simulation loaded.
        streets: Its lanes.
    """

    def __init__(self, sumo: ModuleType, streets: Streets) -> None:
        self._departed = call(sumo, "simulation", "getDepartedIDList")
        self._arrived = call(sumo, "simulation", "getArrivedIDList")
        self._lane = call(sumo, "vehicle", "getLaneID")
        self._position = call(sumo, "vehicle", "getLanePosition")
        self._speed = call(sumo, "vehicle", "getSpeed")
        self._loss = call(sumo, "vehicle", "getTimeLoss")
        self._clock = call(sumo, "simulation", "getTime")
        self._length = call(sumo, "vehicle", "getLength")
        self._streets = streets
        none = np.zeros(0, dtype=np.intp)
        self._seen = Snapshot((), none, none, *[np.zeros(0)] * 4)
        self._clock_s = 0.0
        self._fresh = False
        self._new: list[str] = list(call(sumo, "vehicle", "getIDList")())
        self._gone: set[str] = set()
        self.looks = 0

    def passed(self) -> None:
        """A second has passed: what was seen is no more. To be told of every second."""
        self._fresh = False
        self._new += self._departed()
        self._gone.update(self._arrived())

    def look(self) -> Snapshot:
        """All vehicles now."""
        if not self._fresh:
            last, clock_s = self._seen, self._clock()
            ids, before = self._roster()
            size, number = len(ids), self._streets.lanes
            known = np.flatnonzero(before >= 0)
            kept = before[known]
            loss_s = np.fromiter(map(self._loss, ids), np.float64, size)
            # Who has lost the whole time since the last look has stood: nothing else is new. One in
            # a thousand of them has changed lanes on the spot; that shows when it moves on.
            since_s = clock_s - self._clock_s
            waited = loss_s[known] - last.loss_s[kept] > since_s - _ROUNDING_S
            stands = known[waited & (last.speed_mps[kept] == 0.0)]
            moves = np.ones(size, dtype=np.bool_)
            moves[stands] = False
            lane, position_m, speed_mps = np.empty(size, np.intp), np.empty(size), np.zeros(size)
            lane[stands] = last.lane[before[stands]]
            position_m[stands] = last.position_m[before[stands]]
            asked = list(compress(ids, moves))
            count = len(asked)
            lane[moves] = np.fromiter(
                map(number.__getitem__, map(self._lane, asked)), np.intp, count
            )
            position_m[moves] = np.fromiter(map(self._position, asked), np.float64, count)
            # SUMO marks who is on no lane by a negative speed.
            speed = np.fromiter(map(self._speed, asked), np.float64, count)
            speed_mps[moves] = np.maximum(speed, 0.0)
            length_m = np.empty(size)
            length_m[known] = last.length_m[kept]
            for index in np.flatnonzero(before < 0).tolist():
                length_m[index] = self._length(ids[index])
            self._seen = Snapshot(ids, before, lane, position_m, speed_mps, loss_s, length_m)
            self._clock_s = clock_s
            self._fresh = True
            self.looks += 1
        return self._seen

    def _roster(self) -> tuple[tuple[str, ...], NDArray[np.intp]]:
        """Who is on the road, and the position of each in the last snapshot, -1 for the new ones.

        In the order of the names, as SUMO keeps its vehicles: it finds a neighbour sooner.
        """
        names = list(self._seen.ids)
        before = list(range(len(names)))
        for name in self._gone:
            place = bisect_left(names, name)
            if place < len(names) and names[place] == name:
                del names[place], before[place]
        for name in self._new:
            if name not in self._gone:
                place = bisect_left(names, name)
                names.insert(place, name)
                before.insert(place, -1)
        self._new, self._gone = [], set()
        return tuple(names), np.array(before, dtype=np.intp)


def call(sumo: ModuleType, domain: str, name: str) -> Callable[..., Any]:
    """One function of SUMO's interface.

    libsumo's classes wrap each function in one of Python's own, a fifth of the cost of a call that
    is made for every vehicle; where the wrapped one can be found, it is taken.

    Args:
        sumo: ``libsumo`` or ``traci``.
        domain: E.g. ``vehicle``.
        name: E.g. ``getSpeed``.
    """
    native = sys.modules.get("libsumo._libsumo") if sumo.__name__ == "libsumo" else None
    found = getattr(native, f"{domain}_{name}", None)
    return found or getattr(getattr(sumo, domain), name)  # type: ignore[no-any-return]

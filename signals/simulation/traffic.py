"""Where every vehicle is at one moment, asked for once and used by detectors and losses alike."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from itertools import repeat
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from signals.simulation.streets import Streets


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All vehicles on the road at one moment.

    Attributes:
        ids: Their names.
        before: (vehicles,) position of each in the snapshot before, -1 for the new ones.
        lane: (vehicles,) number of the lane, see `Streets.lanes`.
        position_m: (vehicles,) front bumper, from the lane's beginning (m).
        speed_mps: (vehicles,) m/s.
    """

    ids: tuple[str, ...]
    before: NDArray[np.intp]
    lane: NDArray[np.intp]
    position_m: NDArray[np.float64]
    speed_mps: NDArray[np.float64]


class Traffic:
    """Looks at all vehicles, at most once a second.

    Args:
        sumo: ``libsumo`` or ``traci``, with a simulation loaded.
        streets: Its lanes.
    """

    def __init__(self, sumo: ModuleType, streets: Streets) -> None:
        self._ids = call(sumo, "vehicle", "getIDList")
        self._lane = call(sumo, "vehicle", "getLaneID")
        self._position = call(sumo, "vehicle", "getLanePosition")
        self._speed = call(sumo, "vehicle", "getSpeed")
        self._length = call(sumo, "vehicle", "getLength")
        self._streets = streets
        none = np.zeros(0, dtype=np.intp)
        self._seen = Snapshot((), none, none, np.zeros(0), np.zeros(0))
        self._places: dict[str, int] = {}
        self._fresh = False
        self.looks = 0
        self._lengths_m: dict[str, float] = {}

    def passed(self) -> None:
        """A second has passed: what was seen is no more."""
        self._fresh = False

    def look(self) -> Snapshot:
        """All vehicles now."""
        if not self._fresh:
            last, ids = self._seen, self._ids()
            size, number = len(ids), self._streets.lanes.__getitem__
            before = np.fromiter(map(self._places.get, ids, repeat(-1)), np.intp, size)
            position_m = np.fromiter(map(self._position, ids), np.float64, size)
            # Who is at the very same place stands: half of the vehicles need not be asked more.
            # One in a thousand of them has changed lanes on the spot; that shows when it moves on.
            known = np.flatnonzero(before >= 0)
            stands = known[last.position_m[before[known]] == position_m[known]]
            moves = np.ones(size, dtype=np.bool_)
            moves[stands] = False
            moving = [ids[index] for index in np.flatnonzero(moves).tolist()]
            speed_mps = np.zeros(size)
            speed_mps[moves] = np.fromiter(map(self._speed, moving), np.float64, len(moving))
            lane = np.empty(size, dtype=np.intp)
            lane[stands] = last.lane[before[stands]]
            lane[moves] = np.fromiter(map(number, map(self._lane, moving)), np.intp, len(moving))
            self._seen = Snapshot(ids, before, lane, position_m, speed_mps)
            self._places = dict(zip(ids, range(size), strict=True))
            self._fresh = True
            self.looks += 1
        return self._seen

    def length_m(self, vehicle: str) -> float:
        """Length of a vehicle on the road (m)."""
        found = self._lengths_m.get(vehicle)
        if found is None:
            if len(self._lengths_m) > 50_000:  # a day has more vehicles than one moment
                self._lengths_m.clear()
            found = self._lengths_m[vehicle] = float(self._length(vehicle))
        return found


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

"""Time lost since the last look, by the signal group that it was lost for."""

from __future__ import annotations

from collections.abc import Callable
from itertools import repeat
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from signals.simulation.readers import DetectorReader
from signals.simulation.streets import Streets
from signals.simulation.traffic import Snapshot, Traffic, call


class LossMeter:
    """Follows each vehicle's time loss and departure delay, the delay that results report.

    What a vehicle lost since the last look belongs to the group that it was driving towards then
    (or is now, when it was on no such lane); vehicles that wait to enter belong to the group that
    their street leads to. The sum over all looks is the delay of the run, but for what vehicles
    lose between the last look at them and their arrival.

    Args:
        sumo: ``libsumo`` or ``traci``, with a simulation loaded.
        streets: Owners of the lanes.
        traffic: The vehicles.
        weight: Vehicle to the weight of its seconds; None weighs all alike.
    """

    def __init__(
        self,
        sumo: ModuleType,
        streets: Streets,
        traffic: Traffic,
        weight: Callable[[str], float] | None = None,
    ) -> None:
        self._streets = streets
        self._traffic = traffic
        self._weight = weight
        self._loss = call(sumo, "vehicle", "getTimeLoss")
        self._delay = call(sumo, "vehicle", "getDepartDelay")
        self._route = call(sumo, "vehicle", "getRoute")
        self._pending = call(sumo, "simulation", "getPendingVehicles")
        self._ids: tuple[str, ...] = ()
        self._known = np.zeros(0)
        self._owner = np.zeros(0, dtype=np.intp)
        self._look = 0
        # Vehicles outside the net: seconds counted already, and owner.
        self._outside: dict[str, tuple[float, int]] = {}

    def parts(self) -> NDArray[np.float64]:
        """(groups of all junctions + 1,) vehicle seconds lost since the last call."""
        seen = self._traffic.look()
        ids, size = seen.ids, len(seen.ids)
        rest = self._streets.rest
        before = self._places_before(seen)
        known = before >= 0
        total = np.fromiter(map(self._loss, ids), np.float64, size)
        gained = total.copy()
        gained[known] -= self._known[before[known]]
        now = self._streets.owner[seen.lane]
        owner = now.copy()
        owner[known] = self._owner[before[known]]
        owner = np.where(owner == rest, now, owner)
        for index in np.flatnonzero(~known).tolist():
            counted, street = self._outside.pop(ids[index], (0.0, rest))
            gained[index] += self._delay(ids[index]) - counted
            if street != rest:
                owner[index] = street
        if self._weight is not None:
            gained *= np.fromiter(map(self._weight, ids), np.float64, size)
        lost = np.bincount(owner, gained, minlength=rest + 1).astype(np.float64, copy=False)
        self._ids, self._known, self._owner = ids, total, now
        self._look = self._traffic.looks
        self._wait_outside(lost)
        return lost

    def _places_before(self, seen: Snapshot) -> NDArray[np.intp]:
        """Position of each vehicle at the last call, -1 for the new ones."""
        if self._look == self._traffic.looks - 1:
            return seen.before
        places = dict(zip(self._ids, range(len(self._ids)), strict=True))
        return np.fromiter(map(places.get, seen.ids, repeat(-1)), np.intp, len(seen.ids))

    def _wait_outside(self, lost: NDArray[np.float64]) -> None:
        waiting: dict[str, tuple[float, int]] = {}
        for vehicle in self._pending():
            counted, street = self._outside.get(vehicle, (0.0, -1))
            if street < 0:
                street = self._streets.entry.get(self._route(vehicle)[0], self._streets.rest)
            delay_s = self._delay(vehicle)
            waiting[vehicle] = (delay_s, street)
            weight = 1.0 if self._weight is None else self._weight(vehicle)
            lost[street] += weight * (delay_s - counted)
        self._outside = waiting


class PersonLossMeter:
    """`LossMeter` in person seconds; people who wait to cross lose every second of it.

    Occupants are the vehicle's ``persons`` parameter, 1 without it. Waiting people are counted at
    each look, for the seconds since the last one; they belong to the last group of their junction
    (the last groups of a junction are its pedestrian ones).

    Args:
        sumo: ``libsumo`` or ``traci``, with a simulation loaded.
        streets: Owners of the lanes.
        traffic: The vehicles.
        reader: Counts the people who wait.
        begin_s: Clock time at which the run begins.
    """

    def __init__(
        self,
        sumo: ModuleType,
        streets: Streets,
        traffic: Traffic,
        reader: DetectorReader,
        begin_s: float,
    ) -> None:
        self._parameter = call(sumo, "vehicle", "getParameter")
        self._vehicles = LossMeter(sumo, streets, traffic, self._occupants)
        self._streets = streets
        self._reader = reader
        self._persons: dict[str, float] = {}
        self._looked_s = begin_s

    def parts(self, clock_s: float) -> NDArray[np.float64]:
        """(groups of all junctions + 1,) person seconds lost since the last call.

        Args:
            clock_s: Now.
        """
        lost = self._vehicles.parts()
        since_s = clock_s - self._looked_s
        self._looked_s = clock_s
        last = self._streets.first_group[1:] - 1
        lost[last] += since_s * self._reader.people_waiting(len(last))
        return lost

    def _occupants(self, vehicle: str) -> float:
        found = self._persons.get(vehicle)
        if found is None:
            if len(self._persons) > 50_000:  # a day has more vehicles than one moment
                self._persons.clear()
            text = self._parameter(vehicle, "persons")
            found = self._persons[vehicle] = float(text) if text else 1.0
        return found

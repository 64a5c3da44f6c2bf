"""Time lost in the last second, by the signal group that it waits for."""

from __future__ import annotations

from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from signals.junction import Junction


class LossMeter:
    """Sums vehicles x (1 - mean speed / limit) lane by lane.

    A lane belongs to the group that its vehicles will meet: approach lanes to their movement's,
    lanes upstream to that of the lane they lead to. What leads to no group (exits, the junction's
    inside) is a part of its own.

    Args:
        sumo: ``libsumo`` or ``traci``, with a simulation loaded.
        junction: The controlled junction.
    """

    def __init__(self, sumo: ModuleType, junction: Junction) -> None:
        self._sumo = sumo
        index = junction.group_index
        self._rest = len(junction.groups)
        rank = {"through": 0, "left": 1, "right": 2, "uturn": 3}
        owner: dict[str, int] = {}
        for movement in sorted(junction.movements, key=lambda item: rank.get(item.kind, 9)):
            if movement.kind != "pedestrian":
                for lane in movement.lanes:
                    owner.setdefault(lane, index[movement.group])
        for approach in junction.lanes:
            for piece in approach.zone:
                owner.setdefault(piece.lane, owner[approach.id])
        lanes = [lane for lane in sumo.lane.getIDList() if _drivable(sumo, lane)]
        ahead = {lane: [link[0] for link in sumo.lane.getLinks(lane)] for lane in lanes}
        stop_lines = {lane.id for lane in junction.lanes}
        grown = True
        while grown:
            grown = False
            for lane in lanes:
                if lane in owner or lane in stop_lines or lane.startswith(":"):
                    continue
                known = [owner[other] for other in ahead[lane] if other in owner]
                if known:
                    owner[lane] = known[0]
                    grown = True
        self._approach = [
            (lane, owner[lane], float(sumo.lane.getMaxSpeed(lane)))
            for lane in lanes
            if lane in owner
        ]
        edges = {lane.rpartition("_")[0]: lane for lane in lanes if lane not in owner}
        self._others = [
            (edge, float(sumo.lane.getMaxSpeed(lane))) for edge, lane in sorted(edges.items())
        ]
        self._entry: dict[str, int] = {}
        for lane, group, _ in self._approach:
            self._entry.setdefault(lane.rpartition("_")[0], group)

    def parts(self) -> NDArray[np.float64]:
        """(groups + 1,) vehicle seconds lost in the last second; the last part is the rest.

        Vehicles that cannot enter lose the whole second, for the group that their street leads to.
        """
        lost = np.zeros(self._rest + 1)
        counts, speeds = (
            self._sumo.lane.getLastStepVehicleNumber,
            self._sumo.lane.getLastStepMeanSpeed,
        )
        for lane, group, limit_mps in self._approach:
            vehicles = counts(lane)
            if vehicles:
                lost[group] += vehicles * max(1.0 - speeds(lane) / limit_mps, 0.0)
        counts, speeds = (
            self._sumo.edge.getLastStepVehicleNumber,
            self._sumo.edge.getLastStepMeanSpeed,
        )
        for edge, limit_mps in self._others:
            vehicles = counts(edge)
            if vehicles:
                lost[self._rest] += vehicles * max(1.0 - speeds(edge) / limit_mps, 0.0)
        for vehicle in self._sumo.simulation.getPendingVehicles():
            first = self._sumo.vehicle.getRoute(vehicle)[0]
            lost[self._entry.get(first, self._rest)] += 1.0
        return lost


def _drivable(sumo: ModuleType, lane: str) -> bool:
    return set(sumo.lane.getAllowed(lane)) != {"pedestrian"}

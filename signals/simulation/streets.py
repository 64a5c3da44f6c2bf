"""The lanes of a net and the junction that the vehicles on each will meet."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from signals.junction import Junction

_RANK = {"through": 0, "left": 1, "right": 2, "uturn": 3}


class Streets:
    """What of a net does not change from run to run.

    A lane belongs to the signal group that its vehicles will meet: approach lanes to their
    movement's, lanes upstream to that of the nearest one they lead to, up to the next of the
    world's junctions. What leads to none (exits, the junctions' inside) is the rest.

    Args:
        sumo: ``libsumo`` or ``traci``, with the net loaded.
        junctions: The world's junctions.

    Attributes:
        lanes: Lane id to its number; the number of "" (a vehicle on no lane) is the last.
        owner: (lanes + 1,) position of the group of each lane in the groups of all junctions, one
            junction after the other; ``rest`` for none.
        entry: First edge of a route to the owner of the vehicles that wait to enter it.
        rest: Owner of what leads to no group.
        first_group: (junctions + 1,) first position of each junction's groups.
    """

    def __init__(self, sumo: ModuleType, junctions: Sequence[Junction]) -> None:
        names = [str(name) for name in sumo.lane.getIDList()]
        self.lanes = {name: number for number, name in enumerate(names)}
        self.lanes[""] = len(names)
        sizes = [len(junction.groups) for junction in junctions]
        self.first_group = np.concatenate([[0], np.cumsum(sizes)]).astype(np.intp)
        self.rest = int(self.first_group[-1])
        owner = self._stop_lines(junctions)
        before: dict[str, list[str]] = {}
        for lane in names:
            if not lane.startswith(":"):
                for link in sumo.lane.getLinks(lane):
                    before.setdefault(str(link[0]), []).append(lane)
        open_ = deque(owner)
        while open_:
            lane = open_.popleft()
            for upstream in before.get(lane, ()):
                if upstream not in owner:
                    owner[upstream] = owner[lane]
                    open_.append(upstream)
        self.owner: NDArray[np.intp] = np.full(len(names) + 1, self.rest, dtype=np.intp)
        self.entry: dict[str, int] = {}
        for lane, number in self.lanes.items():
            if lane in owner:
                self.owner[number] = owner[lane]
                self.entry.setdefault(lane.rpartition("_")[0], owner[lane])

    def _stop_lines(self, junctions: Sequence[Junction]) -> dict[str, int]:
        """Approach lanes of all junctions, then what their zones add."""
        owner: dict[str, int] = {}
        for number, junction in enumerate(junctions):
            index = junction.group_index
            for movement in sorted(junction.movements, key=lambda item: _RANK.get(item.kind, 9)):
                if movement.kind != "pedestrian":
                    group = int(self.first_group[number]) + index[movement.group]
                    for lane in movement.lanes:
                        owner.setdefault(lane, group)
        for junction in junctions:
            for approach in junction.lanes:
                for piece in approach.zone:
                    if approach.id in owner:
                        owner.setdefault(piece.lane, owner[approach.id])
        return {lane: group for lane, group in owner.items() if lane in self.lanes}

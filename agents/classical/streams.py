"""Streams: the queues that a classical agent thinks in, and the law that binds its phases.

Movements that share their lanes and their signal group stand in one queue (a through lane from
which one may also turn right), so that counting each of them would count vehicles twice.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from signals import capacity
from signals.features import VEHICLE_SPACE_M, Measures
from signals.junction import Junction, Movement
from signals.lights import CLEARANCE, GREEN, RED, GuardState

HEAVY_SHARE = 0.1
"""Share of buses and trucks for the saturation flow (assumed)."""
FULL = 0.7
"""Share of a zone's room that standing vehicles take when more may stand behind them."""
_POCKET_M = 20.0
"""A zone that is shorter than its street's by more than this ends with a pocket (m)."""


class Streams:
    """The vehicle queues of a junction, one for each group and set of lanes.

    Args:
        junction: The junction.

    Attributes:
        rows: (streams,) row of `Measures` that a stream is read from.
        lanes: (streams,) lanes of each.
        saturation_veh_s: (streams,) saturation flow by KHCM, see `signals.capacity`.
        serves: (phases, streams) bool, whether the phase gives the stream green.
        exit_room: (streams,) vehicles that the watched part of its exits holds.
        groups: (streams,) index of its signal group.
        room: (streams,) standing vehicles that its zone holds.
        overflows: Pairs (street, pocket): when the pocket is full, who waits to turn into it
            stands on a lane of the street.
    """

    def __init__(self, junction: Junction) -> None:
        self.junction = junction
        chosen = _rows(junction)
        movements = [junction.movements[row] for row in chosen]
        width = {lane.id: lane.width_m for lane in junction.lanes}
        self.rows = np.array(chosen, dtype=np.intp)
        self.lanes = np.array([max(len(item.lanes), 1) for item in movements], dtype=np.float64)
        self.saturation_veh_s = np.array(
            [
                sum(
                    capacity.saturation_flow_veh_h(
                        heavy_share=HEAVY_SHARE, width_m=width.get(lane, 3.0)
                    )
                    for lane in item.lanes
                )
                / 3600.0
                for item in movements
            ]
        )
        self.serves = np.array(
            [[item.group in phase.groups for item in movements] for phase in junction.phases],
            dtype=np.bool_,
        ).reshape(len(junction.phases), len(movements))
        self.exit_room = np.array(
            [
                max(sum(p.end_m - p.start_m for p in item.exits) / VEHICLE_SPACE_M, 1.0)
                for item in movements
            ]
        )
        index = junction.group_index
        self.groups = np.array([index[item.group] for item in movements], dtype=np.intp)
        zone_m = {
            lane.id: sum(piece.end_m - piece.start_m for piece in lane.zone)
            for lane in junction.lanes
        }
        lengths_m = np.array([sum(zone_m.get(lane, 0.0) for lane in m.lanes) for m in movements])
        self.room = np.maximum(lengths_m / VEHICLE_SPACE_M, 1.0)
        self.overflows = self._overflows(movements, lengths_m / self.lanes)

    def _overflows(
        self, movements: list[Movement], lengths_m: NDArray[np.float64]
    ) -> tuple[tuple[int, int], ...]:
        found = []
        for leg in dict.fromkeys(item.leg for item in movements):
            own = [i for i, item in enumerate(movements) if item.leg == leg and not item.bus]
            street = max(own, key=lambda i: (lengths_m[i], self.lanes[i]), default=None)
            if street is not None:
                found += [
                    (street, pocket)
                    for pocket in own
                    if lengths_m[pocket] < lengths_m[street] - _POCKET_M
                ]
        return tuple(found)

    def __len__(self) -> int:
        """How many there are."""
        return len(self.rows)

    def seen(self, measures: Measures) -> NDArray[np.float64]:
        """(streams,) vehicles within 150 m."""
        found: NDArray[np.float64] = (measures.near + measures.far)[self.rows]
        return found

    def stopped(self, measures: Measures) -> NDArray[np.float64]:
        """(streams,) stopped vehicles within 150 m."""
        found: NDArray[np.float64] = (measures.near_stopped + measures.far_stopped)[self.rows]
        return found

    def full(self, stopped: NDArray[np.float64]) -> NDArray[np.bool_]:
        """(streams,) whether so many standing vehicles leave no room in the zone."""
        found: NDArray[np.bool_] = stopped > FULL * self.room
        return found

    def queued(self, measures: Measures) -> NDArray[np.float64]:
        """(streams,) `stopped`, the overflow of full pockets taken for those who wait for them."""
        found = self.stopped(measures)
        full = self.full(found)
        far = measures.far_stopped[self.rows] / self.lanes
        for street, pocket in self.overflows:
            if full[pocket]:
                moved = min(float(far[street]), float(found[street]))
                found[street] -= moved
                found[pocket] += moved
        return found

    def blocked(self, measures: Measures, share: float = 0.5) -> NDArray[np.bool_]:
        """(streams,) whether standing vehicles fill more than this share of the exits."""
        found: NDArray[np.bool_] = measures.exit_stopped[self.rows] > share * self.exit_room
        return found

    def green(self, state: GuardState) -> NDArray[np.bool_]:
        """(streams,) whether its light is green now."""
        found: NDArray[np.bool_] = np.array(state.indications)[self.groups] == GREEN
        return found


def _rows(junction: Junction) -> list[int]:
    """The movement that stands for each stream: of several on the same lanes the widest."""
    found: list[int] = []
    for group in junction.groups:
        if group.kind == "pedestrian":
            continue
        rows = [
            row
            for row, movement in enumerate(junction.movements)
            if movement.group == group.id and movement.kind != "pedestrian"
        ]
        rows = [row for row in rows if junction.movements[row].kind != "right"] or rows
        rows.sort(key=lambda row: (-len(junction.movements[row].lanes), row))
        kept: list[int] = []
        for row in rows:
            if not any(_within(junction.movements[row], junction.movements[k]) for k in kept):
                kept.append(row)
        found += sorted(kept)
    return found


def _within(inner: Movement, outer: Movement) -> bool:
    return set(inner.lanes) <= set(outer.lanes)


class Binding:
    """How long a change of phase binds a junction.

    Args:
        junction: The junction.

    Attributes:
        change_s: (phases, phases) from the change until the greens of the new phase (s).
        walk_s: (phases, phases) walk and flashing clearance of the crosswalks that begin (s).
        green_s: (phases, phases) longest minimum green among the vehicle groups that begin (s).
    """

    def __init__(self, junction: Junction) -> None:
        self._junction = junction
        self._walker = [group.kind == "pedestrian" for group in junction.groups]
        self._table = [junction.timing.groups[group.id] for group in junction.groups]
        self._recall = junction.timing.recall == "always"
        index = junction.group_index
        self._members = [frozenset(index[g] for g in phase.groups) for phase in junction.phases]
        foes = [
            frozenset(index[foe] for foe in junction.conflict_sets[group.id])
            for group in junction.groups
        ]
        size = len(junction.phases)
        self.change_s = np.zeros((size, size))
        self.walk_s = np.zeros((size, size))
        self.green_s = np.zeros((size, size))
        for before, old in enumerate(self._members):
            for after, new in enumerate(self._members):
                begins = new - old
                ends = [g for g in old - new if foes[g] & begins]
                self.change_s[before, after] = max((self._clear_s(g) for g in ends), default=0)
                self.walk_s[before, after] = max(
                    (self._least_s(g) for g in begins if self._walker[g]), default=0
                )
                self.green_s[before, after] = max(
                    (self._least_s(g) for g in begins if not self._walker[g]), default=0
                )

    def _clear_s(self, group: int) -> int:
        row = self._table[group]
        return row.all_red_s + (0 if self._walker[group] else row.clearance_s)

    def _least_s(self, group: int) -> int:
        row = self._table[group]
        return row.min_green_s + (row.clearance_s if self._walker[group] else 0)

    def stay_s(self, calls: bool = True) -> NDArray[np.float64]:
        """(phases, phases) from the greens of the new phase until it may be left (s).

        Args:
            calls: Whether people wait where crosswalks are served on call only.
        """
        if self._recall or calls:
            return np.maximum(self.walk_s, self.green_s)
        return self.green_s

    def remaining_s(self, state: GuardState) -> float:
        """Time until the present phase may be left, as far as its greens and walks bind it (s)."""
        left = 0.0
        for group in self._members[state.phase]:
            shown, shown_s = state.indications[group], state.elapsed_s[group]
            row = self._table[group]
            if self._walker[group]:
                if shown == GREEN:
                    left = max(left, row.min_green_s + row.clearance_s - shown_s)
                elif shown == CLEARANCE:
                    left = max(left, row.clearance_s - shown_s)
                elif state.waiting_s[group] > 0 and not state.served[group]:
                    left = max(left, self._least_s(group))
            elif shown == GREEN:
                left = max(left, row.min_green_s - shown_s)
            elif shown == RED:
                left = max(left, row.min_green_s + self._until_green_s(state, group))
        return left

    def _until_green_s(self, state: GuardState, group: int) -> float:
        """Time until a group of the present phase may turn green: its foes have to clear (s)."""
        index = self._junction.group_index
        foes = self._junction.conflict_sets[self._junction.groups[group].id]
        wait = 0.0
        for foe in map(index.__getitem__, foes):
            row = self._table[foe]
            shown, shown_s = state.indications[foe], state.elapsed_s[foe]
            if shown == RED:
                wait = max(wait, row.all_red_s - shown_s)
            elif shown == CLEARANCE:
                wait = max(wait, row.clearance_s - shown_s + row.all_red_s)
        return wait

    def until_green_s(self, state: GuardState) -> NDArray[np.float64]:
        """(groups,) time until each group of the present phase is green, 0 for those that are."""
        found = np.zeros(len(self._table))
        for group in self._members[state.phase]:
            if state.indications[group] == RED:
                found[group] = self._until_green_s(state, group)
        return found

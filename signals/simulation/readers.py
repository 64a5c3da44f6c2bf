"""What the detectors of all junctions report, from one look at the vehicles.

Loops are SUMO's own, because what passes between two looks counts. A zone is a camera's picture:
the vehicles whose front bumper is on its stretch of lane at this moment.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from types import ModuleType
from typing import Final
from xml.sax.saxutils import quoteattr

import numpy as np
from numpy.typing import NDArray

from signals.detectors import FIELDS, MAX_GAP_S, DetectorSpec
from signals.hires import Passage
from signals.junction import Junction
from signals.simulation.streets import Streets
from signals.simulation.traffic import Snapshot, Traffic, call

STOPPED_MPS: Final = 5.0 / 3.6
"""A vehicle slower than this counts as stopped (5 km/h)."""
INTERVAL_S: Final = 600
"""Interval of SUMO's loop counters (s)."""
JAM_GAP_M: Final = 10.0
"""A wider gap between stopped vehicles is not part of the queue (m)."""


def loop_name(junction: int, spec: DetectorSpec) -> str:
    """SUMO's id of a loop: two junctions may share a lane."""
    return f"{junction}/{spec.id}"


def loops_xml(detectors: Sequence[Sequence[DetectorSpec]], features_only: bool = False) -> str:
    """Additional file with the loops of each junction.

    Args:
        detectors: Detectors of each junction.
        features_only: Leave out loops that no feature is made from.
    """
    rows = ["<additional>"]
    for junction, own in enumerate(detectors):
        for spec in own:
            if spec.kind == "stop_loop" or (spec.kind == "advance_loop" and not features_only):
                piece = spec.pieces[0]
                rows.append(
                    f"<inductionLoop id={quoteattr(loop_name(junction, spec))} "
                    f"lane={quoteattr(piece.lane)} "
                    f'pos="{piece.start_m:.2f}" friendlyPos="true" '
                    f'period="{INTERVAL_S}" file="NUL"/>'
                )
    rows.append("</additional>")
    return "\n".join(rows)


def _is_loop(spec: DetectorSpec) -> bool:
    return spec.kind in ("stop_loop", "advance_loop")


class DetectorReader:
    """Reads all detectors.

    Args:
        sumo: ``libsumo`` or ``traci``, with a simulation loaded.
        junctions: The world's junctions.
        detectors: Detectors of each junction.
        streets: The lanes.
        traffic: The vehicles.
        begin_s: Clock time at which the run begins.
        features_only: Read stop loops without their counters, no advance loops, and nobody on
            crossings.
    """

    def __init__(
        self,
        sumo: ModuleType,
        junctions: Sequence[Junction],
        detectors: Sequence[Sequence[DetectorSpec]],
        streets: Streets,
        traffic: Traffic,
        begin_s: float,
        features_only: bool = False,
    ) -> None:
        flat = [spec for own in detectors for spec in own]
        self._traffic = traffic
        self._blank = np.full((len(flat), len(FIELDS)), np.nan)
        self._loops = _Loops(sumo, detectors, begin_s, features_only)
        self._zones = _Zones(flat, streets)
        self._walkers = _Walkers(sumo, junctions, detectors)
        self._features_only = features_only
        self._loop_names = [
            [loop_name(number, spec) for spec in own if _is_loop(spec)]
            for number, own in enumerate(detectors)
        ]
        self._vehicles = sumo.inductionloop.getVehicleData

    def values(self, clock_s: float) -> NDArray[np.float64]:
        """(detectors, fields) fresh readings of this moment.

        Args:
            clock_s: Now.
        """
        table = self._blank.copy()
        self._loops.read(table, clock_s)
        self._zones.read(table, self._traffic.look())
        self._walkers.read(table, self._features_only)
        return table

    def waiting(self, junction: int) -> frozenset[str]:
        """Pedestrian signal groups of a junction that somebody waits for."""
        return frozenset(
            group for _, _, group, waiting in self._walkers.waiting(junction) if waiting
        )

    def passages(self, junction: int) -> list[Passage]:
        """Vehicles that were on the loops of a junction in the last second."""
        return [
            Passage(channel, on_s, off_s if off_s >= 0.0 else None)
            for channel, name in enumerate(self._loop_names[junction], 1)
            for _, _, on_s, off_s, _ in self._vehicles(name)
        ]

    def people_waiting(self, junctions: int) -> NDArray[np.float64]:
        """(junctions,) people who wait to cross."""
        found = np.zeros(junctions)
        for _, number, _, waiting in self._walkers.waiting():
            found[number] += waiting
        return found


class _Loops:
    """Induction loops.

    A counter is asked only when its loop was passed since the last reading. SUMO keeps every
    vehicle of an interval, so that counting needs short ones, and forgets who stands on the loop
    when one ends; it is counted here when the loop is read in that second.
    """

    def __init__(
        self,
        sumo: ModuleType,
        detectors: Sequence[Sequence[DetectorSpec]],
        begin_s: float,
        features_only: bool,
    ) -> None:
        self._gap = call(sumo, "inductionloop", "getTimeSinceDetection")
        self._counter = call(sumo, "inductionloop", "getIntervalVehicleNumber")
        self._last = call(sumo, "inductionloop", "getLastIntervalVehicleNumber")
        rows: list[int] = []
        self._names: list[str] = []
        counts: list[bool] = []
        silent: list[int] = []
        row = 0
        for junction, own in enumerate(detectors):
            for spec in own:
                if spec.kind == "advance_loop" and features_only:
                    silent.append(row)
                elif _is_loop(spec):
                    rows.append(row)
                    self._names.append(loop_name(junction, spec))
                    counts.append("count" in spec.fields)
                row += 1
        self._rows = np.array(rows, dtype=np.intp)
        self._counts = np.array(counts, dtype=np.bool_)
        self._counting = not features_only
        self._silent = np.array(silent, dtype=np.intp)
        self._begin_s = begin_s
        self._read_s = begin_s
        # Vehicles of the intervals before, of the present one, and its number, loop by loop.
        self._before = [0] * len(rows)
        self._now = [0] * len(rows)
        self._interval = [0] * len(rows)
        # Whether the vehicle on the loop has stood there since an interval before.
        self._astride = [False] * len(rows)
        self._counted = np.zeros(len(rows))

    def read(self, table: NDArray[np.float64], clock_s: float) -> None:
        """Write the loops' rows of ``table`` (detectors, fields)."""
        names = self._names
        if not names:
            return
        gap_s = np.fromiter(map(self._gap, names), np.float64, len(names))
        since_s = clock_s - self._read_s
        self._read_s = clock_s
        if not self._counting:
            table[self._rows, 0] = 0.0
            table[self._rows, 4] = gap_s <= 1.0
            table[self._rows, 5] = np.minimum(gap_s, MAX_GAP_S)
            table[self._silent, 4:] = (0.0, MAX_GAP_S)
            return
        interval, into_s = divmod(clock_s - self._begin_s, INTERVAL_S)
        for index in np.flatnonzero(self._counts & (gap_s <= since_s)).tolist():
            self._count(index, int(interval), into_s, float(gap_s[index]))
        table[self._rows, 0] = np.where(self._counts, self._counted, np.nan)
        table[self._rows, 4] = gap_s <= 1.0  # somebody was on it in the second that has passed
        table[self._rows, 5] = np.minimum(gap_s, MAX_GAP_S)

    def _count(self, index: int, interval: int, into_s: float, gap_s: float) -> None:
        name, now = self._names[index], int(self._counter(self._names[index]))
        if interval != self._interval[index]:
            if interval > self._interval[index] + 1:  # the one it was read in is over and done
                self._before[index] += self._now[index]
            astride = now == 0 and gap_s <= into_s and not self._astride[index]
            self._before[index] += int(self._last(name)) + astride
            self._astride[index] = now == 0 and gap_s == 0.0
            self._interval[index] = interval
        elif gap_s > 0.0 or now:
            self._astride[index] = False
        self._now[index] = now
        self._counted[index] = self._before[index] + now


class _Zones:
    """Video zones and exits, each of one or more stretches of lane, downstream first."""

    def __init__(self, detectors: Sequence[DetectorSpec], streets: Streets) -> None:
        stretches: list[tuple[int, int, float, float, float]] = []
        rows, queues = [], []
        for row, spec in enumerate(detectors):
            if _is_loop(spec) or not spec.pieces:
                continue
            rows.append(row)
            if "queue_m" in spec.fields:
                queues.append(row)
            ahead_m = 0.0
            for piece in spec.pieces:
                stretches.append(
                    (streets.lanes[piece.lane], row, piece.start_m, piece.end_m, ahead_m)
                )
                ahead_m += piece.end_m - piece.start_m
        stretches.sort()
        self._rows = np.array(rows, dtype=np.intp)
        self._queues = np.array(queues, dtype=np.intp)
        self._size = len(detectors)
        self._length_m = np.array([spec.length_m for spec in detectors])
        self._row = np.array([item[1] for item in stretches], dtype=np.intp)
        # A vehicle stands at 0 when it has just come in.
        self._start_m = np.array([item[2] or -1.0 for item in stretches])
        self._end_m = np.array([item[3] for item in stretches])
        self._ahead_m = np.array([item[4] for item in stretches])
        lanes = np.array([item[0] for item in stretches], dtype=np.intp)
        self._on_lane = np.bincount(lanes, minlength=len(streets.lanes))
        self._first = np.cumsum(self._on_lane) - self._on_lane

    def read(
        self,
        table: NDArray[np.float64],
        seen: Snapshot,
    ) -> None:
        """Write the zones' rows of ``table`` (detectors, fields)."""
        times = self._on_lane[seen.lane]
        vehicle = np.repeat(np.arange(len(times)), times)
        # Number of the stretch among those of the vehicle's lane, then among all.
        ends = np.cumsum(times)
        stretch = np.arange(len(vehicle)) + np.repeat(self._first[seen.lane] - ends + times, times)
        position_m = seen.position_m[vehicle]
        inside = (position_m > self._start_m[stretch]) & (position_m <= self._end_m[stretch])
        vehicle, stretch = vehicle[inside], stretch[inside]
        row = self._row[stretch]
        speed_mps = seen.speed_mps[vehicle]
        stopped = speed_mps < STOPPED_MPS
        rows, size = self._rows, self._size
        count = np.bincount(row, minlength=size)[rows].astype(np.float64)
        table[rows, 0] = count
        table[rows, 1] = np.bincount(row[stopped], minlength=size)[rows]
        total = np.bincount(row, speed_mps, minlength=size)[rows]
        table[rows, 3] = np.divide(total, count, out=np.full(len(rows), np.nan), where=count > 0)
        table[self._queues, 2] = self._queue_m(seen, vehicle[stopped], stretch[stopped])[
            self._queues
        ]

    def _queue_m(
        self,
        seen: Snapshot,
        vehicle: NDArray[np.intp],
        stretch: NDArray[np.intp],
    ) -> NDArray[np.float64]:
        """(detectors,) street that stopped vehicles and the gaps between them take (m)."""
        row = self._row[stretch]
        # Distance of the front bumper to the downstream end of the zone.
        front_m = self._ahead_m[stretch] + self._end_m[stretch] - seen.position_m[vehicle]
        order = np.lexsort((front_m, row))
        row, front_m = row[order], front_m[order]
        rear_m = np.minimum(front_m + seen.length_m[vehicle[order]], self._length_m[row])
        taken_m = rear_m - front_m
        gap_m = front_m[1:] - rear_m[:-1]
        joined = (row[1:] == row[:-1]) & (gap_m > 0.0) & (gap_m <= JAM_GAP_M)
        taken_m[1:] += np.where(joined, gap_m, 0.0)
        return np.bincount(row, taken_m, minlength=self._size).astype(np.float64, copy=False)


class _Walkers:
    """People on crosswalks, and at the kerbs: a kerb that two crosswalks share is looked at once.

    Args:
        sumo: ``libsumo`` or ``traci``, with a simulation loaded.
        junctions: The world's junctions.
        detectors: Detectors of each junction.
    """

    def __init__(
        self,
        sumo: ModuleType,
        junctions: Sequence[Junction],
        detectors: Sequence[Sequence[DetectorSpec]],
    ) -> None:
        self._people = call(sumo, "edge", "getLastStepPersonIDs")
        self._ahead = call(sumo, "person", "getNextEdge")
        # Row, junction, signal group, crossing and kerbs of each crosswalk.
        self._crosswalks: list[tuple[int, int, str, str, tuple[str, ...]]] = []
        row = 0
        for number, (junction, own) in enumerate(zip(junctions, detectors, strict=True)):
            movements = {movement.id: movement for movement in junction.movements}
            for spec in own:
                if spec.kind == "pedestrian":
                    movement = movements[spec.movement]
                    kerbs = tuple(lane.rpartition("_")[0] for lane in movement.lanes)
                    self._crosswalks.append((row, number, movement.group, movement.crossing, kerbs))
                row += 1

    def waiting(self, junction: int | None = None) -> list[tuple[int, int, str, int]]:
        """``(row, junction, signal group, people waiting)`` of each crosswalk."""
        seen: dict[str, Counter[str]] = {}
        found = []
        for row, number, group, crossing, kerbs in self._crosswalks:
            if junction is None or number == junction:
                waiting = 0
                for kerb in kerbs:
                    if kerb not in seen:
                        seen[kerb] = Counter(map(self._ahead, self._people(kerb)))
                    waiting += seen[kerb][crossing]
                found.append((row, number, group, waiting))
        return found

    def read(self, table: NDArray[np.float64], features_only: bool) -> None:
        """Write the crosswalks' rows of ``table`` (detectors, fields)."""
        for row, _, _, waiting in self.waiting():
            table[row, 1] = waiting
        for row, _, _, crossing, _ in self._crosswalks:
            table[row, 0] = 0 if features_only else len(self._people(crossing))

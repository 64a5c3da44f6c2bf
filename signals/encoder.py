"""From detector readings and lights to observations, for any number of junctions at once.

It first gathers the readings by movement, in physical units (`Measures`, what classical agents
read), then scales them into fixed bounds (what a learned policy reads). The rows of all junctions
stand one below the other, so that a network costs few array operations; every sum runs in the order
of a junction's own detectors, so that a junction gets the same bytes alone and among others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from signals.detectors import FIELDS, MAX_GAP_S, DetectorKind, DetectorSpec, Readings
from signals.features import (
    ELAPSED_S,
    MOVEMENT_FEATURES,
    PHASE_FEATURES,
    QUEUE_M,
    RECENT_S,
    SPEED_MPS,
    VEHICLE_SPACE_M,
    VEHICLES,
    WAITING,
    Maxima,
    Measures,
    Observation,
)
from signals.junction import Junction
from signals.lights import CLEARANCE, GREEN, GuardState, Options

if TYPE_CHECKING:
    from signals.observation import ObservationSpec

_SUMMED: tuple[DetectorKind, ...] = ("near_zone", "far_zone", "stop_loop", "exit", "pedestrian")
_MEASURES = tuple(field.name for field in fields(Measures))


@dataclass(frozen=True, slots=True)
class Encoded:
    """Arrays of all junctions, one below the other.

    Attributes:
        measures: Per movement.
        movements: (all movements, F) float32.
        phases: (all phases, G) float32.
        mask: (all phases,) float32.
    """

    measures: Measures
    movements: NDArray[np.float32]
    phases: NDArray[np.float32]
    mask: NDArray[np.float32]


class Encoder:
    """Encodes the junctions of some specs together.

    Args:
        specs: One for each junction.
    """

    def __init__(self, specs: Sequence[ObservationSpec]) -> None:
        self.specs = tuple(specs)
        junctions = [spec.junction for spec in specs]
        self._movement_ends = np.cumsum([len(item.movements) for item in junctions])
        self._phase_ends = np.cumsum([len(item.phases) for item in junctions])
        self._size = int(self._movement_ends[-1])
        self._detectors(specs)
        self._movements(specs)
        self._phases(specs)

    def _detectors(self, specs: Sequence[ObservationSpec]) -> None:
        """Which detectors each measure of each movement is made of."""
        pairs: dict[DetectorKind, list[tuple[int, int]]] = {}
        row = column = 0
        for spec in specs:
            for kind, members in memberships(spec.junction, spec.detectors).items():
                pairs.setdefault(kind, []).extend((row + m, column + d) for m, d in members)
            row += len(spec.junction.movements)
            column += len(spec.detectors)
        self._first = np.array(
            [FIELDS.index(item.fields[0]) for spec in specs for item in spec.detectors],
            dtype=np.intp,
        )
        self._rows = np.arange(column)
        table = {kind: _columns(pairs.get(kind, [])) for kind in (*_SUMMED, "advance_loop")}
        self._pairs = table
        self._summed_rows = np.concatenate(
            [table[kind][0] + number * self._size for number, kind in enumerate(_SUMMED)]
        )
        self._summed = np.concatenate([table[kind][1] for kind in _SUMMED])
        self._size_of = np.bincount(self._summed_rows, minlength=len(_SUMMED) * self._size)
        own = [table[kind] for kind in table]
        self._own_rows = np.concatenate([rows for rows, _ in own])
        self._own = np.concatenate([columns for _, columns in own])
        sizes = np.maximum(np.bincount(self._own_rows, minlength=self._size), 1.0)
        self._own_share = (1.0 / sizes)[self._own_rows]
        kinds: tuple[DetectorKind, ...] = ("near_zone", "far_zone", "stop_loop", "advance_loop")
        self._lists = {kind: _padded(table[kind], self._size, column) for kind in kinds}
        length_m = np.array([item.length_m for spec in specs for item in spec.detectors])
        self._room = [
            np.maximum(self._sum(kind, length_m) / VEHICLE_SPACE_M, 1.0)
            for kind in ("near_zone", "far_zone", "exit")
        ]

    def _sum(self, kind: DetectorKind, values: NDArray[np.float64]) -> NDArray[np.float64]:
        rows, columns = self._pairs[kind]
        return _sums(rows, values[columns], self._size)

    def _movements(self, specs: Sequence[ObservationSpec]) -> None:
        limits: list[float] = []
        group_of: list[int] = []
        max_red: list[float] = []
        for spec in specs:
            junction = spec.junction
            speeds = {lane.id: lane.speed_mps for lane in junction.lanes}
            for movement in junction.movements:
                own = [speeds[lane] for lane in movement.lanes if lane in speeds]
                limits.append(max(own, default=SPEED_MPS))
                group_of.append(len(max_red) + junction.group_index[movement.group])
            max_red += [
                float(junction.timing.groups[group.id].max_red_s) for group in junction.groups
            ]
        self._limit_mps = np.array(limits)
        self._group_of = np.array(group_of, dtype=np.intp)
        self._max_red_s = np.array(max_red)
        self._static = np.concatenate([spec.static_features for spec in specs])

    def _phases(self, specs: Sequence[ObservationSpec]) -> None:
        count = int(self._phase_ends[-1])
        self._phase = np.zeros(count, dtype=np.intp)
        self._junction = np.zeros(count, dtype=np.intp)
        self._sizes = np.zeros(count, dtype=np.intp)
        self._bases = np.zeros(count, dtype=np.intp)
        tables: dict[str, list[NDArray[np.float32]]] = {}
        pairs: list[tuple[int, int]] = []
        row = base = groups = 0
        for number, spec in enumerate(specs):
            phases = spec.junction.phases
            rows = slice(row, row + len(phases))
            self._phase[rows] = np.arange(len(phases))
            self._junction[rows] = number
            self._sizes[rows] = len(phases)
            self._bases[rows] = base
            for name, table in spec.phase_tables.items():
                tables.setdefault(name, []).append(table.ravel())
            index = spec.junction.group_index
            for phase in phases:
                pairs += [(row + phase.index, groups + index[group]) for group in phase.groups]
            row += len(phases)
            base += len(phases) ** 2
            groups += len(spec.junction.groups)
        self._tables = {name: np.concatenate(parts) for name, parts in tables.items()}
        self._phase_groups = _padded(_columns(pairs), count, groups)

    def encode(
        self,
        values: NDArray[np.float64],
        states: Sequence[GuardState],
        options: Sequence[Options] | None = None,
    ) -> Encoded:
        """Gather and scale.

        Args:
            values: (all detectors, fields) readings.
            states: Lights and timers of each junction.
            options: What may be wished at each junction; None asks the guards.
        """
        measures = self.measure(values)
        if options is None:
            options = [s.guard.options(state) for s, state in zip(self.specs, states, strict=True)]
        masks = [item.mask for item in options]
        mask = np.array(list(chain.from_iterable(masks)), dtype=np.float32)
        waiting = _together([state.waiting_s for state in states])
        return Encoded(
            measures,
            self._movement_array(measures, states, waiting),
            self._phase_array(states, waiting, mask),
            mask,
        )

    def observations(
        self, readings: Sequence[Readings], states: Sequence[GuardState]
    ) -> tuple[Observation, ...]:
        """One observation for each junction.

        Args:
            readings: Of each junction.
            states: Lights and timers of each junction.
        """
        values = (
            readings[0].values
            if len(readings) == 1
            else np.concatenate([item.values for item in readings])
        )
        found = self.encode(values, states)
        result = []
        columns = [getattr(found.measures, name) for name in _MEASURES]
        movement = phase = 0
        for number, spec in enumerate(self.specs):
            rows = slice(movement, movement := int(self._movement_ends[number]))
            own = slice(phase, phase := int(self._phase_ends[number]))
            result.append(
                Observation(
                    measures=Measures(*[column[rows] for column in columns]),
                    state=states[number],
                    time_s=readings[number].time_s,
                    movements=found.movements[rows],
                    phases=found.phases[own],
                    serves=spec.serves,
                    mask=found.mask[own],
                )
            )
        return tuple(result)

    def measure(self, values: NDArray[np.float64]) -> Measures:
        """Gather readings by movement, see `Measures`.

        Args:
            values: (all detectors, fields) readings.
        """
        dead = np.isnan(values[self._rows, self._first])
        clean = np.where(np.isnan(values), 0.0, values)
        rows, columns, size = self._summed_rows, self._summed, len(_SUMMED) * self._size
        counted = np.bincount(rows, clean[columns, 0], minlength=size)
        halted = np.bincount(rows, clean[columns, 1], minlength=size)
        alive = np.bincount(rows, ~dead[columns], minlength=size)
        scale = np.divide(self._size_of, alive, out=np.ones(size), where=alive > 0)
        count = (counted * scale).reshape(len(_SUMMED), self._size)
        stopped = (halted * scale).reshape(len(_SUMMED), self._size)
        near, far, stop, exits, walk = range(len(_SUMMED))
        gaps = np.append(np.where(np.isnan(values[:, 5]), MAX_GAP_S, values[:, 5]), MAX_GAP_S)
        queues, occupied = np.append(clean[:, 2], 0.0), np.append(clean[:, 4], 0.0)
        lists = self._lists
        return Measures(
            near=count[near],
            near_stopped=stopped[near],
            far=count[far],
            far_stopped=stopped[far],
            queue_m=queues[lists["near_zone"]].max(axis=1) + queues[lists["far_zone"]].max(axis=1),
            near_speed_mps=self._mean("near_zone", values[:, 3], clean),
            far_speed_mps=self._mean("far_zone", values[:, 3], clean),
            occupied=occupied[lists["stop_loop"]].max(axis=1),
            occupancy=self._occupancy(clean[:, 4], alive.reshape(len(_SUMMED), self._size)[stop]),
            gap_s=gaps[lists["stop_loop"]].min(axis=1),
            advance_gap_s=gaps[lists["advance_loop"]].min(axis=1),
            passed=count[stop],
            exit=count[exits],
            exit_stopped=stopped[exits],
            waiting=stopped[walk],
            missing=_sums(self._own_rows, dead[self._own] * self._own_share, self._size),
        )

    def _occupancy(
        self, occupied: NDArray[np.float64], alive: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        total = self._sum("stop_loop", occupied)
        share: NDArray[np.float64] = np.divide(
            total, alive, out=np.zeros(self._size), where=alive > 0
        )
        return share

    def _mean(
        self, kind: DetectorKind, speeds: NDArray[np.float64], clean: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        weight = np.where(np.isnan(speeds), 0.0, clean[:, 0])
        total = self._sum(kind, weight)
        speed = self._sum(kind, weight * clean[:, 3])
        result: NDArray[np.float64] = np.divide(
            speed, total, out=self._limit_mps.copy(), where=total > 0
        )
        return result

    def _movement_array(
        self, measures: Measures, states: Sequence[GuardState], waiting: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        shown = _together([state.indications for state in states])[self._group_of]
        elapsed = _together([state.elapsed_s for state in states])[self._group_of]
        columns = (
            measures.near / VEHICLES,
            measures.near_stopped / VEHICLES,
            measures.far / VEHICLES,
            measures.far_stopped / VEHICLES,
            measures.near / self._room[0],
            measures.far / self._room[1],
            measures.queue_m / QUEUE_M,
            measures.near_speed_mps / SPEED_MPS,
            measures.far_speed_mps / SPEED_MPS,
            measures.occupied,
            1.0 - measures.gap_s / RECENT_S,
            measures.exit / self._room[2],
            measures.exit_stopped / self._room[2],
            measures.waiting / WAITING,
            shown == GREEN,
            shown == CLEARANCE,
            elapsed / ELAPSED_S,
            (waiting / self._max_red_s)[self._group_of],
            measures.missing,
        )
        table = self._static.copy()
        first = MOVEMENT_FEATURES.index("near_vehicles")
        dynamic = np.stack(columns, axis=1, dtype=np.float64, casting="unsafe")
        table[:, first:] = dynamic.clip(0.0, 1.0)
        return table

    def _phase_array(
        self,
        states: Sequence[GuardState],
        waiting: NDArray[np.float64],
        mask: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        table = np.zeros((len(mask), len(PHASE_FEATURES)), dtype=np.float32)
        now = np.array([state.phase for state in states], dtype=np.intp)[self._junction]
        held = np.array([state.held_s for state in states])[self._junction]
        current = self._phase == now
        table[:, 0] = current
        table[:, 1] = current & (held > 0)
        table[:, 2] = np.where(current, np.minimum(held / ELAPSED_S, 1.0), 0.0)
        table[:, 3] = mask
        cell = self._bases + now * self._sizes + self._phase
        table[:, 4] = self._tables["change"][cell]
        table[:, 5] = self._tables["walk"][cell]
        share = np.append((waiting / self._max_red_s).clip(0.0, 1.0), 0.0)
        table[:, 6] = share[self._phase_groups].max(axis=1)
        table[:, 7] = self._tables["keeps_green"][cell]
        return table


class Padder:
    """Pads the arrays of all junctions to common sizes, see `Observation.vectors`.

    Args:
        encoder: Whose arrays.
        maxima: Common sizes.
    """

    def __init__(self, encoder: Encoder, maxima: Maxima) -> None:
        junctions = [spec.junction for spec in encoder.specs]
        self._shapes = {name: (len(junctions), *size) for name, size in maxima.shapes.items()}
        self._movements = _places([len(item.movements) for item in junctions])
        self._phases = _places([len(item.phases) for item in junctions])
        self._serves = np.zeros(self._shapes["serves"], dtype=np.float32)
        for number, spec in enumerate(encoder.specs):
            phases, movements = spec.serves.shape
            self._serves[number, :phases, :movements] = spec.serves

    def stack(self, encoded: Encoded) -> dict[str, NDArray[np.float32]]:
        """(junctions, size) fresh float32 arrays by name, each row a flattened padded array."""
        found = {name: np.zeros(shape, np.float32) for name, shape in self._shapes.items()}
        found["movements"][self._movements] = encoded.movements
        found["phases"][self._phases] = encoded.phases
        found["serves"][:] = self._serves
        found["mask"][self._phases] = encoded.mask
        return {name: array.reshape(len(array), -1) for name, array in found.items()}


def memberships(
    junction: Junction, detectors: Sequence[DetectorSpec]
) -> dict[DetectorKind, list[tuple[int, int]]]:
    """By kind of detector, the pairs (movement, detector) that belong together."""
    found: dict[DetectorKind, list[tuple[int, int]]] = {}
    on: dict[tuple[DetectorKind, str], list[int]] = {}
    for column, spec in enumerate(detectors):
        subject = spec.movement or spec.id.partition("/")[2]
        on.setdefault((spec.kind, subject), []).append(column)
    kinds = dict.fromkeys(spec.kind for spec in detectors)
    for row, movement in enumerate(junction.movements):
        exits = {piece.lane for piece in movement.exits}
        for kind in kinds:
            watched = {movement.id} | (exits if kind == "exit" else set(movement.lanes))
            columns = sorted(column for item in watched for column in on.get((kind, item), ()))
            found.setdefault(kind, []).extend((row, column) for column in columns)
    return found


def _columns(
    pairs: Sequence[tuple[int, int]],
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    table = np.array(pairs, dtype=np.intp).reshape(-1, 2)
    return table[:, 0].copy(), table[:, 1].copy()


def _padded(
    pairs: tuple[NDArray[np.intp], NDArray[np.intp]], rows: int, nothing: int
) -> NDArray[np.intp]:
    """(rows, most) the columns of each row, filled up with ``nothing``."""
    lists: list[list[int]] = [[] for _ in range(rows)]
    for row, column in zip(*pairs, strict=True):
        lists[row].append(int(column))
    most = max(1, max((len(item) for item in lists), default=1))
    return np.array([item + [nothing] * (most - len(item)) for item in lists], dtype=np.intp)


def _places(sizes: Sequence[int]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Junction, and row within it, of each row of the arrays."""
    junction = np.repeat(np.arange(len(sizes)), sizes)
    return junction, np.concatenate([np.arange(size) for size in sizes])


def _sums(rows: NDArray[np.intp], weights: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    return np.bincount(rows, weights, minlength=size).astype(np.float64, copy=False)


def _together(parts: Sequence[tuple[int, ...]]) -> NDArray[np.float64]:
    return np.array(list(chain.from_iterable(parts)), dtype=np.float64)

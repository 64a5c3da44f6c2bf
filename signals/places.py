"""Where the measures and features of each movement and phase come from.

Each junction has its `Places` once: index arrays that count from its own first row. Those of
several junctions, one below the other, are the same arrays moved on by the rows above, so that any
set of junctions is encoded in a few array operations, without preparation. Every sum runs in the
order of a junction's own detectors: a junction gets the same bytes alone and among others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from signals.detectors import FIELDS, DetectorKind, DetectorSpec
from signals.features import (
    ELAPSED_S,
    QUEUE_M,
    RECENT_S,
    SPEED_MPS,
    VEHICLE_SPACE_M,
    VEHICLES,
    WAITING,
)
from signals.junction import Junction

Indices = NDArray[np.integer[Any]]

COUNT, STOPPED, QUEUE, SPEED, OCCUPIED, GAP = range(len(FIELDS))
DEAD, ALIVE, WEIGHT, MOMENT, CELLS = range(len(FIELDS), len(FIELDS) + 5)
"""Cells of a detector beside its fields: it is silent, it answers, vehicles whose speed is known,
the sum of their speeds; and the number of all cells."""

Source = tuple[DetectorKind, int]
TOTALS: tuple[Source, ...] = (
    ("near_zone", COUNT),
    ("near_zone", STOPPED),
    ("far_zone", COUNT),
    ("far_zone", STOPPED),
    ("stop_loop", COUNT),
    ("exit", COUNT),
    ("exit", STOPPED),
    ("pedestrian", STOPPED),
)
"""Sums that are scaled up when some of their detectors are silent."""
_ANSWERING: tuple[Source, ...] = tuple((kind, ALIVE) for kind, _ in TOTALS)
_MEANS: tuple[Source, ...] = (
    ("near_zone", WEIGHT),
    ("far_zone", WEIGHT),
    ("near_zone", MOMENT),
    ("far_zone", MOMENT),
    ("stop_loop", OCCUPIED),
)
_SUMS = (*TOTALS, *_ANSWERING, *_MEANS)
SUMS = len(_SUMS) + 1
"""Sums of a movement: `TOTALS`, their detectors that answer, the means' and the share missing."""
HIGHEST: tuple[Source, ...] = (("near_zone", QUEUE), ("far_zone", QUEUE), ("stop_loop", OCCUPIED))
LOWEST: tuple[Source, ...] = (("stop_loop", GAP), ("advance_loop", GAP))


@dataclass(frozen=True, slots=True)
class Places:
    """The places of a junction, or of several.

    Cells are counted through a table (detectors, `CELLS`), sums through one (movements, `SUMS`).

    Attributes:
        first: Reading that tells whether a detector answers, of each.
        summed: Cells that are added up.
        sums: The sum that each is added to.
        shares: What each counts there: 1, but for the share missing.
        sizes: (`TOTALS`, movements) detectors that belong to each sum.
        highest: Cells of which the highest counts.
        highest_starts: Where those of each row below begin.
        highest_rows: Their movement and number among `HIGHEST`.
        lowest: Cells of which the lowest counts.
        lowest_starts: Where those of each row below begin.
        lowest_rows: Their movement and number among `LOWEST`.
        limit_mps: Speed on each movement's empty lanes (m/s).
        scales: (19, movements) what makes a feature of 1.
        group_of: Group of each movement.
        max_red_s: Longest red of each group (s).
        phase_groups: Groups of the phases, one phase after the other.
        phase_starts: Where those of each phase begin.
    """

    first: Indices
    summed: Indices
    sums: Indices
    shares: NDArray[np.float64]
    sizes: NDArray[np.float64]
    highest: Indices
    highest_starts: Indices
    highest_rows: Indices
    lowest: Indices
    lowest_starts: Indices
    lowest_rows: Indices
    limit_mps: NDArray[np.float64]
    scales: NDArray[np.float64]
    group_of: Indices
    max_red_s: NDArray[np.float64]
    phase_groups: Indices
    phase_starts: Indices


_MOVED_BY: Mapping[str, tuple[str, int]] = {
    "first": ("first", len(FIELDS)),
    "summed": ("first", CELLS),
    "sums": ("limit_mps", SUMS),
    "highest": ("first", CELLS),
    "highest_starts": ("highest", 1),
    "highest_rows": ("limit_mps", len(HIGHEST)),
    "lowest": ("first", CELLS),
    "lowest_starts": ("lowest", 1),
    "lowest_rows": ("limit_mps", len(LOWEST)),
    "group_of": ("max_red_s", 1),
    "phase_groups": ("max_red_s", 1),
    "phase_starts": ("phase_groups", 1),
}
"""Every junction above moves these indices on by the length of that array, so many times."""


def joined(parts: Sequence[Places]) -> Places:
    """The places of several junctions, one below the other."""
    found: dict[str, NDArray[Any]] = {}
    for name in Places.__slots__:
        arrays = [getattr(part, name) for part in parts]
        found[name] = np.concatenate(arrays, axis=-1)
        if name in _MOVED_BY:
            rows, times = _MOVED_BY[name]
            sizes = np.array([len(getattr(part, rows)) for part in parts], dtype=np.intp)
            above = (sizes.cumsum() - sizes) * times
            found[name] = found[name] + above.repeat([len(array) for array in arrays])
    return Places(**found)


def places_of(junction: Junction, detectors: Sequence[DetectorSpec]) -> Places:
    """The places of one junction.

    Args:
        junction: The junction.
        detectors: Its detectors, in the order of its readings.
    """
    members = memberships(junction, detectors)
    size = len(junction.movements)
    index = junction.group_index
    phase_groups = [[index[group] for group in phase.groups] for phase in junction.phases]
    timing = junction.timing.groups
    max_red_s = np.array([float(timing[group.id].max_red_s) for group in junction.groups])
    sums, summed, shares = _sums(members, size)
    highest_rows, highest = _extremes(members, HIGHEST, size)
    lowest_rows, lowest = _extremes(members, LOWEST, size)
    return Places(
        first=_indices(
            row * len(FIELDS) + FIELDS.index(item.fields[0]) for row, item in enumerate(detectors)
        ),
        summed=_indices(summed),
        sums=_indices(sums),
        shares=np.array(shares),
        sizes=np.array([_per_movement(members[kind], size) for kind, _ in TOTALS]),
        highest=_flat(highest),
        highest_starts=_starts(highest),
        highest_rows=_indices(highest_rows),
        lowest=_flat(lowest),
        lowest_starts=_starts(lowest),
        lowest_rows=_indices(lowest_rows),
        limit_mps=_limits_mps(junction),
        scales=_scales(members, [item.length_m for item in detectors], size),
        group_of=_indices(index[movement.group] for movement in junction.movements),
        max_red_s=max_red_s,
        phase_groups=_flat(phase_groups),
        phase_starts=_starts(phase_groups),
    )


def memberships(
    junction: Junction, detectors: Sequence[DetectorSpec]
) -> dict[DetectorKind, list[tuple[int, int]]]:
    """By kind of detector, the pairs (movement, detector) that belong together."""
    kinds: tuple[DetectorKind, ...] = (
        *("near_zone", "far_zone", "stop_loop", "exit", "pedestrian", "advance_loop"),
    )
    found: dict[DetectorKind, list[tuple[int, int]]] = {kind: [] for kind in kinds}
    on: dict[tuple[DetectorKind, str], list[int]] = {}
    for column, spec in enumerate(detectors):
        subject = spec.movement or spec.id.partition("/")[2]
        on.setdefault((spec.kind, subject), []).append(column)
    for row, movement in enumerate(junction.movements):
        exits = {piece.lane for piece in movement.exits}
        for kind in kinds:
            watched = {movement.id} | (exits if kind == "exit" else set(movement.lanes))
            columns = sorted(column for item in watched for column in on.get((kind, item), ()))
            found[kind].extend((row, column) for column in columns)
    return found


def _sums(
    members: Mapping[DetectorKind, Sequence[tuple[int, int]]], size: int
) -> tuple[list[int], list[int], list[float]]:
    """Of every addend: its sum, its cell, and what it counts."""
    own = _per_movement([pair for pairs in members.values() for pair in pairs], size)
    found: list[tuple[int, int, float]] = []
    for number, (kind, cell) in enumerate(_SUMS):
        found += [
            (row * SUMS + number, column * CELLS + cell, 1.0) for row, column in members[kind]
        ]
    for pairs in members.values():
        found += [
            (row * SUMS + len(_SUMS), column * CELLS + DEAD, 1.0 / own[row])
            for row, column in pairs
        ]
    return [item[0] for item in found], [item[1] for item in found], [item[2] for item in found]


def _extremes(
    members: Mapping[DetectorKind, Sequence[tuple[int, int]]],
    sources: Sequence[Source],
    size: int,
) -> tuple[list[int], list[list[int]]]:
    """Rows (movement and source) that have detectors, and the cells of each."""
    cells: dict[int, list[int]] = {}
    for number, (kind, cell) in enumerate(sources):
        for row, column in members[kind]:
            cells.setdefault(row * len(sources) + number, []).append(column * CELLS + cell)
    return list(cells), list(cells.values())


def _limits_mps(junction: Junction) -> NDArray[np.float64]:
    speeds = {lane.id: lane.speed_mps for lane in junction.lanes}
    return np.array(
        [
            max([speeds[lane] for lane in movement.lanes if lane in speeds], default=SPEED_MPS)
            for movement in junction.movements
        ]
    )


def _scales(
    members: Mapping[DetectorKind, Sequence[tuple[int, int]]], lengths_m: Sequence[float], size: int
) -> NDArray[np.float64]:
    """What makes a feature of 1, for the features from ``near_vehicles`` on."""
    near, far, out = (
        np.maximum(_per_movement(members[kind], size, lengths_m) / VEHICLE_SPACE_M, 1.0)
        for kind in ("near_zone", "far_zone", "exit")
    )
    one = np.ones(size)
    return np.array(
        [
            *[one * VEHICLES] * 4,
            near,
            far,
            one * QUEUE_M,
            one * SPEED_MPS,
            one * SPEED_MPS,
            one,
            one * RECENT_S,
            out,
            out,
            one * WAITING,
            one,
            one,
            one * ELAPSED_S,
            one,
            one,
        ]
    )


def _per_movement(
    pairs: Sequence[tuple[int, int]], size: int, weights: Sequence[float] | None = None
) -> NDArray[np.float64]:
    found = np.zeros(size)
    for row, column in pairs:
        found[row] += 1.0 if weights is None else weights[column]
    return found


def _indices(numbers: Iterable[int]) -> Indices:
    # Half as large: a city keeps thousands of junctions.
    return np.array(list(numbers), dtype=np.int32)


def _flat(lists: Sequence[Sequence[int]]) -> Indices:
    return _indices(number for item in lists for number in item)


def _starts(lists: Sequence[Sequence[int]]) -> Indices:
    sizes = np.array([len(item) for item in lists], dtype=np.int32)
    return (sizes.cumsum() - sizes).astype(np.int32)

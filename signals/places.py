"""Where the measures and features of each movement and phase come from.

Each junction has its `Part` once: index arrays that count from its own first row. Those of several
junctions, one below the other, are the same arrays moved on by the rows above, so that any set of
junctions is encoded in a few array operations, without preparation. Every sum runs in the
order of a junction's own detectors: a junction gets the same bytes alone and among others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
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
    """The places of some junctions, one below the other.

    Cells are counted through a table (detectors, `CELLS`), sums through one (movements, `SUMS`).

    Attributes:
        first: Reading that tells whether a detector answers, of each.
        summed: Cells that are added up.
        sums: The sum that each is added to.
        highest: Cells of which the highest counts.
        highest_starts: Where those of each row below begin.
        highest_rows: Their movement and number among `HIGHEST`.
        lowest: Cells of which the lowest counts.
        lowest_starts: Where those of each row below begin.
        lowest_rows: Their movement and number among `LOWEST`.
        group_of: Group of each movement.
        phase_groups: Groups of the phases, one phase after the other.
        phase_starts: Where those of each phase begin.
        shares: What each of `summed` counts: 1, but for the share missing.
        sizes: (`TOTALS`, movements) detectors that belong to each sum.
        limit_mps: Speed on each movement's empty lanes (m/s).
        scales: (19, movements) what makes a feature of 1.
        max_red_s: Longest red of each group (s).
    """

    first: Indices
    summed: Indices
    sums: Indices
    highest: Indices
    highest_starts: Indices
    highest_rows: Indices
    lowest: Indices
    lowest_starts: Indices
    lowest_rows: Indices
    group_of: Indices
    phase_groups: Indices
    phase_starts: Indices
    shares: NDArray[np.float64]
    sizes: NDArray[np.float64]
    limit_mps: NDArray[np.float64]
    scales: NDArray[np.float64]
    max_red_s: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Part:
    """What one junction has of `Places`.

    Attributes:
        indices: The index arrays, in the order of `Places`, int32.
        lengths: Of each of them.
        rows: By how much each moves on in the junctions below.
        numbers: The other arrays, in the order of `Places`.
    """

    indices: tuple[Indices, ...]
    lengths: tuple[int, ...]
    rows: tuple[int, ...]
    numbers: tuple[NDArray[np.float64], ...]


def joined(parts: Sequence[Part]) -> Places:
    """The places of junctions, one below the other."""
    lengths = np.array([part.lengths for part in parts], dtype=np.intp)
    rows = np.array([part.rows for part in parts], dtype=np.intp)
    above = rows.cumsum(axis=0) - rows
    kinds = range(lengths.shape[1])
    # One kind of array after the other, each through all junctions.
    indices = np.concatenate(
        [part.indices[kind] for kind in kinds for part in parts], dtype=np.intp
    )
    indices += above.T.ravel().repeat(lengths.T.ravel())
    ends = [0, *lengths.sum(axis=0).cumsum().tolist()]
    numbers = zip(*[part.numbers for part in parts], strict=True)
    arrays: list[NDArray[Any]] = [
        *[indices[start:end] for start, end in pairwise(ends)],
        *[np.concatenate(own, axis=-1) for own in numbers],
    ]
    return Places(*arrays)


def part_of(junction: Junction, detectors: Sequence[DetectorSpec]) -> Part:
    """The places of one junction.

    Args:
        junction: The junction.
        detectors: Its detectors, in the order of its readings.
    """
    members = memberships(junction, detectors)
    size, groups = len(junction.movements), len(junction.groups)
    index = junction.group_index
    firsts = [
        row * len(FIELDS) + FIELDS.index(item.fields[0]) for row, item in enumerate(detectors)
    ]
    cells = len(detectors) * CELLS
    sums, summed, shares = _sums(members, size)
    highest_rows, highest = _extremes(members, HIGHEST)
    lowest_rows, lowest = _extremes(members, LOWEST)
    phase_groups = [[index[group] for group in phase.groups] for phase in junction.phases]
    found: list[tuple[Sequence[int], int]] = [
        (firsts, len(detectors) * len(FIELDS)),
        (summed, cells),
        (sums, size * SUMS),
        (_flat(highest), cells),
        (_starts(highest), len(_flat(highest))),
        (highest_rows, size * len(HIGHEST)),
        (_flat(lowest), cells),
        (_starts(lowest), len(_flat(lowest))),
        (lowest_rows, size * len(LOWEST)),
        ([index[movement.group] for movement in junction.movements], groups),
        (_flat(phase_groups), groups),
        (_starts(phase_groups), len(_flat(phase_groups))),
    ]
    timing = junction.timing.groups
    return Part(
        # Half as large: a city keeps thousands of junctions.
        indices=tuple([np.array(numbers, dtype=np.int32) for numbers, _ in found]),
        lengths=tuple([len(numbers) for numbers, _ in found]),
        rows=tuple([rows for _, rows in found]),
        numbers=(
            np.array(shares),
            np.array([_per_movement(members[kind], size) for kind, _ in TOTALS]),
            _limits_mps(junction),
            _scales(members, [item.length_m for item in detectors], size),
            np.array([float(timing[group.id].max_red_s) for group in junction.groups]),
        ),
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
    members: Mapping[DetectorKind, Sequence[tuple[int, int]]], sources: Sequence[Source]
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


def _flat(lists: Sequence[Sequence[int]]) -> list[int]:
    return [number for item in lists for number in item]


def _starts(lists: Sequence[Sequence[int]]) -> list[int]:
    return list(accumulate([len(item) for item in lists[:-1]], initial=0)) if lists else []

"""Detectors (검지기) of a junction and what they report.

The layout follows from the junction alone, so that the simulator, a controller and a policy
bundle agree on ids without exchanging a list.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from signals.errors import ReadingError
from signals.junction import Junction, LanePiece

DetectorKind = Literal["stop_loop", "advance_loop", "near_zone", "far_zone", "exit", "pedestrian"]

FIELDS = ("count", "stopped", "queue_m", "speed_mps", "occupied", "gap_s")
"""Columns of a reading: vehicles (or people on a crossing), stopped vehicles (or people waiting),
queue length (m), mean speed (m/s, NaN when empty), loop occupied (0 or 1), seconds since the last
vehicle left the loop. A loop's ``count`` is a counter since it was switched on."""

ADVANCE_M = 45.0
"""Distance of the advance loop from the stop line (m)."""
NEAR_M = 50.0
"""Reach of the near video zone (m); the far zone goes on from there to 150 m."""
MAX_GAP_S = 1000.0

_FIELDS_OF: dict[DetectorKind, tuple[str, ...]] = {
    "stop_loop": ("count", "occupied", "gap_s"),
    "advance_loop": ("occupied", "gap_s"),
    "near_zone": ("count", "stopped", "queue_m", "speed_mps"),
    "far_zone": ("count", "stopped", "queue_m", "speed_mps"),
    "exit": ("count", "stopped", "speed_mps"),
    "pedestrian": ("count", "stopped"),
}
_LIMITS = {
    "count": 1e7,
    "stopped": 1e4,
    "queue_m": 1e4,
    "speed_mps": 100.0,
    "occupied": 1.0,
    "gap_s": 1e7,
}
_VALUES = frozenset((int, float, type(None)))


@dataclass(frozen=True, slots=True)
class DetectorSpec:
    """One detector.

    Attributes:
        id: E.g. ``near_zone/S_in_2`` or ``pedestrian/E.ped``.
        kind: What it is.
        pieces: Stretches of lane it watches; a loop's piece has no length.
        movement: The pedestrian movement it watches, empty for vehicles.
    """

    id: str
    kind: DetectorKind
    pieces: tuple[LanePiece, ...]
    movement: str = ""

    @property
    def fields(self) -> tuple[str, ...]:
        """The columns of `FIELDS` that it reports."""
        return _FIELDS_OF[self.kind]

    @property
    def length_m(self) -> float:
        """Length of street it watches (m)."""
        return sum(piece.end_m - piece.start_m for piece in self.pieces)


def layout(junction: Junction) -> tuple[DetectorSpec, ...]:
    """All detectors of a junction: two loops and two zones a lane, exits, crosswalks.

    Args:
        junction: The junction.

    Returns:
        The detectors in the order that every array of readings uses.
    """
    found: list[DetectorSpec] = []
    for lane in junction.lanes:
        near, far = _split(lane.zone, NEAR_M)
        found.append(DetectorSpec(f"stop_loop/{lane.id}", "stop_loop", (_point(lane.zone, 2.0),)))
        found.append(
            DetectorSpec(f"advance_loop/{lane.id}", "advance_loop", (_point(lane.zone, ADVANCE_M),))
        )
        found.append(DetectorSpec(f"near_zone/{lane.id}", "near_zone", near))
        if far:
            found.append(DetectorSpec(f"far_zone/{lane.id}", "far_zone", far))
    exits = {piece.lane: piece for movement in junction.movements for piece in movement.exits}
    for lane_id in sorted(exits):
        found.append(DetectorSpec(f"exit/{lane_id}", "exit", (exits[lane_id],)))
    for movement in junction.movements:
        if movement.kind == "pedestrian":
            found.append(DetectorSpec(f"pedestrian/{movement.id}", "pedestrian", (), movement.id))
    return tuple(found)


def _point(zone: tuple[LanePiece, ...], distance_m: float) -> LanePiece:
    """The spot of a zone that is ``distance_m`` upstream, or its upstream end if it is shorter."""
    for piece in zone:
        length_m = piece.end_m - piece.start_m
        if distance_m <= length_m:
            spot = piece.end_m - distance_m
            return LanePiece(piece.lane, spot, spot)
        distance_m -= length_m
    last = zone[-1]
    return LanePiece(last.lane, last.start_m, last.start_m)


def _split(
    zone: tuple[LanePiece, ...], at_m: float
) -> tuple[tuple[LanePiece, ...], tuple[LanePiece, ...]]:
    near: list[LanePiece] = []
    far: list[LanePiece] = []
    left_m = at_m
    for piece in zone:
        length_m = piece.end_m - piece.start_m
        if left_m >= length_m:
            near.append(piece)
        elif left_m > 0.1:
            cut = piece.end_m - left_m
            near.append(LanePiece(piece.lane, cut, piece.end_m))
            far.append(LanePiece(piece.lane, piece.start_m, cut))
        else:
            far.append(piece)
        left_m -= length_m
    return tuple(near), tuple(far)


@dataclass(frozen=True, slots=True)
class Readings:
    """What all detectors of a junction report at one moment.

    Attributes:
        time_s: Clock time of the measurement (s since midnight).
        values: (detectors, len(FIELDS)) float64; NaN is missing or not measured by that kind.
    """

    time_s: float
    values: NDArray[np.float64]

    def to_dict(self, detectors: tuple[DetectorSpec, ...]) -> dict[str, Any]:
        """JSON-able form: detector id to its fields, null where missing."""
        table: dict[str, dict[str, float | None]] = {}
        for row, spec in enumerate(detectors):
            table[spec.id] = {
                name: None if math.isnan(value) else value
                for name in spec.fields
                for value in (float(self.values[row, FIELDS.index(name)]),)
            }
        return {"time_s": self.time_s, "detectors": table}

    def to_values(self, detectors: tuple[DetectorSpec, ...]) -> list[float | None]:
        """Short form: the fields of all detectors, one after the other, None where missing."""
        return [
            None if math.isnan(value) else value
            for spec, row in zip(detectors, self.values.tolist(), strict=True)
            for value in [row[FIELDS.index(name)] for name in spec.fields]
        ]

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], detectors: tuple[DetectorSpec, ...]) -> Readings:
        """Inverse of `to_dict`. Detectors that are left out are missing, not zero.

        Raises:
            ReadingError: An unknown detector or field, or a value that no detector sends.
        """
        rows = {spec.id: row for row, spec in enumerate(detectors)}
        values = np.full((len(detectors), len(FIELDS)), np.nan)
        time_s = data.get("time_s")
        if not isinstance(time_s, (int, float)) or not math.isfinite(time_s):
            raise ReadingError(f"time_s is {time_s!r}; give seconds since midnight")
        table = data.get("detectors", {})
        if not isinstance(table, Mapping):
            raise ReadingError("detectors are no table of detector id to its fields")
        for detector, fields in table.items():
            if not isinstance(fields, Mapping):
                raise ReadingError(f"detector '{detector}' has no table of fields")
            if detector not in rows:
                raise ReadingError(
                    f"unknown detector '{detector}'; this junction has {len(rows)}, "
                    f"for example {detectors[0].id}"
                )
            spec = detectors[rows[detector]]
            for name, value in fields.items():
                if name not in spec.fields:
                    raise ReadingError(
                        f"detector '{detector}' reports no '{name}'; "
                        f"allowed: {', '.join(spec.fields)}"
                    )
                if value is None:
                    continue
                number = isinstance(value, (int, float)) and not isinstance(value, bool)
                if not number or not 0 <= value <= _LIMITS[name]:
                    raise ReadingError(
                        f"detector '{detector}': {name} is {value!r}; "
                        f"allowed: 0 to {_LIMITS[name]:g}, or null when missing"
                    )
                values[rows[detector], FIELDS.index(name)] = value
        return cls(float(time_s), values)


class ReadingsReader:
    """Reads the JSON form of one junction's readings again and again.

    Readings that name all detectors, as controllers send them, take the short way, once each order
    of names has been seen; everything else, and whatever is wrong, goes through
    `Readings.from_dict`.

    Args:
        detectors: Of the junction.
    """

    def __init__(self, detectors: tuple[DetectorSpec, ...]) -> None:
        self._detectors = detectors
        self._rows = {spec.id: row for row, spec in enumerate(detectors)}
        self._blank = np.full(len(detectors) * len(FIELDS), np.nan)
        self._names: list[str] = []
        self._order: tuple[NDArray[np.intp], NDArray[np.float64]] | None = None
        self._lengths: list[int] = []
        self._fields: list[str] = []
        self._spots = np.zeros(0, dtype=np.intp)
        self._most = np.zeros(0)

    def read(self, data: Mapping[str, Any]) -> Readings:
        """The readings.

        Raises:
            ReadingError: See `Readings.from_dict`.
        """
        quick = self._quickly(data)
        if quick is not None:
            return quick
        found = Readings.from_dict(data, self._detectors)
        self._learn(data["detectors"])
        return found

    def read_values(self, time_s: float, values: Sequence[Any]) -> Readings:
        """Readings from their short form: the fields of all detectors, one after the other.

        Args:
            time_s: Clock time of the measurement (s since midnight).
            values: Numbers, None where missing.

        Raises:
            ReadingError: As `Readings.from_dict`, or another number of values.
        """
        if self._order is None:
            names = [(spec.id, field) for spec in self._detectors for field in spec.fields]
            self._order = self._places(names)
        spots, most = self._order
        if len(values) != len(spots):
            raise ReadingError(
                f"readings hold {len(values)} values, this junction has {len(spots)}"
            )
        found = self._numbers(values, most)
        if found is None:
            at = iter(values)
            table = {s.id: {field: next(at) for field in s.fields} for s in self._detectors}
            return Readings.from_dict({"time_s": time_s, "detectors": table}, self._detectors)
        return self._filled(time_s, found, spots)

    def _quickly(self, data: Mapping[str, Any]) -> Readings | None:
        table, time_s = data.get("detectors"), data.get("time_s")
        if type(table) is not dict or not isinstance(time_s, int | float) or not self._names:
            return None
        if list(table) != self._names:
            return None
        columns = table.values()
        if set(map(type, columns)) != {dict} or list(map(len, columns)) != self._lengths:
            return None
        if list(chain.from_iterable(columns)) != self._fields:
            return None
        values = list(chain.from_iterable(map(dict.values, columns)))
        found = self._numbers(values, self._most)
        if found is None or not math.isfinite(time_s):
            return None
        return self._filled(time_s, found, self._spots)

    def _numbers(self, values: Sequence[Any], most: NDArray[np.float64]) -> Any:
        """The values, NaN for None; None when one of them is no reading."""
        kinds = set(map(type, values))
        if not kinds <= _VALUES:
            return None
        try:
            found = np.array(values, dtype=np.float64)  # None becomes NaN
        except OverflowError:
            return None
        sound = np.count_nonzero((found >= 0.0) & (found <= most))
        silent = values.count(None) if type(None) in kinds else 0
        return found if sound + silent == len(values) else None

    def _filled(
        self, time_s: float, found: NDArray[np.float64], spots: NDArray[np.intp]
    ) -> Readings:
        table = self._blank.copy()
        table[spots] = found
        return Readings(float(time_s), table.reshape(len(self._detectors), len(FIELDS)))

    def _learn(self, table: Mapping[str, Mapping[str, Any]]) -> None:
        """Remember an order of names that was found right."""
        self._names = list(table)
        self._lengths = [len(fields) for fields in table.values()]
        self._fields = [field for fields in table.values() for field in fields]
        pairs = [(name, field) for name, fields in table.items() for field in fields]
        self._spots, self._most = self._places(pairs)

    def _places(
        self, names: Sequence[tuple[str, str]]
    ) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Where each value goes, and the most it may be."""
        spots = [self._rows[name] * len(FIELDS) + FIELDS.index(field) for name, field in names]
        most = [_LIMITS[field] for _, field in names]
        return np.array(spots, dtype=np.intp), np.array(most)


def missing(detectors: tuple[DetectorSpec, ...], time_s: float) -> Readings:
    """Readings of a junction none of whose detectors answers."""
    return Readings(time_s, np.full((len(detectors), len(FIELDS)), np.nan))

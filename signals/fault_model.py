"""Detector faults and noise: what stands between a measurement and the encoder.

Which detector fails, and when, is drawn from the day's seed and the names of fault, junction and
detector alone: neither the order of faults nor the process that runs the day changes it.

The stages of a measurement follow each other as on the street, whatever the order of the faults:
the camera sees (rain), the detector counts (miscount), the line carries (latency), the output
hangs (stuck), nothing comes (loss).
"""

from __future__ import annotations

import hashlib
import math
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from signals.detectors import FIELDS, DetectorSpec, Readings
from signals.faults import KINDS, RAIN_MISSES, FaultSpec

_COUNT, _STOPPED, _QUEUE, _SPEED = (
    FIELDS.index(name) for name in ("count", "stopped", "queue_m", "speed_mps")
)
_RAIN_SPELL_S: Final = 30
"""A camera that rain has blinded sees nothing for this long (s, assumed)."""
_MEMORY: Final = frozenset({"miscount", "latency", "stuck"})


class FaultModel:
    """The faults of one junction on one demand day.

    It remembers: feed it every second (`note`) when `remembers` says so, at decisions (`apply`)
    otherwise.

    Args:
        specs: The faults.
        detectors: The junction's detectors, in the order of its readings.
        seed: Demand day.
        junction: Id of the junction; two junctions with equal detector ids fail independently.
    """

    def __init__(
        self,
        specs: Iterable[FaultSpec],
        detectors: Sequence[DetectorSpec],
        seed: int,
        junction: str = "",
    ) -> None:
        self._detectors = tuple(detectors)
        self._seed = seed
        self._junction = junction
        ordered = sorted(dict.fromkeys(specs), key=lambda spec: (KINDS.index(spec.kind), spec.text))
        self._stages = [
            (spec, rows)
            for spec in ordered
            if (rows := [r for r, d in enumerate(detectors) if spec.matches(d, junction)])
        ]
        self._counters = np.array([spec.kind == "stop_loop" for spec in detectors], dtype=np.bool_)
        self._hits: dict[FaultSpec, tuple[int, NDArray[np.intp]]] = {}
        self._raw = np.full(len(detectors), -np.inf)
        self._floor = np.full(len(detectors), -np.inf)
        self._drift = {
            spec: np.zeros(len(detectors)) for spec, _ in self._stages if spec.kind == "miscount"
        }
        self._past = {
            spec: deque[tuple[float, NDArray[np.float64]]]()
            for spec, _ in self._stages
            if spec.kind == "latency"
        }
        self._frozen: dict[FaultSpec, dict[int, NDArray[np.float64]]] = {}
        self._shown: Readings | None = None

    @property
    def remembers(self) -> bool:
        """Whether a reading depends on earlier ones, so that every second has to be noted."""
        return any(spec.kind in _MEMORY for spec, _ in self._stages)

    def note(self, readings: Readings) -> None:
        """Take in the readings of one moment; the same moment twice changes nothing."""
        self.apply(readings)

    def apply(self, readings: Readings) -> Readings:
        """What arrives of the readings.

        Args:
            readings: What the detectors measured; moments come in order.

        Returns:
            Degraded readings. Missing values are NaN, and a loop's counter never runs back.
        """
        if self._shown is not None and self._shown.time_s == readings.time_s:
            return self._shown
        values = readings.values.copy()
        counts = np.where(self._counters, values[:, _COUNT], np.nan)
        passed = np.nan_to_num(np.where(np.isfinite(self._raw), counts - self._raw, 0.0))
        self._forget(np.flatnonzero(counts < self._raw))
        floored = False
        for spec, rows in self._stages:
            if spec.kind in ("stuck", "loss") and not floored:
                floored = self._keep_counters(values)
            self._act(spec, rows, values, readings.time_s, passed)
        if not floored:
            self._keep_counters(values)
        self._raw = np.where(np.isnan(counts), self._raw, counts)
        self._shown = Readings(readings.time_s, values)
        return self._shown

    def _act(
        self,
        spec: FaultSpec,
        rows: list[int],
        values: NDArray[np.float64],
        time_s: float,
        passed: NDArray[np.float64],
    ) -> None:
        if spec.kind == "latency":
            # The line is noted outside the window too: its first delayed reading needs a past.
            self._past[spec].append((time_s, values[rows].copy()))
        hit = self._hit(spec, rows, time_s)
        if spec.kind == "loss":
            values[hit] = np.nan
        elif spec.kind == "stuck":
            self._freeze(spec, hit, values)
        elif spec.kind == "latency":
            self._delay(spec, rows, hit, values, time_s)
        elif spec.kind == "miscount":
            self._miscount(spec, hit, values, time_s, passed)
        else:
            self._rain(spec, hit, values, time_s)

    def _hit(self, spec: FaultSpec, rows: list[int], time_s: float) -> NDArray[np.intp]:
        """Rows of the detectors that fail now."""
        if not spec.begin_s <= time_s < spec.end_s:
            return np.empty(0, dtype=np.intp)
        spell = 0 if spec.spell_s is None else int(time_s // spec.spell_s)
        known = self._hits.get(spec)
        if known is None or known[0] != spell:
            hit = [
                row
                for row in rows
                if spec.share >= 1.0
                or self._draw(spec, self._detectors[row].id, spell) < spec.share
            ]
            known = self._hits[spec] = (spell, np.array(hit, dtype=np.intp))
        return known[1]

    def _freeze(self, spec: FaultSpec, hit: NDArray[np.intp], values: NDArray[np.float64]) -> None:
        before = self._frozen.get(spec, {})
        now = {int(row): before.get(int(row), values[row].copy()) for row in hit}
        for row, kept in now.items():
            values[row] = kept
        self._frozen[spec] = now

    def _delay(
        self,
        spec: FaultSpec,
        rows: list[int],
        hit: NDArray[np.intp],
        values: NDArray[np.float64],
        time_s: float,
    ) -> None:
        past, due_s = self._past[spec], time_s - spec.delay_s
        while len(past) > 1 and past[1][0] <= due_s:
            past.popleft()
        arrived = past[0][1] if past[0][0] <= due_s else np.full_like(past[0][1], np.nan)
        values[hit] = arrived[np.searchsorted(rows, hit)]

    def _miscount(
        self,
        spec: FaultSpec,
        hit: NDArray[np.intp],
        values: NDArray[np.float64],
        time_s: float,
        passed: NDArray[np.float64],
    ) -> None:
        dice, drift = self._dice(spec, time_s), self._drift[spec]
        for row in hit:
            if self._counters[row]:
                count = int(passed[row])
                drift[row] += _recount(dice, count, spec.rate, spec.rate) - max(count, 0)
            elif "count" in self._detectors[row].fields:
                self._watch(dice, int(row), values, spec.rate, spec.rate)
        # A counter keeps its error when the fault is over.
        values[:, _COUNT] += drift

    def _rain(
        self, spec: FaultSpec, hit: NDArray[np.intp], values: NDArray[np.float64], time_s: float
    ) -> None:
        dice = self._dice(spec, time_s)
        spell = int(time_s // _RAIN_SPELL_S)
        for row in hit:
            detector = self._detectors[row]
            overlooked, blind = RAIN_MISSES[detector.kind]
            self._watch(dice, int(row), values, overlooked * spec.intensity, 0.0)
            if self._draw(spec, detector.id, "blind", spell) < blind * spec.intensity:
                values[row] = np.nan

    def _watch(
        self,
        dice: np.random.Generator,
        row: int,
        values: NDArray[np.float64],
        overlooked: float,
        doubled: float,
    ) -> None:
        """Count again what a camera sees at one moment: standing and moving ones."""
        count, stopped = values[row, _COUNT], values[row, _STOPPED]
        if math.isnan(count):
            return
        standing = 0 if math.isnan(stopped) else round(stopped)
        apart = self._detectors[row].kind == "pedestrian"  # who waits is not on the crossing
        moving = round(count) if apart else max(round(count) - standing, 0)
        seen_standing = _recount(dice, standing, overlooked, doubled)
        seen_moving = _recount(dice, moving, overlooked, doubled)
        values[row, _COUNT] = seen_moving + (0 if apart else seen_standing)
        values[row, _STOPPED] = seen_standing
        if standing:
            values[row, _QUEUE] *= min(seen_standing / standing, 1.0)
        if not values[row, _COUNT]:
            values[row, _SPEED] = np.nan

    def _keep_counters(self, values: NDArray[np.float64]) -> bool:
        """A counter on the street runs forward only, whatever noise and delay do to it."""
        counts = np.where(self._counters, values[:, _COUNT], np.nan)
        self._floor = np.fmax(self._floor, counts)
        held = ~np.isnan(counts)
        values[held, _COUNT] = self._floor[held]
        return True

    def _forget(self, rows: NDArray[np.intp]) -> None:
        """Counters that were switched off and on begin anew."""
        if not rows.size:
            return
        self._floor[rows] = -np.inf
        for drift in self._drift.values():
            drift[rows] = 0.0
        for spec, members in self._stages:
            if spec.kind == "latency":
                mine = np.flatnonzero(np.isin(members, rows))
                for _, values in self._past[spec]:
                    values[mine] = np.nan

    def _draw(self, spec: FaultSpec, *parts: object) -> float:
        """A number from 0 to 1 that hangs on the day, the fault and the parts alone."""
        return self._key(spec, *parts) / 2**64

    def _dice(self, spec: FaultSpec, time_s: float) -> np.random.Generator:
        return np.random.default_rng(self._key(spec, int(time_s)))

    def _key(self, spec: FaultSpec, *parts: object) -> int:
        words = [str(part) for part in (self._seed, self._junction, spec.text, *parts)]
        found = hashlib.blake2b("\n".join(words).encode(), digest_size=8).digest()
        return int.from_bytes(found, "big")


def _recount(dice: np.random.Generator, count: int, overlooked: float, doubled: float) -> int:
    if count <= 0:
        return 0
    seen = count - int(dice.binomial(count, overlooked))
    return seen + (int(dice.binomial(count, doubled)) if doubled else 0)

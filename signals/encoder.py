"""From detector readings and lights to observations, for any number of junctions at once.

It first gathers the readings by movement, in physical units (`Measures`, what classical agents
read), then scales them into fixed bounds (what a learned policy reads). The rows of all junctions
stand one below the other, see `signals.places`, so that many cost few array operations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from signals.detectors import FIELDS, MAX_GAP_S, Readings
from signals.features import (
    ELAPSED_S,
    MEASURES,
    MOVEMENT_FEATURES,
    PHASE_FEATURES,
    Maxima,
    Measures,
    Observation,
)
from signals.lights import CLEARANCE, GREEN, GuardState, Options
from signals.places import (
    ALIVE,
    CELLS,
    COUNT,
    DEAD,
    GAP,
    HIGHEST,
    LOWEST,
    MOMENT,
    SPEED,
    SUMS,
    TOTALS,
    WEIGHT,
    joined,
)

if TYPE_CHECKING:
    from signals.observation import ObservationSpec
    from signals.planned import Planned

_DYNAMIC = MOVEMENT_FEATURES.index("near_vehicles")
"""The features before are those of the street and its plan."""
_SHOWN = np.array(
    [
        MEASURES.index(name)
        for name in (
            *("near", "near_stopped", "far", "far_stopped", "near", "far", "queue_m"),
            *("near_speed_mps", "far_speed_mps", "occupied", "gap_s"),
            *("exit", "exit_stopped", "waiting"),
        )
    ]
)
"""Measures that the first of the others are made of; those of the lights come behind."""
_BEGUN, _HELD, _OPEN, _RED_SHARE, _DUE, _LEFT = (
    PHASE_FEATURES.index(name)
    for name in ("begun", "held", "open", "red_share", "plan_due", "plan_left")
)
_RECENT = MOVEMENT_FEATURES.index("recent") - _DYNAMIC
_STOP = TOTALS.index(("stop_loop", COUNT))
_STOP_LINE = [TOTALS.index(("near_zone", COUNT)), _STOP]
_WEIGHTS, _MOMENTS = slice(2 * len(TOTALS), 2 * len(TOTALS) + 2), slice(-4, -2)
_OCCUPIED = -2
_LIGHTS = len(_SHOWN)
_MISSING = MEASURES.index("missing")


@dataclass(frozen=True, slots=True)
class Encoded:
    """Arrays of all junctions, one below the other.

    Attributes:
        measures: (`MEASURES`, all movements) float64.
        movements: (all movements, F) float32.
        phases: (all phases, G) float32.
        mask: (all phases,) float32.
    """

    measures: NDArray[np.float64]
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
        self._places = joined([spec.places for spec in specs])
        self._size = len(self._places.limit_mps)
        self._least = self._places.sizes[_STOP_LINE].sum(axis=0) / 2.0
        self._planned: list[Planned] = []
        self._movements = _slices([len(spec.static_features) for spec in specs])
        self._phases = _slices([len(spec.serves) for spec in specs])

    def encode(
        self,
        values: NDArray[np.float64],
        states: Sequence[GuardState],
        clocks_s: Sequence[float],
        options: Sequence[Options] | None = None,
    ) -> Encoded:
        """Gather and scale.

        Args:
            values: (all detectors, fields) readings.
            states: Lights and timers of each junction.
            clocks_s: Clock time of the readings of each (s since midnight).
            options: What may be wished at each junction; None asks the guards.
        """
        if options is None:
            options = [s.guard.options(state) for s, state in zip(self.specs, states, strict=True)]
        planned = [spec.planned(now_s) for spec, now_s in zip(self.specs, clocks_s, strict=True)]
        if planned != self._planned:
            self._planned = planned
            self._static = np.concatenate([own.movements for own in planned])
        mask = np.array(list(chain.from_iterable([item.mask for item in options])), np.float32)
        measures = self._gathered(values)
        lights = [
            chain.from_iterable([state.indications for state in states]),
            chain.from_iterable([state.elapsed_s for state in states]),
            chain.from_iterable([state.waiting_s for state in states]),
        ]
        groups = np.array(list(chain.from_iterable(lights)), np.float64).reshape(len(lights), -1)
        groups[2] /= self._places.max_red_s
        groups[2].clip(0.0, 1.0, out=groups[2])
        return Encoded(
            measures,
            self._movement_array(measures, groups),
            self._phase_array(states, clocks_s, groups[2], mask),
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
        found = self.encode(values, states, [item.time_s for item in readings])
        return tuple(
            [
                Observation(
                    measures=Measures(found.measures[:, rows]),
                    state=state,
                    time_s=reading.time_s,
                    movements=found.movements[rows],
                    phases=found.phases[own],
                    serves=spec.serves,
                    mask=found.mask[own],
                )
                for spec, reading, state, rows, own in zip(
                    self.specs, readings, states, self._movements, self._phases, strict=True
                )
            ]
        )

    def measure(self, values: NDArray[np.float64]) -> Measures:
        """Gather readings by movement, see `Measures`.

        Args:
            values: (all detectors, fields) readings.
        """
        return Measures(self._gathered(values))

    def _gathered(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """(`MEASURES`, movements) what the readings say of each movement."""
        places, size, count = self._places, self._size, len(TOTALS)
        cells = self._cells(values)
        added = cells.take(places.summed) * places.shares
        sums = np.bincount(places.sums, added, minlength=size * SUMS)
        sums = np.ascontiguousarray(sums.reshape(size, SUMS).T)
        answering = sums[count : 2 * count]
        any_answers = answering > 0
        weights, moments = sums[_WEIGHTS], sums[_MOMENTS]
        highest = np.zeros(size * len(HIGHEST))
        highest[places.highest_rows] = np.maximum.reduceat(
            cells.take(places.highest), places.highest_starts
        )
        lowest = np.full(size * len(LOWEST), MAX_GAP_S)
        lowest[places.lowest_rows] = np.minimum.reduceat(
            cells.take(places.lowest), places.lowest_starts
        )
        near_queue, far_queue, on_loop = highest.reshape(size, len(HIGHEST)).T
        scale = np.ones((count, size))
        np.divide(places.sizes, answering, out=scale, where=any_answers)
        totals = sums[:count] * scale
        table = np.empty((len(MEASURES), size))
        table[0:4] = totals[0:4]
        np.add(near_queue, far_queue, out=table[4])
        table[5:7] = places.limit_mps
        np.divide(moments, weights, out=table[5:7], where=weights > 0)
        table[7] = on_loop
        table[8] = 0.0
        np.divide(sums[_OCCUPIED], answering[_STOP], out=table[8], where=any_answers[_STOP])
        table[9:11] = lowest.reshape(size, len(LOWEST)).T
        table[11:15] = totals[4:8]
        table[15] = sums[-1]
        np.less(answering[_STOP_LINE].sum(axis=0), self._least, out=table[16])
        return table

    def _cells(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """What is known of each detector, flattened, see `signals.places`."""
        gone = np.isnan(values)
        cells = np.empty((len(values), CELLS))
        fields = cells[:, : len(FIELDS)]
        fields[:] = values
        np.copyto(fields, 0.0, where=gone)
        dead = gone.take(self._places.first)
        cells[:, DEAD] = dead
        cells[:, ALIVE] = ~dead
        # A zone without vehicles has no speed.
        weight = np.where(gone[:, SPEED], 0.0, fields[:, COUNT])
        cells[:, WEIGHT] = weight
        np.multiply(weight, fields[:, SPEED], out=cells[:, MOMENT])
        np.minimum(np.where(gone[:, GAP], MAX_GAP_S, values[:, GAP]), MAX_GAP_S, out=cells[:, GAP])
        return cells.ravel()

    def _movement_array(
        self, measures: NDArray[np.float64], groups: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        shown, elapsed, red_share = groups.take(self._places.group_of, axis=1)
        features = np.empty((len(_SHOWN) + 5, self._size))
        features[:_LIGHTS] = measures.take(_SHOWN, axis=0)
        features[_LIGHTS] = shown == GREEN
        features[_LIGHTS + 1] = shown == CLEARANCE
        features[_LIGHTS + 2] = elapsed
        features[_LIGHTS + 3] = red_share
        features[_LIGHTS + 4] = measures[_MISSING]
        features /= self._places.scales
        np.subtract(1.0, features[_RECENT], out=features[_RECENT])
        table = self._static.copy()
        table[:, _DYNAMIC:] = features.clip(0.0, 1.0, out=features).T
        return table

    def _phase_array(
        self,
        states: Sequence[GuardState],
        clocks_s: Sequence[float],
        red_share: NDArray[np.float64],
        mask: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        given = list(zip(self._planned, self._phases, states, clocks_s, strict=True))
        table = np.concatenate([planned.phases[state.phase] for planned, _, state, _ in given])
        now = [own.start + state.phase for _, own, state, _ in given]
        due = [(own.start, planned.due(now_s)) for planned, own, _, now_s in given]
        held = np.array([state.held_s for state in states], np.float64)
        table[now, _BEGUN] = held > 0
        table[now, _HELD] = np.minimum(held / ELAPSED_S, 1.0)
        table[:, _OPEN] = mask
        table[:, _RED_SHARE] = np.maximum.reduceat(
            red_share.take(self._places.phase_groups), self._places.phase_starts
        )
        table[now, _LEFT] = [
            planned.left(state.phase, state.held_s) for planned, _, state, _ in given
        ]
        table[[start + phase for start, phase in due if phase >= 0], _DUE] = 1.0
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


def _places(sizes: Sequence[int]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Junction, and row within it, of each row of the arrays."""
    junction = np.repeat(np.arange(len(sizes)), sizes)
    return junction, np.concatenate([np.arange(size) for size in sizes])


def _slices(sizes: Sequence[int]) -> list[slice]:
    ends = np.cumsum(sizes).tolist()
    return [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]

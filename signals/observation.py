"""The observation: the only encoder from detector readings to what an agent sees.

`ObservationSpec.encode` first gathers the readings by movement, in physical units (`Measures`, what
classical agents read), then scales them into fixed bounds (what a learned policy reads). There are
no running statistics; the same readings and lights always give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from signals.detectors import FIELDS, MAX_GAP_S, DetectorKind, DetectorSpec, Readings, layout
from signals.guard import CLEARANCE, GREEN, Guard, GuardState
from signals.junction import Junction

if TYPE_CHECKING:
    from gymnasium import spaces

SPEC_VERSION = 1

MOVEMENT_FEATURES = (
    "through",
    "left",
    "right",
    "uturn",
    "pedestrian",
    "bus",
    "lanes",
    "near_vehicles",
    "near_stopped",
    "far_vehicles",
    "far_stopped",
    "near_density",
    "far_density",
    "queue",
    "near_speed",
    "far_speed",
    "occupied",
    "recent",
    "exit_density",
    "exit_stopped",
    "waiting",
    "green",
    "clearance",
    "elapsed",
    "red_share",
    "missing",
)
PHASE_FEATURES = (
    "current",
    "begun",
    "held",
    "open",
    "change",
    "walk",
    "red_share",
    "keeps_green",
)

_SUMMED = ("near_zone", "far_zone", "stop_loop", "exit", "pedestrian")
_LANES = 6.0
_VEHICLES = 30.0
_VEHICLE_SPACE_M = 7.5
_QUEUE_M = 150.0
_SPEED_MPS = 20.0
_RECENT_S = 10.0
_WAITING = 60.0
_ELAPSED_S = 120.0
_CHANGE_S = 10.0
_WALK_S = 60.0


@dataclass(frozen=True, slots=True)
class Measures:
    """Readings gathered by movement, physical units, each (movements,) float64.

    Sums over lanes of which some are missing are scaled up from those that answer; a movement of
    which nothing answers has zeros and ``missing`` 1.

    Attributes:
        near: Vehicles within 50 m of the stop line.
        near_stopped: Stopped ones among them.
        far: Vehicles from there to 150 m.
        far_stopped: Stopped ones among them.
        queue_m: Longest queue of its lanes (m).
        near_speed_mps: Mean speed near; the limit when empty (m/s).
        far_speed_mps: Mean speed far; the limit when empty (m/s).
        occupied: A stop-line loop is occupied.
        gap_s: Shortest time since a vehicle left one of its loops (s).
        advance_gap_s: The same of its advance loops (s).
        passed: Vehicles counted at the stop line since the start.
        exit: Vehicles on the first 100 m of its exit lanes.
        exit_stopped: Stopped ones among them.
        waiting: People waiting to cross.
        missing: Share of its detectors that do not answer.
    """

    near: NDArray[np.float64]
    near_stopped: NDArray[np.float64]
    far: NDArray[np.float64]
    far_stopped: NDArray[np.float64]
    queue_m: NDArray[np.float64]
    near_speed_mps: NDArray[np.float64]
    far_speed_mps: NDArray[np.float64]
    occupied: NDArray[np.float64]
    gap_s: NDArray[np.float64]
    advance_gap_s: NDArray[np.float64]
    passed: NDArray[np.float64]
    exit: NDArray[np.float64]
    exit_stopped: NDArray[np.float64]
    waiting: NDArray[np.float64]
    missing: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Observation:
    """What an agent decides on.

    Attributes:
        measures: Per movement, physical units.
        state: Lights and their timers.
        time_s: Clock time (s since midnight).
        movements: (M, F) float32 in [0, 1].
        phases: (P, G) float32 in [0, 1].
        serves: (P, M) float32, 1 where the phase gives the movement green.
        mask: (P,) float32, 1 where a wish would be granted.
    """

    measures: Measures
    state: GuardState
    time_s: float
    movements: NDArray[np.float32]
    phases: NDArray[np.float32]
    serves: NDArray[np.float32]
    mask: NDArray[np.float32]

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """The four arrays by name, as the observation space has them."""
        return {
            "movements": self.movements,
            "phases": self.phases,
            "serves": self.serves,
            "mask": self.mask,
        }

    def vectors(self) -> dict[str, NDArray[np.float32]]:
        """Fresh copies of the arrays, flattened row by row, as the Gymnasium space has them."""
        return {name: array.flatten() for name, array in self.arrays().items()}


class ObservationSpec:
    """Shapes, scales and the encoder of one junction's observation.

    Args:
        junction: The junction.
        guard: Its guard, made from the junction when not given.
    """

    def __init__(self, junction: Junction, guard: Guard | None = None) -> None:
        self.junction = junction
        self.guard = guard or Guard(junction)
        self.detectors: tuple[DetectorSpec, ...] = layout(junction)
        self._limit_mps = np.array(
            [
                max(
                    (lane.speed_mps for lane in junction.lanes if lane.id in movement.lanes),
                    default=_SPEED_MPS,
                )
                for movement in junction.movements
            ]
        )
        self._near = self._members("near_zone")
        self._far = self._members("far_zone")
        self._stop = self._members("stop_loop")
        self._advance = self._members("advance_loop")
        self._exit = self._members("exit")
        self._walk = self._members("pedestrian")
        summed = [self._near, self._far, self._stop, self._exit, self._walk]
        self._stacked = np.concatenate(summed)
        self._size_of = np.stack([members.sum(axis=1) for members in summed])
        self._rows = np.arange(len(self.detectors))
        self._length_m = np.array([spec.length_m for spec in self.detectors])
        self._room = [
            np.maximum(members @ self._length_m / _VEHICLE_SPACE_M, 1.0)
            for members in (self._near, self._far, self._exit)
        ]
        own = self._near + self._far + self._stop + self._advance + self._exit + self._walk
        self._own = own / np.maximum(own.sum(axis=1, keepdims=True), 1.0)
        self._first = np.array(
            [FIELDS.index(spec.fields[0]) for spec in self.detectors], dtype=np.intp
        )
        self._group_of = np.array(
            [junction.group_index[movement.group] for movement in junction.movements],
            dtype=np.intp,
        )
        self._max_red_s = np.array(
            [float(junction.timing.groups[group.id].max_red_s) for group in junction.groups]
        )
        self._static = self._static_features()
        serves = np.zeros((len(junction.phases), len(junction.movements)), dtype=np.float32)
        for phase in junction.phases:
            for column, movement in enumerate(junction.movements):
                serves[phase.index, column] = movement.group in phase.groups
        serves.setflags(write=False)
        self.serves = serves
        self._phase_static = self._phase_tables()

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each array."""
        movements, phases = len(self.junction.movements), len(self.junction.phases)
        return {
            "movements": (movements, len(MOVEMENT_FEATURES)),
            "phases": (phases, len(PHASE_FEATURES)),
            "serves": (phases, movements),
            "mask": (phases,),
        }

    @property
    def hash(self) -> str:
        """SHA-256 over version, features, detectors and junction; a bundle promises it."""
        text = json.dumps(
            {
                "version": SPEC_VERSION,
                "movement_features": MOVEMENT_FEATURES,
                "phase_features": PHASE_FEATURES,
                "detectors": [spec.id for spec in self.detectors],
                "junction": self.junction.hash,
            },
            sort_keys=True,
        )
        return hashlib.sha256(text.encode()).hexdigest()

    def space(self) -> spaces.Dict:
        """The Gymnasium space of `Observation.vectors`: float32 boxes in [0, 1].

        The arrays are flattened row by row, because libraries expect vectors; `shapes` tells how
        to fold them back.
        """
        from gymnasium import spaces

        return spaces.Dict(
            {
                name: spaces.Box(0.0, 1.0, (int(np.prod(shape)),), np.float32)
                for name, shape in self.shapes.items()
            }
        )

    def encode(self, readings: Readings, state: GuardState) -> Observation:
        """Gather and scale.

        Args:
            readings: Values (detectors, fields) in the order of `detectors`.
            state: Lights and their timers.

        Returns:
            The observation.
        """
        measures = self.measure(readings)
        options = self.guard.options(state)
        mask = np.array(options.mask, dtype=np.float32)
        return Observation(
            measures=measures,
            state=state,
            time_s=readings.time_s,
            movements=self._movement_array(measures, state),
            phases=self._phase_array(state, mask),
            serves=self.serves,
            mask=mask,
        )

    def measure(self, readings: Readings) -> Measures:
        """Gather readings by movement, see `Measures`."""
        values = readings.values
        dead = np.isnan(values[self._rows, self._first])
        clean = np.where(np.isnan(values), 0.0, values)
        table = np.column_stack([clean[:, 0], clean[:, 1], (~dead).astype(np.float64)])
        sums = (self._stacked @ table).reshape(len(_SUMMED), -1, 3)
        alive = sums[:, :, 2]
        scale = np.divide(self._size_of, alive, out=np.ones_like(alive), where=alive > 0)
        count, stopped = sums[:, :, 0] * scale, sums[:, :, 1] * scale
        near, far, stop, exits, walk = range(len(_SUMMED))
        gaps = np.where(np.isnan(values[:, 5]), MAX_GAP_S, values[:, 5])
        return Measures(
            near=count[near],
            near_stopped=stopped[near],
            far=count[far],
            far_stopped=stopped[far],
            queue_m=(self._near * clean[:, 2]).max(axis=1) + (self._far * clean[:, 2]).max(axis=1),
            near_speed_mps=self._mean(self._near, values[:, 3], clean),
            far_speed_mps=self._mean(self._far, values[:, 3], clean),
            occupied=(self._stop * clean[:, 4]).max(axis=1),
            gap_s=np.where(self._stop > 0, gaps, MAX_GAP_S).min(axis=1),
            advance_gap_s=np.where(self._advance > 0, gaps, MAX_GAP_S).min(axis=1),
            passed=count[stop],
            exit=count[exits],
            exit_stopped=stopped[exits],
            waiting=stopped[walk],
            missing=self._own @ dead.astype(np.float64),
        )

    def _members(self, kind: DetectorKind) -> NDArray[np.float64]:
        """(movements, detectors) membership of one kind of detector."""
        table = np.zeros((len(self.junction.movements), len(self.detectors)))
        for row, movement in enumerate(self.junction.movements):
            watched = (
                {piece.lane for piece in movement.exits} if kind == "exit" else set(movement.lanes)
            )
            for column, spec in enumerate(self.detectors):
                if spec.kind != kind:
                    continue
                subject = spec.movement or spec.id.partition("/")[2]
                table[row, column] = subject == movement.id or subject in watched
        return table

    def _mean(
        self,
        members: NDArray[np.float64],
        speeds: NDArray[np.float64],
        clean: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        weight = np.where(np.isnan(speeds), 0.0, clean[:, 0])
        total = members @ weight
        speed = members @ (weight * clean[:, 3])
        result: NDArray[np.float64] = np.divide(
            speed, total, out=self._limit_mps.copy(), where=total > 0
        )
        return result

    def _static_features(self) -> NDArray[np.float32]:
        table = np.zeros(self.shapes["movements"], dtype=np.float32)
        for row, movement in enumerate(self.junction.movements):
            table[row, MOVEMENT_FEATURES.index(movement.kind)] = 1.0
            table[row, MOVEMENT_FEATURES.index("bus")] = movement.bus
            lanes = 0 if movement.kind == "pedestrian" else len(movement.lanes)
            table[row, MOVEMENT_FEATURES.index("lanes")] = min(lanes / _LANES, 1.0)
        return table

    def _movement_array(self, measures: Measures, state: GuardState) -> NDArray[np.float32]:
        shown = np.array(state.indications)[self._group_of]
        elapsed = np.array(state.elapsed_s, dtype=np.float64)[self._group_of]
        waited = np.array(state.waiting_s, dtype=np.float64)[self._group_of]
        columns = {
            "near_vehicles": measures.near / _VEHICLES,
            "near_stopped": measures.near_stopped / _VEHICLES,
            "far_vehicles": measures.far / _VEHICLES,
            "far_stopped": measures.far_stopped / _VEHICLES,
            "near_density": measures.near / self._room[0],
            "far_density": measures.far / self._room[1],
            "queue": measures.queue_m / _QUEUE_M,
            "near_speed": measures.near_speed_mps / _SPEED_MPS,
            "far_speed": measures.far_speed_mps / _SPEED_MPS,
            "occupied": measures.occupied,
            "recent": 1.0 - measures.gap_s / _RECENT_S,
            "exit_density": measures.exit / self._room[2],
            "exit_stopped": measures.exit_stopped / self._room[2],
            "waiting": measures.waiting / _WAITING,
            "green": shown == GREEN,
            "clearance": shown == CLEARANCE,
            "elapsed": elapsed / _ELAPSED_S,
            "red_share": waited / self._max_red_s[self._group_of],
            "missing": measures.missing,
        }
        table = self._static.copy()
        first = MOVEMENT_FEATURES.index("near_vehicles")
        for offset, name in enumerate(MOVEMENT_FEATURES[first:]):
            table[:, first + offset] = np.clip(columns[name], 0.0, 1.0)
        return table

    def _phase_tables(self) -> dict[str, NDArray[np.float32]]:
        """Per pair of phases (from, to): time to change, walk to serve, groups that stay green."""
        phases, timing = self.junction.phases, self.junction.timing
        size = len(phases)
        tables = {
            name: np.zeros((size, size), dtype=np.float32)
            for name in ("change", "walk", "keeps_green")
        }
        walkers = {group.id for group in self.junction.groups if group.kind == "pedestrian"}
        for before in phases:
            for after in phases:
                leaving = set(before.groups) - set(after.groups) - walkers
                entering = (set(after.groups) - set(before.groups)) & walkers
                tables["change"][before.index, after.index] = (
                    max((timing.intergreen_s(group) for group in leaving), default=0) / _CHANGE_S
                )
                tables["walk"][before.index, after.index] = (
                    max(
                        (
                            timing.groups[group].min_green_s + timing.groups[group].clearance_s
                            for group in entering
                        ),
                        default=0,
                    )
                    / _WALK_S
                )
                tables["keeps_green"][before.index, after.index] = len(
                    set(before.groups) & set(after.groups)
                ) / len(after.groups)
        return {name: np.clip(table, 0.0, 1.0) for name, table in tables.items()}

    def _phase_array(self, state: GuardState, mask: NDArray[np.float32]) -> NDArray[np.float32]:
        table = np.zeros(self.shapes["phases"], dtype=np.float32)
        now = state.phase
        table[now, 0] = 1.0
        table[now, 1] = state.held_s > 0
        table[now, 2] = min(state.held_s / _ELAPSED_S, 1.0)
        table[:, 3] = mask
        table[:, 4] = self._phase_static["change"][now]
        table[:, 5] = self._phase_static["walk"][now]
        share = np.clip(np.array(state.waiting_s) / self._max_red_s, 0.0, 1.0)
        index = self.junction.group_index
        for phase in self.junction.phases:
            table[phase.index, 6] = max(
                (share[index[group]] for group in phase.groups), default=0.0
            )
        table[:, 7] = self._phase_static["keeps_green"][now]
        return table

    def to_dict(self) -> dict[str, Any]:
        """JSON-able description for a contract: hash, shapes and feature names."""
        return {
            "version": SPEC_VERSION,
            "hash": self.hash,
            "shapes": {name: list(shape) for name, shape in self.shapes.items()},
            "movement_features": list(MOVEMENT_FEATURES),
            "phase_features": list(PHASE_FEATURES),
            "detectors": [spec.id for spec in self.detectors],
        }

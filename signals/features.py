"""What an agent sees: the features, their scales, and the arrays of one observation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from signals.lights import GuardState

MOVEMENT_FEATURES = (
    "through",
    "left",
    "right",
    "uturn",
    "pedestrian",
    "bus",
    "lanes",
    "plan_green",
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
    "plan_next",
    "plan_split",
    "plan_share",
    "plan_due",
    "plan_left",
    "crossing",
)

LANES = 6.0
"""Lanes of a movement that make a feature of 1; the scales below likewise."""
VEHICLES = 30.0
VEHICLE_SPACE_M = 7.5
"""Room that a standing vehicle takes (m)."""
QUEUE_M = 150.0
SPEED_MPS = 20.0
RECENT_S = 10.0
WAITING = 60.0
ELAPSED_S = 120.0
CHANGE_S = 10.0
WALK_S = 60.0


@dataclass(frozen=True, slots=True)
class Maxima:
    """The sizes that observations of different junctions are padded to.

    Attributes:
        movements: Rows of movements.
        phases: Rows of phases.
    """

    movements: int
    phases: int

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each padded array."""
        return {
            "movements": (self.movements, len(MOVEMENT_FEATURES)),
            "phases": (self.phases, len(PHASE_FEATURES)),
            "serves": (self.phases, self.movements),
            "mask": (self.phases,),
        }


MEASURES = (
    "near",
    "near_stopped",
    "far",
    "far_stopped",
    "queue_m",
    "near_speed_mps",
    "far_speed_mps",
    "occupied",
    "occupancy",
    "gap_s",
    "advance_gap_s",
    "passed",
    "exit",
    "exit_stopped",
    "waiting",
    "missing",
    "unseen",
)
"""Rows of `Measures`."""


class _Row:
    """A row of a table of `Measures`, by its name."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._number = MEASURES.index(name)

    def __get__(self, measures: Measures, owner: type) -> NDArray[np.float64]:
        row: NDArray[np.float64] = measures.table[self._number]
        return row


@dataclass(frozen=True, slots=True)
class Measures:
    """Readings gathered by movement, physical units, each (movements,) float64.

    Sums over lanes of which some are missing are scaled up from those that answer; a movement of
    which nothing answers has zeros and ``missing`` 1.

    Attributes:
        table: (`MEASURES`, movements) float64, of which the others are the rows.
        near: Vehicles within 50 m of the stop line.
        near_stopped: Stopped ones among them.
        far: Vehicles from there to 150 m.
        far_stopped: Stopped ones among them.
        queue_m: Longest queue of its lanes (m).
        near_speed_mps: Mean speed near; the limit when empty (m/s).
        far_speed_mps: Mean speed far; the limit when empty (m/s).
        occupied: A stop-line loop is occupied.
        occupancy: Share of its stop-line loops that are occupied.
        gap_s: Shortest time since a vehicle left one of its loops (s).
        advance_gap_s: The same of its advance loops (s).
        passed: Vehicles counted at the stop line since the start.
        exit: Vehicles on the first 100 m of its exit lanes.
        exit_stopped: Stopped ones among them.
        waiting: People waiting to cross.
        missing: Share of its detectors that do not answer.
        unseen: 1 where fewer than half of its near zones and stop-line loops answer.
    """

    table: NDArray[np.float64]

    near = _Row()
    near_stopped = _Row()
    far = _Row()
    far_stopped = _Row()
    queue_m = _Row()
    near_speed_mps = _Row()
    far_speed_mps = _Row()
    occupied = _Row()
    occupancy = _Row()
    gap_s = _Row()
    advance_gap_s = _Row()
    passed = _Row()
    exit = _Row()
    exit_stopped = _Row()
    waiting = _Row()
    missing = _Row()
    unseen = _Row()


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

    def vectors(self, maxima: Maxima | None = None) -> dict[str, NDArray[np.float32]]:
        """Fresh copies of the arrays, flattened row by row, as the Gymnasium space has them.

        Args:
            maxima: Sizes to pad to with rows of zeros (mask 0); None pads nothing.
        """
        if maxima is None:
            return {name: array.flatten() for name, array in self.arrays().items()}
        found: dict[str, NDArray[np.float32]] = {}
        for name, array in self.arrays().items():
            padded = np.zeros(maxima.shapes[name], dtype=np.float32)
            padded[tuple(slice(size) for size in array.shape)] = array
            found[name] = padded.ravel()
        return found

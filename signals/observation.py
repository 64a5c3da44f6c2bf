"""The observation of one junction: its detectors, shapes and hash, and the way to encode it.

There is one encoder, `signals.encoder.Encoder`; there are no running statistics; the same readings
and lights always give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from signals.detectors import DetectorSpec, Readings, layout
from signals.encoder import Encoder
from signals.features import (
    CHANGE_S,
    LANES,
    MOVEMENT_FEATURES,
    PHASE_FEATURES,
    WALK_S,
    Maxima,
    Measures,
    Observation,
)
from signals.guard import Guard
from signals.junction import Junction
from signals.lights import GuardState
from signals.places import Part, part_of
from signals.plan import Plan
from signals.planned import Planned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Set

    from gymnasium import spaces

__all__ = [
    "MOVEMENT_FEATURES",
    "PHASE_FEATURES",
    "SPEC_VERSION",
    "Maxima",
    "Measures",
    "Observation",
    "ObservationSpec",
    "features_hash",
    "maxima_of",
    "space_of",
]

SPEC_VERSION = 2


class ObservationSpec:
    """Shapes, scales and the encoder of one junction's observation.

    Args:
        junction: The junction.
        guard: Its guard, made from the junction when not given.
        plan_at: Gives the plan in force at a clock time (s since midnight), or None; without it
            the features that speak of the plan are 0.
    """

    def __init__(
        self,
        junction: Junction,
        guard: Guard | None = None,
        plan_at: Callable[[float], Plan | None] | None = None,
    ) -> None:
        self.junction = junction
        self.guard = guard or Guard(junction)
        self.detectors: tuple[DetectorSpec, ...] = layout(junction)
        self.static_features = self._static_features()
        serves = np.zeros((len(junction.phases), len(junction.movements)), dtype=np.float32)
        for phase in junction.phases:
            for column, movement in enumerate(junction.movements):
                serves[phase.index, column] = movement.group in phase.groups
        serves.setflags(write=False)
        self.serves = serves
        self.phase_features = self._phase_features()
        self._plan_at = plan_at
        self._planned: dict[int, tuple[Plan | None, Planned]] = {}

    def planned(self, clock_s: float) -> Planned:
        """What the plan in force says.

        Args:
            clock_s: Seconds since midnight.
        """
        plan = None if self._plan_at is None else self._plan_at(clock_s)
        # The plan is kept beside, so that its id stays its own.
        found = self._planned.get(id(plan))
        if found is None:
            found = plan, Planned(self.junction, plan, self.static_features, self.phase_features)
            self._planned[id(plan)] = found
        return found[1]

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

    def space(self, maxima: Maxima | None = None) -> spaces.Dict:
        """The Gymnasium space of `Observation.vectors`: float32 boxes in [0, 1].

        The arrays are flattened row by row, because libraries expect vectors; `shapes` tells how
        to fold them back.

        Args:
            maxima: Sizes that the observations are padded to; None pads nothing.
        """
        return space_of((maxima or self).shapes)

    def encode(self, readings: Readings, state: GuardState) -> Observation:
        """Gather and scale.

        Args:
            readings: Values (detectors, fields) in the order of `detectors`.
            state: Lights and their timers.

        Returns:
            The observation.
        """
        return self._encoder.observations((readings,), (state,))[0]

    def measure(self, readings: Readings) -> Measures:
        """Gather readings by movement, see `Measures`."""
        return self._encoder.measure(readings.values)

    @cached_property
    def places(self) -> Part:
        """Where the encoder finds what belongs to this junction."""
        return part_of(self.junction, self.detectors)

    @cached_property
    def _encoder(self) -> Encoder:
        return Encoder((self,))

    def _static_features(self) -> NDArray[np.float32]:
        table = np.zeros(self.shapes["movements"], dtype=np.float32)
        for row, movement in enumerate(self.junction.movements):
            table[row, MOVEMENT_FEATURES.index(movement.kind)] = 1.0
            table[row, MOVEMENT_FEATURES.index("bus")] = movement.bus
            lanes = 0 if movement.kind == "pedestrian" else len(movement.lanes)
            table[row, MOVEMENT_FEATURES.index("lanes")] = min(lanes / LANES, 1.0)
        return table

    def _phase_features(self) -> tuple[NDArray[np.float32], ...]:
        """For each present phase, the features (P, G) of all phases, without those that change."""
        phases, timing = self.junction.phases, self.junction.timing
        walkers = {group.id for group in self.junction.groups if group.kind == "pedestrian"}
        found = []
        for before in phases:
            table = np.zeros(self.shapes["phases"], dtype=np.float32)
            table[before.index, PHASE_FEATURES.index("current")] = 1.0
            for after in phases:
                leaving = set(before.groups) - set(after.groups) - walkers
                entering = (set(after.groups) - set(before.groups)) & walkers
                change_s = max((timing.intergreen_s(group) for group in leaving), default=0)
                walk_s = self._crossing_s(entering)
                stays = len(set(before.groups) & set(after.groups)) / len(after.groups)
                for name, value in (
                    ("change", change_s / CHANGE_S),
                    ("walk", walk_s / WALK_S),
                    ("keeps_green", stays),
                    ("crossing", self._crossing_s(walkers & set(after.groups)) / WALK_S),
                ):
                    table[after.index, PHASE_FEATURES.index(name)] = min(max(value, 0.0), 1.0)
            table.setflags(write=False)
            found.append(table)
        return tuple(found)

    def _crossing_s(self, walkers: Set[str]) -> int:
        """Longest walk with its clearance of some pedestrian groups; 0 of none."""
        groups = self.junction.timing.groups
        return max(
            (groups[group].min_green_s + groups[group].clearance_s for group in walkers), default=0
        )

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


def features_hash() -> str:
    """SHA-256 over version and feature names; a policy of any junction depends on these alone."""
    text = json.dumps([SPEC_VERSION, MOVEMENT_FEATURES, PHASE_FEATURES])
    return hashlib.sha256(text.encode()).hexdigest()


def space_of(shapes: Mapping[str, tuple[int, ...]]) -> spaces.Dict:
    """The Gymnasium space of flattened arrays of these shapes, float32 in [0, 1]."""
    from gymnasium import spaces

    return spaces.Dict(
        {
            name: spaces.Box(0.0, 1.0, (int(np.prod(shape)),), np.float32)
            for name, shape in shapes.items()
        }
    )


def maxima_of(specs: Iterable[ObservationSpec]) -> Maxima:
    """The smallest sizes that the observations of all these specs fit into."""
    junctions = [spec.junction for spec in specs]
    return Maxima(
        movements=max(len(item.movements) for item in junctions),
        phases=max(len(item.phases) for item in junctions),
    )

"""What a virtual controller is wired to: a SUMO run, or a pattern of load when there is no SUMO."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from signals.detectors import FIELDS, layout
from signals.fault_model import FaultModel
from signals.faults import FaultSpec
from signals.junction import Junction
from signals.world import World


class Street(Protocol):
    """Where the lights hang and the detectors lie."""

    def open(self) -> None:
        """Begin."""

    def show(self, index: int, lights: str) -> None:
        """Set the lights of one junction, as SUMO's state string."""

    def advance(self) -> None:
        """Let a second pass."""

    def values(self) -> list[NDArray[np.float64]]:
        """(detectors, fields) readings of each junction."""

    def finished(self) -> bool:
        """Whether the period is over."""

    def close(self) -> None:
        """End."""


class SumoStreet:
    """The junctions of one SUMO run.

    Args:
        world: What is simulated.
        seed: Demand day.
        trips_file: SUMO's tripinfo, None for none.
        faults: Of the detectors, further to the world's.
        options: Further SUMO options.

    Raises:
        MissingDependencyError: SUMO is not installed.
    """

    def __init__(
        self,
        world: World,
        seed: int,
        trips_file: Path | None = None,
        faults: Sequence[FaultSpec] = (),
        options: Sequence[str] = (),
    ) -> None:
        from signals.simulation.backend import RunOptions
        from signals.simulation.sumo_backend import SumoBackend

        self._world = world
        self._seed = seed
        self._options = RunOptions(trips_file=trips_file, extra=tuple(options))
        self._backend = SumoBackend()
        self._detectors = [layout(junction) for junction in world.junctions]
        self._ends = np.cumsum([len(own) for own in self._detectors])[:-1]
        specs = (*world.faults, *faults)
        self._faults = [
            FaultModel(specs, own, seed, junction.id)
            for own, junction in zip(self._detectors, world.junctions, strict=True)
            if specs
        ]
        self._shown = [""] * len(world.junctions)

    def open(self) -> None:
        """Load the run; the clock is at the beginning of its period."""
        self._backend.start(self._world, self._seed, self._detectors, self._options)

    def show(self, index: int, lights: str) -> None:
        """See `Street.show`."""
        if lights != self._shown[index]:
            self._backend.show(index, lights)
            self._shown[index] = lights

    def advance(self) -> None:
        """See `Street.advance`."""
        self._backend.advance()

    def values(self) -> list[NDArray[np.float64]]:
        """See `Street.values`."""
        from signals.detectors import Readings

        found = np.split(self._backend.values(), self._ends)
        if self._faults:
            clock_s = self._backend.clock_s()
            found = [
                model.apply(Readings(clock_s, own)).values
                for model, own in zip(self._faults, found, strict=True)
            ]
        return found

    def finished(self) -> bool:
        """See `Street.finished`."""
        return self._backend.clock_s() >= self._world.end_s

    def close(self) -> None:
        """See `Street.close`."""
        self._backend.close()


class LoadPattern:
    """Detectors that see waves of vehicles, without a simulation; nobody obeys the lights.

    Args:
        junctions: The junctions.
        seconds: When it is over, None for never.
    """

    def __init__(self, junctions: Sequence[Junction], seconds: float | None) -> None:
        self._detectors = [layout(junction) for junction in junctions]
        self._seconds = math.inf if seconds is None else seconds
        self._second = 0
        self._counts = [np.zeros(len(own)) for own in self._detectors]

    def open(self) -> None:
        """Nothing to load."""

    def show(self, index: int, lights: str) -> None:
        """Nobody looks."""

    def advance(self) -> None:
        """See `Street.advance`."""
        self._second += 1

    def values(self) -> list[NDArray[np.float64]]:
        """See `Street.values`."""
        found = []
        for own, counts in zip(self._detectors, self._counts, strict=True):
            values = np.full((len(own), len(FIELDS)), np.nan)
            for row, spec in enumerate(own):
                wave = 0.5 + 0.5 * math.sin(self._second / 40 + row)
                passing = float((self._second + row) % (4 + row % 7) == 0)
                counts[row] += passing
                present = {
                    "count": counts[row] if "occupied" in spec.fields else round(6 * wave),
                    "stopped": round(3 * wave),
                    "queue_m": round(20 * wave),
                    "speed_mps": 8.0,
                    "occupied": passing,
                    "gap_s": float((self._second + row) % (4 + row % 7)),
                }
                for name in spec.fields:
                    values[row, FIELDS.index(name)] = present[name]
            found.append(values)
        return found

    def finished(self) -> bool:
        """See `Street.finished`."""
        return self._second >= self._seconds

    def close(self) -> None:
        """Nothing to end."""

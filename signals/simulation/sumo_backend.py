"""SUMO through libsumo (in process) or traci (sumo-gui); the two offer the same calls."""

from __future__ import annotations

import importlib
import io
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from signals.detectors import DetectorSpec
from signals.errors import MissingDependencyError, SignalsError, SimulationError
from signals.hires import Passage
from signals.simulation.backend import RunOptions, sumo_arguments
from signals.simulation.losses import LossMeter, PersonLossMeter
from signals.simulation.readers import DetectorReader, loops_xml
from signals.simulation.streets import Streets
from signals.simulation.traffic import Traffic, call
from signals.simulation.window import GUI, Window, closing_told
from signals.world import World

_running: SumoBackend | None = None


class SumoBackend:
    """One SUMO run.

    libsumo keeps its simulation in the process, so that a second one at the same time would
    silently share it: that is refused.

    Args:
        gui: Show the run in sumo-gui, through traci.
        program: Drive this program through traci instead, e.g. ``sumo``.
    """

    def __init__(self, gui: bool = False, program: str = "") -> None:
        name = "traci" if gui or program else "libsumo"
        try:
            # libsumo prints when it finds a pyarrow that it was not built with, which matters for
            # files that are not written here; standard output is for results.
            with redirect_stdout(io.StringIO()):
                self._sumo: ModuleType = importlib.import_module(name)
        except ImportError as error:
            raise MissingDependencyError(name, "sim", "a simulation") from error
        self._window = Window(program or GUI) if gui or program else None
        self._folder: Path | None = None
        self._streets: tuple[tuple[object, ...], Streets] | None = None

    def start(
        self,
        world: World,
        seed: int,
        detectors: Sequence[Sequence[DetectorSpec]],
        options: RunOptions,
    ) -> None:
        """See `Backend.start`.

        Raises:
            SimulationError: Another simulation runs in this process, or SUMO refuses the input.
        """
        global _running
        if _running is not None and _running is not self:
            raise SimulationError(
                "a second libsumo simulation in one process is not possible; "
                "close the first environment, or use worker processes"
            )
        self.close()
        _running = self
        self._folder = Path(tempfile.mkdtemp(prefix="seoul-signals-"))
        detector_file = self._folder / "detectors.add.xml"
        detector_file.write_text(loops_xml(detectors, options.features_only), encoding="utf-8")
        arguments = sumo_arguments(world, seed, self._folder, detector_file, options)
        try:
            if self._window is not None:
                self._window.open(self._sumo, arguments)
            else:
                self._sumo.start(["sumo", *arguments])
        except BaseException as error:
            self._forget()
            if isinstance(error, SignalsError) or not isinstance(error, Exception):
                raise
            raise SimulationError(
                f"SUMO refused {world.scenario}/{world.period} with seed {seed}: {error}"
            ) from error
        self._lights = [junction.id for junction in world.junctions]
        streets = self._streets_of(world)
        self._traffic = Traffic(self._sumo, streets)
        self._reader = DetectorReader(
            self._sumo,
            world.junctions,
            detectors,
            streets,
            self._traffic,
            world.begin_s,
            options.features_only,
        )
        self._losses = LossMeter(self._sumo, streets, self._traffic)
        self._person_losses = PersonLossMeter(
            self._sumo, streets, self._traffic, self._reader, world.begin_s
        )
        self._clock = call(self._sumo, "simulation", "getTime")

    def _streets_of(self, world: World) -> Streets:
        """The street map of the net, kept from run to run."""
        stat = world.net_file.stat()
        key = (world.net_file, stat.st_mtime_ns, stat.st_size, world.junctions)
        if self._streets is None or self._streets[0] != key:
            self._streets = (key, Streets(self._sumo, world.junctions))
        return self._streets[1]

    def show(self, junction: int, lights: str) -> None:
        """See `Backend.show`."""
        self._sumo.trafficlight.setRedYellowGreenState(self._lights[junction], lights)

    def advance(self) -> None:
        """See `Backend.advance`."""
        try:
            with closing_told(self._window is not None):
                self._sumo.simulationStep()
        except SimulationError:
            raise
        except Exception as error:
            raise SimulationError(f"SUMO ended early: {error}") from error
        self._traffic.passed()

    def clock_s(self) -> float:
        """See `Backend.clock_s`."""
        return float(self._clock())

    def values(self) -> NDArray[np.float64]:
        """See `Backend.values`."""
        return self._reader.values(self.clock_s())

    def waiting(self, junction: int) -> frozenset[str]:
        """See `Backend.waiting`."""
        return self._reader.waiting(junction)

    def passages(self, junction: int) -> list[Passage]:
        """See `Backend.passages`."""
        return self._reader.passages(junction)

    def lost_s(self) -> NDArray[np.float64]:
        """See `Backend.lost_s`."""
        return self._losses.parts()

    def lost_person_s(self) -> NDArray[np.float64]:
        """See `Backend.lost_person_s`: occupants are the vehicle's ``persons`` parameter."""
        return self._person_losses.parts(self.clock_s())

    def close(self) -> None:
        """See `Backend.close`."""
        if _running is self:
            try:
                if self._window is not None:
                    self._window.close(self._sumo)
                else:
                    self._sumo.close()
            finally:
                self._forget()

    def _forget(self) -> None:
        global _running
        _running = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

"""SUMO through libsumo (in process) or traci (sumo-gui); the two offer the same calls."""

from __future__ import annotations

import importlib
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np
from numpy.typing import NDArray

from signals.detectors import FIELDS, MAX_GAP_S, DetectorSpec
from signals.errors import MissingDependencyError, SignalsError, SimulationError
from signals.simulation.backend import RunOptions, sumo_arguments
from signals.simulation.losses import LossMeter
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
            self._sumo: ModuleType = importlib.import_module(name)
        except ImportError as error:
            raise MissingDependencyError(name, "sim", "a simulation") from error
        self._window = Window(program or GUI) if gui or program else None
        self._folder: Path | None = None

    def start(
        self, world: World, seed: int, detectors: Sequence[DetectorSpec], options: RunOptions
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
        self._world = world
        self._detectors = tuple(detectors)
        self._folder = Path(tempfile.mkdtemp(prefix="seoul-signals-"))
        detector_file = self._folder / "detectors.add.xml"
        detector_file.write_text(_detector_xml(self._detectors), encoding="utf-8")
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
        self._tls = world.junction.id
        self._losses = LossMeter(self._sumo, world.junction)
        self._readers = [_reader(self._sumo, spec, world) for spec in self._detectors]
        self._shown = ""

    def show(self, lights: str) -> None:
        """See `Backend.show`."""
        if lights != self._shown:
            self._sumo.trafficlight.setRedYellowGreenState(self._tls, lights)
            self._shown = lights

    def advance(self) -> None:
        """See `Backend.advance`."""
        try:
            with closing_told():
                self._sumo.simulationStep()
        except SimulationError:
            raise
        except Exception as error:
            raise SimulationError(f"SUMO ended early: {error}") from error

    def clock_s(self) -> float:
        """See `Backend.clock_s`."""
        return float(self._sumo.simulation.getTime())

    def values(self) -> NDArray[np.float64]:
        """See `Backend.values`."""
        table = np.full((len(self._detectors), len(FIELDS)), np.nan)
        for row, reader in enumerate(self._readers):
            reader(table[row])
        return table

    def waiting(self) -> frozenset[str]:
        """See `Backend.waiting`."""
        found = set()
        row: NDArray[np.float64] = np.zeros(len(FIELDS))
        for spec, reader in zip(self._detectors, self._readers, strict=True):
            if spec.kind == "pedestrian":
                reader(row)
                if row[1] > 0:
                    found.add(spec.movement)
        return frozenset(found)

    def lost_by_group_s(self) -> NDArray[np.float64]:
        """See `Backend.lost_by_group_s`."""
        return self._losses.parts()

    def lost_person_s(self) -> float:
        """See `Backend.lost_person_s`: occupants are the vehicle's ``persons`` parameter."""
        vehicles = self._sumo.vehicle
        total = 0.0
        for vehicle in vehicles.getIDList():
            share = 1.0 - vehicles.getSpeed(vehicle) / max(vehicles.getAllowedSpeed(vehicle), 0.1)
            total += self._persons(vehicle) * max(share, 0.0)
        for spec, reader in zip(self._detectors, self._readers, strict=True):
            if spec.kind == "pedestrian":
                row: NDArray[np.float64] = np.zeros(len(FIELDS))
                reader(row)
                total += float(row[1])
        return total + float(len(self._sumo.simulation.getPendingVehicles()))

    def _persons(self, vehicle: str) -> float:
        text = self._sumo.vehicle.getParameter(vehicle, "persons")
        return float(text) if text else 1.0

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


def _detector_xml(detectors: Sequence[DetectorSpec]) -> str:
    rows = ["<additional>"]
    for spec in detectors:
        name = quoteattr(spec.id)
        if spec.kind in ("stop_loop", "advance_loop"):
            piece = spec.pieces[0]
            rows.append(
                f"<inductionLoop id={name} lane={quoteattr(piece.lane)} "
                f'pos="{piece.start_m:.2f}" friendlyPos="true" period="1000000" file="NUL"/>'
            )
        elif spec.pieces:
            for number, piece in enumerate(spec.pieces):
                part = quoteattr(f"{spec.id}#{number}")
                rows.append(
                    f"<laneAreaDetector id={part} lane={quoteattr(piece.lane)} "
                    f'pos="{piece.start_m:.2f}" endPos="{piece.end_m:.2f}" friendlyPos="true" '
                    f'period="1000000" file="NUL"/>'
                )
    rows.append("</additional>")
    return "\n".join(rows)


def _reader(sumo: ModuleType, spec: DetectorSpec, world: World) -> Any:
    """A function that writes one detector's fields into a row of the readings."""
    if spec.kind in ("stop_loop", "advance_loop"):
        return _loop_reader(sumo.inductionloop, spec)
    if spec.kind == "pedestrian":
        movement = next(item for item in world.junction.movements if item.id == spec.movement)
        areas = [area.rpartition("_")[0] for area in movement.lanes]
        return _walker_reader(sumo, areas, movement.crossing)
    return _zone_reader(sumo.lanearea, spec)


def _loop_reader(loops: Any, spec: DetectorSpec) -> Any:
    name = spec.id
    counts = "count" in spec.fields

    def read(row: NDArray[np.float64]) -> None:
        gap_s = loops.getTimeSinceDetection(name)
        if counts:
            row[0] = loops.getIntervalVehicleNumber(name)
        row[4] = float(loops.getLastStepVehicleNumber(name) > 0)
        row[5] = min(gap_s, MAX_GAP_S)

    return read


def _zone_reader(zones: Any, spec: DetectorSpec) -> Any:
    """Zone pieces are read downstream first; the queue goes on upstream only from a full piece."""
    names = [f"{spec.id}#{number}" for number in range(len(spec.pieces))]
    queue = "queue_m" in spec.fields

    def read(row: NDArray[np.float64]) -> None:
        count = stopped = measured = 0
        speed = queue_m = 0.0
        for name in names:
            here = zones.getLastStepVehicleNumber(name)
            if here:
                count += here
                mean_mps = zones.getLastStepMeanSpeed(name)
                if mean_mps >= 0.0:  # SUMO says -1 of vehicles that came in this very second
                    speed += here * mean_mps
                    measured += here
                halted = zones.getLastStepHaltingNumber(name)
                stopped += halted
                if queue and halted:
                    queue_m += zones.getJamLengthMeters(name)
        row[0] = count
        row[1] = stopped
        if queue:
            row[2] = queue_m
        row[3] = speed / measured if measured else np.nan

    return read


def _walker_reader(sumo: ModuleType, areas: Sequence[str], crossing: str) -> Any:
    edges, persons = sumo.edge, sumo.person

    def read(row: NDArray[np.float64]) -> None:
        row[0] = len(edges.getLastStepPersonIDs(crossing))
        waiting = 0
        for area in areas:
            for person in edges.getLastStepPersonIDs(area):
                waiting += persons.getNextEdge(person) == crossing
        row[1] = waiting

    return read

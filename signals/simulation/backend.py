"""What an episode needs of a simulator, and how SUMO is started."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from signals.detectors import DetectorSpec
from signals.faults import FaultSpec
from signals.hires import Passage
from signals.simulation.thinning import thin_walkers
from signals.world import World


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How one run is recorded and shown.

    Attributes:
        trips_file: SUMO tripinfo XML to write, or None.
        extra: Further SUMO options, handed over as they are.
        emissions: Compute CO2 (slower).
        walkers_share: Share of the people on foot that is simulated, for training only.
        faults: Faults of the detectors, further to those of the world.
        features_only: Leave out detectors that no feature of the observation is made from.
    """

    trips_file: Path | None = None
    extra: tuple[str, ...] = field(default=())
    emissions: bool = False
    walkers_share: float = 1.0
    faults: tuple[FaultSpec, ...] = field(default=())
    features_only: bool = False


class Backend(Protocol):
    """A running simulation of one world.

    It never decides a light: it shows the state strings it is given.
    """

    def start(
        self,
        world: World,
        seed: int,
        detectors: Sequence[Sequence[DetectorSpec]],
        options: RunOptions,
    ) -> None:
        """Load net, demand day and each junction's detectors; the clock is at ``world.begin_s``."""

    def show(self, junction: int, lights: str) -> None:
        """Set the state string of one junction for the coming second."""

    def advance(self) -> None:
        """Simulate one second."""

    def clock_s(self) -> float:
        """Seconds since midnight."""

    def values(self) -> NDArray[np.float64]:
        """(detectors, fields) readings of this moment, one junction after the other."""

    def waiting(self, junction: int) -> frozenset[str]:
        """Pedestrian signal groups of a junction that somebody waits for."""

    def passages(self, junction: int) -> list[Passage]:
        """Vehicles that were on the loops of a junction in the second that has passed."""

    def lost_s(self) -> NDArray[np.float64]:
        """(groups of all junctions + 1,) vehicle seconds lost since it was last asked.

        See `signals.simulation.losses.LossMeter`.
        """

    def lost_person_s(self) -> NDArray[np.float64]:
        """(groups of all junctions + 1,) the same in person seconds, waiting people included."""

    def close(self) -> None:
        """End the run; files are complete afterwards."""


def sumo_arguments(
    world: World, seed: int, folder: Path, detector_file: Path, options: RunOptions
) -> list[str]:
    """Command line options shared by every SUMO backend.

    Args:
        world: What to simulate.
        seed: Demand day, and SUMO's own seed.
        folder: Scratch folder of the run.
        detector_file: Additional file with the detectors.
        options: Recording and extra options.
    """
    routes = world.routes(seed)
    if options.walkers_share < 1.0:
        thinned = folder / "thinned.rou.xml"
        thin_walkers(routes, thinned, options.walkers_share)
        routes = thinned
    additional = [str(path) for path in (*world.additional_files, detector_file)]
    arguments = [
        "--net-file",
        str(world.net_file),
        "--route-files",
        str(routes),
        "--additional-files",
        ",".join(additional),
        "--begin",
        str(world.begin_s),
        "--end",
        str(world.end_s),
        "--step-length",
        "1",
        "--seed",
        str(seed),
        "--no-step-log",
        "true",
        "--no-warnings",
        "true",
        "--duration-log.disable",
        "true",
        "--xml-validation",
        "never",
        *world.sumo_options,
    ]
    if options.trips_file is not None:
        arguments += [
            "--tripinfo-output",
            str(options.trips_file),
            "--tripinfo-output.write-unfinished",
            "true",
            "--tripinfo-output.write-undeparted",
            "true",
        ]
        if options.emissions:
            arguments += ["--device.emissions.probability", "1"]
    return [*arguments, *options.extra]

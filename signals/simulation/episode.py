"""One run of one world: readings, observation, wish, guard, lights, second by second.

The environment, the evaluation and the simulated controller all run this class, so that a policy is
judged by the code it was trained with.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from signals.detectors import Readings
from signals.faults import FaultModel
from signals.guard import Guard, Verdict
from signals.observation import Observation, ObservationSpec
from signals.recording import Recorder
from signals.simulation.backend import Backend, RunOptions
from signals.world import World


class Episode:
    """A running world under guard.

    Args:
        world: What to simulate.
        backend: Where.
        recorder: Keeps lights and decisions when given.
    """

    def __init__(self, world: World, backend: Backend, recorder: Recorder | None = None) -> None:
        self.world = world
        self.guard = Guard(world.junction)
        self.spec = ObservationSpec(world.junction, self.guard)
        self._backend = backend
        self._recorder = recorder
        self._on_call = world.junction.timing.recall == "call"

    def start(self, seed: int, options: RunOptions | None = None) -> None:
        """Begin the run: an empty network, all red, about to begin the plan's phase.

        Args:
            seed: Demand day.
            options: Recording and SUMO options.
        """
        options = options or RunOptions()
        self._faults = FaultModel(
            (*self.world.faults, *options.faults),
            self.spec.detectors,
            seed,
            self.world.junction.id,
        )
        self._backend.start(self.world, seed, self.spec.detectors, options)
        self.state = self.guard.start(self.world.plan.wish(self.world.junction, self.world.begin_s))
        self.clock_s = float(self.world.begin_s)

    @property
    def finished(self) -> bool:
        """Whether the period is over."""
        return self.clock_s >= self.world.end_s

    def readings(self) -> Readings:
        """What the detectors report now, faults included."""
        return self._faults.apply(Readings(self.clock_s, self._backend.values()))

    def observe(self) -> Observation:
        """What an agent sees now."""
        self.last_readings = self.readings()
        return self.spec.encode(self.last_readings, self.state)

    def tick(self, wish: int) -> Verdict:
        """Let the guard act on the wish, show the lights, simulate one second.

        Args:
            wish: Phase index.

        Returns:
            What became of the wish.
        """
        calls = self._backend.waiting() if self._on_call else frozenset[str]()
        self.state, verdict = self.guard.tick(self.state, wish, calls)
        lights = self.guard.lights(self.state)
        self._backend.show(lights)
        self._backend.advance()
        if self._recorder is not None:
            self._recorder.second(self.clock_s, lights, wish, self.state, verdict)
        self.clock_s = self._backend.clock_s()
        if self._faults.remembers:
            self.readings()
        return verdict

    def lost_by_group_s(self) -> NDArray[np.float64]:
        """(groups + 1,) vehicle seconds lost in the last second, by group and elsewhere."""
        return self._backend.lost_by_group_s()

    def lost_person_s(self) -> float:
        """Person seconds lost in the last second."""
        return self._backend.lost_person_s()

    def close(self) -> None:
        """End the run."""
        self._backend.close()

"""One run of one world: readings, observation, wish, guard, lights, second by second.

The environments, the evaluation and the simulated controller all run this class, so that a policy
is judged by the code it was trained with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from signals.detectors import Readings
from signals.encoder import Encoder
from signals.errors import InputError
from signals.fault_model import FaultModel
from signals.guard import Guard
from signals.hires import Event, EventLog
from signals.lights import GuardState, Verdict
from signals.observation import Observation, ObservationSpec
from signals.recording import Recorder
from signals.simulation.backend import Backend, RunOptions
from signals.simulation.junction_run import JunctionRun
from signals.world import World


class Episode:
    """A running world under guard.

    Args:
        world: What to simulate.
        backend: Where.
        recorder: Keeps lights and decisions when given; one for each junction of several.
        features_only: Leave out what no feature of the observation is made from: advance loops and
            counters have made-up readings then, and agents that read `Measures` cannot be run.
        logs: Hi-res event logs, one for each junction, or none.

    Attributes:
        world: What is simulated.
        junctions: Its junctions, in the world's order.
        clock_s: Seconds since midnight.

    Raises:
        InputError: There are not as many recorders as junctions.
    """

    def __init__(
        self,
        world: World,
        backend: Backend,
        recorder: Recorder | Sequence[Recorder] | None = None,
        features_only: bool = False,
        logs: Sequence[EventLog] = (),
    ) -> None:
        self.world = world
        self._logs = tuple(logs)
        self._features_only = features_only
        self.junctions = tuple(
            JunctionRun(junction, plan)
            for junction, plan in zip(world.junctions, world.plans, strict=True)
        )
        self.clock_s = float(world.begin_s)
        self.encoder = Encoder([run.spec for run in self.junctions])
        self._backend = backend
        if recorder is None:
            self._recorders: tuple[Recorder, ...] = ()
        else:
            self._recorders = (recorder,) if isinstance(recorder, Recorder) else tuple(recorder)
            if len(self._recorders) != len(self.junctions):
                raise InputError(
                    f"{len(self._recorders)} recorders for {len(self.junctions)} junctions; "
                    "give one for each"
                )
        self._on_call = [index for index, run in enumerate(self.junctions) if run.on_call]
        self._shown: list[str] = []
        self._faults: list[FaultModel] = []
        self._noting = False

    def again(self, world: World) -> bool:
        """Take over another period of the same street, so that nothing is derived anew.

        Args:
            world: The world of the next run.

        Returns:
            Whether the junctions are the same; if not, nothing has changed.
        """
        if world.junctions != self.world.junctions:
            return False
        if world.plans != self.world.plans:
            for run, plan in zip(self.junctions, world.plans, strict=True):
                run.follow(plan)
        self.world = world
        return True

    def start(self, seed: int, options: RunOptions | None = None) -> None:
        """Begin the run: an empty network, all red, about to begin the plan's phase.

        Args:
            seed: Demand day.
            options: Recording and SUMO options.
        """
        options = options or RunOptions()
        specs = (*self.world.faults, *options.faults)
        self._faults = [
            FaultModel(specs, run.spec.detectors, seed, run.junction.id)
            for run in (self.junctions if specs else ())
        ]
        self._noting = any(model.remembers for model in self._faults)
        self._backend.start(
            self.world,
            seed,
            [run.spec.detectors for run in self.junctions],
            replace(options, features_only=self._features_only),
        )
        self.clock_s = float(self.world.begin_s)
        for run in self.junctions:
            run.begin(self.clock_s)
        self._shown = [""] * len(self.junctions)

    @property
    def finished(self) -> bool:
        """Whether the period is over."""
        return self.clock_s >= self.world.end_s

    def observe_all(self) -> tuple[Observation, ...]:
        """What an agent of each junction sees now."""
        return self.encoder.observations(self.read_all(), self.states())

    def read_all(self) -> tuple[Readings, ...]:
        """What the detectors of each junction report now; also kept as ``last_readings``."""
        values = self.values()
        found = []
        begin = 0
        for run in self.junctions:
            end = begin + len(run.spec.detectors)
            run.last_readings = Readings(self.clock_s, values[begin:end])
            found.append(run.last_readings)
            begin = end
        return tuple(found)

    def values(self) -> NDArray[np.float64]:
        """(detectors of all junctions, fields) fresh readings of this moment, faults included."""
        values = self._backend.values()
        begin = 0
        for run, model in zip(self.junctions, self._faults, strict=False):
            mine = slice(begin, begin + len(run.spec.detectors))
            values[mine] = model.apply(Readings(self.clock_s, values[mine])).values
            begin = mine.stop
        return values

    def states(self) -> list[GuardState]:
        """Lights and timers of each junction."""
        return [run.state for run in self.junctions]

    def tick_all(self, wishes: Sequence[int]) -> tuple[Verdict, ...]:
        """Let each guard act on its wish, show the lights, simulate one second.

        Args:
            wishes: Phase index for each junction.

        Returns:
            What became of each wish.
        """
        if self._on_call:
            verdicts = self._tick_with_calls(wishes)
        else:
            verdicts = [run.tick(wish) for run, wish in zip(self.junctions, wishes, strict=True)]
        shown = self._shown
        for index, run in enumerate(self.junctions):
            if run.lights is not shown[index]:
                self._backend.show(index, run.lights)
                shown[index] = run.lights
        self._backend.advance()
        if self._recorders:
            for run, recorder, wish, verdict in zip(
                self.junctions, self._recorders, wishes, verdicts, strict=True
            ):
                recorder.second(self.clock_s, run.lights, wish, run.state, verdict)
        if self._logs:
            self._log(verdicts)
        self.clock_s = self._backend.clock_s()
        if self._noting:
            self.values()
        return tuple(verdicts)

    def _log(self, verdicts: Sequence[Verdict]) -> None:
        """One second in the hi-res logs: a wish ends a green, unless its longest time does."""
        for index, (run, log, verdict) in enumerate(
            zip(self.junctions, self._logs, verdicts, strict=True)
        ):
            state = run.state
            maxed = verdict.reason == "max_green"
            why = dict.fromkeys(range(len(state.indications)), Event.MAX_OUT) if maxed else None
            plan = run.plan.at(self.clock_s)
            log.pattern(self.clock_s, 1, plan.cycle_s, plan.offset_s)
            log.second(self.clock_s, state.indications, why)
            log.passages(self._backend.passages(index))
            groups = run.junction.group_index
            waiting = frozenset(groups[group] for group in self._backend.waiting(index))
            log.pedestrians(self.clock_s + 1, waiting)

    def run(self, wishes: Sequence[int | None], seconds: int) -> None:
        """`tick_all` for some seconds with the same wishes, to the end of the period at most.

        Guards that nobody calls know nothing of the traffic, so that each does its seconds first.

        Args:
            wishes: Phase index for each junction, None for those that follow their plans.
            seconds: How many.
        """
        seconds = min(seconds, int(self.world.end_s - self.clock_s))
        if self._recorders or self._logs or self._on_call or self._noting:
            for _ in range(seconds):
                self.tick_all(
                    [
                        run.plan_wish(self.clock_s) if wish is None else wish
                        for run, wish in zip(self.junctions, wishes, strict=True)
                    ]
                )
            return
        changes: list[list[int]] = [[] for _ in range(seconds)]
        lights: dict[tuple[int, int], str] = {}
        for index, run in enumerate(self.junctions):
            for second, shown in run.ahead(wishes[index], self.clock_s, seconds):
                changes[second].append(index)
                lights[second, index] = shown
            self._shown[index] = run.lights
        for second in range(seconds):
            for index in changes[second]:
                self._backend.show(index, lights[second, index])
            self._backend.advance()
        self.clock_s = self._backend.clock_s()

    def _tick_with_calls(self, wishes: Sequence[int]) -> list[Verdict]:
        calls: list[frozenset[str]] = [frozenset()] * len(self.junctions)
        for index in self._on_call:
            calls[index] = self._backend.waiting(index)
        return [
            run.tick(wish, called)
            for run, wish, called in zip(self.junctions, wishes, calls, strict=True)
        ]

    def lost_s(self) -> NDArray[np.float64]:
        """(groups of all junctions + 1,) vehicle seconds lost since it was last asked.

        One junction's groups after the other's; the last is what belongs to none.
        """
        return self._backend.lost_s()

    def lost_person_s(self) -> NDArray[np.float64]:
        """(groups of all junctions + 1,) the same in person seconds, waiting people included."""
        return self._backend.lost_person_s()

    def close(self) -> None:
        """End the run."""
        self._backend.close()

    # A world of one junction.

    @property
    def only(self) -> JunctionRun:
        """The only junction.

        Raises:
            InputError: There are several.
        """
        if len(self.junctions) != 1:
            _ = self.world.junction  # says so
        return self.junctions[0]

    @property
    def guard(self) -> Guard:
        """Guard of the only junction."""
        return self.only.guard

    @property
    def spec(self) -> ObservationSpec:
        """Observation spec of the only junction."""
        return self.only.spec

    @property
    def state(self) -> GuardState:
        """Lights and timers of the only junction."""
        return self.only.state

    @property
    def last_readings(self) -> Readings:
        """Readings of the last observation of the only junction."""
        return self.only.last_readings

    def readings(self) -> Readings:
        """What the detectors of the only junction report now."""
        _ = self.only
        return Readings(self.clock_s, self.values())

    def observe(self) -> Observation:
        """What an agent of the only junction sees now."""
        _ = self.only
        return self.observe_all()[0]

    def tick(self, wish: int) -> Verdict:
        """`tick_all` of the only junction.

        Args:
            wish: Phase index.

        Returns:
            What became of the wish.
        """
        _ = self.only
        return self.tick_all((wish,))[0]

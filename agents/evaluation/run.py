"""Runs one job in this process: agents at their decisions, guards at every second."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from agents.base import Agent
from agents.evaluation.jobs import Control, Job, RunResult
from agents.evaluation.peers import PREFIX, is_peer, peer_notes, shown, write_programs
from agents.evaluation.sumo_options import with_options
from agents.evaluation.watch import Watch
from agents.resolve import agents_for
from signals.errors import InputError, SimulationError
from signals.lights import Verdict
from signals.metrics import RunMetrics
from signals.recording import Recorder, write_lights
from signals.schedule import Schedule
from signals.simulation import Episode
from signals.simulation.backend import RunOptions
from signals.simulation.sumo_backend import SumoBackend
from signals.simulation.window import closing_told
from signals.world import World, resolve


def run_job(job: Job) -> RunResult:
    """Run a job in this process.

    Raises:
        InputError: Scenario, period, agent or SUMO options cannot be used.
        SimulationError: SUMO refused or ended early, or another run goes on in this process.
    """
    world = resolve(job.scenario, job.period)
    if job.duration_s is not None:
        world = replace(world, end_s=min(world.begin_s + job.duration_s, world.end_s))
    if is_peer(job.agent):
        return run_peer(world, job)
    return run_world(world, agents_for(job.agent, world), job)


def run_peer(world: World, job: Job) -> RunResult:
    """Run SUMO's own program, see `agents.evaluation.peers`.

    Args:
        world: What to simulate.
        job: Names the peer; what is recorded of its lights has ``sumo`` for a reason.

    Raises:
        InputError: There is no such peer, or the SUMO options cannot be used.
        SimulationError: SUMO refused or ended early, or another run goes on in this process.
    """
    started_s = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="seoul-signals-run-") as scratch:
        trips_file = job.trips_file or Path(scratch) / "tripinfo.xml"
        world, extra = with_options(world, job)
        file, programs = write_programs(world, job.agent, Path(scratch))
        schedule = Schedule.read(world.routes(job.seed), world.junctions, world.additional_files)
        world = replace(world, additional_files=(*world.additional_files, file))
        backend, watch = SumoBackend(gui=job.gui), Watch(world, schedule)
        recorders = {name: Recorder() for name in programs}
        options = RunOptions(trips_file, extra, job.emissions, features_only=True)
        try:
            with closing_told(job.gui):
                with _options_told(job):
                    backend.start(world, job.seed, [() for _ in world.junctions], options)
                sumo = import_module("traci" if job.gui else "libsumo")
                watch.begin(sumo)
                for second in range(world.end_s - world.begin_s):
                    clock_s = int(backend.clock_s())
                    backend.advance()
                    for junction in world.junctions:
                        name, program = junction.id, programs[junction.id]
                        phase = program.phases[sumo.trafficlight.getPhase(name)]
                        lights = sumo.trafficlight.getRedYellowGreenState(name)
                        recorders[name].seconds.append(
                            (clock_s, lights, shown(junction, lights), phase, phase, True, PREFIX)
                        )
                    watch.second(second + 1)
        finally:
            backend.close()
        metrics = watch.judge(trips_file)
        if job.record is not None:
            write_lights(job.record, list(recorders), list(recorders.values()))
    faults = bool(world.faults or job.faults)
    controls = {
        junction.id: Control(
            {
                phase.name: sum(row[4] == phase.index for row in recorders[junction.id].seconds)
                for phase in junction.phases
            },
            None,
        )
        for junction in world.junctions
    }
    notes = (*world.notes, *peer_notes(job.agent, faults))
    return _result(world, job, metrics, watch, controls, notes, started_s)


def run_world(world: World, agent: Agent | Sequence[Agent], job: Job) -> RunResult:
    """Run an agent in a world that is at hand already.

    Args:
        world: What to simulate.
        agent: Who decides; one for each junction of a network.
        job: Seed, SUMO options and what to keep; its scenario, period and agent only name the run.

    Raises:
        InputError: The SUMO options cannot be used, or there are not as many agents as junctions.
        SimulationError: SUMO refused or ended early, or another run goes on in this process.
    """
    started_s = time.perf_counter()
    agents = _one_each(agent, world)
    with tempfile.TemporaryDirectory(prefix="seoul-signals-run-") as scratch:
        trips_file = job.trips_file or Path(scratch) / "tripinfo.xml"
        world, extra = with_options(world, job)
        schedule = Schedule.read(world.routes(job.seed), world.junctions, world.additional_files)
        recorders = [Recorder() for _ in agents] if job.record is not None else None
        episode = Episode(world, SumoBackend(gui=job.gui), recorders)
        watch = Watch(world, schedule)
        tally = _Tally(world)
        for each in agents:
            each.reset(job.seed)
        try:
            with closing_told(job.gui):
                options = RunOptions(trips_file, extra, job.emissions, faults=job.faults)
                with _options_told(job):
                    episode.start(job.seed, options)
                watch.begin(import_module("traci" if job.gui else "libsumo"))
                _drive(episode, agents, watch, tally)
        finally:
            episode.close()
        metrics = watch.judge(trips_file)
        if recorders is not None and job.record is not None:
            write_lights(job.record, [item.id for item in world.junctions], recorders)
    return _result(world, job, metrics, watch, tally.controls(), world.notes, started_s)


def _result(
    world: World,
    job: Job,
    metrics: RunMetrics,
    watch: Watch,
    controls: dict[str, Control],
    notes: tuple[str, ...],
    started_s: float,
) -> RunResult:
    return RunResult(
        scenario=job.scenario,
        period=world.period,
        agent=job.agent,
        seed=job.seed,
        label=job.name,
        trips=job.trips_file,
        metrics=metrics,
        timeline=watch.series(),
        controls=controls,
        faults=tuple(spec.text for spec in (*world.faults, *job.faults)),
        notes=notes,
        wall_s=time.perf_counter() - started_s,
    )


def _one_each(agent: Agent | Sequence[Agent], world: World) -> tuple[Agent, ...]:
    agents = tuple(agent) if isinstance(agent, Sequence) else (agent,)
    if len(agents) != len(world.junctions):
        raise InputError(
            f"{len(agents)} agents for the {len(world.junctions)} junctions of {world.scenario}; "
            "give one for each"
        )
    return agents


def _drive(episode: Episode, agents: Sequence[Agent], watch: Watch, tally: _Tally) -> None:
    """Every agent decides at its own interval; nobody is asked for readings that nobody needs."""
    wishes = [0] * len(agents)
    seconds = 0
    while not episode.finished:
        due = [
            index for index, agent in enumerate(agents) if seconds % agent.decision_interval_s == 0
        ]
        if due:
            seen = episode.observe_all()
            for index in due:
                wishes[index] = agents[index].decide(seen[index], episode.clock_s)
        tally.add(episode.tick_all(wishes))
        seconds += 1
        watch.second(seconds)


class _Tally:
    """Counts phases and granted wishes."""

    def __init__(self, world: World) -> None:
        self._junctions = world.junctions
        self._seconds = [[0] * len(junction.phases) for junction in world.junctions]
        self._granted = [0] * len(world.junctions)

    def add(self, verdicts: Sequence[Verdict]) -> None:
        for index, verdict in enumerate(verdicts):
            self._seconds[index][verdict.phase] += 1
            self._granted[index] += verdict.granted

    def controls(self) -> dict[str, Control]:
        return {
            junction.id: Control(
                {phase.name: seconds[phase.index] for phase in junction.phases},
                granted / max(sum(seconds), 1),
            )
            for junction, seconds, granted in zip(
                self._junctions, self._seconds, self._granted, strict=True
            )
        }


@contextlib.contextmanager
def _options_told(job: Job) -> Iterator[None]:
    """Say in words when SUMO refuses the job's own options."""
    try:
        yield
    except SimulationError as error:
        if job.sumo and "commandline options" in str(error):
            raise InputError(
                f"SUMO refuses the options {' '.join(job.sumo)!r}, its reason stands above; "
                "sumo --help lists what it takes"
            ) from error
        raise

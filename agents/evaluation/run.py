"""Runs one job in this process: agents at their decisions, guards at every second."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import ModuleType

from agents.base import Agent
from agents.evaluation.jobs import Control, Job, RunResult
from agents.evaluation.sumo_options import with_options
from agents.resolve import agents_for
from signals.errors import InputError, SimulationError
from signals.lights import Verdict
from signals.metrics import Incidents, RunMetrics, summarise, summarise_network
from signals.network_metrics import NetworkSampler
from signals.queues import QUEUE_SAMPLE_S, QueueSampler
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
    return run_world(world, agents_for(job.agent, world), job)


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
        watch = _Watch(world, schedule)
        tally = _Tally(world)
        for each in agents:
            each.reset(job.seed)
        try:
            with closing_told(job.gui):
                _start(
                    episode, job, RunOptions(trips_file, extra, job.emissions, faults=job.faults)
                )
                watch.begin(import_module("traci" if job.gui else "libsumo"))
                _drive(episode, agents, watch, tally)
        finally:
            episode.close()
        metrics = watch.judge(trips_file)
        if recorders is not None and job.record is not None:
            write_lights(job.record, [item.id for item in world.junctions], recorders)
    return RunResult(
        scenario=job.scenario,
        period=world.period,
        agent=job.agent,
        seed=job.seed,
        label=job.name,
        trips=job.trips_file,
        metrics=metrics,
        timeline=watch.series(),
        controls=tally.controls(),
        faults=tuple(spec.text for spec in (*world.faults, *job.faults)),
        notes=world.notes,
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


def _drive(episode: Episode, agents: Sequence[Agent], watch: _Watch, tally: _Tally) -> None:
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


class _Watch:
    """Looks at queues and incidents during a run and judges it afterwards."""

    def __init__(self, world: World, schedule: Schedule) -> None:
        self._world = world
        self._schedule = schedule
        self._incidents = Incidents()
        self._sumo: ModuleType
        self._sampler: QueueSampler | NetworkSampler

    def begin(self, sumo: ModuleType) -> None:
        self._sumo = sumo
        junctions = self._world.junctions
        if len(junctions) == 1:
            self._sampler = QueueSampler(sumo, junctions[0], self._schedule)
        else:
            self._sampler = NetworkSampler(sumo, junctions, self._schedule)

    def second(self, seconds: int) -> None:
        self._incidents.watch(self._sumo)
        if seconds % QUEUE_SAMPLE_S == 0:
            self._sampler.sample()

    def judge(self, trips_file: Path) -> RunMetrics:
        world = self._world
        if isinstance(self._sampler, NetworkSampler):
            return summarise_network(
                trips_file,
                self._schedule,
                world.begin_s,
                world.end_s,
                self._sampler,
                self._incidents,
            )
        return summarise(
            trips_file,
            world.junction,
            self._schedule,
            world.begin_s,
            world.end_s,
            self._sampler,
            self._incidents,
        )

    def series(self) -> dict[str, object]:
        return self._sampler.series()


def _start(episode: Episode, job: Job, options: RunOptions) -> None:
    try:
        episode.start(job.seed, options)
    except SimulationError as error:
        if job.sumo and "commandline options" in str(error):
            raise InputError(
                f"SUMO refuses the options {' '.join(job.sumo)!r}, its reason stands above; "
                "sumo --help lists what it takes"
            ) from error
        raise

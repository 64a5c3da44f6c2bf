"""Runs an agent in a world and judges it, alone or many at once.

One job is one simulated run: the demand day of its seed, the agent at every decision, the guard at
every second. The same job gives the same trips, in this process or in another.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import re
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from agents.base import Agent
from agents.resolve import agent_for
from signals.errors import InputError, SignalsError, SimulationError, WorkError
from signals.metrics import Incidents, RunMetrics, summarise
from signals.queues import QUEUE_SAMPLE_S, QueueSampler
from signals.recording import Recorder
from signals.schedule import Schedule
from signals.simulation import Episode
from signals.simulation.backend import RunOptions
from signals.simulation.sumo_backend import SumoBackend
from signals.world import World, resolve

_OURS: Final = {
    "net-file": "n",
    "route-files": "r",
    "begin": "b",
    "end": "e",
    "step-length": "",
    "seed": "",
    "tripinfo-output": "tripinfo",
    "tripinfo-output.write-unfinished": "",
    "tripinfo-output.write-undeparted": "",
    "no-step-log": "",
    "no-warnings": "W",
    "duration-log.disable": "",
    "xml-validation": "",
    "configuration-file": "c",
}
"""SUMO options (and their short names) that the run sets itself."""
_ADDITIONAL: Final = ("--additional-files", "--additional", "-a")


@dataclass(frozen=True)
class Job:
    """One run to be judged.

    Attributes:
        scenario: Catalogue name or folder.
        period: Period of the day; None takes the scenario's first.
        agent: What `agents.resolve.agent_for` takes.
        seed: Demand day.
        trips_file: Where SUMO's tripinfo XML is kept; None keeps none.
        sumo: Further SUMO options; ``{run}`` in one stands for the job's name.
        emissions: Compute CO2.
        record: Folder for ``lights.parquet``; None records none.
        label: Names the run in messages and file names; made from the fields when empty.
        duration_s: Ends the run early; None runs the whole period.
        gui: Show it in sumo-gui.
    """

    scenario: str
    period: str | None
    agent: str
    seed: int
    trips_file: Path | None = None
    sumo: tuple[str, ...] = ()
    emissions: bool = False
    record: Path | None = None
    label: str = ""
    duration_s: int | None = None
    gui: bool = False

    @property
    def name(self) -> str:
        """The label, or one made from the fields."""
        return self.label or f"{self.scenario}/{self.period}/{self.agent}/{self.seed}"


@dataclass(frozen=True)
class RunResult:
    """What came of a job.

    Attributes:
        scenario: Catalogue name or folder.
        period: Period of the day.
        agent: The agent as it was asked for.
        seed: Demand day.
        label: The job's name.
        trips: The kept tripinfo XML.
        metrics: The judgement.
        timeline: Queue length by approach, see `QueueSampler.series`.
        phase_s: Seconds that the guard steered for each phase, by its name.
        granted: Share of seconds in which the agent's wish was granted.
        wall_s: Time the run took.
    """

    scenario: str
    period: str
    agent: str
    seed: int
    label: str
    trips: Path | None
    metrics: RunMetrics
    timeline: dict[str, Any] = field(repr=False)
    phase_s: dict[str, int] = field(repr=False)
    granted: float = 1.0
    wall_s: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form: the fields and the metrics side by side, without the timeline."""
        return {
            "scenario": self.scenario,
            "period": self.period,
            "agent": self.agent,
            "seed": self.seed,
            **self.metrics.to_dict(),
            "phase_s": self.phase_s,
            "granted": self.granted,
            "wall_s": round(self.wall_s, 2),
            "trips": None if self.trips is None else str(self.trips),
        }


def run_job(job: Job) -> RunResult:
    """Run a job in this process.

    Raises:
        InputError: Scenario, period, agent or SUMO options cannot be used.
        SimulationError: SUMO refused or ended early, or another run goes on in this process.
    """
    world = resolve(job.scenario, job.period)
    if job.duration_s is not None:
        world = replace(world, end_s=min(world.begin_s + job.duration_s, world.end_s))
    agent = agent_for(job.agent, world)
    return run_world(world, agent, job)


def run_world(world: World, agent: Agent, job: Job) -> RunResult:
    """Run an agent in a world that is at hand already.

    Args:
        world: What to simulate.
        agent: Who decides.
        job: Seed, SUMO options and what to keep; its scenario, period and agent only name the run.

    Raises:
        InputError: The SUMO options cannot be used.
        SimulationError: SUMO refused or ended early, or another run goes on in this process.
    """
    started_s = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="seoul-signals-run-") as scratch:
        trips_file = job.trips_file or Path(scratch) / "tripinfo.xml"
        world, extra = _with_options(world, job)
        schedule = Schedule.read(world.routes(job.seed), world.junction, world.additional_files)
        recorder = Recorder() if job.record is not None else None
        episode = Episode(world, SumoBackend(gui=job.gui), recorder)
        phase_s = {phase.name: 0 for phase in world.junction.phases}
        incidents = Incidents()
        granted = wish = seconds = 0
        agent.reset(job.seed)
        try:
            _start(episode, job, RunOptions(trips_file, extra, job.emissions))
            sumo = import_module("traci" if job.gui else "libsumo")
            queues = QueueSampler(sumo, world.junction, schedule)
            while not episode.finished:
                if seconds % agent.decision_interval_s == 0:
                    wish = agent.decide(episode.observe(), episode.clock_s)
                verdict = episode.tick(wish)
                phase_s[world.junction.phases[verdict.phase].name] += 1
                granted += verdict.granted
                seconds += 1
                incidents.watch(sumo)
                if seconds % QUEUE_SAMPLE_S == 0:
                    queues.sample()
        finally:
            episode.close()
        metrics = summarise(
            trips_file,
            world.junction,
            schedule,
            world.begin_s,
            world.end_s,
            queues,
            incidents,
        )
        if recorder is not None and job.record is not None:
            recorder.write(job.record)
    return RunResult(
        scenario=job.scenario,
        period=world.period,
        agent=job.agent,
        seed=job.seed,
        label=job.name,
        trips=job.trips_file,
        metrics=metrics,
        timeline=queues.series(),
        phase_s=phase_s,
        granted=granted / max(seconds, 1),
        wall_s=time.perf_counter() - started_s,
    )


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


def check_options(options: Sequence[str]) -> None:
    """Refuse SUMO options that would take the run out of our hands.

    Raises:
        InputError: One of them is set by the run itself.
    """
    taken = {f"--{name}" for name in _OURS} | {
        f"--{short}" if len(short) > 1 else f"-{short}" for short in _OURS.values() if short
    }
    for option in options:
        name = option.partition("=")[0]
        if name in taken:
            raise InputError(
                f"SUMO option {name} is set by the run itself; "
                "give further outputs and additional files with --sumo, nothing else"
            )


def _with_options(world: World, job: Job) -> tuple[World, tuple[str, ...]]:
    """Fit the job's SUMO options into a world: SUMO takes no option twice.

    Returns:
        The world with further additional files and without options that the job replaces, and the
        options left over.
    """
    check_options(job.sumo)
    name = re.sub(r"[^\w.-]+", "_", job.name)
    given = _pairs(tuple(option.replace("{run}", name) for option in job.sumo))
    more = [
        Path(file)
        for name, *values in given
        if name in _ADDITIONAL
        for value in values
        for file in value.split(",")
    ]
    names = {pair[0] for pair in given}
    kept = tuple(
        part for pair in _pairs(world.sumo_options) if pair[0] not in names for part in pair
    )
    extra = tuple(part for pair in given if pair[0] not in _ADDITIONAL for part in pair)
    changed = replace(world, additional_files=(*world.additional_files, *more), sumo_options=kept)
    return changed, extra


def _pairs(options: Sequence[str]) -> list[tuple[str, ...]]:
    """Options with their values: ``--name value``, ``--name=value`` or a bare ``--name``."""
    found: list[tuple[str, ...]] = []
    for part in options:
        name, _, value = part.partition("=")
        if part.startswith("--") and value:
            found.append((name, value))
        elif part.startswith("-") and not _is_number(part):
            found.append((part,))
        elif found:
            found[-1] = (*found[-1], part)
        else:
            raise InputError(f"'{part}' is no SUMO option; options begin with --")
    return found


def _is_number(text: str) -> bool:
    with contextlib.suppress(ValueError):
        float(text)
        return True
    return False


@dataclass(frozen=True)
class _Failure:
    """An error on its way home from a worker: exceptions with own arguments cannot be pickled."""

    bad_input: bool
    message: str

    def error(self) -> SignalsError:
        return InputError(self.message) if self.bad_input else WorkError(self.message)


def _attempt(job: Job) -> RunResult | _Failure:
    try:
        return run_job(job)
    except SignalsError as error:
        return _Failure(isinstance(error, InputError), f"run {job.name}: {error}")
    except Exception as error:
        return _Failure(False, f"run {job.name}: {type(error).__name__}: {error}")


def _prepare_worker(scratch: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    tempfile.tempdir = scratch


def run_jobs(
    jobs: Sequence[Job],
    workers: int = 1,
    on_done: Callable[[RunResult], None] | None = None,
) -> list[RunResult]:
    """Run jobs in worker processes.

    Args:
        jobs: What to run.
        workers: Processes at once; 1 runs all of them in this process.
        on_done: Called with each result as it comes in.

    Returns:
        The results, in the order of the jobs.

    Raises:
        InputError: A job cannot be used; its name is in the message. The others are stopped.
        WorkError: A job failed; its name is in the message. The others are stopped.
    """
    if workers < 1:
        raise InputError(f"workers is {workers}; allowed: 1 or more")
    if workers == 1 or len(jobs) <= 1:
        return [_checked(_attempt(job), on_done) for job in jobs]
    scratch = tempfile.mkdtemp(prefix="seoul-signals-workers-")
    before = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(
        min(workers, len(jobs)),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_prepare_worker,
        initargs=(scratch,),
    )
    try:
        futures: dict[Future[RunResult | _Failure], int] = {}
        with _interrupt_ignored():  # children inherit it, so that ^C prints no traceback of theirs
            for index, job in enumerate(jobs):
                futures[pool.submit(_attempt, job)] = index
        results: dict[int, RunResult] = {}
        for future in as_completed(futures):
            results[futures[future]] = _checked(future.result(), on_done)
        pool.shutdown()
        return [results[index] for index in range(len(jobs))]
    except BrokenProcessPool as error:
        unfinished = [jobs[index].name for future, index in futures.items() if _unfinished(future)]
        raise WorkError(
            f"a worker process died (out of memory?) during one of: {', '.join(unfinished[:5])}; "
            "try fewer --workers"
        ) from error
    finally:
        for child in set(multiprocessing.active_children()) - before:
            child.terminate()
        pool.shutdown(wait=True, cancel_futures=True)
        shutil.rmtree(scratch, ignore_errors=True)


def _checked(
    outcome: RunResult | _Failure, on_done: Callable[[RunResult], None] | None
) -> RunResult:
    if isinstance(outcome, _Failure):
        raise outcome.error()
    if on_done is not None:
        on_done(outcome)
    return outcome


def _unfinished(future: Future[RunResult | _Failure]) -> bool:
    return not future.done() or future.exception() is not None


@contextlib.contextmanager
def _interrupt_ignored() -> Iterator[None]:
    """Ignore ^C for the moment in which workers are started; only the main thread can."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


def tripinfo_bytes(trips_file: Path) -> bytes:
    """A tripinfo XML without the comment in which SUMO writes the date and file names of the run.

    Two runs with the same seed are equal in this.
    """
    head, _, rest = trips_file.read_bytes().partition(b"<!--")
    return head + rest.partition(b"-->")[2]


def job_fields(job: Job) -> dict[str, Any]:
    """JSON-able form of a job."""
    data = asdict(job)
    for name in ("trips_file", "record"):
        data[name] = None if data[name] is None else str(data[name])
    data["sumo"] = list(job.sumo)
    return data

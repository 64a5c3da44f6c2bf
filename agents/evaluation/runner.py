"""Runs jobs, alone or many at once; the same job gives the same trips in any process."""

from __future__ import annotations

import contextlib
import multiprocessing
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from agents.evaluation.jobs import Job, RunResult
from agents.evaluation.run import run_job, run_world
from agents.evaluation.sumo_options import check_options
from signals.errors import InputError, SignalsError, WorkError

__all__ = [
    "Job",
    "RunResult",
    "check_options",
    "run_job",
    "run_jobs",
    "run_world",
    "tripinfo_bytes",
]


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

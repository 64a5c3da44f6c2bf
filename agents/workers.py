"""Workers that run tasks one by one: processes of this machine, or of a cluster.

A task is a function and one argument, and its result depends on nothing else. A worker that is lost
is replaced and its task done again, so that nothing else changes.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from signals.errors import InputError, SignalsError, WorkError

T = TypeVar("T")
R = TypeVar("R")

Stop = Callable[[], bool]
ATTEMPTS = 3
"""A task whose worker is lost so many times is given up."""


class WorkerLostError(Exception):
    """The worker is gone; its task may be given to another one."""


class Hand(Protocol):
    """One worker."""

    def run(self, function: Callable[[Any], Any], task: Any) -> Any:
        """Do one task.

        Raises:
            WorkerLostError: The worker is gone.
        """

    def close(self) -> None:
        """Let it go."""


@dataclass(frozen=True)
class Failure:
    """An error on its way home: exceptions with arguments of their own cannot be pickled."""

    bad_input: bool
    message: str

    def error(self) -> SignalsError:
        """The error to raise at home."""
        return InputError(self.message) if self.bad_input else WorkError(self.message)


def attempt(function: Callable[[Any], Any], task: Any) -> Any:
    """Do a task where the worker is; errors become a `Failure`."""
    name = getattr(task, "name", str(task))
    try:
        return function(task)
    except SignalsError as error:
        return Failure(isinstance(error, InputError), f"{name}: {error}")
    except Exception as error:
        return Failure(False, f"{name}: {type(error).__name__}: {error}")


class Workers:
    """Gives tasks to workers, each of which does one at a time.

    Args:
        make: Starts a worker; called with a function that tells whether to give up.
        count: How many.
    """

    def __init__(self, make: Callable[[Stop], Hand], count: int) -> None:
        if count < 1:
            raise InputError(f"workers is {count}; allowed: 1 or more")
        self.count = count
        self._make = make
        self._tasks: queue.Queue[Any] = queue.Queue()
        self._closed = False
        self.lost = 0
        self._threads = [threading.Thread(target=self._serve, daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def submit(self, function: Callable[[T], R], task: T) -> Future[R]:
        """Give a task to the next free worker.

        Returns:
            Its result, or the `SignalsError` it failed with.
        """
        future: Future[R] = Future()
        if self._closed:
            raise WorkError("the workers are closed")
        self._tasks.put((function, task, future, ATTEMPTS))
        return future

    def run(
        self,
        function: Callable[[T], R],
        tasks: Sequence[T],
        on_done: Callable[[R], None] = lambda result: None,
    ) -> list[R]:
        """Do all tasks.

        Args:
            function: Of the tasks.
            tasks: One argument each.
            on_done: Called with each result as it comes in.

        Returns:
            The results in the order of the tasks.
        """
        futures = [self.submit(function, task) for task in tasks]
        try:
            for future in as_completed(futures):
                on_done(future.result())
        except BaseException:
            for future in futures:
                future.cancel()
            raise
        return [future.result() for future in futures]

    def _serve(self) -> None:
        hand: Hand | None = None
        while not self._closed:
            if hand is None:
                # A worker is ready before a task is taken, so that none waits for a worker that a
                # smaller cluster has no room for while others are free.
                try:
                    hand = self._make(lambda: self._closed)
                except WorkerLostError:
                    continue
                except BaseException as error:
                    self._give_up(error)
                    break
            item = self._tasks.get()
            if item is None:
                break
            function, task, future, left = item
            if left == ATTEMPTS and not future.set_running_or_notify_cancel():
                continue
            try:
                result = hand.run(function, task)
            except WorkerLostError as error:
                self.lost += 1
                hand.close()
                hand = None
                if left > 1 and not self._closed:
                    self._tasks.put((function, task, future, left - 1))
                    continue
                name = getattr(task, "name", str(task))
                future.set_exception(
                    WorkError(
                        f"{ATTEMPTS} workers died during {name} ({error}; out of memory?); "
                        "try fewer --workers"
                    )
                )
            except BaseException as error:
                future.set_exception(error)
            else:
                if isinstance(result, Failure):
                    future.set_exception(result.error())
                else:
                    future.set_result(result)
        if hand is not None:
            hand.close()

    def _give_up(self, error: BaseException) -> None:
        """No worker can be started: every task fails with the reason."""
        self._closed = True
        while True:
            try:
                item = self._tasks.get_nowait()
            except queue.Empty:
                return
            if item is not None and (item[3] < ATTEMPTS or item[2].set_running_or_notify_cancel()):
                item[2].set_exception(error)

    def close(self) -> None:
        """Cancel what waits, end all workers."""
        self._closed = True
        while True:
            try:
                item = self._tasks.get_nowait()
            except queue.Empty:
                break
            if item is not None:
                item[2].cancel()
        for _ in self._threads:
            self._tasks.put(None)
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _prepare(scratch: str) -> None:
    # ^C is for the parent, which closes the workers in good order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    tempfile.tempdir = scratch
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A worker whose parent was killed would otherwise go on for nobody."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


class LocalHand:
    """A process of this machine."""

    def __init__(self, stop: Stop) -> None:
        self._scratch = tempfile.mkdtemp(prefix="seoul-signals-worker-")
        self._pool = ProcessPoolExecutor(
            1,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_prepare,
            initargs=(self._scratch,),
        )

    def run(self, function: Callable[[Any], Any], task: Any) -> Any:
        """See `Hand.run`."""
        try:
            return self._pool.submit(attempt, function, task).result()
        except BrokenProcessPool as error:
            raise WorkerLostError(str(error)) from error

    def close(self) -> None:
        """See `Hand.close`."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        shutil.rmtree(self._scratch, ignore_errors=True)


def local_workers(count: int) -> Workers:
    """Processes of this machine."""
    return Workers(LocalHand, count)


def each(futures: Sequence[Future[R]]) -> Iterator[R]:
    """Results as they come in."""
    for future in as_completed(futures):
        yield future.result()

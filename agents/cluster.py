"""Workers on the machines of a Ray cluster.

They do the same tasks as local ones (`agents.workers`), by the same code, with the same results.
Every machine needs this distribution with the extras ``train`` and ``cluster`` and, for scenarios
that are folders, the same folders.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import socket
from collections.abc import Callable
from typing import Any

from agents.workers import Stop, WorkerLostError, Workers, attempt
from signals.errors import InputError, MissingDependencyError


class _Actor:
    """Does tasks on a machine of the cluster; SUMO runs in its process."""

    def run(self, function: Callable[[Any], Any], task: Any) -> Any:
        return attempt(function, task)

    def process_id(self) -> int:
        return os.getpid()


class RayHand:
    """An actor of the cluster; made when the cluster has a processor free.

    Args:
        stop: Tells whether to give up waiting for one.
    """

    def __init__(self, stop: Stop) -> None:
        import ray

        self._ray = ray
        # A lost actor is replaced by us, so that its task is known to be done anew.
        make: Any = ray.remote(num_cpus=1, max_restarts=0, max_task_retries=0)(_Actor)
        self._actor: Any = make.remote()
        ready = self._actor.process_id.remote()
        while not ray.wait([ready], timeout=0.5)[0]:
            if stop():
                self.close()
                raise WorkerLostError("not started")
        try:
            ray.get(ready)
        except ray.exceptions.RayError as error:
            raise WorkerLostError(" ".join(str(error).split())[:200]) from error

    def run(self, function: Callable[[Any], Any], task: Any) -> Any:
        """See `agents.workers.Hand.run`."""
        errors = self._ray.exceptions
        try:
            return self._ray.get(self._actor.run.remote(function, task))
        except (errors.RayActorError, errors.WorkerCrashedError, errors.NodeDiedError) as error:
            raise WorkerLostError(" ".join(str(error).split())[:200]) from error

    def close(self) -> None:
        """See `agents.workers.Hand.close`."""
        self._ray.kill(self._actor)


def check(address: str) -> None:
    """Refuse what can be no cluster, before anything is written.

    Args:
        address: ``HOST:PORT`` of its head, or ``auto``.

    Raises:
        MissingDependencyError: Ray is not installed.
        InputError: Nobody answers at the address.
    """
    if importlib.util.find_spec("ray") is None:
        raise MissingDependencyError("ray", "cluster", "--cluster")
    _knock(address)


def connect(address: str) -> None:
    """Join a cluster.

    Args:
        address: ``HOST:PORT`` of its head, or ``auto``.

    Raises:
        MissingDependencyError: Ray is not installed.
        InputError: There is no cluster at the address.
    """
    check(address)
    import ray

    if ray.is_initialized():
        return
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, ValueError, RuntimeError, AssertionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"no Ray cluster answers at '{address}' ({reason}); start one with: "
            "ray start --head --port 6379, and give its HOST:PORT"
        ) from error


def _knock(address: str) -> None:
    """Ray itself waits minutes for a head that is not there."""
    host, _, port = address.rpartition(":")
    if not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), timeout=10.0).close()
    except OSError as error:
        raise InputError(
            f"no Ray cluster answers at '{address}' ({error.strerror or error}); start one with: "
            "ray start --head --port 6379, and give its HOST:PORT"
        ) from error


def cluster_workers(address: str, count: int) -> Workers:
    """Workers on a cluster.

    Args:
        address: ``HOST:PORT`` of its head, or ``auto``.
        count: How many; each takes one processor.
    """
    connect(address)
    return Workers(RayHand, count)

"""The worker's side of `NetworkVecEnv`: one simulation in a process of its own.

It imports neither torch nor stable-baselines3, so that a worker is up in a second and small.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from signals.envs.network_run import NetworkRun, NetworkSettings, NetworkStep
from signals.errors import InputError, SignalsError
from signals.features import Maxima


@dataclass(frozen=True, slots=True)
class Ready:
    """First message of a worker.

    Attributes:
        agents: Ids of the controlled junctions.
        maxima: Sizes that observations are padded to.
    """

    agents: tuple[str, ...]
    maxima: Maxima


@dataclass(frozen=True, slots=True)
class Stepped:
    """Answer to actions: the step, and the first observation of the next run when it was over."""

    step: NetworkStep
    begun: NetworkStep | None


@dataclass(frozen=True, slots=True)
class Failed:
    """An error on its way home: exceptions with arguments of their own cannot be pickled."""

    bad_input: bool
    message: str


def work(line: Connection, settings: NetworkSettings) -> None:
    """Serve one simulation until the line ends.

    Args:
        line: Gets ``("reset", seed, options)``, ``("step", wishes)`` or ``("close",)``; one answer
            each.
        settings: What to run.
    """
    # ^C is for the parent, which closes the workers in good order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    run: NetworkRun | None = None
    try:
        run = NetworkRun(settings)
        line.send(Ready(run.agents, run.maxima))
        while True:
            message = line.recv()
            if message[0] == "close":
                break
            line.send(_answer(run, message))
    except EOFError:
        pass  # the parent is gone
    except SignalsError as error:
        line.send(Failed(isinstance(error, InputError), str(error)))
    except Exception as error:
        line.send(Failed(False, f"{type(error).__name__}: {error}"))
    finally:
        if run is not None:
            run.close()
        line.close()


def _answer(run: NetworkRun, message: tuple[Any, ...]) -> NetworkStep | Stepped:
    if message[0] == "reset":
        return run.reset(message[1], message[2])
    step = run.step(message[1])
    return Stepped(step, run.reset() if step.finished else None)

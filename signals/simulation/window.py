"""SUMO in a process of its own, driven through traci: sumo-gui, or plain SUMO the same way."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Final

from signals.errors import InputError, MissingDependencyError, SimulationError

GUI: Final = "sumo-gui"
_CONNECT_TRIES: Final = 60
"""A big net takes its time to load; one try a second."""
_ENDS_WITHIN_S: Final = 30.0
_STDERR: Final = 2
_labels = itertools.count()


class Window:
    """A SUMO process and the connection to it.

    Args:
        program: ``sumo-gui``, or ``sumo`` for the same run without a window.

    Raises:
        MissingDependencyError: The program is not installed.
        InputError: There is no display for the window.
    """

    def __init__(self, program: str = GUI) -> None:
        found = _binary(program)
        if program == GUI and sys.platform.startswith("linux") and not os.environ.get("DISPLAY"):
            raise InputError(
                "there is no display for sumo-gui (DISPLAY is not set); run it from a desktop "
                "session or under xvfb-run, or leave out --gui"
            )
        self._command = [str(found)]
        if program == GUI:
            self._command += ["--start", "--quit-on-end"]
        self._process: subprocess.Popen[bytes] | None = None

    def open(self, traci: ModuleType, arguments: Sequence[str]) -> None:
        """Start the program and connect to it.

        Args:
            traci: The module.
            arguments: SUMO options.

        Raises:
            SimulationError: The program ended before it answered.
        """
        port = _free_port()
        # A session of its own: ^C ends the run here, which then ends SUMO in good order.
        self._process = subprocess.Popen(
            [*self._command, *arguments, "--remote-port", str(port)],
            stdout=_STDERR,
            env=self._environment(),
            start_new_session=True,
        )
        try:
            with contextlib.redirect_stdout(sys.stderr):  # traci prints its attempts
                traci.init(
                    port,
                    numRetries=_CONNECT_TRIES,
                    label=f"seoul-signals-{next(_labels)}",
                    proc=self._process,
                )
        except Exception as error:  # traci raises different classes once libsumo is loaded
            self._end()
            raise SimulationError(
                f"{os.path.basename(self._command[0])} ended before the run began; its reason "
                "stands above (a display that cannot be reached, or options that SUMO refuses)"
            ) from error
        except BaseException:
            self._end()
            raise

    def _environment(self) -> dict[str, str]:
        home = Path(self._command[0]).parent.parent
        return {**os.environ, **({"SUMO_HOME": str(home)} if (home / "data").is_dir() else {})}

    def close(self, traci: ModuleType) -> None:
        """Disconnect and wait until the program has written its files; it may be gone already."""
        if self._process is None:
            return
        with contextlib.suppress(Exception):
            traci.close(False)
        self._end(_ENDS_WITHIN_S)

    def _end(self, patience_s: float = 0.0) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        try:
            process.wait(patience_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def closing_told(shown: bool) -> Iterator[None]:
    """Say in words when the user closes the window in the middle of a run.

    Args:
        shown: Whether there is a window; without one nothing is done.

    Raises:
        SimulationError: The window was closed.
    """
    try:
        yield
    except Exception as error:
        if not shown or type(error).__name__ != "FatalTraCIError":
            raise
        raise SimulationError(
            "the window of sumo-gui was closed before the end of the run; nothing was judged"
        ) from error


def _binary(program: str) -> Path:
    """The program itself: what the wheel puts on the PATH starts it as a child of its own."""
    try:
        import sumo

        beside = Path(sumo.SUMO_HOME) / "bin" / program
        if beside.is_file():
            return beside
    except ImportError:
        pass
    found = shutil.which(program)
    if found is None:
        raise MissingDependencyError(program, "sim", "watching a run")
    return Path(found)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

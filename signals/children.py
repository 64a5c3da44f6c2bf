"""Processes of our own: they end with the block that began them, also after ^C or SIGTERM."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType


@contextmanager
def child(line: Sequence[str], output: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A process of our own that never outlives the block.

    It leads a process group, so that ^C reaches us alone, and its workers end with it.

    Args:
        line: Command line.
        output: File for both output streams; None lets it write where we do.

    Yields:
        The running process.

    Raises:
        OSError: The file cannot be written, or the command cannot be started.
    """
    sys.stdout.flush()
    stream = output.open("wb") if output is not None else None
    process = subprocess.Popen(
        line,
        stdin=subprocess.DEVNULL,
        stdout=stream,
        stderr=subprocess.STDOUT if stream is not None else None,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        stop(process)
        if stream is not None:
            stream.close()


def stop(process: subprocess.Popen[bytes], patience_s: float = 8.0) -> None:
    """End a process and its workers: ask first, insist later.

    Args:
        process: Leader of a process group, see `child`.
        patience_s: How long it may take to answer each of the two signals that ask (s).
    """
    for kind in (signal.SIGINT, signal.SIGTERM):
        if process.poll() is not None:
            break
        with suppress(ProcessLookupError, PermissionError):
            process.send_signal(kind)
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience_s)
    # Workers that lost their parent; the group is ours alone.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def wait_for(
    found: Callable[[], bool], process: subprocess.Popen[bytes], limit_s: float = 60.0
) -> bool:
    """Wait until something is so.

    Args:
        found: Whether it is so; asked every 20 ms.
        process: Waiting ends with it.
        limit_s: Longest wait (s).

    Returns:
        Whether it is so; False when the process ended or the time is over.
    """
    until_s = time.monotonic() + limit_s
    while not found():
        if process.poll() is not None or time.monotonic() > until_s:
            return found()
        time.sleep(0.02)
    return True


def end_on_signals() -> None:
    """Let SIGTERM and a closed terminal unwind like ^C: children have process groups of their own.

    The handlers stay: they end this very process.
    """
    if threading.current_thread() is threading.main_thread():
        for name in ("SIGTERM", "SIGHUP"):
            signal.signal(getattr(signal, name), _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt

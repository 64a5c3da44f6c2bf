"""The process around the service: the socket, the signals, the log."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Callable
from types import FrameType
from typing import TextIO

import structlog
import uvicorn
from fastapi import FastAPI
from structlog.typing import FilteringBoundLogger

from signals.errors import PortError

_KEEP_ALIVE_S = 75
"""Longer than any decision interval, so that a poll never meets a connection just closed."""


def make_logger(stream: TextIO | None = None) -> FilteringBoundLogger:
    """A logger that writes one line per event.

    Args:
        stream: Where to, standard error when not given.
    """
    logger: FilteringBoundLogger = structlog.wrap_logger(
        structlog.PrintLogger(stream or sys.stderr),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger("info"),
    )
    return logger


def listen(host: str, port: int) -> socket.socket:
    """A listening socket.

    Args:
        host: Name or address.
        port: 0 takes any free one.

    Raises:
        PortError: The address is busy, forbidden or unknown.
    """
    sock: socket.socket | None = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        sock = socket.socket(family, kind, protocol)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(512)
    except (OSError, UnicodeError) as error:
        if sock is not None:
            sock.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise PortError(
            f"cannot listen on {host}:{port}: {reason}; stop what listens there, or give another "
            "--host or --port"
        ) from error
    return sock


def address_of(sock: socket.socket) -> str:
    """The URL that a listening socket answers on."""
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run(
    app: FastAPI, sock: socket.socket, logger: FilteringBoundLogger, started: Callable[[], None]
) -> None:
    """Serve until SIGTERM or ^C, then finish the requests that are under way.

    Args:
        app: The application.
        sock: Listening already.
        logger: Gets the end of service.
        started: Called just before the first request is taken.
    """
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=5,
    )
    # uvicorn raises the signal that stopped it once more when it is done; stopping is no failure.
    before = {kind: signal.signal(kind, _ignore) for kind in (signal.SIGINT, signal.SIGTERM)}
    try:
        started()
        uvicorn.Server(config).run(sockets=[sock])
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)
        sock.close()
    logger.info("stopped")


def _ignore(number: int, frame: FrameType | None) -> None:
    """The signal was dealt with."""

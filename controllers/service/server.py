"""The process around the service: the socket, the signals, the log."""

from __future__ import annotations

import inspect
import json
import re
import signal
import socket
import ssl
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

import structlog
import uvicorn
from starlette.types import ASGIApp
from structlog.typing import EventDict, FilteringBoundLogger

from controllers.certificates import load_authorities, load_own
from signals.errors import PortError

_PLAIN = re.compile(r"[^\s\"=\\\x00-\x1f]*")
_KEEP_ALIVE_S = 75
"""Longer than any decision interval, so that a poll never meets a connection just closed."""


def make_logger(
    stream: TextIO | None = None, as_json: bool = False, level: str = "info"
) -> FilteringBoundLogger:
    """A logger that writes one line per event.

    Args:
        stream: Where to, standard error when not given.
        as_json: JSON instead of logfmt.
        level: The least that is written.
    """
    logger: FilteringBoundLogger = structlog.wrap_logger(
        structlog.WriteLogger(stream or sys.stderr),
        processors=[
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _as_json if as_json else _as_logfmt,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
    ).bind()
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


def address_of(sock: socket.socket, scheme: str = "http") -> str:
    """The URL that a listening socket answers on."""
    host, port = sock.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


@dataclass(frozen=True, slots=True)
class Tls:
    """Certificates.

    Attributes:
        certificate: The service's own, PEM.
        key: Its key, PEM.
        clients: Certificates that clients' certificates must be signed by; None asks for none.
    """

    certificate: Path
    key: Path
    clients: Path | None = None

    def check(self) -> None:
        """Refuse files that hold no certificates.

        Raises:
            InputError: Names the file.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        load_own(context, self.certificate, self.key)
        if self.clients is not None:
            load_authorities(context, self.clients)


def run(
    app: ASGIApp,
    sock: socket.socket,
    logger: FilteringBoundLogger,
    started: Callable[[], None],
    tls: Tls | None = None,
) -> None:
    """Serve until SIGTERM or ^C, then finish the requests that are under way.

    Args:
        app: The application.
        sock: Listening already.
        logger: Gets the end of service.
        started: Called just before the first request is taken.
        tls: Certificates, None for plain HTTP.
    """
    with _stopping_is_no_failure():
        try:
            started()
            uvicorn.Server(_config(app, tls)).run(sockets=[sock])
        finally:
            sock.close()
    logger.info("stopped")


def run_workers(
    count: int,
    sock: socket.socket,
    logger: FilteringBoundLogger,
    started: Callable[[], None],
    tls: Tls | None = None,
) -> None:
    """Like `run`, with several processes on one socket; one that dies is replaced.

    Each makes its application from the environment, see `controllers.service.assembly`.

    Args:
        count: Processes.
        sock: Listening already.
        logger: Gets the end of service.
        started: Called before they are started.
        tls: Certificates, None for plain HTTP.
    """
    from uvicorn.supervisors import Multiprocess

    config = _config("controllers.service.assembly:worker", tls, workers=count, factory=True)
    with _stopping_is_no_failure():
        try:
            started()
            make: Any = Multiprocess
            # Older versions of uvicorn want to be told what a process runs.
            told = "target" in inspect.signature(make).parameters
            target = {"target": uvicorn.Server(config).run} if told else {}
            make(config, sockets=[sock], **target).run()
        finally:
            sock.close()
    logger.info("stopped")


def _config(
    app: ASGIApp | str, tls: Tls | None, workers: int = 1, factory: bool = False
) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        factory=factory,
        workers=workers,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=5,
        timeout_worker_healthcheck=300,
        ssl_certfile=None if tls is None else tls.certificate,
        ssl_keyfile=None if tls is None else str(tls.key),
        ssl_ca_certs=None if tls is None or tls.clients is None else str(tls.clients),
        ssl_cert_reqs=ssl.CERT_NONE if tls is None or tls.clients is None else ssl.CERT_REQUIRED,
    )


@contextmanager
def _stopping_is_no_failure() -> Iterator[None]:
    """Uvicorn raises the signal that stopped it once more when it is done."""
    before = {kind: signal.signal(kind, _ignore) for kind in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)


def _as_json(_: object, level: str, event: EventDict) -> str:
    line: dict[str, Any] = {"timestamp": event.pop("timestamp"), "level": level, **event}
    return _printable(json.dumps(line, default=str, ensure_ascii=False))


def _as_logfmt(_: object, level: str, event: EventDict) -> str:
    """As structlog's own renderer writes it, in a tenth of its time: there are many decisions."""
    parts = [
        f"timestamp={event.pop('timestamp')} level={level} event={_quoted(event.pop('event'))}"
    ]
    parts += [f"{name}={_quoted(value)}" for name, value in event.items()]
    return _printable(" ".join(parts))


def _quoted(value: Any) -> str:
    text = "" if value is None else str(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def _printable(line: str) -> str:
    """Text from outside may hold halves of characters, which no stream takes."""
    return line if line.isascii() else line.encode("utf-8", "replace").decode()


def _ignore(number: int, frame: FrameType | None) -> None:
    """The signal was dealt with."""

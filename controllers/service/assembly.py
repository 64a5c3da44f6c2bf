"""Puts one process of the service together, the same alone and among workers."""

from __future__ import annotations

import ctypes
import gc
import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

from starlette.types import ASGIApp
from structlog.typing import FilteringBoundLogger

from controllers.registry.database import check, open_engine
from controllers.registry.journal import Journal
from controllers.registry.store import Registry
from controllers.registry.writer import Writer
from controllers.service.app import create_app
from controllers.service.city import City
from controllers.service.deciding import Service
from controllers.service.gate import CALLS_A_SECOND
from controllers.service.keeper import Keeper
from controllers.service.limits import MAX_BODY_BYTES
from controllers.service.server import make_logger
from signals.errors import OutputError

_COLLECT = (50_000, 20, 20)
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _KEPT_BYTES = -1, -3, 64 * 1024 * 1024
SETTINGS_VARIABLE = "SEOUL_SIGNALS_SERVE"
"""Hands the settings to worker processes."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How a service runs.

    Attributes:
        registry: Address of its registry.
        spool: Folder in which rows wait for the registry.
        trusted: Public keys whose bundles are served.
        open_to_all: No key is asked.
        record: File that gets every poll, empty for none.
        keep_days: Retention of decisions and events.
        max_body_bytes: Larger bodies are refused.
        calls_a_second: More calls with one key are refused.
        log_format: ``logfmt`` or ``json``.
        log_level: ``debug`` also tells every decision of a batch.
    """

    registry: str
    spool: str
    trusted: tuple[str, ...]
    open_to_all: bool = False
    record: str = ""
    keep_days: int = 90
    max_body_bytes: int = MAX_BODY_BYTES
    calls_a_second: float = CALLS_A_SECOND
    log_format: str = "logfmt"
    log_level: str = "info"

    def to_environment(self) -> None:
        """For the workers that are started from here."""
        os.environ[SETTINGS_VARIABLE] = json.dumps(asdict(self))

    @classmethod
    def from_environment(cls) -> Settings:
        """Inverse of `to_environment`."""
        data = json.loads(os.environ[SETTINGS_VARIABLE])
        return cls(**{**data, "trusted": tuple(data["trusted"])})


@contextmanager
def assembled(
    settings: Settings, log: FilteringBoundLogger | None = None
) -> Iterator[tuple[Service, ASGIApp]]:
    """A service that follows its registry, until the end of the block.

    Args:
        settings: How it runs.
        log: Gets its events; made as the settings say when not given.

    Raises:
        InputError: The database is no registry, or of another version.
        RegistryError: It does not answer.
        OutputError: Spool or record cannot be written to.
    """
    logger = log or make_logger(
        sys.stderr, as_json=settings.log_format == "json", level=settings.log_level
    )
    with ExitStack() as stack:
        engine = open_engine(settings.registry)
        stack.callback(engine.dispose)
        check(engine)
        city = City(
            registry=Registry(engine),
            trusted=settings.trusted,
            open_to_all=settings.open_to_all,
        )
        for problem in city.refresh():
            logger.error("not served", problem=problem)
        # A city's junctions stay: walking through them at every collection would stop all answers.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_COLLECT)
        record = stack.enter_context(_append(Path(settings.record))) if settings.record else None
        _keep_freed_memory()
        writer = Writer(engine, Journal(Path(settings.spool)), logger)
        service = Service(logger=logger, record=record, city=city, writer=writer)
        keeper = Keeper(service, settings.keep_days)
        keeper.turn()
        stack.callback(writer.close)
        stack.callback(keeper.close)
        writer.start()
        keeper.start()
        app = create_app(service, settings.max_body_bytes, settings.calls_a_second)
        yield service, app


def worker() -> ASGIApp:
    """The application of one of several workers, made from the environment."""
    stack = ExitStack()
    service, app = stack.enter_context(assembled(Settings.from_environment()))
    service.ends.append(stack.close)
    return app


def _keep_freed_memory() -> None:
    """Do not give memory back to the system after each batch, only to take it again for the next.

    A page that is taken anew is cleared first, which costs more than the arithmetic on it.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # the GNU C library has it
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
        mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES)


@contextmanager
def _append(file: Path) -> Iterator[TextIO]:
    try:
        stream = file.open("a", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write {file}: {error.strerror or error}") from error
    with stream:
        yield stream

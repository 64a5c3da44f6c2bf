"""Where the registry lives: a SQLite file by default, PostgreSQL by its address."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from signals.errors import InputError, MissingDependencyError, OutputError, RegistryError

REGISTRY_VARIABLE = "SEOUL_SIGNALS_REGISTRY"
"""Environment variable that names the registry."""
_WRITE = {"registry_write": True}
_BUSY_S = 10


def default_address() -> str:
    """The registry meant when none is named."""
    from platformdirs import user_data_dir

    return os.environ.get(REGISTRY_VARIABLE) or str(
        Path(user_data_dir("seoul-signals")) / "registry.db"
    )


def open_engine(address: str) -> Engine:
    """An engine; nothing is connected yet.

    Args:
        address: A file, ``sqlite:///FILE`` or ``postgresql://USER@HOST/NAME``.

    Raises:
        InputError: Not such an address.
        OutputError: The file's folder cannot be made.
        MissingDependencyError: The driver is not installed.
    """
    try:
        url = make_url(address if "://" in address else f"sqlite:///{Path(address).absolute()}")
    except (ArgumentError, ValueError) as error:
        raise InputError(f"the registry's address cannot be read: {error}") from error
    if url.drivername in ("postgresql", "postgres"):
        url = url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() not in ("sqlite", "postgresql"):
        raise InputError(
            f"a registry is no {url.get_backend_name()} database; give a file, or "
            "postgresql://USER@HOST/NAME"
        )
    try:
        if url.get_backend_name() == "postgresql":
            return create_engine(
                url,
                pool_size=4,
                pool_pre_ping=True,
                pool_timeout=5,
                connect_args={"connect_timeout": 3, "application_name": "seoul-signals"},
            )
        if not url.database or url.database == ":memory:":
            raise InputError("a registry is a file or a PostgreSQL database; name one")
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(url, connect_args={"timeout": _BUSY_S})
    except ImportError as error:
        raise MissingDependencyError("psycopg", "postgres", "a PostgreSQL registry") from error
    except OSError as error:
        raise OutputError(f"cannot make {url.database}: {error.strerror or error}") from error
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # transactions are begun below
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        f"busy_timeout={_BUSY_S * 1000}",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes later would fail when another wrote in between.
    write = connection.get_execution_options().get("registry_write")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def where(engine: Engine) -> str:
    """The registry's address without a password."""
    return engine.url.render_as_string(hide_password=True)


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A transaction that reads.

    Raises:
        RegistryError: The database does not answer.
    """
    try:
        with engine.connect() as connection, connection.begin():
            yield connection
    except SQLAlchemyError as error:
        raise away(engine, error) from error


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that writes; all of it or nothing.

    Raises:
        RegistryError: The database does not answer or refuses.
    """
    try:
        with engine.connect() as plain:
            connection = plain.execution_options(**_WRITE)
            with connection.begin():
                yield connection
    except SQLAlchemyError as error:
        raise away(engine, error) from error


def away(engine: Engine, error: SQLAlchemyError) -> RegistryError:
    """The database's error in one line."""
    cause = getattr(error, "orig", None) or error
    reason = " ".join(str(cause).split()) or type(cause).__name__
    return RegistryError(f"registry {where(engine)}: {reason[:300]}")


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


def newest_revision() -> str:
    """The revision that this version of the code needs."""
    return str(ScriptDirectory.from_config(_config()).get_current_head())


def revision_of(engine: Engine) -> str | None:
    """The database's revision, None when it holds no registry.

    Raises:
        RegistryError: The database does not answer.
    """
    with reading(engine) as connection:
        return MigrationContext.configure(connection).get_current_revision()


def migrate(engine: Engine) -> str:
    """Create the tables, or bring them up to date.

    Returns:
        The revision.

    Raises:
        RegistryError: The database does not answer or holds something else.
    """
    with writing(engine) as connection:
        if connection.dialect.name == "postgresql":
            # Several processes may start at once.
            connection.execute(text("SELECT pg_advisory_xact_lock(5700)"))
        known = MigrationContext.configure(connection).get_current_revision()
        if known is None and inspect(connection).has_table("decisions"):
            raise RegistryError(f"{where(engine)} holds tables that are no registry's")
        command.upgrade(_config(connection), "head")
    return newest_revision()


def check(engine: Engine) -> None:
    """Refuse a database that is no registry, or one of another version.

    Raises:
        InputError: It has to be made or migrated first.
        RegistryError: The database does not answer.
    """
    found, needed = revision_of(engine), newest_revision()
    if found != needed:
        what = "is no registry yet" if found is None else f"has revision {found}, not {needed}"
        raise InputError(f"{where(engine)} {what}; run: signals registry init --registry ADDRESS")

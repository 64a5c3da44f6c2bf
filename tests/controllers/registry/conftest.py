from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy", reason="sqlalchemy is not installed (extra: serve)")
pytest.importorskip("alembic", reason="alembic is not installed (extra: serve)")

from sqlalchemy import text

from controllers.bundle import trusted_keys
from controllers.registry.change import Author
from controllers.registry.database import migrate, open_engine
from controllers.registry.store import Registry
from signals.bundle import Bundle
from tests.controllers.postgres import VARIABLE, Cluster, binaries, cluster

BY = Author("tester", "a test")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A server that the tests may stop."""
    if binaries() is None:
        pytest.skip("no PostgreSQL: neither initdb nor pg_ctl is installed")
    with cluster() as found:
        yield found


@pytest.fixture(scope="session")
def postgres_address(request: pytest.FixtureRequest) -> str:
    pytest.importorskip("psycopg", reason="psycopg is not installed (extra: postgres)")
    given = os.environ.get(VARIABLE)
    return given or request.getfixturevalue("postgres").address


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return str(tmp_path / "registry.db")
    found: str = request.getfixturevalue("postgres_address")
    return emptied(found)


def emptied(address: str) -> str:
    engine = open_engine(address)
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    engine.dispose()
    return address


@pytest.fixture
def registry(address: str) -> Iterator[Registry]:
    engine = open_engine(address)
    migrate(engine)
    yield Registry(engine)
    engine.dispose()


@pytest.fixture
def kept(registry: Registry, bundle_file: Path) -> Bundle:
    """A bundle in the registry."""
    row = registry.add_bundle(bundle_file, trusted_keys(), BY)
    return registry.opened(row.hash, trusted_keys())

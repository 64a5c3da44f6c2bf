"""How long decisions and events are kept, and their way out to parquet."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import delete, func, select

from controllers.registry.change import Author, now_ms
from controllers.registry.database import reading, writing
from controllers.registry.store import Registry
from controllers.registry.tables import PRUNED, Base
from signals.errors import InputError, MissingDependencyError, OutputError

DAY_MS = 86_400_000
KEEP_DAYS = 90
"""Decisions and events are kept so long unless said otherwise (days)."""
_AT_ONCE = 50_000
EXPORTED = (*PRUNED, "deployments", "overrides", "audit")


def prune(registry: Registry, keep_days: int, by: Author) -> dict[str, int]:
    """Delete decisions and events that are older; everything else is kept for good.

    Args:
        registry: From where.
        keep_days: Whole days before now that stay.
        by: Kept in the audit, with the counts.

    Returns:
        Rows deleted, by table.

    Raises:
        InputError: Less than a day.
    """
    if keep_days < 1:
        raise InputError(f"keep {keep_days} days is too short; give 1 or more")
    before_ms = now_ms() - keep_days * DAY_MS
    gone: dict[str, int] = {}
    with writing(registry.engine) as connection:
        for name in PRUNED:
            table = Base.metadata.tables[name]
            found = connection.execute(delete(table).where(table.c.at_ms < before_ms))
            gone[name] = found.rowcount
    registry.note("pruned", "decisions, events", by, {"keep_days": keep_days, **gone})
    return gone


def export(registry: Registry, folder: Path, tables: Sequence[str] = EXPORTED) -> dict[str, int]:
    """Write tables as parquet files, ``NAME.parquet`` each.

    Args:
        registry: From where.
        folder: Where to.
        tables: Which.

    Returns:
        Rows written, by table.

    Raises:
        MissingDependencyError: polars is not installed.
        OutputError: The folder cannot be written to.
    """
    try:
        import polars
    except ImportError as error:
        raise MissingDependencyError("polars", "sim", "an export to parquet") from error
    kinds = {"Integer": polars.Int64, "BigInteger": polars.Int64, "Float": polars.Float64}
    counts: dict[str, int] = {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in tables:
            table = Base.metadata.tables[name]
            schema = {
                column.name: kinds.get(type(column.type).__name__, polars.String)
                for column in table.columns
            }
            parts = [
                polars.DataFrame(rows, schema=schema, orient="row")
                for rows in _parts(registry, name)
            ]
            frame = polars.concat(parts) if parts else polars.DataFrame(schema=schema)
            partial = folder / f".{name}.parquet.part"
            frame.write_parquet(partial)
            os.replace(partial, folder / f"{name}.parquet")
            counts[name] = frame.height
    except OSError as error:
        raise OutputError(f"cannot write to {folder}: {error.strerror or error}") from error
    return counts


def counts(registry: Registry) -> dict[str, int]:
    """Rows of every table."""
    with reading(registry.engine) as connection:
        return {
            name: int(connection.scalar(select(func.count()).select_from(table)) or 0)
            for name, table in sorted(Base.metadata.tables.items())
        }


def _parts(registry: Registry, name: str) -> Iterator[list[tuple[Any, ...]]]:
    table = Base.metadata.tables[name]
    with reading(registry.engine) as connection:
        order = [column for column in table.primary_key.columns]
        query = select(table).order_by(*order).execution_options(yield_per=_AT_ONCE)
        for part in connection.execute(query).partitions():
            yield [tuple(row) for row in part]

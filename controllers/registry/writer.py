"""Brings journalled rows into the database, in batches, from a thread of its own.

The decision path only appends to the journal. When the database is away the rows wait on disk and
are written when it is back; rows that are there already are passed over.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from structlog.typing import FilteringBoundLogger

from controllers.registry.database import reading, where, writing
from controllers.registry.journal import Journal, rows_of
from controllers.registry.tables import DECISION_COLUMNS, EVENT_COLUMNS
from signals.errors import RegistryError

FLUSH_S = 0.5
"""Time between two batches (s)."""
BACK_OFF_S = 5.0
"""Longest pause between two tries while the database is away (s)."""
_COLUMNS = {"decisions": DECISION_COLUMNS, "events": EVENT_COLUMNS}
_AT_ONCE = 20_000


class Writer:
    """Owns the thread.

    Args:
        engine: The database.
        journal: Where the rows wait.
        log: Gets one line when the database is lost and one when it is back.
        flush_s: Time between two batches (s).
    """

    def __init__(
        self,
        engine: Engine,
        journal: Journal,
        log: FilteringBoundLogger,
        flush_s: float = FLUSH_S,
    ) -> None:
        self.journal = journal
        self.written = 0
        self.away = ""
        self._engine = engine
        self._log = log
        self._flush_s = flush_s
        self._stop = threading.Event()
        self._turn = threading.Lock()
        self._telling = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="registry-writer", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def close(self, timeout_s: float = 10.0) -> None:
        """Write what there is and end; what cannot be written stays in the journal.

        Args:
            timeout_s: Wait at most so long for the thread (s).
        """
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        if not self._thread.is_alive():
            self.flush()
        self.journal.close()

    def flush(self) -> bool:
        """Write all that waits.

        Returns:
            Whether the database took it.
        """
        with self._turn:
            try:
                files = self.journal.take()
                for file in files:
                    self._write(file)
                if self.away and not files:
                    with reading(self._engine) as connection:
                        connection.execute(text("SELECT 1"))
            except RegistryError as error:
                self.lost(str(error))
                return False
            except OSError as error:
                self._log.error("journal", error=str(error))
                return False
            if self.away:
                self.away = ""
                self._log.warning("registry back", registry=where(self._engine))
            return True

    def lost(self, why: str) -> None:
        """Note that the database does not answer: said once until it is back.

        Args:
            why: What it, or the way to it, said.
        """
        with self._telling:
            before, self.away = self.away, self.away or why
        if not before:
            self._log.error("registry lost", error=why)

    def _run(self) -> None:
        pause_s = self._flush_s
        while not self._stop.wait(pause_s):
            pause_s = self._flush_s if self.flush() else min(2 * pause_s, BACK_OFF_S)

    def _write(self, file: Path) -> None:
        found = list(rows_of(file))
        for table in _COLUMNS:
            rows = [tuple(row) for name, part in found if name == table for row in part]
            for start in range(0, len(rows), _AT_ONCE):
                part = rows[start : start + _AT_ONCE]
                try:
                    with writing(self._engine) as connection:
                        insert(connection, table, part)
                except RegistryError as error:
                    if not isinstance(error.__cause__, DataError | IntegrityError):
                        raise
                    kept = self.journal.aside(file)
                    self._log.error("rows refused", error=str(error), kept=str(kept))
                    return
                self.written += len(part)
        self.journal.done(file)


def insert(connection: Connection, table: str, rows: Sequence[Sequence[Any]]) -> None:
    """Insert rows, passing over those that are there already.

    Args:
        connection: Within a transaction that writes.
        table: ``decisions`` or ``events``.
        rows: Values in the order of the table's columns.
    """
    columns = _COLUMNS[table]
    names = ", ".join(columns)
    if connection.dialect.name == "sqlite":
        marks = ", ".join("?" * len(columns))
        connection.exec_driver_sql(
            f"INSERT INTO {table} ({names}) VALUES ({marks}) ON CONFLICT DO NOTHING",
            [tuple(row) for row in rows],
        )
        return
    # COPY takes a tenth of the time of INSERT, but knows no conflicts: it fills a table aside.
    connection.exec_driver_sql(
        f"CREATE TEMP TABLE IF NOT EXISTS new_{table} (LIKE {table}) ON COMMIT DELETE ROWS"
    )
    driver: Any = connection.connection.driver_connection
    copying = f"COPY new_{table} ({names}) FROM STDIN"
    module: Any = connection.dialect.dbapi
    try:
        with driver.cursor() as cursor, cursor.copy(copying) as copy:
            for row in rows:
                copy.write_row(row)
    except module.Error as error:  # SQLAlchemy does not see the driver's own cursor
        raise DBAPIError.instance(copying, None, error, module.Error) from error
    connection.exec_driver_sql(
        f"INSERT INTO {table} ({names}) SELECT {names} FROM new_{table} ON CONFLICT DO NOTHING"
    )

"""Rows on their way to the database, on disk before the answer leaves.

Every process appends to a folder of its own, which it holds locked. What a process that died has
left is taken over by the next one. Rows carry their own primary key, so that one that is written
twice is one row.
"""

from __future__ import annotations

import fcntl
import os
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from signals.errors import OutputError

MAX_BYTES = 8 * 1024**3
"""Rows that wait for the database may fill so much disk; then no decision is made any more."""
_LOCK = "lock"
_SUFFIX = ".rows"


class JournalFullError(OutputError):
    """A row cannot be kept, so that what it tells of must not happen."""


class Journal:
    """Append-only files of rows.

    Args:
        folder: Shared by all processes of one registry.
        max_bytes: Most that may wait.

    Raises:
        OutputError: The folder cannot be written to.
    """

    def __init__(self, folder: Path, max_bytes: int = MAX_BYTES) -> None:
        self._root = folder
        self._max_bytes = max_bytes
        self._own = folder / f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._mutex = threading.Lock()
        self._number = 0
        self._size = 0
        self._waiting: dict[Path, int] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with self._alone():
                self._own.mkdir(mode=0o700)
                self._locked = _lock(self._own)
            self._open: int | None = None
        except OSError as error:
            raise OutputError(f"cannot write to {folder}: {error.strerror or error}") from error

    @property
    def waiting_bytes(self) -> int:
        """Bytes that are not in the database yet."""
        return self._size + sum(self._waiting.values())

    def append(self, table: str, rows: Sequence[Sequence[Any]]) -> None:
        """Keep rows; they survive the end of this process from here on.

        Args:
            table: Its name.
            rows: Values in the order of the table's columns.

        Raises:
            JournalFullError: The disk or the allowance is full.
        """
        data = orjson.dumps([table, rows]) + b"\n"
        with self._mutex:
            if self.waiting_bytes + len(data) > self._max_bytes:
                raise JournalFullError(
                    f"{self.waiting_bytes} bytes wait for the registry, allowed are "
                    f"{self._max_bytes}"
                )
            try:
                if self._open is None:
                    self._open = os.open(
                        self._path(), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600
                    )
                done = os.write(self._open, data)
                if done != len(data):
                    os.ftruncate(self._open, self._size)
                    raise OSError(28, "no space left")
            except OSError as error:
                raise JournalFullError(
                    f"cannot write to {self._own}: {error.strerror or error}"
                ) from error
            self._size += len(data)

    def take(self) -> list[Path]:
        """Files that are complete, the oldest first; those of dead processes come before."""
        with self._mutex:
            if self._open is not None:
                os.close(self._open)
                self._open = None
                self._waiting[self._path()] = self._size
                self._number += 1
                self._size = 0
            with self._alone():
                self._adopt()
            return list(self._waiting)

    def done(self, file: Path) -> None:
        """The file's rows are in the database."""
        file.unlink(missing_ok=True)
        with self._mutex:
            self._waiting.pop(file, None)

    def aside(self, file: Path) -> Path:
        """Put away a file whose rows the database will never take, for a person to look at."""
        place = self._root / "refused"
        place.mkdir(exist_ok=True)
        target = place / f"{file.parent.name}-{file.name}"
        os.replace(file, target)
        with self._mutex:
            self._waiting.pop(file, None)
        return target

    def close(self) -> None:
        """Give the folder back; rows that still wait stay for the next process."""
        with self._mutex:
            if self._open is not None:
                os.close(self._open)
                self._open = None
            if not any(self._own.glob(f"*{_SUFFIX}")):
                (self._own / _LOCK).unlink(missing_ok=True)
                self._own.rmdir()
            os.close(self._locked)

    def _path(self) -> Path:
        return self._own / f"{self._number:08d}{_SUFFIX}"

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """No other process makes or takes over a folder meanwhile."""
        guard = os.open(self._root / ".guard", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(guard, fcntl.LOCK_EX)
            yield
        finally:
            os.close(guard)

    def _adopt(self) -> None:
        """Take over the files of folders that nobody holds, before the own ones."""
        adopted: dict[Path, int] = {}
        for folder in sorted(self._root.iterdir()):
            if folder == self._own or not (folder / _LOCK).exists():
                continue
            try:
                held = _lock(folder)
            except OSError:
                continue
            try:
                for file in sorted(folder.glob(f"*{_SUFFIX}")):
                    target = self._own / f"{folder.name}-{file.name}"
                    os.replace(file, target)
                    adopted[target] = target.stat().st_size
                (folder / _LOCK).unlink()
                folder.rmdir()
            except OSError:
                continue  # the next round sees it again
            finally:
                os.close(held)
        if adopted:
            self._waiting = adopted | self._waiting


def rows_of(file: Path) -> Iterator[tuple[str, list[list[Any]]]]:
    """Tables and rows of one file; a line that a dying process left half is passed over."""
    for line in file.read_bytes().split(b"\n"):
        if line:
            try:
                table, rows = orjson.loads(line)
            except ValueError:
                continue
            yield table, rows


def _lock(folder: Path) -> int:
    held = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(held)
        raise
    return held

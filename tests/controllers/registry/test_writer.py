from __future__ import annotations

import io
import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

import polars
import pytest

from controllers.registry.change import now_ms
from controllers.registry.database import migrate, open_engine
from controllers.registry.journal import Journal, JournalFullError, rows_of
from controllers.registry.retention import DAY_MS, EXPORTED, counts, export, prune
from controllers.registry.store import Registry
from controllers.registry.writer import Writer
from controllers.service.server import make_logger
from signals.errors import InputError, OutputError
from tests.controllers.postgres import Cluster
from tests.controllers.registry.conftest import BY, emptied


def decision(number: int, at_ms: int | None = None, **change: Any) -> list[Any]:
    at_ms = now_ms() if at_ms is None else at_ms
    row = [f"d{number:06d}", at_ms, "B1", "s", number, 30_000.0 + number, "b" * 64, None]
    return [*row, "deploy/on", 1, 1, 1, "kept", "", "1/3/6363", 2.0, 10.0, 0.0]


def event(number: int) -> list[Any]:
    return ["B1", 1_000 + number, "hires", 1, 2, ""]


def test_rows_are_written_once(registry: Registry, tmp_path: Path) -> None:
    writer = Writer(registry.engine, Journal(tmp_path / "spool"), make_logger(io.StringIO()))
    rows = [decision(number) for number in range(1000)]
    writer.journal.append("decisions", rows[:600])
    writer.journal.append("events", [event(number) for number in range(10)])
    assert writer.flush()
    writer.journal.append("decisions", rows[400:])
    writer.journal.append("events", [event(number) for number in range(5, 20)])
    writer.close()
    assert counts(registry)["decisions"] == 1000 and counts(registry)["events"] == 20
    found = registry.decisions("B1", limit=3)
    assert [row.sequence for row in found] == [997, 998, 999]
    assert [getattr(found[2], name) for name in ("id", "clock_s", "stage", "queued")] == [
        "d000999",
        30_999.0,
        "deploy/on",
        2.0,
    ]
    assert [path.name for path in (tmp_path / "spool").iterdir()] == [".guard"]


def test_no_row_is_lost_while_the_database_is_down(postgres: Cluster, tmp_path: Path) -> None:
    engine = open_engine(emptied(postgres.address))
    migrate(engine)
    registry = Registry(engine)
    log = io.StringIO()
    writer = Writer(engine, Journal(tmp_path / "spool"), make_logger(log), flush_s=0.05)
    writer.start()
    written = 0
    try:
        for _ in range(20):
            writer.journal.append("decisions", [decision(n) for n in range(written, written + 50)])
            written += 50
            time.sleep(0.01)
        while writer.written < written:
            time.sleep(0.02)
        postgres.stop()
        for _ in range(20):
            writer.journal.append("decisions", [decision(n) for n in range(written, written + 50)])
            written += 50
            time.sleep(0.02)
        deadline = time.monotonic() + 20
        while not writer.away and time.monotonic() < deadline:
            time.sleep(0.02)
        assert writer.away and writer.journal.waiting_bytes
    finally:
        postgres.start()
    while writer.away and time.monotonic() < deadline + 20:
        time.sleep(0.05)
    writer.close()
    assert counts(registry)["decisions"] == written == 2000
    lines = [line for line in log.getvalue().splitlines() if "registry" in line]
    assert len(lines) == 2
    assert "registry lost" in lines[0] and "registry back" in lines[1]
    engine.dispose()


def _append_and_wait(folder: Path, ready: Any) -> None:
    journal = Journal(folder)
    journal.append("decisions", [decision(number) for number in range(10)])
    journal.take()
    journal.append("decisions", [decision(number) for number in range(10, 20)])
    ready.set()
    time.sleep(60)


def test_what_a_killed_process_left_is_taken_over(registry: Registry, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=_append_and_wait, args=(spool, ready))
    process.start()
    assert ready.wait(30)
    writer = Writer(registry.engine, Journal(spool), make_logger(io.StringIO()))
    assert writer.flush() and counts(registry)["decisions"] == 0, "it took a living process' rows"
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join(10)
    last = next(spool.glob(f"{process.pid}-*/00000001.rows"))
    with last.open("ab") as stream:
        stream.write(b'["decisions", [["half')
    writer.close()
    assert counts(registry)["decisions"] == 20
    assert [path.name for path in spool.iterdir()] == [".guard"]


def test_a_full_journal_says_so(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "spool", max_bytes=1000)
    row = decision(1)
    with pytest.raises(JournalFullError, match="wait for the registry"):
        for _ in range(20):
            journal.append("decisions", [row])
    journal.close()
    kept = [rows for file in (tmp_path / "spool").glob("*/*.rows") for rows in rows_of(file)]
    assert 0 < len(kept) < 20
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        Journal(tmp_path / "file" / "spool")


def test_rows_that_no_database_takes_are_put_aside(registry: Registry, tmp_path: Path) -> None:
    log = io.StringIO()
    writer = Writer(registry.engine, Journal(tmp_path / "spool"), make_logger(log))
    bad = decision(1)
    bad[2] = None
    writer.journal.append("decisions", [bad])
    assert writer.flush()
    writer.journal.append("decisions", [decision(2)])
    writer.close()
    assert counts(registry)["decisions"] == 1
    assert len(list((tmp_path / "spool" / "refused").iterdir())) == 1
    assert "rows refused" in log.getvalue()


def test_retention_and_export(registry: Registry, tmp_path: Path) -> None:
    writer = Writer(registry.engine, Journal(tmp_path / "spool"), make_logger(io.StringIO()))
    old, new = now_ms() - 10 * DAY_MS, now_ms()
    writer.journal.append("decisions", [decision(1, old), decision(2, old), decision(3, new)])
    writer.journal.append("events", [event(1)])
    writer.close()
    written = export(registry, tmp_path / "out")
    assert written["decisions"] == 3 and written["events"] == 1
    frame = polars.read_parquet(tmp_path / "out" / "decisions.parquet")
    assert frame["sequence"].to_list() == [1, 2, 3]
    assert frame["clock_s"].to_list() == [30_001.0, 30_002.0, 30_003.0]
    assert sorted(file.stem for file in (tmp_path / "out").iterdir()) == sorted(EXPORTED)
    assert prune(registry, 5, BY) == {"decisions": 2, "events": 1}
    assert counts(registry)["decisions"] == 1
    last = registry.audit()[-1]
    assert last.what == "pruned" and '"decisions": 2' in last.detail
    with pytest.raises(InputError):
        prune(registry, 0, BY)
    (tmp_path / "taken").write_text("")
    with pytest.raises(OutputError):
        export(registry, tmp_path / "taken")

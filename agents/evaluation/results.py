"""The folder in which judged runs are kept.

::

    config.json              resolved configuration, seeds, package versions, git revision
    evaluation.json          the document that --json prints
    metrics.parquet          one row a run
    queues.parquet           queue length by run, approach and time
    junctions.parquet        of a network: one row a run and junction
    runs/RUN/tripinfo.xml    SUMO's trip records
    runs/RUN/lights.parquet  lights, wish and the guard's reason, every second (and junction)

Everything is written into a hidden folder inside the target and moved into place at the end, with
``config.json`` last: a folder that has one is whole.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from agents.evaluation.jobs import Job, RunResult
from agents.runfolder import provenance
from signals.errors import MissingDependencyError, OutputError

CONFIG_FILE = "config.json"
_RUNS = "runs"


class ResultFolder:
    """A folder that holds a whole evaluation afterwards, or what it held before.

    Args:
        folder: Where; created when missing, refused when it holds something.

    Raises:
        OutputError: It cannot be written, or is not empty.
        MissingDependencyError: polars is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            import polars
        except ImportError as error:
            raise MissingDependencyError("polars", "sim", "keeping runs") from error
        self._polars = polars
        self.folder = folder
        self._made = self._first_missing()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if any(folder.iterdir()):
                raise OutputError(f"folder {folder} is not empty; give a new one with --out")
            self._work = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=folder))
        except OSError as error:
            self._remove_made()
            raise OutputError(
                f"cannot write to {folder}: {error.strerror or error}; "
                "give a folder you may write to with --out"
            ) from error

    def __enter__(self) -> ResultFolder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        shutil.rmtree(self._work, ignore_errors=True)
        if kind is not None:
            self._remove_made()

    def job(self, job: Job) -> Job:
        """The job with its files kept here; its label becomes a folder name."""
        home = self._work / _RUNS / job.name
        home.mkdir(parents=True)
        return replace(job, trips_file=home / "tripinfo.xml", record=home)

    def settled(self, result: RunResult) -> RunResult:
        """The result with the place its trips will have."""
        if result.trips is None:
            return result
        return replace(result, trips=self.folder / result.trips.relative_to(self._work))

    def publish(
        self, results: Sequence[RunResult], document: Mapping[str, Any], config: Mapping[str, Any]
    ) -> None:
        """Write the tables and move everything into place.

        Args:
            results: Settled results.
            document: What ``--json`` prints.
            config: Resolved configuration; versions and revision are added.

        Raises:
            OutputError: The disk is full, or the folder was taken away.
        """
        try:
            rows = [result.to_dict() for result in results]
            junctions = [each for row in rows for each in _junction_rows(row)]
            self._table([flat(row) for row in rows]).write_parquet(self._work / "metrics.parquet")
            if junctions:
                self._table(junctions).write_parquet(self._work / "junctions.parquet")
            self._table(_queue_rows(results)).write_parquet(self._work / "queues.parquet")
            self._json("evaluation.json", document)
            self._json(CONFIG_FILE, {**config, **provenance()})
            for item in sorted(self._work.iterdir(), key=lambda path: path.name == CONFIG_FILE):
                item.rename(self.folder / item.name)
        except OSError as error:
            raise OutputError(
                f"cannot write to {self.folder}: {error.strerror or error}; free some space or "
                "choose another --out"
            ) from error

    def _table(self, rows: Sequence[Mapping[str, Any]]) -> Any:
        return self._polars.DataFrame(list(rows), infer_schema_length=None)

    def _json(self, name: str, data: Mapping[str, Any]) -> None:
        text = json.dumps(data, indent=2, ensure_ascii=False) + "\n"
        (self._work / name).write_text(text, encoding="utf-8")

    def _first_missing(self) -> Path | None:
        """The topmost folder that has to be created, to be removed again when the work fails."""
        missing = None
        for path in (self.folder, *self.folder.parents):
            if path.exists():
                break
            missing = path
        return missing

    def _remove_made(self) -> None:
        """Remove the folders that were created, as far as they are empty."""
        if self._made is None:
            return
        for path in (self.folder, *self.folder.parents):
            try:
                path.rmdir()
            except OSError:
                return
            if path == self._made:
                return


def flat(row: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as ``outer.inner`` columns, lists as text."""
    found: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, Mapping):
            found.update(flat(value, f"{prefix}{key}."))
        elif isinstance(value, list | tuple):
            found[prefix + key] = "; ".join(str(item) for item in value)
        else:
            found[prefix + key] = value
    return found


def _junction_rows(row: dict[str, Any]) -> list[dict[str, Any]]:
    """One row a junction, taken out of the run's."""
    run = {name: row[name] for name in ("scenario", "period", "agent", "seed")}
    found = []
    for name, junction in row.pop("junctions").items():
        plain = {key: junction[key] for key in junction if key not in ("approaches", "phase_s")}
        found.append({**run, "junction": name, **plain})
    return found


def _queue_rows(results: Sequence[RunResult]) -> list[dict[str, Any]]:
    return [
        {
            "period": result.period,
            "agent": result.agent,
            "seed": result.seed,
            "leg": leg,
            "time_s": time_s,
            "queue_m": queue_m,
        }
        for result in results
        for leg, queues_m in result.timeline["queue_m"].items()
        for time_s, queue_m in zip(result.timeline["time_s"], queues_m, strict=True)
    ]

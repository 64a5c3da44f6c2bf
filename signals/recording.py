"""Keeps what a run showed and decided: every second's lights, every decision's input and answer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from signals.errors import MissingDependencyError
from signals.lights import GuardState, Verdict
from signals.observation import Observation, ObservationSpec


class Recorder:
    """Collects one run in memory and writes it at the end.

    Args:
        spec: Names the detectors of recorded decisions.
        decisions: Keep decisions too (larger).
    """

    def __init__(self, spec: ObservationSpec | None = None, decisions: bool = False) -> None:
        self._spec = spec
        self._keep_decisions = decisions
        self.seconds: list[tuple[int, str, str, int, int, bool, str]] = []
        self.decisions: list[dict[str, Any]] = []

    def second(
        self, clock_s: float, lights: str, wish: int, state: GuardState, verdict: Verdict
    ) -> None:
        """One second: the lights shown during it and why."""
        self.seconds.append(
            (
                int(clock_s),
                lights,
                "".join(str(value) for value in state.indications),
                wish,
                verdict.phase,
                verdict.granted,
                verdict.reason,
            )
        )

    def decision(self, observation: Observation, readings: Any, wish: int) -> None:
        """One decision: what was read, what the lights were, what was wished."""
        if self._keep_decisions and self._spec is not None:
            self.decisions.append(
                {
                    "readings": readings.to_dict(self._spec.detectors),
                    "state": observation.state.to_dict(),
                    "arrays": {
                        name: array.tobytes().hex() for name, array in observation.arrays().items()
                    },
                    "wish": wish,
                }
            )

    def write(self, folder: Path) -> None:
        """Write ``lights.parquet`` and, when kept, ``decisions.jsonl``.

        Raises:
            MissingDependencyError: polars is not installed.
        """
        write_lights(folder, ("",), (self,))


def write_lights(folder: Path, junctions: Sequence[str], recorders: Sequence[Recorder]) -> None:
    """Write ``lights.parquet`` and, when kept, ``decisions.jsonl`` of a whole run.

    The rows of several junctions begin with the junction's id.

    Args:
        folder: Where.
        junctions: Their ids; not used when there is one.
        recorders: One for each.

    Raises:
        MissingDependencyError: polars is not installed.
    """
    try:
        import polars
    except ImportError as error:
        raise MissingDependencyError("polars", "sim", "recording a run") from error
    schema = {
        "second": polars.Int64,
        "state": polars.String,
        "indications": polars.String,
        "wish": polars.Int32,
        "phase": polars.Int32,
        "granted": polars.Boolean,
        "reason": polars.String,
    }
    several = len(recorders) > 1
    frames, decisions = [], []
    for name, recorder in zip(junctions, recorders, strict=True):
        frame = polars.DataFrame(recorder.seconds, schema=schema, orient="row")
        mark = {"junction": name} if several else {}
        if several:
            frame = frame.select(polars.lit(name).alias("junction"), polars.all())
        frames.append(frame)
        decisions += [{**mark, **row} for row in recorder.decisions]
    polars.concat(frames).write_parquet(folder / "lights.parquet")
    if decisions:
        with (folder / "decisions.jsonl").open("w", encoding="utf-8") as stream:
            for row in decisions:
                stream.write(json.dumps(row) + "\n")

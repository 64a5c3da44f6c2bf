"""Keeps what a run showed and decided: every second's lights, every decision's input and answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from signals.errors import MissingDependencyError
from signals.guard import GuardState, Verdict
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
        try:
            import polars
        except ImportError as error:
            raise MissingDependencyError("polars", "sim", "recording a run") from error
        polars.DataFrame(
            self.seconds,
            schema={
                "second": polars.Int64,
                "state": polars.String,
                "indications": polars.String,
                "wish": polars.Int32,
                "phase": polars.Int32,
                "granted": polars.Boolean,
                "reason": polars.String,
            },
            orient="row",
        ).write_parquet(folder / "lights.parquet")
        if self.decisions:
            with (folder / "decisions.jsonl").open("w", encoding="utf-8") as stream:
                for row in self.decisions:
                    stream.write(json.dumps(row) + "\n")

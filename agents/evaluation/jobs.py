"""One job is one run to be judged; one result is what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from signals.faults import FaultSpec
from signals.metrics import RunMetrics


@dataclass(frozen=True)
class Job:
    """One run to be judged.

    Attributes:
        scenario: Catalogue name or folder.
        period: Period of the day; None takes the scenario's first.
        agent: What `agents.resolve.agent_for` takes.
        seed: Demand day.
        trips_file: Where SUMO's tripinfo XML is kept; None keeps none.
        sumo: Further SUMO options; ``{run}`` in one stands for the job's name.
        emissions: Compute CO2.
        record: Folder for ``lights.parquet``; None records none.
        label: Names the run in messages and file names; made from the fields when empty.
        duration_s: Ends the run early; None runs the whole period.
        gui: Show it in sumo-gui.
        faults: Faults of the detectors, further to the scenario's own.
    """

    scenario: str
    period: str | None
    agent: str
    seed: int
    trips_file: Path | None = None
    sumo: tuple[str, ...] = ()
    emissions: bool = False
    record: Path | None = None
    label: str = ""
    duration_s: int | None = None
    gui: bool = False
    faults: tuple[FaultSpec, ...] = ()

    @property
    def name(self) -> str:
        """The label, or one made from the fields."""
        return self.label or f"{self.scenario}/{self.period}/{self.agent}/{self.seed}"


@dataclass(frozen=True, slots=True)
class Control:
    """What the guard of one junction made of its agent's wishes.

    Attributes:
        phase_s: Seconds that the guard steered for each phase, by its name.
        granted: Share of seconds in which the wish was granted; None of an outside peer, which no
            guard steers.
    """

    phase_s: Mapping[str, int]
    granted: float | None


@dataclass(frozen=True)
class RunResult:
    """What came of a job.

    Attributes:
        scenario: Catalogue name or folder.
        period: Period of the day.
        agent: The agent as it was asked for.
        seed: Demand day.
        label: The job's name.
        trips: The kept tripinfo XML.
        metrics: The judgement.
        timeline: Queue length by approach, see `QueueSampler.series`.
        controls: By junction id, in the world's order.
        faults: Faults of the detectors, in words.
        notes: What the scenario says that its results must say, see `signals.world.World`.
        wall_s: Time the run took.
    """

    scenario: str
    period: str
    agent: str
    seed: int
    label: str
    trips: Path | None
    metrics: RunMetrics
    timeline: dict[str, Any] = field(repr=False)
    controls: Mapping[str, Control] = field(repr=False)
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    wall_s: float = 0.0

    @property
    def phase_s(self) -> dict[str, int]:
        """Seconds by phase of a single junction; empty for a network."""
        if len(self.controls) != 1:
            return {}
        return dict(next(iter(self.controls.values())).phase_s)

    @property
    def granted(self) -> float | None:
        """Share of seconds in which a wish was granted, the mean over junctions."""
        shares = [c.granted for c in self.controls.values() if c.granted is not None]
        if not shares:
            return None
        return sum(shares) / len(shares)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form: the fields and the metrics side by side, without the timeline."""
        metrics = self.metrics.to_dict()
        for name, junction in metrics["junctions"].items():
            junction |= asdict(self.controls[name])
        return {
            "scenario": self.scenario,
            "period": self.period,
            "agent": self.agent,
            "seed": self.seed,
            **metrics,
            "phase_s": self.phase_s,
            "granted": self.granted,
            "faults": list(self.faults),
            "notes": list(self.notes),
            "wall_s": round(self.wall_s, 2),
            "trips": None if self.trips is None else str(self.trips),
        }

"""Reads what a page is made of: an evaluation folder, its scenario, a training run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from agents.classical import NAMES
from agents.runfolder import read_config
from signals.errors import InputError, MissingDependencyError, ScenarioError, SignalsError
from signals.world import World, resolve

TIMELINE_S: Final = 600
"""Length of the signal timeline (s)."""

Row = Mapping[str, Any]


def is_classical(agent: str) -> bool:
    """Whether an agent is a classical one, parameters behind a colon or not."""
    return agent.partition(":")[0] in NAMES


@dataclass(frozen=True)
class Seconds:
    """The recorded seconds of one run, one list an aspect.

    Attributes:
        clock_s: Clock time at which each second begins.
        indications: One digit a signal group, see `signals.guard.Indication`.
        phases: Phase being served or changed to.
        granted: Whether the agent's wish was followed.
        reasons: ``kept``, ``changed``, or why it was refused.
    """

    clock_s: list[int]
    indications: list[str]
    phases: list[int]
    granted: list[bool]
    reasons: list[str]


@dataclass(frozen=True)
class Provenance:
    """How many numbers of a site are assumed.

    Attributes:
        assumed: Numbers marked as assumed.
        total: All numbers.
    """

    assumed: int
    total: int


@dataclass(frozen=True)
class Training:
    """A training run.

    Attributes:
        config: Its ``config.json``.
        validations: Its learning curve, see `agents.runfolder`.
    """

    config: Row
    validations: list[Row]

    @property
    def decisions(self) -> int:
        """Decisions taken until the last validation."""
        return int(self.validations[-1]["decisions"]) if self.validations else 0

    @property
    def best(self) -> Row | None:
        """The validation with the lowest delay: its weights are the run's."""
        return min(self.validations, key=lambda row: float(row["delay_s"]), default=None)


class Evaluation:
    """An opened evaluation folder.

    Args:
        folder: Written by ``signals evaluate --out`` (or ``simulate --out``).

    Raises:
        InputError: It is no such folder, or is broken.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = _document(folder, "config.json")
        document = _document(folder, "evaluation.json")
        try:
            self.runs: list[Row] = list(document["runs"])
            self.summary: list[Row] = list(document.get("summary", ()))
            self.verdicts: list[Row] = list(document.get("verdict", ()))
            self.scenario = str(self.config["scenario"])
            self.periods = tuple(self.config["periods"])
            self.agents = tuple(str(agent) for agent in self.config["agents"])
            self.seeds = tuple(int(seed) for seed in self.config["seeds"])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(_refusal(folder, f"unexpected contents: {error!r}")) from error
        if not self.runs or not self.summary:
            raise InputError(_refusal(folder, "it holds no summary of runs"))

    def label(self, agent: str) -> str:
        """Short name of an agent: the last part of a path."""
        if is_classical(agent):
            return agent
        name = Path(agent).name.removesuffix(".bundle") or agent
        twins = [other for other in self.agents if Path(other).name == Path(agent).name]
        return agent if len(twins) > 1 else name

    @property
    def learned(self) -> tuple[str, ...]:
        """Agents that are not classical."""
        return tuple(agent for agent in self.agents if not is_classical(agent))

    def summary_of(self, period: str, agent: str) -> Row | None:
        """The averaged runs of an agent in a period."""
        for row in self.summary:
            if (row["period"], row["agent"]) == (period, agent):
                return row
        return None

    def runs_of(self, period: str, agent: str) -> list[Row]:
        """The runs of an agent in a period."""
        return [run for run in self.runs if (run["period"], run["agent"]) == (period, agent)]

    def best_classical(self, period: str) -> str | None:
        """The classical agent with the lowest mean delay."""
        rows = [
            row
            for row in self.summary
            if row["period"] == period and is_classical(str(row["agent"]))
        ]
        best = min(rows, key=lambda row: (row["delay_s"], row["agent"]), default=None)
        return None if best is None else str(best["agent"])

    def verdict_of(self, period: str, agent: str) -> Row | None:
        """The comparison of an agent with the period's best classical one."""
        for row in self.verdicts:
            if (row["period"], row["agent"]) == (period, agent):
                return row
        return None

    @cached_property
    def queues(self) -> list[Row]:
        """Mean queue length over days, by period, agent, leg and time; empty when not kept."""
        file = self.folder / "queues.parquet"
        if not file.is_file():
            return []
        polars = _polars()
        try:
            frame = polars.read_parquet(file)
            rows: list[Row] = (
                frame.group_by("period", "agent", "leg", "time_s")
                .agg(polars.col("queue_m").mean())
                .sort("period", "agent", "leg", "time_s")
                .to_dicts()
            )
        except (OSError, polars.exceptions.PolarsError) as error:
            raise InputError(_refusal(self.folder, f"{file.name}: {error}")) from error
        return rows

    @property
    def network(self) -> bool:
        """Whether several junctions were judged at once."""
        return bool(self.runs[0].get("junctions"))

    @cached_property
    def junctions(self) -> tuple[str, ...]:
        """Junctions of a network, those where most time is lost first; none of a single one."""
        lost_s: dict[str, float] = {}
        for run in self.runs:
            for name, junction in run.get("junctions", {}).items():
                lost_s[name] = lost_s.get(name, 0.0) + float(junction["lost_s"])
        return tuple(sorted(lost_s, key=lambda name: (-lost_s[name], name)))

    def seconds(self, run: Row, junction: str = "") -> Seconds | None:
        """The recorded lights of a run, or None when they were not kept.

        Args:
            run: The run.
            junction: One of a network; all of them, one after the other, when empty.
        """
        trips = run.get("trips")
        if not trips:
            return None
        file = self.folder / "runs" / Path(str(trips)).parent.name / "lights.parquet"
        if not file.is_file():
            return None
        polars = _polars()
        try:
            frame = polars.read_parquet(file)
            if junction and "junction" in frame.columns:
                frame = frame.filter(polars.col("junction") == junction)
            return Seconds(
                clock_s=frame["second"].to_list(),
                indications=frame["indications"].to_list(),
                phases=frame["phase"].to_list(),
                granted=frame["granted"].to_list(),
                reasons=frame["reason"].to_list(),
            )
        except (OSError, polars.exceptions.PolarsError) as error:
            raise InputError(_refusal(self.folder, f"{file}: {error}")) from error

    def worlds(self) -> dict[str, World]:
        """The scenario at each period.

        Raises:
            ScenarioError: The scenario has changed since it was judged.
            InputError: It does not exist any more.
        """
        found = {}
        for period, entry in self.config["periods"].items():
            world = resolve(self.scenario, period)
            if _hashes(entry, world) != {item.id: item.hash for item in world.junctions}:
                raise ScenarioError(
                    f"scenario {self.scenario} has another junction, phases or timing now than "
                    f"when {self.folder} was made; evaluate again"
                )
            found[period] = world
        return found


def _hashes(entry: Row, world: World) -> dict[str, str]:
    """Hash of each junction as it was judged."""
    if "junctions" in entry:
        return {name: str(item["hash"]) for name, item in entry["junctions"].items()}
    return {world.junctions[0].id: str(entry["junction_hash"])}


def read_training(folder: Path) -> Training:
    """Open a training run for its learning curve.

    Raises:
        InputError: The folder is no training run, or its learning curve is broken.
    """
    config = read_config(folder)
    file = folder / "validation.jsonl"
    try:
        text = file.read_text(encoding="utf-8") if file.is_file() else ""
        validations = [json.loads(line) for line in text.splitlines() if line.strip()]
        for row in validations:
            float(row["delay_s"]), int(row["decisions"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file} is no learning curve ({error}); train the run anew") from error
    return Training(config, validations)


def site_facts(scenario: str) -> tuple[str, Mapping[str, str], Provenance | None]:
    """Title, street names by leg, and how much of a site is assumed.

    Args:
        scenario: Catalogue name or folder.

    Returns:
        The name itself and nothing else when the catalogue does not know the scenario.
    """
    from scenarios.catalog import load
    from scenarios.schema import marked_values

    try:
        found = load(scenario)
    except SignalsError:
        return scenario, {}, None
    marks = [str(mark) for _, _, mark, _ in marked_values(found.site)]
    return found.site.title, found.street_names, Provenance(marks.count("G"), len(marks))


def timeline_window(seconds: Seconds, length_s: int = TIMELINE_S) -> tuple[int, int]:
    """Which rows a timeline shows: from a third of the run on, less when the run is shorter.

    Returns:
        First row and the row after the last one.
    """
    count = len(seconds.clock_s)
    first = max(0, min(count // 3, count - length_s))
    return first, min(count, first + length_s)


def refusals(seconds: Sequence[Seconds]) -> dict[str, int]:
    """Seconds in which a wish was refused, by the guard's reason, most frequent first."""
    found: dict[str, int] = {}
    for run in seconds:
        for granted, reason in zip(run.granted, run.reasons, strict=True):
            if not granted:
                found[reason] = found.get(reason, 0) + 1
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def _document(folder: Path, name: str) -> dict[str, Any]:
    try:
        data = json.loads((folder / name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(_refusal(folder, f"{name}: {error}")) from error
    if not isinstance(data, dict):
        raise InputError(_refusal(folder, f"{name} is no JSON object"))
    return data


def _refusal(folder: Path, why: str) -> str:
    return (
        f"{folder} is no evaluation ({why}); give a folder made by: signals evaluate ... "
        f"--out {folder}"
    )


def _polars() -> Any:
    try:
        import polars
    except ImportError as error:
        raise MissingDependencyError("polars", "sim", "reading recorded runs") from error
    return polars

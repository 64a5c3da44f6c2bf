"""The scenario file of an imported folder: names of files beside it, times and settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from signals.errors import ScenarioError
from signals.timing import TimingRules

SCENARIO_FILE = "scenario.yaml"

Seconds = Annotated[int, Field(ge=0)]
PeriodName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ImportedPeriod(_Strict):
    """A stretch of the day (s since midnight)."""

    begin_s: Seconds
    end_s: Annotated[int, Field(gt=0)]


class ImportedTiming(_Strict):
    """What was set about timing, see `signals.timing.TimingRules`; the rest has defaults."""

    min_green_s: Annotated[int, Field(ge=1, le=60)] | None = None
    max_green_s: Annotated[int, Field(ge=5, le=3600)] | None = None
    max_red_s: Annotated[int, Field(ge=10, le=3600)] | None = None
    pedestrian_max_red_s: Annotated[int, Field(ge=10, le=3600)] | None = None
    walking_speed_mps: Annotated[float, Field(gt=0, le=3)] | None = None
    pedestrian_buffer_s: Annotated[int, Field(ge=0, le=30)] | None = None
    right_turn_on_red: bool | None = None
    pedestrians: bool | None = None
    recall: Literal["always", "call"] | None = None
    yellow_s: Annotated[int, Field(ge=1, le=10)] | None = None
    all_red_s: Annotated[int, Field(ge=0, le=10)] | None = None

    def rules(self) -> TimingRules:
        """The rules, defaults filled in."""
        return TimingRules(**self.model_dump(exclude_none=True))


class ImportedFile(_Strict):
    """A scenario folder made by ``signals scenario import``.

    Attributes:
        kind: Tells the folder from a site.
        title: One line.
        net: SUMO net, a file of the folder.
        routes: All demand, a file of the folder.
        additional: Stops and the like, files of the folder.
        programs: Further signal programs, files of the folder; read for phases, never run.
        plans: Time-of-day plans by period and light, a file of the folder.
        periods: By name.
        timing: Settings and overrides.
        jitter_s: Largest shift of a departure from day to day (s).
        phases: Light to the sets of groups of a declared plan, instead of the net's program.
        notes: What every result of this scenario must say.
    """

    kind: Literal["imported"]
    title: str
    net: str
    routes: str
    additional: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    plans: str
    periods: Annotated[dict[PeriodName, ImportedPeriod], Field(min_length=1)]
    timing: ImportedTiming = ImportedTiming()
    jitter_s: Annotated[float, Field(ge=0, le=3600)] = 60.0
    phases: dict[str, tuple[tuple[str, ...], ...]] = {}
    notes: tuple[str, ...] = ()

    @field_validator("net", "routes", "plans", "additional", "programs")
    @classmethod
    def _inside(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        for name in (value,) if isinstance(value, str) else value:
            if not name or Path(name).is_absolute() or ".." in Path(name).parts:
                raise ValueError(f"'{name}' leaves the folder; name a file of the folder")
        return value


def read_scenario(path: Path) -> ImportedFile:
    """The scenario file of an imported folder.

    Raises:
        ScenarioError: It is missing, no YAML, or wrong; the message names the field.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ScenarioError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ScenarioError(
            f"{path}: is not UTF-8 text ({error.reason}); save it as UTF-8"
        ) from error
    except yaml.YAMLError as error:
        raise ScenarioError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise ScenarioError(f"{path}: holds {type(data).__name__}, allowed: a mapping")
    try:
        found = ImportedFile.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ScenarioError(
            f"{path}: {place}: {first['msg']}; given: {first['input']!r:.80}"
        ) from error
    for name, period in found.periods.items():
        if period.end_s <= period.begin_s:
            raise ScenarioError(
                f"{path}: periods.{name}: end_s {period.end_s} is not after begin_s "
                f"{period.begin_s}"
            )
    return found


def write_scenario(path: Path, file: ImportedFile) -> None:
    """Write the scenario file."""
    data = file.model_dump(mode="json", exclude_none=True)
    text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100)
    path.write_text("# Made by: signals scenario import\n" + text, encoding="utf-8")

"""Detector faults as a file describes them: the ``faults`` of a site, or a file of their own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from signals.detectors import layout
from signals.errors import InputError, ScenarioError
from signals.faults import FaultKind, FaultSpec, check_faults, clock_seconds
from signals.junction import Junction

Share = Annotated[float, Field(ge=0, le=1)]
Clock = Annotated[str, Field(pattern=r"^(([01]\d|2[0-3]):[0-5]\d|24:00)$")]


class FaultEntry(BaseModel):
    """One fault; what each number means says `signals.faults.FaultSpec`.

    Attributes:
        begin: Clock time from which it holds; from the begin of the day when left out.
        end: Clock time at which it ends.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: FaultKind
    detectors: Annotated[list[str], Field(min_length=1)] = ["*"]
    share: Share | None = None
    spell_s: Annotated[int, Field(ge=1, le=86_400)] | None = None
    begin: Clock = "00:00"
    end: Clock = "24:00"
    rate: Share | None = None
    delay_s: Annotated[int, Field(ge=1, le=3600)] | None = None
    intensity: Share | None = None

    @model_validator(mode="after")
    def _possible(self) -> FaultEntry:
        try:
            self.spec()
        except InputError as error:
            raise ValueError(str(error)) from error
        return self

    def spec(self) -> FaultSpec:
        """The fault."""
        numbers: dict[str, Any] = {
            name: value
            for name in ("share", "spell_s", "rate", "delay_s", "intensity")
            if (value := getattr(self, name)) is not None
        }
        return FaultSpec(
            self.kind,
            tuple(self.detectors),
            begin_s=clock_seconds(self.begin),
            end_s=clock_seconds(self.end),
            **numbers,
        )


class FaultFile(BaseModel):
    """A file of faults."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    faults: Annotated[list[FaultEntry], Field(min_length=1)]


def site_faults(
    entries: Iterable[FaultEntry], junctions: Sequence[Junction], site_file: Path
) -> tuple[FaultSpec, ...]:
    """The faults of a site, checked against its detectors.

    Raises:
        ScenarioError: a fault names a detector that no junction has.
    """
    found = tuple(entry.spec() for entry in entries)
    try:
        check_faults(found, {junction.id: layout(junction) for junction in junctions})
    except InputError as error:
        raise ScenarioError(f"{site_file}: faults: {error}") from error
    return found

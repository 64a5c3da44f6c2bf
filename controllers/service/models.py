"""What travels over HTTP. Types are strict: a number in quotes is refused, not guessed at."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from controllers.runtime import Command, DecisionRequest
from signals.detectors import Readings
from signals.lights import GuardState
from signals.observation import ObservationSpec

_Seconds = Annotated[int, Field(ge=0, le=10_000_000)]
_PerGroup = Annotated[list[_Seconds], Field(max_length=1000)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ReadingsIn(_Strict):
    """Detector values; null or left out is missing, never zero."""

    time_s: FiniteFloat = Field(description="Clock time of the measurement, s since midnight")
    detectors: dict[str, dict[str, float | None]] = Field(
        description="Detector id to its fields, see GET /v1/junctions/{id}"
    )


class StateIn(_Strict):
    """Lights and timers of the controller, one entry per signal group."""

    phase: int = Field(ge=0, description="Phase being served or changed to")
    held_s: _Seconds = Field(description="Seconds since all its vehicle groups are green")
    indications: list[int] = Field(max_length=1000, description="3 red, 6 green, 8 clearance")
    elapsed_s: _PerGroup = Field(description="Seconds each group has shown its indication")
    served: list[bool] = Field(max_length=1000, description="Crosswalk was walked in this phase")
    waiting_s: _PerGroup = Field(description="Seconds each red group has been owed a green")


class DecisionPoll(_Strict):
    """One controller's question."""

    sequence: int = Field(ge=0, description="The controller's own count, repeated in the answer")
    clock_s: FiniteFloat = Field(description="The controller's clock, s since midnight")
    readings: ReadingsIn
    state: StateIn
    spec_hash: str | None = Field(default=None, description="Refuse when the service's is another")
    bundle_hash: str | None = Field(default=None, description="Refuse any other bundle")
    echo: bool = Field(default=False, description="Answer with the observation's hash, too")

    def request(self, spec: ObservationSpec) -> DecisionRequest:
        """The question in the runtime's terms.

        Raises:
            ContractError: The state belongs to another junction or timing.
            ReadingError: An unknown detector or field, or an impossible value.
        """
        return DecisionRequest(
            readings=Readings.from_dict(self.readings.model_dump(), spec.detectors),
            state=GuardState.from_dict(self.state.model_dump(), spec.junction),
            clock_s=self.clock_s,
            sequence=self.sequence,
        )


class BatchItem(DecisionPoll):
    """One question of a batch."""

    junction: str


class Batch(_Strict):
    """Many questions at once; each is judged by itself, so that one bad item spoils no other."""

    polls: list[dict[str, Any]] = Field(max_length=1000)


class CommandOut(BaseModel):
    """The answer: a phase until ``expires_at_s``, or the controller's own plan when it is null."""

    phase: int | None
    phase_name: str | None
    not_before_s: float
    expires_at_s: float
    reason: str
    why: str
    granted: bool
    mask: list[bool]
    sequence: int
    bundle_hash: str
    observation_sha256: str | None = Field(
        default=None, description="Only with echo; null when nothing was encoded"
    )

    @classmethod
    def of(cls, command: Command) -> CommandOut:
        """The runtime's command."""
        return cls.model_construct(**command.to_dict())


class BatchAnswer(BaseModel):
    """One answer of a batch: a command, or an error with its HTTP status."""

    junction: str | None
    status: int
    command: CommandOut | None = None
    error: str | None = None


class BatchOut(BaseModel):
    """The answers, in the order of the questions."""

    results: list[BatchAnswer]


class ErrorOut(BaseModel):
    """Every refusal: one line."""

    error: str

"""What travels over HTTP. Types are strict: a number in quotes is refused, not guessed at."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, WithJsonSchema

from controllers.runtime import DecisionRequest, JunctionRuntime
from signals.errors import ReadingError
from signals.lights import GuardState

_Seconds = Annotated[int, Field(ge=0, le=10_000_000)]
_Clock = Annotated[FiniteFloat, Field(ge=-1e9, le=1e9)]
_DETECTORS = {
    "type": "object",
    "description": "Detector id to its fields, see GET /v1/junctions/{id}",
    "additionalProperties": {
        "type": "object",
        "additionalProperties": {"anyOf": [{"type": "number"}, {"type": "null"}]},
    },
}
_VALUES = {
    "type": "array",
    "description": "Short form, with spec_hash: all fields of all detectors, in the order of GET "
    "/v1/junctions/{id}",
    "items": {"anyOf": [{"type": "number"}, {"type": "null"}]},
}
_PerGroup = Annotated[list[_Seconds], Field(max_length=1000)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ReadingsIn(_Strict):
    """Detector values; null or left out is missing, never zero."""

    time_s: _Clock = Field(description="Clock time of the measurement, s since midnight")
    # Ids, fields and values are judged against the junction, by `ReadingsReader`.
    detectors: Annotated[dict[str, Any] | None, WithJsonSchema(_DETECTORS)] = None
    values: Annotated[list[Any] | None, WithJsonSchema(_VALUES), Field(max_length=20_000)] = None


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

    sequence: int = Field(
        ge=0, le=1 << 62, description="The controller's own count, repeated in the answer"
    )
    clock_s: _Clock = Field(description="The controller's clock, s since midnight")
    readings: ReadingsIn
    state: StateIn
    spec_hash: str | None = Field(default=None, description="Refuse when the service's is another")
    bundle_hash: str | None = Field(default=None, description="Refuse any other bundle")
    session: str | None = Field(
        default=None,
        pattern="^[A-Za-z0-9._-]{1,64}$",
        description="Another one after each start of the controller, when its count begins anew",
    )
    echo: bool = Field(default=False, description="Answer with the observation's hash, too")

    def request(self, runtime: JunctionRuntime) -> DecisionRequest:
        """The question in the runtime's terms.

        Raises:
            ContractError: The state belongs to another junction or timing.
            ReadingError: An unknown detector or field, or an impossible value.
        """
        readings, state = self.readings, self.state
        if (readings.detectors is None) == (readings.values is None):
            raise ReadingError("readings hold either detectors or values")
        if readings.values is not None and self.spec_hash is None:
            raise ReadingError("readings as values have an order: name their spec_hash with them")
        return DecisionRequest(
            readings=runtime.reader.read_values(readings.time_s, readings.values)
            if readings.values is not None
            else runtime.reader.read({"time_s": readings.time_s, "detectors": readings.detectors}),
            state=GuardState.from_dict(state.__dict__, runtime.junction),
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
    decision: str = Field(default="", description="Id under which the registry keeps the decision")
    withheld: bool = Field(
        default=False,
        description="The policy's stage or an override leaves the junction to its plan, which is "
        "no failure",
    )
    observation_sha256: str | None = Field(
        default=None, description="Only with echo; null when nothing was encoded"
    )


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


class _Change(_Strict):
    why: str = Field(min_length=1, max_length=1000, pattern=r"^[^\x00]*\S[^\x00]*$")


class DeployIn(_Change):
    """Let a kept bundle serve its junction."""

    bundle: str = Field(min_length=1, max_length=200, description="Hash or name")
    stage: str = Field(default="shadow", max_length=20)
    options: dict[str, Any] = Field(default_factory=dict, description="Windows, blocks and limits")
    new_street: bool = Field(default=False, description="Phases or timing have changed")


class StageIn(_Change):
    """The present bundle on another stage."""

    stage: str = Field(max_length=20)


class OverrideIn(_Change):
    """Onto the controller's own plan, or into one phase."""

    phase: int | None = Field(default=None, ge=0, le=1000)
    minutes: float | None = Field(default=None, gt=0, le=1440, description="Ends by itself")


class ApplyIn(_Change):
    """Apply a recommendation."""

    phase: int = Field(ge=0, le=1000)
    seconds: int = Field(default=60, ge=1, le=600)


class ReasonIn(_Change):
    """Why."""


class EventIn(_Strict):
    """A hi-res event (Indiana codes), or one of the gateway's life."""

    at_ms: int = Field(ge=0, le=1 << 52, description="ms since 1970, UTC")
    event: int = Field(ge=0, le=65_535)
    parameter: int = Field(default=0, ge=0, le=1 << 30)
    kind: str = Field(default="hires", pattern="^(hires|life)$")
    note: str = Field(default="", max_length=500, pattern=r"^[^\x00]*$")


class EventsIn(_Strict):
    """Events in any order; one that was sent before is passed over."""

    events: list[EventIn] = Field(max_length=10_000)

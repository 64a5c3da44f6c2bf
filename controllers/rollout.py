"""How far a bundle may go at its junction, and when it has to step back.

Stages: ``shadow`` decides and is recorded; ``recommend`` shows its wish to a person who may apply
it; ``canary`` acts within time windows; ``switchback`` takes turns with the plan; ``deploy`` acts.
Whoever does not act is answered with the local plan. Here are rules only; the registry keeps what
they lead to.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from controllers.registry.tables import LIVE_MODES
from controllers.switchback import DAY_S, day_of, is_on
from signals.errors import InputError

SERVICE = "service"
"""Who steps back by itself."""
_WINDOW = re.compile(r"([01]\d|2[0-4]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)")
_Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]


class RolloutOptions(BaseModel):
    """What goes with a stage.

    Attributes:
        windows: Times of day of a canary, ``HH:MM-HH:MM`` each; none means all day.
        block_s: Length of a switchback's block (s).
        trim_s: Left out of the evaluation at the beginning of each block (s).
        seed: Decides which of two blocks the policy gets.
        watch_s: Time over which the limits below are watched (s).
        least: Fewer decisions in that time are not judged.
        vetoes: Largest share of wishes that the guard may refuse.
        stale: Largest share of polls that cannot be decided on (stale, missing, contradictory).
        drift: Largest mean share of movements with readings outside the training range.
        worse: Step back when the delay is worse than the plan's.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    windows: Annotated[tuple[str, ...], Field(max_length=20)] = ()
    block_s: Annotated[int, Field(ge=60, le=21_600)] = 1800
    trim_s: Annotated[int, Field(ge=0, le=3600)] = 300
    seed: Annotated[int, Field(ge=0, le=1 << 31)] = 0
    watch_s: Annotated[int, Field(ge=10, le=86_400)] = 300
    least: Annotated[int, Field(ge=1, le=100_000)] = 20
    vetoes: _Share = 0.3
    stale: _Share = 0.3
    drift: _Share = 0.2
    worse: bool = True

    @field_validator("windows")
    @classmethod
    def _readable(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        for text in given:
            window_s(text)
        return given

    @field_validator("block_s")
    @classmethod
    def _whole(cls, given: int) -> int:
        if DAY_S % (2 * given):
            raise ValueError("a day must hold a whole number of pairs of blocks")
        return given

    @classmethod
    def read(cls, data: Any) -> RolloutOptions:
        """Options from JSON values.

        Raises:
            InputError: Names the field.
        """
        try:
            found = cls.model_validate(data)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise InputError(f"roll-out option {where}: {first['msg']}") from error
        if found.trim_s >= found.block_s:
            raise InputError(
                f"trim {found.trim_s} s leaves nothing of a block of {found.block_s} s"
            )
        return found


def window_s(text: str) -> tuple[int, int]:
    """Begin and end (s since midnight) of ``HH:MM-HH:MM``; the end may be after midnight.

    Raises:
        ValueError: It is no window.
    """
    match = _WINDOW.fullmatch(text)
    if not match:
        raise ValueError(f"'{text}' is no time window; give HH:MM-HH:MM")
    begin_h, begin_m, end_h, end_m = (int(part) for part in match.groups())
    begin, end = 3600 * begin_h + 60 * begin_m, 3600 * end_h + 60 * end_m
    if max(begin, end) > DAY_S or begin == end:
        raise ValueError(f"'{text}' is no time window; give HH:MM-HH:MM")
    return begin, end


def acts(stage: str, options: RolloutOptions, clock_s: float, at_ms: int) -> bool:
    """Whether the policy's wish goes to the street.

    Args:
        stage: Of the deployment.
        options: Of the deployment.
        clock_s: The controller's clock (s since midnight).
        at_ms: Now.
    """
    if stage == "deploy":
        return True
    if stage == "canary":
        now = clock_s % DAY_S
        windows = [window_s(text) for text in options.windows]
        return not windows or any(
            begin <= now < end if begin < end else now >= begin or now < end
            for begin, end in windows
        )
    if stage == "switchback":
        return is_on(options.seed, day_of(at_ms, clock_s), clock_s, options.block_s)
    return False


def labelled(stage: str, acting: bool) -> str:
    """The stage as decisions keep it."""
    return f"{stage}/{'on' if acting else 'off'}"


def may_act(stage: str) -> bool:
    """Whether the stage ever lets the policy act by itself."""
    return stage in LIVE_MODES and stage not in ("shadow", "recommend")


@dataclass(frozen=True, slots=True)
class Glimpse:
    """What the watch keeps of one decision."""

    at_s: float
    decided: bool
    granted: bool
    drift: float


class Watch:
    """The last minutes of one junction's decisions, against the limits of its deployment.

    Args:
        options: The limits.
    """

    def __init__(self, options: RolloutOptions) -> None:
        self._options = options
        self._seen: deque[Glimpse] = deque()
        self._decided = self._refused = 0
        self._drift = 0.0

    def see(self, glimpse: Glimpse) -> str:
        """Take one decision in.

        Returns:
            Why to step back, or an empty string.
        """
        self._count(glimpse, 1)
        self._seen.append(glimpse)
        while self._seen[0].at_s < glimpse.at_s - self._options.watch_s:
            self._count(self._seen.popleft(), -1)
        return self.judge()

    def judge(self) -> str:
        """Why to step back, or an empty string."""
        options, polls = self._options, len(self._seen)
        if polls < options.least:
            return ""
        stale = (polls - self._decided) / polls
        if stale > options.stale:
            return (
                f"{stale:.0%} of {polls} polls could not be decided on, allowed {options.stale:.0%}"
            )
        if self._decided < options.least:
            return ""
        vetoed, drift = self._refused / self._decided, self._drift / self._decided
        if vetoed > options.vetoes:
            return (
                f"the guard refused {vetoed:.0%} of {self._decided} wishes, allowed "
                f"{options.vetoes:.0%}"
            )
        if drift > options.drift:
            return (
                f"{drift:.0%} of the movements had readings outside the training range, allowed "
                f"{options.drift:.0%}"
            )
        return ""

    def _count(self, glimpse: Glimpse, sign: int) -> None:
        if glimpse.decided:
            self._decided += sign
            self._refused += sign * (not glimpse.granted)
            self._drift += sign * glimpse.drift

"""What the gateway needs of a controller, whatever it speaks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from signals.detectors import Readings
from signals.errors import WorkError
from signals.hires import Event

MAX_WRITES_A_SECOND = 2
"""More orders in one second of the controller are refused: something must be running wild."""


class LineError(WorkError):
    """The controller does not answer, or answers nonsense."""


class RefusedError(WorkError):
    """The controller may not, or must not, be commanded; the message says why."""


@dataclass(frozen=True, slots=True)
class ControllerState:
    """What a controller shows and who has the say, at one of its seconds.

    Attributes:
        clock_s: Its clock (s since midnight).
        indications: For each signal group what is lit: red, green or clearance, as
            `signals.lights` has them.
        trouble: Why it must not be commanded now (flash, preemption, manual control), or empty.
        commanded: It is under system control; False once its backup timer has expired.
        foreign: What in it was commanded by somebody else, or empty.
        sequence: Counts its seconds of detector readings.
    """

    clock_s: float
    indications: tuple[int, ...]
    trouble: str
    commanded: bool
    foreign: str
    sequence: int


@dataclass(frozen=True, slots=True)
class Order:
    """What the lights shall do from now on; every group that is not named stays red.

    Attributes:
        start: Groups that are red and shall turn green.
        hold: Groups that are green and shall stay so.
        end: Greens that shall end; each shows its own clearance.
    """

    start: frozenset[int] = frozenset()
    hold: frozenset[int] = frozenset()
    end: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Terms:
    """What a controller promises when control of it is taken.

    Attributes:
        backup_s: It is back on its own plan so long after the last order (s).
        details: Further facts for the log.
    """

    backup_s: float
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Details:
    """What only an event log needs, of the second that has passed.

    Attributes:
        loops: Loop channel to (vehicles, occupied).
        faulty: Loop channels that do not answer.
        waiting: Crosswalks (group positions) at which somebody waits.
        ended: For each group why its last green ended.
    """

    loops: Mapping[int, tuple[int, bool]]
    faulty: frozenset[int]
    waiting: frozenset[int]
    ended: Mapping[int, Event]


class Adapter(Protocol):
    """One controller.

    An adapter commands only what an `Order` can say, never timing. It raises `LineError` when the
    controller cannot be reached and `RefusedError` when it must not be commanded, and nothing else
    but for `readings`.
    """

    async def connect(self) -> None:
        """Reach the controller and compare its timing with the junction's; command nothing."""

    async def state(self) -> ControllerState:
        """What it shows now."""

    async def readings(self) -> Readings:
        """What its detectors report now.

        Raises:
            ReadingError: They report what no detector can; the line itself is sound.
        """

    async def details(self) -> Details:
        """What an event log needs beside the lights."""

    async def take(self) -> Terms:
        """Make sure that control may be taken: timing, backup timer, operating mode."""

    async def order(self, order: Order) -> None:
        """Command the lights; repeated orders are the heartbeat."""

    async def release(self) -> None:
        """Withdraw every command: the controller goes on with its own plan."""

    async def close(self) -> None:
        """Hang up; commands nothing."""

"""What a junction shows, what the guard remembers of it, and what it answers to a wish."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from signals.errors import ContractError
from signals.junction import Junction


class Indication(IntEnum):
    """Movement phase states of the SPaT message (SAE J2735), the ones the guard shows.

    A crosswalk in PROTECTED shows solid green (walk), in PROTECTED_CLEARANCE flashing green.
    """

    STOP_AND_REMAIN = 3
    PROTECTED = 6
    PROTECTED_CLEARANCE = 8


RED = int(Indication.STOP_AND_REMAIN)
GREEN = int(Indication.PROTECTED)
CLEARANCE = int(Indication.PROTECTED_CLEARANCE)


@dataclass(frozen=True, slots=True)
class GuardState:
    """Everything the guard remembers; a controller can send it and get the same lights.

    Attributes:
        phase: Index of the phase being served or changed to.
        held_s: Seconds since all vehicle groups of the phase are green, 0 while changing.
        indications: Indication of each group, in the junction's group order.
        elapsed_s: Seconds each group has shown its indication, the present second included.
        served: For each group, whether its crosswalk was walked since the phase began.
        waiting_s: Seconds each red group has been owed a green: its red time, and for a crosswalk
            that is served on call only, the time since the call (0 when nobody called).
    """

    phase: int
    held_s: int
    indications: tuple[int, ...]
    elapsed_s: tuple[int, ...]
    served: tuple[bool, ...]
    waiting_s: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        return {
            "phase": self.phase,
            "held_s": self.held_s,
            "indications": list(self.indications),
            "elapsed_s": list(self.elapsed_s),
            "served": list(self.served),
            "waiting_s": list(self.waiting_s),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], junction: Junction) -> GuardState:
        """Inverse of `to_dict`.

        Raises:
            ContractError: The state does not belong to this junction.
        """
        size = len(junction.groups)
        try:
            state = cls(
                phase=int(data["phase"]),
                held_s=int(data["held_s"]),
                indications=tuple(map(int, data["indications"])),
                elapsed_s=tuple(map(int, data["elapsed_s"])),
                served=tuple(map(bool, data["served"])),
                waiting_s=tuple(map(int, data["waiting_s"])),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ContractError(f"not a controller state: {error!r}") from error
        lengths = {
            len(state.indications),
            len(state.elapsed_s),
            len(state.served),
            len(state.waiting_s),
        }
        if lengths != {size}:
            raise ContractError(
                f"controller state has {len(state.indications)} signal groups, junction "
                f"{junction.id} has {size}; the controller runs another timing"
            )
        if not 0 <= state.phase < len(junction.phases):
            raise ContractError(
                f"controller state is in phase {state.phase}, junction {junction.id} has "
                f"phases 0 to {len(junction.phases) - 1}"
            )
        if not set(state.indications) <= {RED, GREEN, CLEARANCE}:
            raise ContractError(
                f"controller state shows indications {sorted(set(state.indications))}; "
                f"allowed: {RED}, {GREEN}, {CLEARANCE}"
            )
        return state


@dataclass(frozen=True, slots=True)
class Options:
    """What may be wished now.

    Attributes:
        mask: Per phase, whether a wish for it would be granted.
        reason: Why the others would not: ``free``, ``clearance``, ``min_green``, ``pedestrian``,
            ``max_red`` or ``max_green``.
        fallback: Phase that is served when a wish is refused.
    """

    mask: tuple[bool, ...]
    reason: str
    fallback: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a wish.

    Attributes:
        phase: Phase being served or changed to after this tick.
        granted: Whether the wish was followed.
        reason: ``kept``, ``changed``, or why it was refused: the reasons of `Options` and
            ``invalid`` for a wish that is no phase.
    """

    phase: int
    granted: bool
    reason: str

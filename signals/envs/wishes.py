"""What may be wished at all."""

from __future__ import annotations

from signals.errors import InputError


def check_wish(wish: int, phases: int) -> None:
    """Refuse what is no phase: the guard would keep the lights as they are, and nobody would know.

    Args:
        wish: Phase index.
        phases: Number of phases.

    Raises:
        InputError: There is no such phase.
    """
    if not 0 <= wish < phases:
        raise InputError(f"action {wish} is no phase; allowed: 0 to {phases - 1}")

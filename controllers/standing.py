"""Whether the service decides at a junction, leaves it to its plan, or is lost; told once each."""

from __future__ import annotations

from typing import Protocol


class Counts(Protocol):
    """What is counted of it.

    Attributes:
        losses: Times that something was lost.
        recoveries: Times that all was well again.
    """

    losses: int
    recoveries: int


class Standing:
    """How things stand; each change is one line for the log.

    Args:
        counts: Counts losses and recoveries.
        again: What is said when the service decides again.
    """

    def __init__(self, counts: Counts, again: str) -> None:
        self._counts = counts
        self._again = again
        self._is_lost = False
        self.why = ""
        """Why the local plan runs, empty while the service decides."""

    def lost(self, problem: str) -> str:
        """The service, the controller or its readings are lost.

        Returns:
            What to tell, empty when the loss was told already.
        """
        if self._is_lost:
            return ""
        self._is_lost, self.why = True, problem
        self._counts.losses += 1
        return f"on the local plan: {problem}"

    def left(self, why: str) -> str:
        """The service is well, and a stage or an override leaves the junction to its plan."""
        if not self._is_lost and why == self.why:
            return ""
        back = f"{self._again}: " if self._found() else ""
        self.why = why
        return f"{back}the service leaves it to the local plan: {why}"

    def well(self) -> str:
        """The service decides."""
        if not self.why:
            return ""
        self.why = ""
        return self._again if self._found() else "the service decides"

    def _found(self) -> bool:
        """Whether this ends a loss."""
        was, self._is_lost = self._is_lost, False
        self._counts.recoveries += was
        return was

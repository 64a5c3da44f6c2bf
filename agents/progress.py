"""Where a training stands, as the command line and the search of `agents.tune` show it."""

from __future__ import annotations

from dataclasses import dataclass

from agents.validation import Score


@dataclass(frozen=True, slots=True)
class Progress:
    """State of a training, for whoever shows it.

    Attributes:
        decisions: Decisions taken so far.
        total: Decisions planned.
        episodes: Runs finished.
        lost_veh_h: Vehicle hours lost per run, mean of the last round.
        validation: Latest validation, or None.
        best: Best validation, or None.
        elapsed_s: Wall-clock seconds.
        doing: What is being done when it is not learning.
    """

    decisions: int
    total: int
    episodes: int
    lost_veh_h: float
    validation: Score | None
    best: Score | None
    elapsed_s: float
    doing: str = ""

    @property
    def taken(self) -> str:
        """How many decisions were taken of those asked for; a round of runs is never cut short."""
        if self.decisions <= self.total:
            return f"{self.decisions:,} of {self.total:,} decisions"
        return f"{self.decisions:,} decisions (asked for {self.total:,}; rounds of runs are whole)"

    @property
    def validation_s(self) -> float | None:
        """Latest validation delay (s/veh)."""
        return None if self.validation is None else self.validation.delay_s

    @property
    def best_s(self) -> float | None:
        """Best validation delay (s/veh)."""
        return None if self.best is None else self.best.delay_s

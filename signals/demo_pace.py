"""The demo's time: how long it trains, and how many days are judged in what is left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_DEFAULT_MINUTES: Final = 2.25
_QUICK_MINUTES: Final = 0.5
_DECISIONS_A_MINUTE: Final = 3600
"""What two cores learn from in a minute, roughly."""
_SHARED_CPU: Final = 1.35
"""How much longer a run takes when another one runs beside it and a policy decides in it."""
FEWEST_DAYS: Final = 3
"""Demand days that are judged however little time is left."""
MOST_DAYS: Final = 8
"""Demand days that are judged however much time is left."""
_AFTERWARDS_S: Final = 50.0
"""Export, service, two controller runs and the page."""


@dataclass(frozen=True)
class Pace:
    """How long the demo may take.

    Attributes:
        train_minutes: Wall-clock limit of the training (min).
        decisions: Most decisions taken in it.
        eval_every: Decisions between validations.
        budget_s: The whole demo (s); the number of demand days is fitted to it.
        run_minutes: Ends each judged run early (simulated min); None judges the whole period.
        street_minutes: Length of the controller runs (simulated min).
    """

    train_minutes: float
    decisions: int
    eval_every: int
    budget_s: float
    run_minutes: int | None
    street_minutes: int


def pace(minutes: float | None, quick: bool) -> Pace:
    """The demo's pace: as given, quick, or the default of six and a half minutes.

    Args:
        minutes: Wall-clock time of the training (min); None takes the pace's own.
        quick: A shorter training and shorter runs.
    """
    chosen = minutes or (_QUICK_MINUTES if quick else _DEFAULT_MINUTES)
    decisions = max(round(_DECISIONS_A_MINUTE * chosen), 600)
    if quick:
        return Pace(chosen, decisions, decisions, 100.0 + 60.0 * chosen, 20, 10)
    budget_s = 390.0 + 60.0 * (chosen - _DEFAULT_MINUTES)
    return Pace(chosen, decisions, decisions // 2, budget_s, None, 15)


def hyperparameters(chosen: Pace) -> str:
    """What a short training needs to be different from a long one, as YAML for the command."""
    return (
        "# A training of minutes: few days a round, few lessons that are gone through often.\n"
        "default:\n"
        "  runs_per_round: 2\n"
        "  batch_size: 200\n"
        f"  teacher_runs: {2 if chosen.run_minutes else 4}\n"
        "  teacher_epochs: 60\n"
        "  teacher_batch_size: 128\n"
    )


def fitting_days(left_s: float, run_s: float, agents: int, workers: int = 2) -> int:
    """How many demand days can be judged in the time that is left, within bounds.

    Args:
        left_s: Time left for the whole demo (s).
        run_s: Time of one run, measured (s).
        agents: Runs a day.
        workers: Runs at once.
    """
    a_day_s = agents * run_s * _SHARED_CPU / workers
    return min(max(int((left_s - _AFTERWARDS_S) / max(a_day_s, 0.1)), FEWEST_DAYS), MOST_DAYS)

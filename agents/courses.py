"""What a command trains on, from the names and periods it was given."""

from __future__ import annotations

from agents.training import Course
from scenarios.catalog import find
from scenarios.demand import TRAINING_SEEDS, VALIDATION_SEEDS
from scenarios.generated.names import check_use, expand


def courses_of(
    scenarios: tuple[str, ...], checks: tuple[str, ...], periods: tuple[str, ...]
) -> tuple[tuple[Course, ...], tuple[Course, ...]]:
    """Scenarios with their periods.

    Args:
        scenarios: Names, folders, or ranges of generated streets to train on.
        checks: The same, to choose weights on; none takes those of the training.
        periods: Periods to take; none takes all but whole days.

    Returns:
        What is trained on, and what weights are chosen on.

    Raises:
        InputError: One is unknown, or kept for another use.
    """
    trained = _courses(expand(scenarios), TRAINING_SEEDS, "training", periods)
    if not checks:
        return trained, trained
    return trained, _courses(expand(checks), VALIDATION_SEEDS, "choosing weights", periods)


def _courses(
    names: tuple[str, ...], seeds: range, what: str, periods: tuple[str, ...]
) -> tuple[Course, ...]:
    found = []
    for name in names:
        check_use(name, seeds, what)
        site = find(name)
        chosen = tuple(site.period(period)[0] for period in periods) or tuple(site.periods)
        found.append(Course(name, chosen))
    return tuple(found)

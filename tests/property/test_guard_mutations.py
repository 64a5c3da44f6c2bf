"""A broken guard is caught: each fault is reported as what it is, and as nothing else.

This tests the judge of the other tests: a judge that accepts everything would be worthless.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from signals.guard import Guard
from signals.lights import CLEARANCE, RED, GuardState
from tests.property.driving import Case, Driver, drive, in_turn

SECONDS = 900


def _kinds(case: Case, guard: Guard, driver: Driver) -> set[str]:
    lights, calls = drive(guard, driver, SECONDS)
    return {violation.kind for violation in case.checker.check(lights, calls)}


def _caught(case: Case, broken: Guard, driver: Driver) -> set[str]:
    """The kinds reported about the broken guard; the sound one, driven alike, is lawful."""
    assert _kinds(case, Guard(case.junction), driver) == set()
    return _kinds(case, broken, driver)


@pytest.fixture
def case(cases: list[Case]) -> Case:
    return next(case for case in cases if case.name == "four arms")


@pytest.fixture
def wide(cases: list[Case]) -> Case:
    return next(case for case in cases if case.name == "wide")


def _set(guard: Guard, table: str, seconds: int, *, walkers: bool) -> Guard:
    values = getattr(guard, table)
    for group, walker in enumerate(guard._walker):
        if walker == walkers:
            values[group] = seconds
    return guard


class _NoAllRed(Guard):
    """Lets a group start as soon as the yellow of the others has run out."""

    def _may_start(self, state: GuardState, group: int, changing: bool) -> bool:
        seen = list(state.indications)
        for foe in self._foes[group]:
            ended = state.elapsed_s[foe] >= self._clearance[foe]
            if not self._walker[foe] and seen[foe] == CLEARANCE and ended:
                seen[foe] = RED
        elapsed = tuple(
            99 if now != then or (now == RED and not walker) else shown_s
            for now, then, shown_s, walker in zip(
                seen, state.indications, state.elapsed_s, self._walker, strict=True
            )
        )
        seen_state = replace(state, indications=tuple(seen), elapsed_s=elapsed)
        return super()._may_start(seen_state, group, changing)


class _ForgetsMaxRed(Guard):
    def _keeps_max_red(self, state: GuardState, phase: int, delay_s: int) -> bool:
        return True


def _without_conflicts(guard: Guard, drop: Callable[[bool, bool], bool]) -> Guard:
    guard._foes = [
        tuple(foe for foe in foes if not drop(guard._walker[group], guard._walker[foe]))
        for group, foes in enumerate(guard._foes)
    ]
    return guard


def test_dropped_all_red(case: Case, wide: Case) -> None:
    assert _caught(case, _NoAllRed(case.junction), in_turn(20)) == {"short_all_red"}
    assert _caught(wide, _NoAllRed(wide.junction), in_turn(9)) == {"short_all_red"}


def test_all_red_one_second_short(wide: Case) -> None:
    assert max(row.all_red_s for row in wide.junction.timing.groups.values()) == 2
    broken = _set(Guard(wide.junction), "_all_red", 1, walkers=False)
    assert _caught(wide, broken, in_turn(9)) == {"short_all_red"}


@pytest.mark.parametrize("seconds", [1, 3])
def test_shortened_yellow(case: Case, seconds: int) -> None:
    broken = _set(Guard(case.junction), "_clearance", seconds, walkers=False)
    assert _caught(case, broken, in_turn(20)) == {"short_yellow"}


def test_allowed_conflict_of_vehicles(case: Case) -> None:
    broken = _without_conflicts(Guard(case.junction), lambda one, two: not one and not two)
    assert _caught(case, broken, in_turn(20)) == {"conflict"}


def test_allowed_conflict_with_a_crosswalk(case: Case) -> None:
    """Crosswalks start into the yellow of the vehicles they cross."""
    guard = Guard(case.junction)
    guard._foes = [
        () if walker else foes for walker, foes in zip(guard._walker, guard._foes, strict=True)
    ]
    assert _caught(case, guard, in_turn(20)) == {"conflict"}


def test_cut_walk(case: Case) -> None:
    broken = _set(Guard(case.junction), "_min_green", 6, walkers=True)
    assert _caught(case, broken, in_turn(20)) == {"short_walk"}


@pytest.mark.parametrize("seconds", [1, 5])
def test_cut_clearance(case: Case, seconds: int) -> None:
    """Shorter by two seconds and more: the yellow of the vehicles hides less than that."""
    broken = _set(Guard(case.junction), "_clearance", seconds, walkers=True)
    assert _caught(case, broken, in_turn(1)) == {"short_clearance"}


def test_cut_buffer(cases: list[Case]) -> None:
    """The wish leads out of an all-pedestrian phase, where no yellow covers for the buffer."""
    case = next(case for case in cases if case.name == "three arms, long buffer")
    broken = _set(Guard(case.junction), "_all_red", 1, walkers=True)
    assert _caught(case, broken, in_turn(1)) == {"short_clearance"}


def test_ignored_max_red(case: Case) -> None:
    broken = _ForgetsMaxRed(case.junction)
    assert _caught(case, broken, lambda guard, state, second: second // 20 % 2) == {"max_red"}


def test_ignored_min_green(case: Case) -> None:
    broken = _set(Guard(case.junction), "_min_green", 1, walkers=False)
    driver = in_turn(1)
    assert _caught(case, broken, driver) == {"short_green"}


def test_skipped_yellow(case: Case) -> None:
    class NoYellow(Guard):
        def lights(self, state: GuardState) -> str:
            return super().lights(state).replace("y", "r")

    assert _caught(case, NoYellow(case.junction), in_turn(20)) == {"short_yellow"}

"""The runs of a training follow from its seed and their number alone."""

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch is not installed (extra: train)")

from agents.rounds import lessons_of, runs_of_round
from agents.training import Course, TrainingPlan
from scenarios.demand import TRAINING_SEEDS

COURSES = (Course("one", ("am_peak", "night")), Course("two", ("all",)))
PLACES = {("one", "am_peak"), ("one", "night"), ("two", "all")}
VALUES = {
    "action_model": "phase", "teacher": "fixed_time|actuated", "teacher_runs": 5,
    "teacher_runs_from": 0, "teacher_epsilon": 0.1, "run_s": 60, "runs_per_round": 2,
    "loss_runs": 0.5, "loss_high": 0.3,
}  # fmt: skip
PLAN = TrainingPlan(COURSES, COURSES, Path("runs"), 7, "dqn", VALUES, None, 1)


def runs(plan, rounds):
    return [task for number in rounds for task in runs_of_round(plan, number, "draw", 0.0, {})]


def test_a_round_depends_on_seed_and_number_alone():
    assert runs(PLAN, [4]) == runs(PLAN, range(5))[-2:]
    assert runs(replace(PLAN, seed=8), [4]) != runs(PLAN, [4])
    days = [(task.scenario, task.period, task.day, task.seed) for task in runs(PLAN, [0, 1])]
    assert days == [
        ("one", "am_peak", 9669, 2008616126),
        ("one", "night", 3827, 65017204),
        ("two", "all", 4688, 12067285),
        ("one", "night", 8577, 1516372848),
    ]


def test_every_scenario_comes_once_before_any_comes_again():
    found = [(task.scenario, task.period) for task in runs(PLAN, range(30))]
    turns = [tuple(found[at : at + 3]) for at in range(0, 60, 3)]
    assert all(set(turn) == PLACES for turn in turns)
    assert len(set(turns)) > 1


def test_detectors_are_silent_in_as_many_runs_as_asked_for():
    shares = [task.faults[0].share for task in runs(PLAN, range(100)) if task.faults]
    assert 70 < len(shares) < 130
    assert 0.0 <= min(shares) < 0.05 and 0.25 < max(shares) <= 0.3
    never = replace(PLAN, hyperparameters=VALUES | {"loss_runs": 0.0})
    assert not any(task.faults for task in runs(never, range(20)))


def test_teachers_show_the_same_days():
    lessons = lessons_of(PLAN)
    assert len(lessons) == 10
    for first, second in zip(lessons[::2], lessons[1::2], strict=True):
        assert (first.teacher, second.teacher) == ("fixed_time", "actuated")
        assert first == replace(second, teacher="fixed_time")
    assert {(task.scenario, task.period) for task in lessons[:6]} == PLACES
    assert all(task.day in TRAINING_SEEDS for task in lessons)


@pytest.mark.parametrize("values", [{"action_model": "split"}, {"teacher": ""}])
def test_there_are_no_lessons_without_a_teacher_or_for_splits(values):
    assert lessons_of(replace(PLAN, hyperparameters=VALUES | values)) == []


def test_given_weights_are_taught_only_when_asked_for():
    given = replace(PLAN, first="universal")
    assert lessons_of(given) == []
    asked = lessons_of(replace(given, hyperparameters=VALUES | {"teacher_runs_from": 1}))
    assert [task.name for task in asked] == [task.name for task in lessons_of(PLAN)[:2]]

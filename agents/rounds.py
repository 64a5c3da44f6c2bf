"""The runs of a training: what teachers show first, and what each round drives.

Scenario, period, day and silent detectors of a run follow from the seed of the training and the
number of the run alone, so that a training that was resumed, or done by other workers, meets the
same days.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from agents.learned.rollout import Behaviour, RolloutTask, Weights
from agents.training import TrainingPlan
from scenarios.demand import TRAINING_SEEDS
from signals.faults import FaultSpec

# Beside the seed of the training: what is drawn for one purpose does not move with another.
_LESSON_DAYS, _PLACE_ORDER, _RUNS, _LESSON_ORDER = 61, 62, 63, 64


def lessons_of(plan: TrainingPlan) -> list[RolloutTask]:
    """The runs that teachers show before anything is learned: each teacher on the same days.

    Returns:
        Empty where no teacher is asked for, or where what teachers do is no action of the model.
    """
    values = plan.hyperparameters
    # What a teacher wishes for is no action of the split model.
    if str(values["action_model"]) == "split":
        return []
    teachers = [name for name in str(values["teacher"]).split("|") if name]
    # Weights that were given may know more than a classical agent would teach them.
    count = int(values["teacher_runs_from" if plan.first else "teacher_runs"])
    random = np.random.default_rng([plan.seed, _LESSON_DAYS])
    places = _places(plan)
    order = np.random.default_rng([plan.seed, _LESSON_ORDER]).permutation(len(places))
    tasks: list[RolloutTask] = []
    for number in range(count if teachers else 0):
        scenario, period = places[int(order[number % len(places)])]
        day = TRAINING_SEEDS.start + int(random.integers(len(TRAINING_SEEDS)))
        for teacher in teachers:
            tasks.append(
                RolloutTask(
                    scenario,
                    period,
                    day,
                    number,
                    "teach",
                    values,
                    teacher=teacher,
                    epsilon=float(values["teacher_epsilon"]),
                    faults=plan.faults,
                    maximum_s=int(values["run_s"]),
                )
            )
    return tasks


def runs_of_round(
    plan: TrainingPlan, round_number: int, behaviour: Behaviour, epsilon: float, weights: Weights
) -> list[RolloutTask]:
    """The runs of a round, ``runs_per_round`` of them.

    Args:
        plan: What is trained.
        round_number: From 0 up; with the plan's seed it sets scenarios, days and faults.
        behaviour: How the runs choose, see `RolloutTask`.
        epsilon: Chance that a choice is random.
        weights: Of the scorer that chooses.
    """
    values = plan.hyperparameters
    places = _places(plan)
    count = int(values["runs_per_round"])
    tasks = []
    for number in range(round_number * count, (round_number + 1) * count):
        # Every scenario once, in a fresh order, before any comes again.
        turn, place = divmod(number, len(places))
        order = np.random.default_rng([plan.seed, _PLACE_ORDER, turn]).permutation(len(places))
        random = np.random.default_rng([plan.seed, _RUNS, number])
        scenario, period = places[int(order[place])]
        day = TRAINING_SEEDS.start + int(random.integers(len(TRAINING_SEEDS)))
        seed = int(random.integers(2**31))
        tasks.append(
            RolloutTask(
                scenario,
                period,
                day,
                seed,
                behaviour,
                values,
                weights,
                epsilon,
                faults=(*plan.faults, *_silent(values, random)),
                maximum_s=int(values["run_s"]),
            )
        )
    return tasks


def _places(plan: TrainingPlan) -> list[tuple[str, str]]:
    return [(course.scenario, period) for course in plan.courses for period in course.periods]


def _silent(values: dict[str, Any], random: np.random.Generator) -> tuple[FaultSpec, ...]:
    """Detectors that are silent in a training run, so that silence is nothing new later."""
    if random.random() >= float(values["loss_runs"]):
        return ()
    share = float(random.uniform(0.0, float(values["loss_high"])))
    return (FaultSpec("loss", share=round(share, 3)),)

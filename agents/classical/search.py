"""The search of the schedule-driven agent: phases over time for the least total delay.

Queues are fluid and stand at the stop line (vertical); a step of the search is a few seconds, at
each of which a phase that is no longer bound may be kept or changed. All states of a step are
arrays, one row each.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Problem:
    """What a schedule is made for.

    Attributes:
        step_s: Length of a step (s).
        serves: (phases, streams) bool.
        saturation_veh_s: (streams,) what leaves a queue at green.
        change_s: (phases, phases) until the greens of the new phase; streams of both keep theirs.
        stay_s: (phases, phases) from those greens until the new phase may be left.
        room: (streams,) vehicles that a stream's lanes hold.
        blocks: (streams, streams) share of the second's lanes that the first blocks when it holds
            more than its room: a pocket the lane beside it.
        most_s: (phases,) longest time from the change to a phase until it has to be left (s).
        due_s: Time until the present phase has to be left (s).
        queue: (streams,) vehicles that stand now.
        arrivals: (steps, streams) vehicles that join in each step, evenly.
        phase: Present phase.
        bound_s: Time until it may be left (s).
        until_green_s: (streams,) time until its own streams are green (s).
        open: (phases,) bool, what may be wished now.
        follows: (phases, phases) bool, which phases may come after which.
        tail_s: Delay of a vehicle that stands at red at the horizon (s).
    """

    step_s: float
    serves: NDArray[np.bool_]
    saturation_veh_s: Floats
    change_s: Floats
    stay_s: Floats
    room: Floats
    blocks: Floats
    most_s: Floats
    due_s: float
    queue: Floats
    arrivals: Floats
    phase: int
    bound_s: float
    until_green_s: Floats
    open: NDArray[np.bool_]
    follows: NDArray[np.bool_]
    tail_s: float


@dataclass(frozen=True)
class Schedule:
    """The best schedule found.

    Attributes:
        phases: Phase that is wished for in each step.
        first: Phase to wish for now.
        cost_veh_s: Delay until the horizon, and what is expected behind it (vehicle seconds).
        departures: (steps, streams) vehicles that leave in each step.
    """

    phases: tuple[int, ...]
    first: int
    cost_veh_s: float
    departures: Floats


class _States:
    """States of one step, one row each."""

    def __init__(self, problem: Problem) -> None:
        self.phase = np.array([problem.phase])
        self.free_s = np.array([problem.bound_s])
        self.due_s = np.array([problem.due_s])
        self.green_s = problem.until_green_s[None, :].copy()
        self.queue = problem.queue[None, :].copy()
        self.cost = np.zeros(1)
        self.first = np.array([problem.phase])

    def take(self, rows: NDArray[np.intp]) -> None:
        for name in ("phase", "free_s", "due_s", "green_s", "queue", "cost", "first"):
            setattr(self, name, getattr(self, name)[rows])


def best_schedule(problem: Problem, width: int) -> Schedule:
    """Search the schedule of least delay.

    Args:
        problem: What it is made for.
        width: States kept for each phase and step; with as many as there are, the best schedule
            of all is found.
    """
    states = _States(problem)
    parents: list[NDArray[np.intp]] = []
    wishes: list[NDArray[np.intp]] = []
    for step, arriving in enumerate(problem.arrivals):
        parents.append(_branch(states, problem, step))
        wishes.append(states.phase.copy())
        _pass(states, problem, step * problem.step_s, arriving)
        kept = _prune(states, problem, (step + 1) * problem.step_s, width)
        states.take(kept)
        parents[-1], wishes[-1] = parents[-1][kept], wishes[-1][kept]
    horizon_s = len(problem.arrivals) * problem.step_s
    total = states.cost + _expected(states, problem, horizon_s)
    row = int(np.argmin(total))
    cost = float(total[row])
    phases = []
    for before, wished in zip(reversed(parents), reversed(wishes), strict=True):
        phases.append(int(wished[row]))
        row = int(before[row])
    path = tuple(reversed(phases))
    return Schedule(path, path[0], cost, departures(problem, path))


def departures(problem: Problem, phases: tuple[int, ...]) -> Floats:
    """(steps, streams) vehicles that leave under a schedule.

    Args:
        problem: What it was made for.
        phases: Wished phase of each step.
    """
    states = _States(problem)
    found = np.zeros_like(problem.arrivals)
    for step, arriving in enumerate(problem.arrivals):
        if phases[step] != states.phase[0]:
            _change(states, problem, np.array([phases[step]]), step * problem.step_s)
        before = states.queue[0] + arriving
        _pass(states, problem, step * problem.step_s, arriving)
        found[step] = before - states.queue[0]
    return found


def _branch(states: _States, problem: Problem, step: int) -> NDArray[np.intp]:
    """Add what may be changed to, and return the row that each row came from."""
    now_s = step * problem.step_s
    count = len(states.phase)
    if step == 0:
        now = problem.phase
        targets = np.flatnonzero(problem.open & (problem.follows[now] | ~problem.open[now]))
        targets = targets[targets != now]
        may_stay = problem.open[now] and problem.due_s > 0.0
        if may_stay or not len(targets):
            targets = np.concatenate(([now], targets))
        parents = np.zeros(len(targets), dtype=np.intp)
    else:
        loose = np.flatnonzero(states.free_s <= now_s)
        own, targets = np.nonzero(problem.follows[states.phase[loose]])
        if not len(own):
            return np.arange(count)
        overdue = np.zeros(count, dtype=np.bool_)
        overdue[loose[own]] = states.due_s[loose[own]] <= now_s
        staying = np.flatnonzero(~overdue)
        parents = np.concatenate((staying, loose[own]))
        targets = np.concatenate((states.phase[staying], targets))
    states.take(parents)
    _change(states, problem, targets, now_s)
    if step == 0:
        states.first = targets.copy()
    return parents


def _change(states: _States, problem: Problem, targets: NDArray[np.intp], now_s: float) -> None:
    """Change to the target phases, where they differ."""
    old = states.phase
    moved = targets != old
    change_s = problem.change_s[old, targets]
    begins = problem.serves[targets] & ~problem.serves[old]
    green_s = np.where(begins, (now_s + change_s)[:, None], states.green_s)
    states.green_s = np.where(moved[:, None], green_s, states.green_s)
    free_s = now_s + change_s + problem.stay_s[old, targets]
    states.free_s = np.where(moved, free_s, states.free_s)
    states.due_s = np.where(moved, now_s + problem.most_s[targets], states.due_s)
    states.phase = targets


def _pass(states: _States, problem: Problem, now_s: float, arriving: Floats) -> None:
    """Let a step pass."""
    served = problem.serves[states.phase]
    green_s = np.clip(now_s + problem.step_s - states.green_s, 0.0, problem.step_s)
    able = problem.saturation_veh_s * np.where(served, green_s, 0.0)
    before = states.queue
    able *= np.maximum(1.0 - (before > problem.room) @ problem.blocks, 0.0)
    states.queue = np.maximum(before + arriving - able, 0.0)
    states.cost = states.cost + 0.5 * problem.step_s * (before + states.queue).sum(axis=1)


def _expected(states: _States, problem: Problem, now_s: float) -> Floats:
    """(rows,) delay to come of who stands there: at red first the wait, then the queue ahead."""
    served = problem.serves[states.phase]
    wait_s = np.where(served, np.maximum(states.green_s - now_s, 0.0), problem.tail_s)
    flow = np.maximum(problem.saturation_veh_s, 1e-3)
    found: Floats = (states.queue * (wait_s + 0.5 * states.queue / flow)).sum(axis=1)
    return found


def _prune(states: _States, problem: Problem, now_s: float, width: int) -> NDArray[np.intp]:
    """The rows to keep: the most promising of each phase, and one of equal ones."""
    total = states.cost + _expected(states, problem, now_s)
    order = np.lexsort((total, states.phase))
    phase = states.phase[order]
    starts = np.flatnonzero(np.concatenate(([True], phase[1:] != phase[:-1])))
    rank = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
    return order[rank < width]

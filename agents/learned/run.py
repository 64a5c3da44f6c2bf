"""One training run: a policy, or a teacher, on one demand day of one scenario.

A run depends on its task alone, so that it comes out the same in any process on any machine, and
can be done again when a worker is lost.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from agents.learned.rollout import (
    DISCOUNT_STEP_S,
    Rollout,
    RolloutTask,
    Trajectory,
    pad,
    with_weights,
)
from agents.learned.trials import Trials
from signals.action_models import ActionModel, action_model
from signals.features import Maxima
from signals.rewards import LOST_SCALE_S, reward_named
from signals.simulation.backend import RunOptions
from signals.simulation.episode import Episode
from signals.simulation.sumo_backend import SumoBackend
from signals.world import World, resolve

LOOK_S = 10
"""Losses are looked at this often while nothing can be chosen."""


def roll_out(task: RolloutTask) -> Rollout:
    """Run a task in this process.

    Raises:
        InputError: Scenario, period or agent cannot be used.
        SimulationError: SUMO refused, or another run goes on in this process.
    """
    torch.set_num_threads(1)
    world = resolve(task.scenario, task.period)
    if task.maximum_s:
        world = _shortened(world, task.maximum_s)
    run = Run(world, task)
    try:
        return run.go()
    finally:
        run.episode.close()


def _shortened(world: World, seconds: int) -> World:
    return replace(world, end_s=min(world.end_s, world.begin_s + seconds))


class _Pending:
    """A choice whose outcome is not known yet, and those before it."""

    def __init__(self, junction: Any) -> None:
        self.members = np.zeros((len(junction.movements), len(junction.groups)), dtype=np.float32)
        for row, movement in enumerate(junction.movements):
            self.members[row, junction.group_index[movement.group]] = 1.0
        self.seen: list[dict[str, NDArray[np.float32]]] = []
        self.actions: list[int] = []
        self.log_chances: list[float] = []
        self.parts: list[NDArray[np.float64]] = []
        self.elapsed_s: list[float] = []

    def choose(self, seen: dict[str, NDArray[np.float32]], action: int, log_chance: float) -> None:
        self.seen.append(seen)
        self.actions.append(action)
        self.log_chances.append(log_chance)
        self.parts.append(np.zeros(self.members.shape[1]))
        self.elapsed_s.append(0.0)

    def add(self, parts: NDArray[np.float64], seconds: float, gamma: float) -> None:
        if not self.actions:
            return
        self.parts[-1] += parts * gamma ** (self.elapsed_s[-1] / DISCOUNT_STEP_S)
        self.elapsed_s[-1] += seconds

    def trajectory(self, last: dict[str, NDArray[np.float32]]) -> Trajectory:
        rows = [*self.seen, last]
        return Trajectory(
            {name: np.stack([row[name] for row in rows]) for name in last},
            np.array(self.actions, dtype=np.int64),
            np.array(self.log_chances, dtype=np.float32),
            np.stack(self.parts).astype(np.float32),
            np.array(self.elapsed_s, dtype=np.float32),
            self.members,
        )


class Run:
    """A task as it is run.

    Args:
        world: What to simulate.
        task: The task.
    """

    def __init__(self, world: World, task: RolloutTask) -> None:
        values = task.values
        self.task = task
        self.world = world
        self.teaching = task.behaviour == "teach"
        # A teacher reads detectors that no feature is made from.
        self.episode = Episode(world, SumoBackend(), features_only=not self.teaching)
        self.random = np.random.default_rng([task.seed, task.day])
        self.interval_s = int(values["decision_interval_s"])
        if task.behaviour in ("compare", "teach") and "compare_interval_s" in values:
            self.interval_s = int(values["compare_interval_s"])
        self.gamma = float(values["gamma"])
        self.reward = reward_named(str(values["reward"]))
        self.lost_scale_s = LOST_SCALE_S
        # What is tried out goes on without exploring.
        self.trying = replace(task, behaviour="explore", epsilon=0.0)
        self.models: list[ActionModel] = [
            action_model(str(values["action_model"]), run.junction, run.plan)
            for run in self.episode.junctions
        ]
        self.pending = [_Pending(run.junction) for run in self.episode.junctions]
        sizes = [len(run.junction.groups) for run in self.episode.junctions]
        ends = np.cumsum([0, *sizes])
        self.groups = [slice(int(a), int(b)) for a, b in itertools.pairwise(ends)]
        self.movement_ends = np.cumsum(
            [0, *[len(run.junction.movements) for run in self.episode.junctions]]
        )
        self.phase_ends = np.cumsum(
            [0, *[len(run.junction.phases) for run in self.episode.junctions]]
        )
        self.maxima = Maxima(
            max(len(run.junction.movements) for run in self.episode.junctions),
            max(len(run.junction.phases) for run in self.episode.junctions),
        )
        self.trials = Trials(self) if task.behaviour == "compare" else None
        self.scorer = (
            with_weights(int(values["width"]), task.weights) if task.weights is not None else None
        )

    def go(self) -> Rollout:
        """Run to the end."""
        task, episode = self.task, self.episode
        low, high = float(task.values["walkers_low"]), float(task.values["walkers_high"])
        episode.start(
            task.day,
            RunOptions(
                # Forked processes share their places in open files: all routes are read at once.
                extra=("--route-steps", "0") if self.trials is not None else (),
                walkers_share=high if low == high else float(self.random.uniform(low, high)),
                faults=task.faults,
            ),
        )
        self.teachers = self._teachers()
        self.lost = 0.0
        self.lost_parts = np.zeros(int(self.groups[-1].stop) + 1)
        wishes: list[int | None] = [None] * len(episode.junctions)
        while not episode.finished:
            self.decide(wishes)
            self.let_pass(wishes)
            while not episode.finished and not self._choosing():
                # Nothing to choose anywhere: losses are looked at now and then.
                for index in range(len(wishes)):
                    wishes[index] = self._forced(index, wishes[index])
                self.let_pass(wishes, look=episode.clock_s - self._looked_s >= LOOK_S)
            self._look()
        last = self._arrays()
        return Rollout(
            task.scenario,
            task.period,
            task.day,
            [
                pending.trajectory(seen)
                for pending, seen in zip(self.pending, last, strict=True)
                if pending.actions
            ],
            -self.lost * LOST_SCALE_S / 3600.0,
            self.trials.found() if self.trials is not None else [],
            episode.clock_s
            - self.world.begin_s
            + (self.trials.simulated_s if self.trials is not None else 0.0),
        )

    def _teachers(self) -> Any:
        if not self.task.teacher:
            return ()
        from agents.resolve import agents_for

        teachers = agents_for(self.task.teacher, self.world)
        for teacher in teachers:
            teacher.reset(self.task.day)
        return teachers

    def _mask(self, index: int) -> NDArray[np.bool_]:
        run = self.episode.junctions[index]
        mask = np.asarray(run.options().mask, dtype=bool)
        return self.models[index].mask(mask, run.state.phase, self.episode.clock_s)

    def _choosing(self) -> bool:
        return any(self._mask(index).sum() > 1 for index in range(len(self.pending)))

    def _forced(self, index: int, wish: int | None) -> int:
        mask = self._mask(index)
        action = wish if wish is not None and mask[wish] else int(np.flatnonzero(mask)[0])
        return self.wish(index, action)

    def wish(self, index: int, action: int) -> int:
        """The wish of a junction that its action model makes of an action."""
        return self.models[index].wish(action, self.episode.clock_s)

    def _arrays(self) -> list[dict[str, NDArray[np.float32]]]:
        episode = self.episode
        encoded = episode.encoder.encode(
            episode.values(),
            [run.state for run in episode.junctions],
            [episode.clock_s] * len(episode.junctions),
            [run.options() for run in episode.junctions],
        )
        found = []
        for index, run in enumerate(episode.junctions):
            rows = slice(self.movement_ends[index], self.movement_ends[index + 1])
            own = slice(self.phase_ends[index], self.phase_ends[index + 1])
            found.append(
                {
                    "movements": encoded.movements[rows],
                    "phases": encoded.phases[own],
                    "serves": run.spec.serves,
                    "mask": self._mask(index).astype(np.float32),
                }
            )
        return found

    def decide(self, wishes: list[int | None]) -> None:
        """Set the wishes of this moment."""
        if self.teaching:
            self._teach(wishes)
            return
        seen = self._arrays()
        rows = [index for index, one in enumerate(seen) if one["mask"].sum() > 1.0]
        for index in range(len(wishes)):
            if index not in rows:
                wishes[index] = self._forced(index, wishes[index])
        if not rows:
            return
        scores = self._scores([seen[index] for index in rows])
        if self.trials is not None:
            # What the others wish for while one tries out its phases.
            for index, row in zip(rows, scores, strict=True):
                open_ = np.flatnonzero(seen[index]["mask"] > 0.5)
                wishes[index] = int(open_[row[open_].argmax()])
        for index, row in zip(rows, scores, strict=True):
            open_ = np.flatnonzero(seen[index]["mask"] > 0.5)
            if self.task.behaviour == "draw":
                chosen, log_chance = self._drawn(row, open_)
            else:
                log_chance = 0.0
                chosen = int(open_[row[open_].argmax()])
                if self.random.random() < self.task.epsilon:
                    chosen = int(self.random.choice(open_))
            if self.trials is not None:
                chosen = self.trials.compare(index, seen[index], chosen, wishes)
            self.pending[index].choose(seen[index], chosen, log_chance)
            wishes[index] = self.wish(index, chosen)

    def _scores(self, seen: list[dict[str, NDArray[np.float32]]]) -> NDArray[np.float32]:
        assert self.scorer is not None
        batch = pad(seen, self.maxima)
        with torch.no_grad():
            found: NDArray[np.float32] = self.scorer(
                *(torch.from_numpy(batch[n]) for n in ("movements", "phases", "serves", "mask"))
            ).numpy()
        return found

    def _drawn(self, scores: NDArray[np.float32], open_: NDArray[np.intp]) -> tuple[int, float]:
        logits = scores[open_].astype(np.float64)
        logits -= logits.max()
        chances = np.exp(logits) / np.exp(logits).sum()
        place = int(self.random.choice(len(open_), p=chances))
        return int(open_[place]), float(np.log(chances[place]))

    def _teach(self, wishes: list[int | None]) -> None:
        seen = self.episode.observe_all()
        self.forced: dict[int, int] = {}
        for index, (teacher, observation) in enumerate(zip(self.teachers, seen, strict=True)):
            mask = self._mask(index)
            chosen = teacher.decide(observation, self.episode.clock_s)
            wishes[index] = chosen
            if mask.sum() < 2 or not mask[chosen]:
                continue
            if self.random.random() < self.task.epsilon:
                chosen = int(self.random.choice(np.flatnonzero(mask)))
                wishes[index] = self.forced[index] = chosen
            arrays = dict(observation.arrays()) | {"mask": mask.astype(np.float32)}
            self.pending[index].choose(arrays, chosen, 0.0)

    def let_pass(self, wishes: list[int | None], look: bool = True) -> None:
        """A decision interval; a teacher that decides more often is asked meanwhile."""
        episode = self.episode
        if not self.teaching:
            episode.run(wishes, self.interval_s)
        else:
            episode.run(wishes, 1)
            for _ in range(self.interval_s - 1):
                if episode.finished:
                    break
                self._ask(wishes)
                episode.run(wishes, 1)
        if look:
            self._look()

    def _ask(self, wishes: list[int | None]) -> None:
        due = [
            index
            for index, teacher in enumerate(self.teachers)
            if teacher.decision_interval_s == 1
            or int(self.episode.clock_s - self.world.begin_s) % teacher.decision_interval_s == 0
        ]
        if not due:
            return
        seen = self.episode.observe_all()
        for index in due:
            wish = self.teachers[index].decide(seen[index], self.episode.clock_s)
            if index not in self.forced:
                wishes[index] = wish

    _looked: float | None = None

    @property
    def _looked_s(self) -> float:
        return self.world.begin_s if self._looked is None else self._looked

    def _look(self) -> None:
        seconds = self.episode.clock_s - self._looked_s
        if seconds <= 0.0:
            return
        parts = self.reward(self.episode)
        self.lost += float(parts.sum())
        self.lost_parts += parts
        for pending, rows in zip(self.pending, self.groups, strict=True):
            pending.add(parts[rows], seconds, self.gamma)
        self._looked = self.episode.clock_s

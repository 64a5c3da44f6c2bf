"""Tries out phases: what each would cost if it were chosen now.

The process is forked once for every phase that may be chosen. Each child goes on from the very same
traffic, chooses its phase, lets the policy decide from then on, and counts the time lost until a
horizon; the children meet the same arrivals, so that their costs differ by the choice alone. What
is cheapest teaches the policy, which is better next time, and so are the comparisons (rollout
classification policy iteration: M. Lagoudakis and R. Parr, "Reinforcement learning as
classification", ICML 2003).
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from signals.junction import Junction

if TYPE_CHECKING:
    from agents.learned.run import Run

USUAL_S = 5.0
"""Regrets are told in what is usually lost in this time, however often it is decided."""


@dataclass
class Comparisons:
    """What phases would have cost, tried out from the same moment on.

    Attributes:
        seen: Arrays of `signals.features.Observation` by name, (moments, ...) float32 each.
        costs_s: (moments, phases) seconds lost by the junction and its neighbours until the
            horizon when the phase is chosen and the policy decides from then on; NaN where a phase
            was not tried.
        parts_s: (moments, phases, groups) the same by signal group of the junction, without the
            neighbours.
        group_of: (movements,) int64 signal group of each movement.
        usual_s: (moments,) what they usually lose in `USUAL_S`: the geometric mean of what they
            lose on average of the run and what they lose until the horizon. By the run alone,
            nothing would matter before a jam, by the moment alone, little would matter much.
    """

    seen: dict[str, NDArray[np.float32]]
    costs_s: NDArray[np.float32]
    parts_s: NDArray[np.float32]
    group_of: NDArray[np.int64]
    usual_s: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.costs_s)


class Trials:
    """The comparisons of one run.

    Args:
        run: The run; its task's values hold ``compare_share``, ``compare_phases``,
            ``compare_horizon_s`` and ``compare_follow``, and may hold ``led_runs``,
            ``led_share`` and ``trials_s``.
    """

    def __init__(self, run: Run) -> None:
        values = run.task.values
        self._run = run
        self._share = float(values["compare_share"])
        self._most = int(values["compare_phases"])
        # Within less than a cycle, what a long walk keeps waiting is not seen.
        self._horizons_s = [
            max(int(values["compare_horizon_s"]), item.plan.cycle_s)
            for item in run.episode.junctions
        ]
        self._follow = float(values["compare_follow"])
        led_runs = float(values.get("led_runs", 0.0))
        if led_runs and run.random.random() < led_runs:
            # A policy that jams a junction never sees what it is like to hold it at capacity.
            self._share, self._follow = float(values["led_share"]), 1.0
        most_s = float(values.get("trials_s", 0.0))
        if most_s:
            # One long run of a busy net would otherwise keep a whole round waiting.
            choices = (run.world.end_s - run.world.begin_s) / run.interval_s
            whole_s = choices * self._most * sum(self._horizons_s)
            self._share = min(self._share, most_s / whole_s)
        junctions = [item.junction for item in run.episode.junctions]
        self._rows = [
            np.concatenate(
                [
                    np.arange(run.groups[place].start, run.groups[place].stop)
                    for place in _near(index, junctions)
                ]
            )
            for index in range(len(junctions))
        ]
        self.simulated_s = 0.0
        self._seen: list[list[dict[str, NDArray[np.float32]]]] = [[] for _ in junctions]
        self._parts: list[list[NDArray[np.float32]]] = [[] for _ in junctions]
        self._seconds: list[list[float]] = [[] for _ in junctions]

    def compare(
        self,
        index: int,
        seen: dict[str, NDArray[np.float32]],
        usual: int,
        wishes: list[int | None],
    ) -> int:
        """Now and then try out the open phases of a junction, and now and then take the best.

        Args:
            index: The junction.
            seen: What it sees.
            usual: Its action.
            wishes: Of all junctions.

        Returns:
            The action to take.
        """
        run = self._run
        if run.random.random() >= self._share:
            return usual
        open_ = np.flatnonzero(seen["mask"] > 0.5)
        must = {usual, run.episode.junctions[index].state.phase} & set(open_.tolist())
        others = [phase for phase in run.random.permutation(open_).tolist() if phase not in must]
        tried = sorted([*must, *others[: max(self._most - len(must), 0)]])
        parts = np.full((len(seen["mask"]), len(self._rows[index])), np.nan, dtype=np.float32)
        for phase in tried:
            parts[phase] = self._parts_s(index, phase, wishes)
        costs = parts.sum(axis=1)
        if np.isfinite(costs).sum() < 2:
            return usual
        self._seen[index].append({name: array.copy() for name, array in seen.items()})
        self._parts[index].append(parts)
        self._seconds[index].append(self._tried_s(index))
        return int(np.nanargmin(costs)) if run.random.random() < self._follow else usual

    def _parts_s(self, index: int, phase: int, wishes: list[int | None]) -> NDArray[np.float64]:
        """(groups of the junction and its neighbours,) what they lose after a phase."""
        read, write = os.pipe()
        with warnings.catch_warnings():
            # A worker of a cluster has threads of its own; the child touches none of them.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if not child:
            try:
                tried = list(wishes)
                tried[index] = self._run.wish(index, phase)
                os.write(write, self._lost_s(index, tried).tobytes())
            finally:
                # No clean-up of any kind: all of it belongs to the parent.
                os._exit(0)
        self.simulated_s += self._tried_s(index)
        os.close(write)
        with os.fdopen(read, "rb") as stream:
            data = stream.read()
        os.waitpid(child, 0)
        count = len(self._rows[index])
        return np.frombuffer(data) if len(data) == 8 * count else np.full(count, np.nan)

    def _tried_s(self, index: int) -> float:
        """Seconds until the horizon, or until the run ends."""
        run = self._run
        return min(float(self._horizons_s[index]), run.world.end_s - run.episode.clock_s)

    def _lost_s(self, index: int, wishes: list[int | None]) -> NDArray[np.float64]:
        """Runs in the child, which may change everything."""
        run = self._run
        run.trials, run.task = None, run.trying
        episode, rows = run.episode, self._rows[index]
        until_s, lost = episode.clock_s + self._horizons_s[index], np.zeros(len(rows))
        while True:
            run.let_pass(wishes, look=False)
            # Looked at every time: who arrives between two looks takes along what was lost since.
            lost += episode.lost_s()[rows]
            if episode.finished or episode.clock_s >= until_s:
                break
            run.decide(wishes)
        return lost

    def found(self) -> list[Comparisons]:
        """All comparisons, by junction."""
        run = self._run
        seconds = run.episode.clock_s - run.world.begin_s
        intervals = max(seconds / USUAL_S, 1.0)
        found = []
        for index, (seen, kept) in enumerate(zip(self._seen, self._parts, strict=True)):
            if not seen:
                continue
            parts, members = np.stack(kept), run.pending[index].members
            lost_s = -run.lost_parts[self._rows[index]].sum() * run.lost_scale_s
            costs = parts.sum(axis=2)
            then_s = np.nanmean(costs, axis=1) * USUAL_S / np.maximum(self._seconds[index], USUAL_S)
            usual_s = np.sqrt(max(float(lost_s) / intervals, 1.0) * np.maximum(then_s, 1.0))
            found.append(
                Comparisons(
                    {name: np.stack([row[name] for row in seen]) for name in seen[0]},
                    costs,
                    parts[:, :, : members.shape[1]],
                    members.argmax(axis=1),
                    usual_s.astype(np.float32),
                )
            )
        return found


def _near(index: int, junctions: Sequence[Junction]) -> list[int]:
    """A junction and those that are linked to it, itself first."""
    own = junctions[index]
    others = enumerate(junctions)
    return [index, *(place for place, item in others if place != index and linked(own, item))]


def linked(one: Junction, other: Junction) -> bool:
    """Whether a street leads from one junction to the other, seen by both, in either direction."""
    return _leads(one, other) or _leads(other, one)


def _leads(one: Junction, other: Junction) -> bool:
    exits = {piece.lane for movement in one.movements for piece in movement.exits}
    return any(piece.lane in exits for lane in other.lanes for piece in lane.zone)

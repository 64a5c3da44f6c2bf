"""Control on the degree of saturation (포화도): cycle, splits and offset, a little each cycle.

COSMOS-style: Seoul's COSMOS (신신호시스템) measures the degree of saturation with loops at the stop
line and re-times cycle, splits and offsets every cycle. Its equations are not published; here the
degree of saturation is that of SCATS (A. Sims and K. Dobinson, The Sydney Coordinated Adaptive
Traffic System, IEEE Transactions on Vehicular Technology 29, 1980): the share of green that
vehicles use, where the gap that one vehicle leaves behind it at saturation counts as used. Splits
and cycle follow from equal degrees of saturation in bounded steps; the offset is moved by a few
seconds when the profile of arrivals says that the queues would be shorter, as in SCOOT (P. Hunt et
al., SCOOT, TRRL Laboratory Report 1014, 1981). Coordinated junctions share one cycle.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agents.classical.coordination import Coordination
from agents.classical.cycle import lost_times_s, timing
from agents.classical.profile import Profile
from agents.classical.stages import Stage, stages
from agents.classical.streams import Streams
from signals import capacity
from signals.junction import Junction
from signals.observation import Observation
from signals.plan import Plan

_SMOOTHING = 0.3
_MOST = 1.5
"""Greatest degree of saturation that is believed: behind it the queue says more."""


class DegreeOfSaturation:
    """Re-times the plan's phases every cycle from measured degrees of saturation.

    The defaults were set by hand on a training day of a few sites; ``signals tune-classical`` finds
    those of a site.

    Args:
        junction: Junction to control.
        plan: Gives the order of phases, and what it begins with.
        goal: Degree of saturation that no phase should exceed.
        step_s: Most that a cycle may change, and that a split may shrink, from one to the next (s).
        offset_step_s: Step by which the offset may move a cycle (s); 0 keeps the plan's.
        max_cycle_s: Longest cycle (s).
        space_s: Unoccupied time that a vehicle leaves behind it at saturation (s).
    """

    name = "degree_of_saturation"
    decision_interval_s = 1

    def __init__(
        self,
        junction: Junction,
        plan: Plan,
        goal: float = 0.8,
        step_s: int = 6,
        offset_step_s: int = 4,
        max_cycle_s: int = 180,
        space_s: float = 0.3,
    ) -> None:
        self._junction, self._plan = junction, plan
        self._stages = stages(junction, plan)
        self._streams = Streams(junction)
        self._goal, self._step_s, self._offset_step_s = goal, step_s, offset_step_s
        self._most_s = max(max_cycle_s, sum(stage.shortest_s for stage in self._stages))
        self._space_s = space_s
        self._lost_s = lost_times_s(junction, self._stages)
        speeds = {lane.id: lane.speed_mps for lane in junction.lanes}
        lanes = [junction.movements[row].lanes for row in self._streams.rows]
        limits = [max((speeds[lane] for lane in own if lane in speeds), default=10.0)
                  for own in lanes]  # fmt: skip
        self._profile = Profile(self._streams, np.array(limits))
        self._group: Coordination | None = None
        self.reset(0)

    def link(self, agents: Sequence[DegreeOfSaturation]) -> None:
        """Share one cycle with the junctions whose plans have the same one.

        Args:
            agents: Those of all junctions of the network, itself included.
        """
        mine = [agent for agent in agents if agent._plan.cycle_s == self._plan.cycle_s]
        if len(mine) < 2:
            return
        self._group = next(
            (agent._group for agent in mine if agent._group is not None),
            Coordination([agent.wanted_cycle_s for agent in mine]),
        )

    def reset(self, seed: int) -> None:
        """Begin with the plan."""
        if self._group is not None:
            self._group.reset()
        self.splits_s = [stage.split_s for stage in self._stages]
        self.cycle_s = sum(self.splits_s)
        # Until more is known, the plan is taken to suit its demand.
        greens_s = np.maximum(np.array(self.splits_s) - np.array(self._lost_s), 1.0)
        used = np.array([self._streams.serves[stage.phase].any() for stage in self._stages])
        self.ratios = np.where(used, self._goal * greens_s / self.cycle_s, 0.0)
        self.offset_s = float(self._plan.offset_s % self._plan.cycle_s)
        self._begin_s: float | None = None
        self._number = 0
        self._cycles = 0
        self._profile.reset()
        self._clear()

    def wanted_cycle_s(self) -> int:
        """The cycle that it needs now, at most a step from the present one (s)."""
        if not self._cycles:
            return self.cycle_s
        shortest_s = [stage.shortest_s for stage in self._stages]
        cycle_s, _ = timing(
            self.ratios.tolist(),
            shortest_s,
            self._lost_s,
            least_cycle_s=self.cycle_s - self._step_s,
            most_cycle_s=min(self.cycle_s + self._step_s, self._most_s),
            goal=self._goal,
        )
        return cycle_s

    def decide(self, observation: Observation, clock_s: float) -> int:
        """The phase whose turn it is in the present cycle."""
        if self._begin_s is None:
            self._begin(clock_s)
        assert self._begin_s is not None
        self._watch(observation, clock_s)
        position = clock_s - self._begin_s
        if position >= sum(self.splits_s):
            self._begin_s += sum(self.splits_s)
            position = clock_s - self._begin_s
            self._retime(observation)
        for stage, split_s in zip(self._stages, self.splits_s, strict=True):
            if position < split_s:
                return stage.phase
            position -= split_s
        return self._stages[-1].phase

    def _begin(self, clock_s: float) -> None:
        if self._group is None:
            self._begin_s = clock_s - (clock_s - self.offset_s) % self.cycle_s
        else:
            self._number = self._group.start(clock_s, self.cycle_s, self.offset_s)
            self._begin_s = self._group.begin_s(self._number) + self.offset_s

    def _clear(self) -> None:
        """Begin to measure a cycle."""
        size = len(self._streams)
        self._green_s = np.zeros((len(self._stages), size))
        self._unused_s = np.zeros(size)
        self._left = np.zeros(size)
        self._first: NDArray[np.float64] | None = None
        self._missing = np.zeros(size)

    def _watch(self, observation: Observation, clock_s: float) -> None:
        """One second: who has green, who uses it, what stands when it ends."""
        seen, rows = observation.measures, self._streams.rows
        self._profile.second(seen, clock_s)
        if self._first is None:
            self._first = seen.passed[rows].copy()
        green = self._streams.green(observation.state)
        at = next(
            (i for i, s in enumerate(self._stages) if s.phase == observation.state.phase), None
        )
        if at is not None:
            self._green_s[at, green] += 1.0
        self._unused_s += np.where(green, 1.0 - seen.occupancy[rows], 0.0)
        # What stood when green was last seen is the queue that it left.
        self._left = np.where(green, seen.near_stopped[rows], self._left)
        self._missing = np.maximum(self._missing, seen.missing[rows])
        self._last = seen.passed[rows].copy()

    def degrees(self) -> NDArray[np.float64]:
        """(streams,) degree of saturation since the cycle began; NaN where nobody can tell."""
        green_s = self._green_s.sum(axis=0)
        passed = np.zeros_like(green_s) if self._first is None else self._last - self._first
        a_lane = np.maximum(passed, 0.0) / self._streams.lanes
        used_s = green_s - np.maximum(self._unused_s - self._space_s * a_lane, 0.0)
        able = np.maximum(self._streams.saturation_veh_s * green_s, 1e-9)
        known = (green_s > 0) & (self._missing < 1.0)
        degree = used_s / np.maximum(green_s, 1e-9) + self._left / able
        return np.where(known, np.clip(degree, 0.0, _MOST), np.nan)

    def _retime(self, observation: Observation) -> None:
        """Next cycle, splits and offset."""
        ran_s = float(max(sum(self.splits_s), 1))
        degrees = self.degrees()
        green_s = self._green_s
        # Of each turn counts what its vehicles can use: the end of yellow, and no start-up.
        useful_s = np.maximum(np.array(self.splits_s) - np.array(self._lost_s), 1.0)[:, None]
        need = np.nan_to_num(np.where(green_s > 0, degrees * useful_s / ran_s, 0.0), nan=0.0)
        known = ~np.isnan(np.where(green_s > 0, degrees, np.nan)).all(axis=1)
        measured = need.max(axis=1, initial=0.0)
        change = _SMOOTHING * (measured - self.ratios)
        self.ratios = np.where(known, self.ratios + change, self.ratios)
        if not known.any():
            self._clear()  # blind: the timing stays as it is
            self._follow(self.splits_s)
            return
        self._cycles += 1
        shift_s = 0
        if self._offset_step_s and self._group is not None:
            shift_s = self._offset_step_s * self._profile.better_shift(
                self._offset_step_s, self._windows(), int(ran_s)
            )
        self.offset_s += shift_s
        self.cycle_s = self._next_cycle_s()
        least = [
            max(stage.shortest_s, split_s - self._step_s)
            for stage, split_s in zip(self._stages, self.splits_s, strict=True)
        ]
        length_s = max(self._length_s(), sum(least))
        self._follow(list(capacity.splits_s(length_s, self.ratios.tolist(), least, self._lost_s)))
        self._clear()

    def _follow(self, splits_s: list[int]) -> None:
        self.splits_s = splits_s
        if self._group is not None and self._begin_s is not None:
            self._number += 1

    def _next_cycle_s(self) -> int:
        if self._group is None:
            return self.wanted_cycle_s()
        begin_s = self._group.begin_s
        return int(begin_s(self._number + 2) - begin_s(self._number + 1))

    def _length_s(self) -> int:
        """How long the next cycle has to be so that the one after it begins at its offset (s)."""
        if self._group is None or self._begin_s is None:
            return self.cycle_s
        ends_s = self._group.begin_s(self._number + 2) + self.offset_s
        return int(ends_s - self._begin_s)

    def _windows(self) -> list[tuple[NDArray[np.bool_], float, float]]:
        """Streams, begin and end of each stage's turn in the cycle."""
        found, begin_s = [], 0.0
        for stage, split_s in zip(self._stages, self.splits_s, strict=True):
            found.append((self._serves(stage), begin_s, begin_s + split_s))
            begin_s += split_s
        return found

    def _serves(self, stage: Stage) -> NDArray[np.bool_]:
        served: NDArray[np.bool_] = self._streams.serves[stage.phase]
        return served

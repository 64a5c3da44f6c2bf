"""Webster's method run on line: cycle and splits from the volumes counted in the last minutes.

Source: F. V. Webster, Traffic Signal Settings, Road Research Technical Paper 39 (1958); saturation
flow by KHCM, both in `signals.capacity`.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np
from numpy.typing import NDArray

from agents.classical.cycle import lost_times_s, timing
from agents.classical.stages import stages
from signals import capacity
from signals.junction import Junction
from signals.lights import GREEN
from signals.observation import Observation
from signals.plan import Plan

_HIDDEN_DEMAND = 1.15
"""Demand over what is served of a movement whose queue outlasts most greens (assumed)."""
_LEAST_SATURATION = 0.7
"""Least saturation flow that is believed, as a share of KHCM's (assumed)."""
_LONGEST_CYCLE_S = 145
"""Best of the cycles tried on a training day of Gangnam Station, whose morning plan has it too."""
_SMOOTHING = 0.3
"""Weight of the last green in what is learned from greens (assumed)."""


class Webster:
    """Re-times the plan's phases once a cycle from counted volumes.

    Args:
        junction: Junction to control.
        plan: Gives the order of phases, and the timing until volumes are known.
        window_s: Volumes are counted over this long (s).
        heavy_share: Share of buses and trucks for the saturation flow (assumed).
        max_cycle_s: Longest cycle (s); 0 for 145 s, or the plan's own where that is longer.
        saturation_goal: Degree of saturation that no phase should exceed.

    Attributes:
        splits_s: Of the present cycle, in the order of the plan (s).
        cycle_s: Their sum (s).
        outlasting: (movements,) how often its queue outlasts its green, 0 to 1, of late.
        saturation_veh_h: (movements,) saturation flow: KHCM's, or what queues that outlast their
            green were seen to discharge at.
    """

    name = "webster"
    decision_interval_s = 1

    def __init__(
        self,
        junction: Junction,
        plan: Plan,
        window_s: int = 900,
        heavy_share: float = 0.1,
        max_cycle_s: int = 0,
        saturation_goal: float = 0.6,
    ) -> None:
        self._junction = junction
        self._stages = stages(junction, plan)
        self._window_s = window_s
        plan_cycle_s = sum(stage.split_s for stage in self._stages)
        self._max_cycle_s = max_cycle_s or max(_LONGEST_CYCLE_S, plan_cycle_s)
        self._saturation_goal = saturation_goal
        width = {lane.id: lane.width_m for lane in junction.lanes}
        self._saturation = np.array(
            [
                sum(
                    capacity.saturation_flow_veh_h(heavy_share=heavy_share, width_m=width[lane])
                    for lane in movement.lanes
                    if lane in width
                )
                or 1.0
                for movement in junction.movements
            ]
        )
        self._groups = np.array(
            [junction.group_index[movement.group] for movement in junction.movements]
        )
        self._rows = {
            group.id: [
                row
                for row, movement in enumerate(junction.movements)
                if movement.group == group.id and movement.kind in ("through", "left")
            ]
            for group in junction.groups
        }
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Forget the counted volumes."""
        self._counts: deque[tuple[float, NDArray[np.float64]]] = deque()
        self.outlasting = np.zeros(len(self._junction.movements))
        self._green = np.zeros(len(self._junction.movements), dtype=np.bool_)
        self._green_since_s = np.zeros(len(self._junction.movements))
        self._passed_before = np.zeros(len(self._junction.movements))
        self.saturation_veh_h = self._saturation.copy()
        self.splits_s = [stage.split_s for stage in self._stages]
        self._begun_s: float | None = None
        self.cycle_s = sum(self.splits_s)

    def decide(self, observation: Observation, clock_s: float) -> int:
        """The phase whose turn it is in the present cycle."""
        if not self._counts or clock_s - self._counts[-1][0] >= 10.0:
            self._counts.append((clock_s, observation.measures.passed.copy()))
            while clock_s - self._counts[0][0] > self._window_s:
                self._counts.popleft()
        self._watch(observation, clock_s)
        if self._begun_s is None:
            self._begun_s = clock_s
        position = clock_s - self._begun_s
        if position >= self.cycle_s:
            self._begun_s, position = clock_s, 0.0
            self._retime()
        for stage, split_s in zip(self._stages, self.splits_s, strict=True):
            if position < split_s:
                return stage.phase
            position -= split_s
        return self._stages[-1].phase

    def _watch(self, observation: Observation, clock_s: float) -> None:
        """Which queues outlast their green, and what they discharge at then."""
        green = np.array(observation.state.indications)[self._groups] == GREEN
        begun, ended = green & ~self._green, self._green & ~green
        passed = observation.measures.passed
        left = observation.measures.far_stopped > 0
        self.outlasting[ended] += _SMOOTHING * (left[ended] - self.outlasting[ended])
        # A discharge far below KHCM's is that of a queue held up by something else than its light.
        green_s = np.maximum(clock_s - self._green_since_s, 1.0)
        rate = (passed - self._passed_before) * 3600.0 / green_s
        rate = np.clip(rate, _LEAST_SATURATION * self._saturation, self._saturation)
        full = ended & left
        self.saturation_veh_h[full] += _SMOOTHING * (rate[full] - self.saturation_veh_h[full])
        self._passed_before[begun] = passed[begun]
        self._green_since_s[begun] = clock_s
        self._green = green

    def _retime(self) -> None:
        first_s, first = self._counts[0]
        last_s, last = self._counts[-1]
        if last_s - first_s < min(300, self._window_s):
            return
        flow = (last - first) * 3600.0 / (last_s - first_s)
        ratios = []
        lost = lost_times_s(self._junction, self._stages)
        for stage in self._stages:
            # A group's need is met in all its turns together: shared by their number.
            need = 0.0
            for group in self._junction.phases[stage.phase].groups:
                turns = sum(
                    group in self._junction.phases[other.phase].groups for other in self._stages
                )
                for row in self._rows[group]:
                    ratio = capacity.flow_ratio(float(flow[row]), float(self.saturation_veh_h[row]))
                    if self.outlasting[row] > 0.5:
                        ratio *= _HIDDEN_DEMAND
                    need = max(need, ratio / turns)
            ratios.append(need)
        shortest = [stage.shortest_s for stage in self._stages]
        least_s = math.ceil(
            capacity.webster_cycle_s(
                sum(lost),
                sum(ratios),
                minimum_s=sum(shortest),
                maximum_s=max(self._max_cycle_s, sum(shortest)),
            )
        )
        self.cycle_s, self.splits_s = timing(
            ratios,
            shortest,
            lost,
            least_cycle_s=least_s,
            most_cycle_s=self._max_cycle_s,
            goal=self._saturation_goal,
        )

"""Schedule-driven control: a rolling horizon over the vehicles that detectors see coming.

Every few seconds the agent predicts the arrivals of the next minute or two, searches the sequences
of phases that the law allows for the one of least total delay, and wishes for what that schedule
does next. The search is forward dynamic programming over time, phase and queues with a bounded
number of states, in the line of PRODYN (J.-J. Henry, J.-L. Farges and J. Tuffal, The PRODYN real
time traffic algorithm, IFAC Control in Transportation Systems, 1983), COP (S. Sen and K. L. Head,
Controlled Optimization of Phases at an Intersection, Transportation Science 31, 1997) and ALLONS-D
(I. Porche and S. Lafortune, Adaptive look-ahead optimization of traffic signals, ITS Journal 4,
1999). As in Surtrac (S. Smith, G. Barlow, X.-F. Xie and Z. Rubinstein, Smart urban signal networks,
ICAPS 2013) the junctions of a network tell each other what they are about to let out, so that a
platoon is expected before detectors see it. Phases come in the order of the plan, as in COP and
Surtrac; one that begins no crosswalk may be left out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agents.classical.neighbours import Feed, feeds
from agents.classical.search import Floats, Problem, best_schedule
from agents.classical.stages import position, stages
from agents.classical.streams import Binding, Streams
from signals.detectors import NEAR_M
from signals.features import Measures
from signals.junction import Junction
from signals.observation import Observation
from signals.plan import Plan

_ZONE_M = 150.0
_FLOW_WINDOW_S = 300.0
_LEAST_SPEED_MPS = 2.0
_HIDDEN_DEMAND = 1.2
"""Demand over counted inflow of a queue that may reach beyond its zone (assumed)."""


class ScheduleDriven:
    """Rolling horizon over predicted arrivals.

    The defaults were set by hand on a training day of a few sites; ``signals tune-classical`` finds
    those of a site.

    Args:
        junction: Junction to control.
        plan: Gives the order of phases; its timing is not used.
        decision_interval_s: Seconds between decisions, and the step of the search.
        horizon_s: How far it looks ahead (s).
        width: States that are kept for each phase and step; more find better schedules.
        max_share: Longest time for a phase as a multiple of the plan's split.
        tail_s: Delay that a vehicle is expected to meet when it waits at red at the horizon (s).
    """

    name = "schedule_driven"

    def __init__(
        self,
        junction: Junction,
        plan: Plan,
        decision_interval_s: int = 5,
        horizon_s: int = 150,
        width: int = 8,
        max_share: float = 1.0,
        tail_s: float = 60.0,
    ) -> None:
        self.decision_interval_s = decision_interval_s
        self._steps = max(horizon_s // decision_interval_s, 1)
        self._width, self._tail_s = width, tail_s
        self._streams = Streams(junction)
        self._blocks = np.zeros((len(self._streams), len(self._streams)))
        for street, pocket in self._streams.overflows:
            self._blocks[pocket, street] = 1.0 / max(self._streams.lanes[street], 2.0)
        self._binding = Binding(junction)
        turns = stages(junction, plan)
        self._phases = [turn.phase for turn in turns]
        self._most_s = np.array([max_share * turn.split_s for turn in turns])
        self._follows = self._order()
        self._junction = junction
        self._feeds: tuple[tuple[ScheduleDriven, Feed], ...] = ()
        self.reset(0)

    def _order(self) -> NDArray[np.bool_]:
        """(turns, turns) which turn may come after which."""
        size = len(self._phases)
        follows = np.zeros((size, size), dtype=np.bool_)
        for turn, phase in enumerate(self._phases):
            for step in range(1, size):
                after = (turn + step) % size
                follows[turn, after] = self._phases[after] != phase
                if self._binding.walk_s[phase, self._phases[after]] > 0:
                    break
        return follows

    def link(self, agents: Sequence[ScheduleDriven]) -> None:
        """Let it hear what its neighbours are about to let out.

        Args:
            agents: Those of all junctions of the network, itself included.
        """
        self._feeds = tuple(
            (agent, feed)
            for agent in agents
            if agent is not self
            for feed in feeds(agent._junction, self._junction, agent._streams, self._streams)
        )

    def reset(self, seed: int) -> None:
        """Forget what was counted."""
        size = len(self._streams)
        self._turn, self._shown, self._since_s = 0, -1, 0.0
        self._history: deque[tuple[float, NDArray[np.float64], NDArray[np.float64]]] = deque()
        self._passed: deque[tuple[float, NDArray[np.float64]]] = deque()
        self._promised: tuple[float, NDArray[np.float64]] = (-1.0, np.zeros((0, size)))

    def decide(self, observation: Observation, clock_s: float) -> int:
        """The next move of the best schedule."""
        streams, seen = self._streams, observation.measures
        self._count(seen, clock_s)
        state, now = observation.state, observation.state.phase
        open_ = observation.mask > 0
        if now != self._shown:
            self._shown, self._since_s = now, clock_s
        if open_.sum() == 1 and open_[now] and not self._feeds:
            return now
        queue, arrivals = self._predict(seen, clock_s)
        turn = position(self._phases, now, self._turn)  # the guard may have refused the last wish
        phases, follows, most_s = list(self._phases), self._follows, self._most_s
        if turn is None:  # the guard forced a phase that the plan does not have
            turn = len(phases)
            phases.append(now)
            most_s = np.append(most_s, 0.0)
            follows = np.pad(follows, (0, 1))
            follows[turn, :turn] = True
        grid = np.ix_(phases, phases)
        problem = Problem(
            step_s=float(self.decision_interval_s),
            serves=streams.serves[phases],
            saturation_veh_s=np.where(streams.blocked(seen), 0.0, streams.saturation_veh_s),
            change_s=self._binding.change_s[grid],
            stay_s=self._binding.stay_s(bool((seen.waiting > 0).any()))[grid],
            room=streams.room,
            blocks=self._blocks,
            most_s=most_s,
            due_s=float(most_s[turn]) - (clock_s - self._since_s),
            queue=queue,
            arrivals=arrivals,
            phase=turn,
            bound_s=self._binding.remaining_s(state),
            until_green_s=self._binding.until_green_s(state)[streams.groups],
            open=open_[phases],
            follows=follows,
            tail_s=self._tail_s,
        )
        schedule = best_schedule(problem, self._width)
        self._promised = (clock_s, schedule.departures)
        if schedule.first < len(self._phases):
            self._turn = schedule.first
        return phases[schedule.first]

    def departures(
        self, stream: int, begin_s: float, end_s: float, step_s: float
    ) -> NDArray[np.float64]:
        """What a stream has let out or is about to, on a grid of clock times.

        Args:
            stream: Stream of this junction.
            begin_s: Clock time of the first step.
            end_s: Clock time of the end of the last step.
            step_s: Length of a step (s).

        Returns:
            (steps,) vehicles.
        """
        edges = np.arange(begin_s, end_s + 0.5 * step_s, step_s)
        times, totals = [], []
        for clock_s, counts in self._passed:
            times.append(clock_s)
            totals.append(counts[stream])
        made_s, promised = self._promised
        if times and made_s >= times[-1] - self.decision_interval_s and len(promised):
            last = totals[-1]
            steps = self.decision_interval_s * np.arange(1, len(promised) + 1)
            times += list(made_s + steps)
            totals += list(last + np.cumsum(promised[:, stream]))
        if len(times) < 2:
            return np.zeros(len(edges) - 1)
        return np.diff(np.interp(edges, times, totals))

    def _count(self, seen: Measures, clock_s: float) -> None:
        """Remember counters, for the mean inflow and for the neighbours."""
        rows = self._streams.rows
        passed = seen.passed[rows].copy()
        if self._history and (passed < self._history[-1][1] - 0.5).any():
            self._history.clear()  # a loop fell silent, or came back: its counter jumps
            self._passed.clear()
        self._history.append((clock_s, passed, self._streams.seen(seen)))
        self._passed.append((clock_s, passed))
        while clock_s - self._history[0][0] > _FLOW_WINDOW_S:
            self._history.popleft()
        while clock_s - self._passed[0][0] > _ZONE_M:
            self._passed.popleft()

    def _inflow(self, seen: Measures) -> NDArray[np.float64]:
        """(streams,) mean arrivals of the last minutes (veh/s), by conservation of vehicles."""
        first_s, first, there = self._history[0]
        last_s, last, here = self._history[-1]
        if last_s - first_s < 60.0:
            return np.zeros(len(self._streams))
        flow: NDArray[np.float64] = np.maximum(last - first + here - there, 0.0)
        flow /= last_s - first_s
        # Where the queue may reach beyond the zone, what is counted is less than what comes.
        full = self._streams.full(self._streams.stopped(seen))
        return np.where(full, _HIDDEN_DEMAND * flow, flow)

    def _predict(
        self, seen: Measures, clock_s: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Queues now, and (steps, streams) vehicles that reach them in each step."""
        rows, step_s = self._streams.rows, float(self.decision_interval_s)
        queue = self._streams.queued(seen)
        near = (seen.near - seen.near_stopped)[rows]
        far = (seen.far - seen.far_stopped)[rows]
        near_s = NEAR_M / np.maximum(seen.near_speed_mps[rows], _LEAST_SPEED_MPS)
        far_mps = np.maximum(seen.far_speed_mps[rows], _LEAST_SPEED_MPS)
        far_s = (_ZONE_M - NEAR_M) / far_mps
        begins = step_s * np.arange(self._steps, dtype=np.float64)[:, None]
        soon = near * _share(begins, step_s, np.zeros(len(rows)), near_s)
        arrivals: Floats = soon + far * _share(begins, step_s, near_s, near_s + far_s)
        beyond = self._inflow(seen) * np.clip(begins + step_s - near_s - far_s, 0.0, step_s)
        known_until = np.zeros(len(rows))
        told = np.zeros_like(arrivals)
        for agent, feed in self._feeds:
            # Who passes the stop line upstream now comes after the time of travel between.
            ends = clock_s - feed.travel_s + step_s * self._steps
            flow = agent.departures(feed.source, clock_s - feed.travel_s, ends, step_s)
            horizon_s = agent._promised[0] + feed.travel_s - clock_s
            if not len(agent._promised[1]) or horizon_s < 0.0:
                continue
            covers_s = horizon_s + agent.decision_interval_s * len(agent._promised[1])
            for target, share in zip(feed.targets, self._shares(feed.targets), strict=True):
                told[:, target] += flow[: self._steps] * share
                known_until[target] = max(known_until[target], covers_s)
        outside = begins >= near_s + far_s
        by_neighbours = outside & (begins + step_s <= known_until)
        arrivals += np.where(by_neighbours, told, beyond)
        return queue, arrivals

    def _shares(self, targets: Sequence[int]) -> list[float]:
        """How the vehicles of an approach divide among its streams, as counted of late."""
        counts = self._history[-1][1][list(targets)] - self._history[0][1][list(targets)]
        total = float(counts.sum())
        if total < 5.0:
            lanes = self._streams.lanes[list(targets)]
            return [float(value) for value in lanes / lanes.sum()]
        return [float(value) for value in counts / total]


def _share(
    begins: NDArray[np.float64],
    step_s: float,
    from_s: NDArray[np.float64],
    to_s: NDArray[np.float64],
) -> NDArray[np.float64]:
    """(steps, streams) share of what comes evenly between two times in each step."""
    overlap = np.minimum(begins + step_s, to_s) - np.maximum(begins, from_s)
    found: NDArray[np.float64] = np.maximum(overlap, 0.0) / np.maximum(to_s - from_s, 1e-9)
    return found

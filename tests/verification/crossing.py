"""A crossing of a few one-lane streets without SUMO: fluid queues under the real guard."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agents.base import Agent
from signals.features import MEASURES
from signals.guard import Guard
from signals.junction import Junction, Lane, LanePiece, Movement, Phase, SignalGroup
from signals.lights import GREEN, GuardState
from signals.observation import Measures, Observation
from signals.plan import Plan, RingStep
from signals.timing import GroupTiming, TimingTable

SATURATION_VEH_S = 0.5


def crossing(streets: int, name: str = "x") -> Junction:
    """So many streets, each with a phase of its own."""
    ids = [f"s{number}" for number in range(streets)]
    timing = TimingTable(
        {item: GroupTiming(5, 3, 1, 300) for item in ids}, max_green_s=200, recall="always"
    )
    return Junction(
        id=name,
        lanes=tuple(
            Lane(f"{item}_0", item, 200.0, 3.0, 13.9, False, (LanePiece(f"{item}_0", 50.0, 200.0),))
            for item in ids
        ),
        movements=tuple(
            Movement(
                item, "", "through", item, f"{item}.out", (f"{item}_0",),
                (LanePiece(f"{item}_out_0", 0.0, 100.0),), (number,), item,
            )
            for number, item in enumerate(ids)
        ),
        groups=tuple(
            SignalGroup(item, "vehicle", (number,), (item,)) for number, item in enumerate(ids)
        ),
        phases=tuple(Phase(number, item, (item,)) for number, item in enumerate(ids)),
        conflicts=tuple((a, b) for i, a in enumerate(ids) for b in ids[i + 1 :]),
        link_green="G" * streets,
        link_red="r" * streets,
        timing=timing,
    )  # fmt: skip


def plan_of(junction: Junction, split_s: int = 30) -> Plan:
    """Every phase in turn."""
    steps = tuple(RingStep(phase.groups, split_s) for phase in junction.phases)
    return Plan("even", split_s * len(steps), 0, steps, steps)


def measured(size: int, **values: NDArray[np.float64]) -> Measures:
    """Measures that are zero but for what is given."""
    given = {
        **dict.fromkeys(("gap_s", "advance_gap_s"), np.full(size, 1000.0)),
        **dict.fromkeys(("near_speed_mps", "far_speed_mps"), np.full(size, 13.9)),
        **values,
    }
    return Measures(np.array([given.get(name, np.zeros(size)) for name in MEASURES]))


def seen(
    junction: Junction,
    state: GuardState,
    mask: NDArray[np.float32],
    measures: Measures,
    at_s: float,
) -> Observation:
    """An observation of these measures; the arrays for learned policies are empty."""
    serves = np.array(
        [[m.group in phase.groups for m in junction.movements] for phase in junction.phases],
        dtype=np.float32,
    )
    nothing = np.zeros((0, 0), dtype=np.float32)
    return Observation(measures, state, at_s, nothing, nothing, serves, mask)


class Crossing:
    """Queues at a crossing under its guard.

    Args:
        junction: Made by `crossing`.
        agent: Who decides.
        flows_veh_s: (streets,) constant arrivals.
    """

    def __init__(self, junction: Junction, agent: Agent, flows_veh_s: list[float]) -> None:
        self.junction, self.agent = junction, agent
        self.flows = np.array(flows_veh_s)
        self.guard = Guard(junction)
        self.state = self.guard.start(0)
        size = len(junction.movements)
        self.queue, self.passed, self.left = np.zeros(size), np.zeros(size), np.zeros(size)
        self.clock_s = 0.0
        self.phases: list[int] = []
        agent.reset(0)

    def second(self) -> None:
        """One second: look, decide, let the guard act, let vehicles go."""
        options = self.guard.options(self.state)
        near = np.minimum(self.queue, 50 / 7.5)
        far = np.minimum(self.queue - near, 100 / 7.5)
        measures = measured(
            len(self.queue),
            near=near,
            near_stopped=near,
            far=far,
            far_stopped=far,
            passed=self.passed.copy(),
            # A vehicle occupies the loop but for the gap that it leaves behind it.
            occupancy=self.left * (1.0 / SATURATION_VEH_S - 0.3),
            gap_s=np.where(self.left > 0, 0.0, 1000.0),
        )
        mask = np.array(options.mask, dtype=np.float32)
        if self.clock_s % self.agent.decision_interval_s == 0:
            found = seen(self.junction, self.state, mask, measures, self.clock_s)
            self.wish = self.agent.decide(found, self.clock_s)
        self.state, _ = self.guard.tick(self.state, self.wish)
        green = np.array(self.state.indications) == GREEN
        self.queue = self.queue + self.flows
        self.left = np.where(green, np.minimum(self.queue, SATURATION_VEH_S), 0.0)
        self.queue = self.queue - self.left
        self.passed = self.passed + self.left
        self.phases.append(self.state.phase)
        self.clock_s += 1.0

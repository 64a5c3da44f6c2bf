"""What a policy sees of the plan, and when it sees too little of the street."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("libsumo", reason="libsumo is not installed (extra: sim)")

from agents.sighted import Sighted
from signals.detectors import FIELDS, Readings, missing
from signals.guard import Guard
from signals.junction import Junction
from signals.observation import MOVEMENT_FEATURES, PHASE_FEATURES, Observation, ObservationSpec
from signals.plan import Plan, PlanError
from signals.sight import Sight
from tests.agents.street import junctions_of, plan_of

pytestmark = pytest.mark.sumo


@pytest.fixture(scope="module")
def junction(crosswalk_net: Path) -> Junction:
    return max(junctions_of(crosswalk_net), key=lambda item: len(item.phases))


@pytest.fixture(scope="module")
def plan(junction: Junction) -> Plan:
    return plan_of(junction, offset_s=17)


def column(seen: Observation, name: str) -> list[float]:
    return [float(value) for value in seen.phases[:, PHASE_FEATURES.index(name)]]


def test_a_crossing_is_as_long_whoever_walks_already(junction: Junction) -> None:
    spec, groups = ObservationSpec(junction), junction.timing.groups
    walkers = {group.id for group in junction.groups if group.kind == "pedestrian"}
    expected = [
        max(
            (groups[g].min_green_s + groups[g].clearance_s for g in walkers & set(p.groups)),
            default=0,
        )
        / 60.0
        for p in junction.phases
    ]
    crossing, walk = (PHASE_FEATURES.index(name) for name in ("crossing", "walk"))
    assert max(expected) > 0.0
    for present, table in enumerate(spec.phase_features):
        assert table[:, crossing].tolist() == pytest.approx(expected)
        # Whom the present phase serves already does not begin to walk.
        assert table[present, walk] == 0.0
        assert (table[:, walk] <= table[:, crossing]).all()


def test_a_plan_that_is_followed_is_always_due_and_seen_running_out(
    junction: Junction, plan: Plan
) -> None:
    guard = Guard(junction)
    spec = ObservationSpec(junction, guard, plan.at)
    turns = [plan.phase_of(junction, groups) for groups, _ in plan.steps]
    state = guard.start(plan.wish(junction, 0))
    left: list[float] = []
    for second in range(3 * plan.cycle_s):
        wish = plan.wish(junction, second)
        seen = spec.encode(missing(spec.detectors, float(second)), state)
        assert column(seen, "plan_due") == [float(row == wish) for row in range(len(seen.phases))]
        assert sum(column(seen, "plan_share")) == pytest.approx(1.0)
        follows = column(seen, "plan_next").index(1.0)
        assert follows == turns[(turns.index(state.phase) + 1) % len(turns)]
        if state.held_s:
            left.append(column(seen, "plan_left")[state.phase])
        assert sum(column(seen, "plan_left")) == column(seen, "plan_left")[state.phase]
        state, _ = guard.tick(state, wish)
    assert 0.0 <= min(left) < 0.2 < 0.8 < max(left) <= 1.0
    green = seen.movements[:, MOVEMENT_FEATURES.index("plan_green")]
    for row, movement in enumerate(junction.movements):
        turn_s = sum(seconds for groups, seconds in plan.steps if movement.group in groups)
        assert green[row] == pytest.approx(turn_s / plan.cycle_s)


def test_the_plan_in_force_is_seen(junction: Junction, plan: Plan) -> None:
    longer = replace(
        plan,
        name="later",
        cycle_s=plan.cycle_s + 10 * len(plan.ring_a),
        ring_a=tuple(replace(step, split_s=step.split_s + 10) for step in plan.ring_a),
        ring_b=tuple(replace(step, split_s=step.split_s + 10) for step in plan.ring_b),
    )
    day = replace(plan, later=((1000, longer),))
    spec = ObservationSpec(junction, None, day.at)
    state = spec.guard.start(0)
    splits = [
        column(spec.encode(missing(spec.detectors, clock_s), state), "plan_split")
        for clock_s in (999.0, 1000.0, 999.0)
    ]
    assert splits[0] == splits[2] != splits[1]
    alone = spec.encode(missing(spec.detectors, 5.0), state)
    without = ObservationSpec(junction).encode(missing(spec.detectors, 5.0), state)
    hidden = [PHASE_FEATURES.index(name) for name in PHASE_FEATURES if name.startswith("plan_")]
    assert not without.phases[:, hidden].any()
    alone.phases[:, hidden] = 0.0
    assert (without.phases == alone.phases).all()
    assert spec.hash == ObservationSpec(junction).hash


def test_a_plan_of_another_junction_is_refused(junction: Junction, plan: Plan) -> None:
    step = replace(plan.ring_a[0], groups=("nobody",))
    other = replace(plan, ring_a=(step, *plan.ring_a[1:]), ring_b=(step, *plan.ring_b[1:]))
    spec = ObservationSpec(junction, None, lambda clock_s: other)
    with pytest.raises(PlanError, match="no phase of junction"):
        spec.encode(missing(spec.detectors, 0.0), spec.guard.start(0))


class Stubborn:
    """Wishes for the last phase."""

    name, decision_interval_s = "stubborn", 5

    def __init__(self, phase: int) -> None:
        self.phase = phase

    def reset(self, seed: int) -> None:
        pass

    def decide(self, observation: Observation, clock_s: float) -> int:
        return self.phase


def test_a_policy_that_does_not_see_a_stream_leaves_it_to_the_plan(
    junction: Junction, plan: Plan
) -> None:
    spec = ObservationSpec(junction, None, plan.at)
    sight, state = Sight(junction), spec.guard.start(0)
    stream = next(item for item in junction.movements if item.kind == "through")
    own = {f"{kind}/{lane}" for lane in stream.lanes for kind in ("near_zone", "stop_loop")}
    values = np.zeros((len(spec.detectors), len(FIELDS)))

    def seen(silent: set[str], clock_s: float = 0.0) -> Observation:
        table = values.copy()
        table[[item.id in silent for item in spec.detectors]] = np.nan
        return spec.encode(Readings(clock_s, table), state)

    assert not sight.lost(seen(set()))
    some = sorted(own)
    half = len(some) // 2
    assert not sight.lost(seen(set(some[half:]))) and not sight.lost(seen(set(some[:half])))
    assert stream.id in sight.lost(seen(set(some[half - 1 :])))
    assert stream.id in sight.lost(seen(own))
    others = {item.id for item in spec.detectors} - own
    keep_all = {name for name in others if name.startswith(("near_zone", "stop_loop"))}
    assert not sight.lost(seen(others - keep_all))

    agent = Sighted(Stubborn(len(junction.phases) - 1), junction, plan)
    agent.reset(0)
    assert agent.decide(seen(set(), 0.0), 0.0) == len(junction.phases) - 1
    assert agent.decision_interval_s == 5
    wishes = []
    for second in range(5, 5 + plan.cycle_s):
        wishes.append(agent.decide(seen(own, float(second)), float(second)))
        assert agent.decision_interval_s == 1
    assert wishes == [plan.wish(junction, second) for second in range(5, 5 + plan.cycle_s)]
    again_s = float(10 + plan.cycle_s)
    assert agent.decide(seen(set(), again_s), again_s) == len(junction.phases) - 1
    assert agent.decision_interval_s == 5

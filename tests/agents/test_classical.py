"""Classical agents on junctions of every shape, and what their parameters may be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("libsumo", reason="libsumo is not installed (extra: sim)")

from agents.classical import NAMES, make
from agents.classical.max_pressure import MaxPressure
from agents.evaluation.jobs import Job
from agents.evaluation.run import run_world
from agents.resolve import agents_for, check_spec
from scenarios.catalog import world
from signals.detectors import FIELDS, Readings, missing
from signals.errors import InputError
from signals.guard import Guard
from signals.junction import Junction, Phase
from signals.observation import ObservationSpec
from signals.plan import Plan, RingStep
from signals.timing import TimingRules
from tests.agents.street import generate, junctions_of, plan_of, shortened, world_of

pytestmark = pytest.mark.sumo
CHOOSERS = ("max_pressure", "max_wave", "sotl", "schedule_driven")
"""They serve what needs it: what nobody waits for may be left out."""
NETS = {
    "grid": ("--grid", "--grid.number", "2", "--grid.attach-length", "120", "-L", "1"),
    "spider": ("--spider", "--spider.arm-number", "5", "--spider.circle-number", "1", "-L", "2"),
    "random": ("--rand", "--rand.iterations", "25", "--seed", "4", "-L", "2"),
}


@pytest.fixture(scope="module")
def nets(sumo_tools: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {
        name: generate(tmp_path_factory.mktemp(name), sumo_tools, *options)
        for name, options in NETS.items()
    }


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("name", NAMES)
def test_generated_networks_run(name: str, net: str, nets: dict[str, Path], tmp_path: Path) -> None:
    world = world_of(nets[net], tmp_path, junctions_of(nets[net]), headway_s=2.0)
    world = shortened(world, 200)
    found = run_world(world, agents_for(name, world), Job("some", "all_day", name, 1))
    assert found.metrics.arrived > 0
    assert all(sum(control.phase_s.values()) == 200 for control in found.controls.values())


def shapes(net: Path) -> dict[str, tuple[Junction, Plan]]:
    """Junctions that no generator makes: cut down from one with four legs."""
    whole = max(junctions_of(net), key=lambda item: len(item.groups))
    found = {"whole": (whole, plan_of(whole))}
    alone = replace(
        whole, phases=(Phase(0, "all", tuple(group.id for group in whole.groups)),), conflicts=()
    )
    step = RingStep(alone.phases[0].groups, 60)
    found["one phase"] = (alone, Plan("still", 60, 0, (step,), (step,)))
    turns = plan_of(whole).ring_a[:-1]
    found["no turn for some"] = (whole, Plan("cut", 40 * len(turns), 0, turns, turns))
    calm = replace(whole.timing, recall="call")
    found["on call"] = (replace(whole, timing=calm), plan_of(whole))
    return found


@pytest.mark.parametrize("shape", ["whole", "one phase", "no turn for some", "on call"])
@pytest.mark.parametrize("name", NAMES)
def test_odd_junctions_and_dead_detectors(name: str, shape: str, crosswalk_net: Path) -> None:
    junction, plan = shapes(crosswalk_net)[shape]
    guard = Guard(junction)
    spec = ObservationSpec(junction, guard)
    agent = make(name, junction, plan)
    agent.reset(1)
    state = guard.start(0)
    dice = np.random.default_rng(1)
    shown = set()
    for second in range(900):
        readings = missing(spec.detectors, float(second))
        if second // 150 % 2:  # dead for a while, then full of numbers
            values = dice.integers(0, 9, (len(spec.detectors), len(FIELDS))).astype(float)
            readings = Readings(float(second), values)
        wish = agent.decide(spec.encode(readings, state), float(second))
        assert 0 <= wish < len(junction.phases)
        state, _ = guard.tick(state, wish)
        shown.add(state.phase)
    if name not in CHOOSERS:
        assert shown >= {junction.phase_of(groups).index for groups, _ in plan.steps}


def test_junctions_without_crosswalks_are_planned(crosswalk_net: Path) -> None:
    rules = TimingRules(pedestrians=False)
    for junction in junctions_of(crosswalk_net, rules):
        plan = plan_of(junction)
        assert not any(group.kind == "pedestrian" for group in junction.groups)
        spec = ObservationSpec(junction)
        state = spec.guard.start(0)
        for name in NAMES:
            agent = make(name, junction, plan)
            agent.reset(0)
            wish = agent.decide(spec.encode(missing(spec.detectors, 0.0), state), 0.0)
            assert 0 <= wish < len(junction.phases)


def test_a_full_pocket_outweighs_a_half_empty_wide_street() -> None:
    """Per lane 8 vehicles turn left and 5 go straight on, on 2 lanes and on 8."""
    place = world("gangnam", "night")
    junction, plan = place.junction, place.plan
    spec = ObservationSpec(junction)
    state = spec.guard.start(0)
    for _ in range(60):
        state, _ = spec.guard.tick(state, 0)
    waiting = dict.fromkeys(("E.left", "W.left"), 8.0) | dict.fromkeys(
        ("E.through", "W.through"), 5.0
    )
    lanes = {
        lane: count
        for movement in junction.movements
        if (count := waiting.get(movement.id))
        for lane in movement.lanes
    }
    values = np.zeros((len(spec.detectors), len(FIELDS)))
    for row, detector in enumerate(spec.detectors):
        if detector.kind == "near_zone":
            values[row, :2] = lanes.get(detector.id.partition("/")[2], 0.0)
    seen = spec.encode(Readings(0.0, values), state)
    chosen = {
        power: MaxPressure(junction, plan, lane_power=power).decide(seen, 0.0)
        for power in (0.0, 1.0)
    }
    names = {power: junction.phases[phase].name for power, phase in chosen.items()}
    assert names == {0.0: "EW_left", 1.0: "EW_through"}


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("actuated:passage_s=-2", "passage_s is -2; allowed: 0 to 60"),
        ("actuated:max_share=0", "max_share is 0; allowed: 0.1 to 10"),
        ("actuated:passage_s=nan", "passage_s is nan; allowed"),
        ("actuated:passage_s=1,passage_s=2", "passage_s is given twice"),
        ("webster:window_s=-1", "window_s is -1; allowed: 60 to 7200"),
        ("webster:max_cycle_s=120.5", "give a number like 0"),
        ("max_pressure:decision_interval_s=0", "decision_interval_s is 0; allowed: 1 to 300"),
        ("max_pressure:bonus=inf", "bonus is inf; allowed"),
    ],
)
def test_parameters_out_of_range_are_refused(spec: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        check_spec(spec)

"""Generated streets: the same seed gives the same bytes, and every street can be used."""

import numpy as np
import pytest

pytest.importorskip("sumolib", reason="sumolib is not installed (extra: sim)")

from click.testing import CliRunner

from agents.evaluation.jobs import Job
from agents.evaluation.run import run_job
from scenarios.cache import CACHE_VARIABLE
from scenarios.catalog import find
from scenarios.demand import HELD_OUT_SEEDS, TRAINING_SEEDS
from scenarios.generated.demand import turn_weights
from scenarios.generated.drawing import draw
from scenarios.generated.names import check_use, expand, parse
from scenarios.generated.plans import LONGEST_CYCLE_S, group_ratios
from scenarios.generated.scenario import GeneratedScenario
from scenarios.plan_design import degrees_of
from signals.errors import InputError, UnknownNameError


def fresh(name):
    return GeneratedScenario(parse(name))


def test_the_same_seed_gives_the_same_bytes(tmp_path, monkeypatch):
    texts = []
    for folder in ("one", "two"):
        monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / folder))
        world = fresh("generated:junction:3").world(None)
        net = [
            line for line in world.net_file.read_text().splitlines() if "generated on" not in line
        ]
        texts.append(
            (
                [line for line in net if "value=" not in line],
                world.routes(5).read_bytes(),
                [junction.hash for junction in world.junctions],
                world.plans,
            )
        )
    assert texts[0] == texts[1]
    assert world.routes(6).read_bytes() != world.routes(5).read_bytes()
    assert draw(parse("generated:junction:4")) != draw(parse("generated:junction:3"))


@pytest.mark.parametrize("name", ["junction:12", "junction:7", "corridor:1", "avenue:4"])
def test_streets_have_lawful_lights_and_plans(name):
    scenario = find(f"generated:{name}")
    world = scenario.world(None)
    ratio_table = turn_weights(scenario.drawing)
    worst = 0.0
    for junction, plan in zip(world.junctions, world.plans, strict=True):
        assert 2 <= len(junction.phases) <= 8
        assert 3 <= len({lane.leg for lane in junction.lanes}) <= 5
        plan.validate(junction)
        ratios = group_ratios(junction, ratio_table, scenario.volume_veh_h, scenario.drawing)
        worst = max(worst, *degrees_of(junction, ratios, plan).values())
    # The busiest group is as busy as was drawn.
    assert worst == pytest.approx(scenario.drawing.busyness, abs=0.03)
    assert len({plan.cycle_s for plan in world.plans}) == 1


def test_there_is_every_variety_that_is_promised():
    drawn = [draw(parse(f"generated:junction:{seed}")) for seed in range(80)]
    assert {len(item.into("J")) for item in drawn} == {3, 4, 5}
    assert {street.lanes for item in drawn for street in item.into("J")} == {1, 2, 3, 4, 5, 6}
    for what in ("phasing", "shape", "on_call", "right_on_red", "shared_left"):
        assert len({getattr(item, what) for item in drawn}) > 1
    assert 0.1 < sum(item.walkers_h > 0 for item in drawn) / len(drawn) < 0.5
    assert any(item.faults for item in drawn)


def test_avenues_have_crosswalks_pockets_and_bus_lanes():
    drawn = [draw(parse(f"generated:avenue:{seed}")) for seed in range(40)]
    assert all(item.walkers_h for item in drawn)
    assert {len(item.into("J")) for item in drawn} == {3, 4}
    assert {bool(item.buses_h) for item in drawn} == {True, False}
    world = fresh("generated:avenue:4").world(None)  # with bus lanes
    junction = world.junction
    assert {group.kind for group in junction.groups} == {"vehicle", "bus", "pedestrian"}
    lengths_m = {lane.id: lane.zone[0].end_m - lane.zone[0].start_m for lane in junction.lanes}
    assert min(lengths_m.values()) < 100.0 and all(len(lane.zone) for lane in junction.lanes)
    # An hour, where the others take half of one.
    assert world.end_s - world.begin_s == 3600
    other = fresh("generated:junction:12").world(None)
    assert other.end_s - other.begin_s == 1800
    result = run_job(Job("generated:avenue:4", None, "fixed_time", 1, duration_s=600))
    assert result.metrics.vehicles > 300 and result.metrics.pedestrian_delay_s


def test_avenues_are_busy_all_round():
    shares = []
    for seed in range(6):
        scenario = find(f"generated:avenue:{seed}")
        plan, junction = scenario.plans(None)[0], scenario.junctions[0]
        assert plan.cycle_s <= max(scenario.drawing.stretched_cycle_s, LONGEST_CYCLE_S)
        ratios = group_ratios(
            junction, turn_weights(scenario.drawing), scenario.volume_veh_h, scenario.drawing
        )
        degrees = degrees_of(junction, ratios, plan)
        busy = [degrees[group.id] for group in junction.groups if group.kind == "vehicle"]
        shares.append(np.median(busy) / max(busy))
    # Walks that fill the cycle would leave the left turns so little that the rest stands idle.
    assert np.mean(shares) > 0.75


def test_names():
    assert expand(["gangnam", "generated:grid:1-2"]) == (
        "gangnam", "generated:grid:1", "generated:grid:2",
    )  # fmt: skip
    with pytest.raises(InputError, match="give a name like"):
        find("generated:junction")
    with pytest.raises(UnknownNameError, match="roundabout"):
        find("generated:roundabout:1")
    with pytest.raises(InputError, match="below 30000"):
        find("generated:junction:30000")


def test_held_out_streets_are_not_trained_on():
    check_use("gangnam", TRAINING_SEEDS, "training")
    check_use("generated:grid:20000", HELD_OUT_SEEDS, "judging")
    with pytest.raises(InputError, match="training takes seeds 0 to 9999"):
        check_use("generated:grid:20000", TRAINING_SEEDS, "training")


def test_it_is_shown_built_and_checked(tmp_path):
    from scenarios.cli import scenario

    for command in (
        ["show", "generated:junction:3"],
        ["check", "generated:junction:3"],
        ["build", "generated:junction:3", "--out", str(tmp_path / "built")],
    ):
        found = CliRunner().invoke(scenario, command, catch_exceptions=False)
        assert found.exit_code == 0, found.output
    assert list((tmp_path / "built").glob("*.sumocfg"))

"""The built net: what the junction must hold, and the cache."""

from __future__ import annotations

import multiprocessing
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from scenarios import catalog, sumo_tools
from scenarios.demand import TRAINING_SEEDS
from scenarios.network import build_network
from scenarios.plan_search import run_plan
from signals.errors import MissingDependencyError, ScenarioError
from signals.junction import Junction

pytestmark = pytest.mark.sumo


@pytest.fixture
def junction() -> Junction:
    return catalog.load("gangnam").junction


def test_the_net_has_the_movements_of_the_site_file(junction: Junction) -> None:
    site = catalog.load("gangnam").site
    vehicles = {item.id for item in junction.movements if item.kind != "pedestrian"}
    assert vehicles == set(site.movements)
    assert {item.id for item in junction.movements if item.kind == "pedestrian"} == {
        f"{leg}.ped" for leg in site.legs
    }
    for item in junction.movements:
        if item.kind != "pedestrian":
            assert len(item.lanes) == len(site.movements[item.id].lanes)
            assert item.exit_leg == site.movements[item.id].to


def test_lengths_are_those_of_the_site_file(junction: Junction) -> None:
    site = catalog.load("gangnam").site
    for lane in junction.lanes:
        pocket = site.legs[lane.leg].approach.pocket
        if pocket:
            assert lane.length_m == pytest.approx(pocket.length_m.value, abs=5.0)
        assert lane.speed_mps == pytest.approx(50 / 3.6, abs=0.01)
    # Ten lanes of 3.1 m on Gangnam-daero, nine on Teheran-ro.
    across = {item.leg: item.crossing_m for item in junction.movements if item.crossing_m}
    assert across == pytest.approx({"N": 31.0, "S": 31.0, "E": 27.9, "W": 27.9}, abs=0.5)


def test_every_right_turn_may_go_on_red_after_a_stop(junction: Junction) -> None:
    rights = [item for item in junction.movements if item.kind == "right"]
    assert len(rights) == 4
    for item in rights:
        for link in item.links:
            assert junction.link_red[link] == "s"
            assert junction.link_green[link] == "g"


def test_buses_have_a_light_of_their_own(junction: Junction) -> None:
    buses = {group.id for group in junction.groups if group.kind == "bus"}
    assert buses == {"N.bus", "S.bus"}
    assert "N.bus" in junction.conflict_sets["N.left"]


def test_the_same_site_gives_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = catalog.load("gangnam").site
    texts = []
    for name in ("one", "two"):
        monkeypatch.setenv("SEOUL_SIGNALS_CACHE", str(tmp_path / name))
        net = build_network(site)
        texts.append((net.net_file.name, net.net_file.read_bytes(), net.stops_file.read_bytes()))
        assert [item for item in net.net_file.parent.iterdir() if item.is_dir()] == []
    assert texts[0] == texts[1]


def test_a_cached_net_needs_no_netconvert(monkeypatch: pytest.MonkeyPatch) -> None:
    site = catalog.load("gangnam").site
    first = build_network(site)
    monkeypatch.setattr(sumo_tools, "find_program", _absent)
    assert build_network(site).net_file == first.net_file


def test_netconvert_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEOUL_SIGNALS_CACHE", str(tmp_path))
    monkeypatch.setattr(sumo_tools.shutil, "which", lambda *_args, **_kwargs: None)
    with pytest.raises(MissingDependencyError, match=r"netconvert .* is not installed"):
        build_network(catalog.load("gangnam").site)


def _absent(name: str, needed_for: str) -> str:
    raise AssertionError(f"{name} was called for {needed_for}")


def _build(folder: str) -> str:
    import os

    os.environ["SEOUL_SIGNALS_CACHE"] = folder
    return str(catalog.load("gangnam").world("night").net_file)


def test_processes_may_build_at_once(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        files = pool.map(_build, [str(tmp_path)] * 4)
    assert len(set(files)) == 1
    assert Path(files[0]).is_file()


def test_a_plan_that_does_not_fit(edited: Callable[..., Path]) -> None:
    first, second = (step.split_s for step in catalog.load("gangnam").plan("am_peak").ring_a[:2])

    def moved(lead: str, follow: str) -> tuple[str, str]:
        text = "{}], split_s: {}}}\n        - {{groups: [{}], split_s: {}}}"
        return (
            text.format(lead, first, follow, second),
            text.format(lead, first + second - 8, follow, 8),
        )

    folder = edited(moved("E.ped", "N.left"), moved("W.ped", "N.through"))
    with pytest.raises(ScenarioError, match=r"periods\.am_peak\.plan: .*N\.left gets 8 s"):
        catalog.world(str(folder), "am_peak")


def test_a_folder_works_like_a_shipped_scenario(edited: Callable[..., Path]) -> None:
    own = catalog.world(str(edited()), "night")
    shipped = catalog.world("gangnam", "night")
    assert own.junction == shipped.junction
    assert own.routes(4) == shipped.routes(4)
    assert own.content_hash == shipped.content_hash


def test_a_world_can_be_sent_to_another_process() -> None:
    world = catalog.world("gangnam", "night")
    again = pickle.loads(pickle.dumps(world))
    assert again.content_hash == world.content_hash
    assert again.routes(1) == world.routes(1)


def test_the_plan_runs_and_nobody_is_stuck() -> None:
    scenario = catalog.load("gangnam")
    result = run_plan(scenario, "night", scenario.plan("night"), TRAINING_SEEDS[0])
    assert result.never_inserted <= 2
    # What is on the way at the end is what three minutes of arrivals leave there.
    assert result.unfinished < 0.08 * result.scheduled
    assert 10.0 < result.delay_s < 45.0

"""Awkward nets go from file to a lawful run with one command, nothing mapped by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from scenarios.catalog import find
from scenarios.importing.imported import ImportedScenario
from signals.netreader import read_junctions
from signals.timing import TimingRules
from tests.scenarios.importing import nets
from tests.scenarios.importing.driving import (
    checker,
    hostile,
    hostile_lights,
    load,
    max_pressure,
    run,
    violations,
)

KINDS = {
    "joined": {"joined"},
    "rails": {"rail", "conflict"},
    "crosswalks_share_an_index": {"inside", "conflict"},
    "one_phase": {"one_phase"},
    "conflicting_greens": {"conflict"},
    "no_conflict": {"one_phase"},
}
"""What the reader must find about a net; about the others it must find nothing."""


def _imported(folder: Path) -> ImportedScenario:
    found = find(str(folder))
    assert isinstance(found, ImportedScenario)
    return found


@pytest.mark.parametrize("name", nets.AWKWARD)
def test_from_file_to_a_lawful_run(
    name: str, tmp_path: Path, command: Callable[..., Result]
) -> None:
    net = nets.AWKWARD[name](tmp_path)
    out = tmp_path / "scenario"
    done = command("import", "--net", net, "--routes", nets.demand(net), "--out", out, "--end", 200)
    assert done.exit_code == 0, done.output
    found = _imported(out)
    assert {finding.kind for finding in found.reading.findings} == KINDS.get(name, set())
    world, rules = load(out), found.file.timing.rules()
    assert len(world.junctions) == len(world.plans) > 0
    for junction in world.junctions:
        served = {group for phase in junction.phases for group in phase.groups}
        assert served == {group.id for group in junction.groups}
        judge = checker(world.net_file, junction, rules)
        assert judge.check(hostile_lights(junction, 3600, seed=1)) == []
    assert violations(world, run(world, max_pressure(world), 5), rules) == []
    assert violations(world, run(world, hostile(world, 1), 1), rules) == []


def test_osm_with_a_signalised_crosswalk(tmp_path: Path, command: Callable[..., Result]) -> None:
    out = tmp_path / "street"
    done = command("import", "--osm", nets.osm_crossing(tmp_path), "--out", out, "--end", 200)
    assert done.exit_code == 0, done.output
    found = _imported(out)
    crossing = next(item for item in found.reading.junctions if item.id == "3")
    assert [group.kind for group in crossing.groups] == ["vehicle", "vehicle", "pedestrian"]
    assert len(crossing.phases) == 2
    assert {round(lane.speed_mps * 3.6) for lane in crossing.lanes} == {50}
    assert any("randomTrips" in note for note in found.file.notes)
    world, rules = load(out), found.file.timing.rules()
    assert violations(world, run(world, max_pressure(world), 5), rules) == []
    assert violations(world, run(world, hostile(world, 1), 1), rules) == []


def _only(net: Path, rules: TimingRules | None = None):  # type: ignore[no-untyped-def]
    reading = read_junctions(net, rules or TimingRules())
    assert len(reading.junctions) == 1
    return reading.junctions[0]


def test_zones_follow_short_edges_upstream(tmp_path: Path) -> None:
    junction = _only(nets.short_edges(tmp_path))
    for lane in junction.lanes:
        length_m = sum(piece.end_m - piece.start_m for piece in lane.zone)
        assert length_m == pytest.approx(150.0, abs=15.0)
        assert len({piece.lane for piece in lane.zone}) > 10


def test_a_joined_light_keeps_its_programs_pattern(tmp_path: Path) -> None:
    junction = _only(nets.joined(tmp_path))
    nodes = {movement.leg for movement in junction.movements}
    assert {"N", "S2"} <= nodes or {"N", "S"} <= nodes
    assert len(junction.phases) == 2


def test_unprotected_turns_are_as_in_the_program(tmp_path: Path) -> None:
    """Left turns that the program shows as ``g`` go with their oncoming traffic, and yield."""
    junction = _only(nets.odd_ids(tmp_path))
    west, east = (next(m for m in junction.movements if m.id == f"{leg}.left") for leg in "WE")
    assert {junction.link_green[link] for link in (*west.links, *east.links)} == {"g"}
    assert (east.group, west.group) not in junction.conflicts


def test_crosswalk_on_a_vehicle_light_is_cleared_before_others_go(tmp_path: Path) -> None:
    junction = _only(nets.crosswalks_share_an_index(tmp_path))
    mixed = next(
        group
        for group in junction.groups
        if group.kind == "vehicle" and any(name.endswith("ped") for name in group.movements)
    )
    crossing_m = next(m.crossing_m for m in junction.movements if m.id in mixed.movements[::-1])
    assert junction.timing.intergreen_s(mixed.id) >= crossing_m
    shared = [group for group in junction.groups if len(group.movements) == 2]
    assert any(group.kind == "pedestrian" for group in shared)


def test_right_hand_rules_are_mirrored(tmp_path: Path) -> None:
    junction = _only(nets.left_hand(tmp_path))
    assert "s" not in junction.link_red
    for leg in "NESW":
        groups = {m.kind: m.group for m in junction.movements if m.leg == leg}
        assert groups["left"] == groups["through"]

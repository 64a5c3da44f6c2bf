"""Junctions: reading them from a net, their JSON form, and what is refused."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from signals.errors import JunctionError
from signals.guard import Guard
from signals.junction import Junction, SignalGroup, check_phases, maximal_phases
from signals.netreader import read_junction
from signals.timing import TimingRules
from tests.independent.lights import LightChecker

GROUPS = tuple(
    SignalGroup(group, "pedestrian" if group.endswith("ped") else "vehicle", (link,), ())
    for link, group in enumerate(("E.left", "E.through", "N.through", "E.ped"))
)
CONFLICTS = (("E.left", "N.through"), ("E.through", "N.through"), ("E.left", "E.ped"))


def test_maximal_phases() -> None:
    """East together, and north alone; the crosswalk completes what it is compatible with."""
    assert maximal_phases(GROUPS, CONFLICTS) == [
        ("E.left+E.through", ("E.left", "E.through")),
        ("N.through", ("N.through", "E.ped")),
    ]


def test_crosswalk_without_a_companion_gets_a_phase() -> None:
    conflicts = (*CONFLICTS, ("E.ped", "N.through"), ("E.ped", "E.through"))
    assert ("E.ped", ("E.ped",)) in maximal_phases(GROUPS, conflicts)


def test_phases_are_numbered_and_ordered() -> None:
    phases = check_phases(
        GROUPS, CONFLICTS, [("north", ["E.ped", "N.through"]), ("east", ["E.through", "E.left"])]
    )
    assert [(phase.index, phase.name, phase.groups) for phase in phases] == [
        (0, "north", ("N.through", "E.ped")),
        (1, "east", ("E.left", "E.through")),
    ]


@pytest.mark.parametrize(
    ("phases", "said"),
    [
        ([("a", ["E.left", "N.through"])], "joins conflicting groups E.left and N.through"),
        ([("a", ["E.ped", "E.left"])], "joins conflicting groups E.ped and E.left"),
        ([("a", ["S.through"])], "unknown signal group 'S.through'; allowed: E.left"),
        (
            [("a", ["E.left", "E.through"]), ("b", ["E.through", "E.left"])],
            "'b' serves the same groups as an earlier phase",
        ),
        ([("a", ["E.left", "E.through"])], "no phase serves E.ped, N.through"),
    ],
)
def test_unlawful_phases(phases: list[tuple[str, list[str]]], said: str) -> None:
    with pytest.raises(JunctionError, match=said) as caught:
        check_phases(GROUPS, CONFLICTS, phases)
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def four_arms(crosswalk_net: Path) -> Junction:
    return read_junction(crosswalk_net, "B1", TimingRules())


def test_json_round_trip_keeps_the_hash(four_arms: Junction) -> None:
    again = Junction.from_dict(json.loads(json.dumps(four_arms.to_dict())))
    assert again == four_arms
    assert again.hash == four_arms.hash


def test_hash_depends_on_everything(four_arms: Junction, crosswalk_net: Path) -> None:
    others = [
        read_junction(crosswalk_net, "B1", replace(TimingRules(), **{name: value}))
        for name, value in {
            "min_green_s": 8,
            "max_green_s": 90,
            "max_red_s": 190,
            "walking_speed_mps": 0.8,
            "pedestrian_buffer_s": 2,
            "right_turn_on_red": False,
            "pedestrians": False,
            "recall": "call",
        }.items()
    ]
    others.append(replace(four_arms, phases=four_arms.phases[::-1]))
    assert len({junction.hash for junction in [four_arms, *others]}) == len(others) + 1
    assert read_junction(crosswalk_net, "B1", TimingRules()).hash == four_arms.hash


@pytest.mark.parametrize("gone", ["id", "lanes", "groups", "phases", "timing", "link_red"])
def test_what_is_no_junction(four_arms: Junction, gone: str) -> None:
    data = four_arms.to_dict()
    del data[gone]
    with pytest.raises(JunctionError, match="not a junction description"):
        Junction.from_dict(data)


def test_unknown_field_is_refused(four_arms: Junction) -> None:
    data = four_arms.to_dict()
    data["lanes"][0]["colour"] = "red"
    with pytest.raises(JunctionError, match="not a junction description"):
        Junction.from_dict(data)


def test_four_arms(four_arms: Junction) -> None:
    vehicles = [group.id for group in four_arms.groups if group.kind == "vehicle"]
    assert vehicles == [f"{arm}.{kind}" for arm in "ENSW" for kind in ("left", "through")]
    north = next(group for group in four_arms.groups if group.id == "N.through")
    assert set(north.movements) == {"N.through", "N.right"}
    through = next(movement for movement in four_arms.movements if movement.id == "N.through")
    assert through.exit_leg == "S"
    assert through.code[0] == "S"
    assert int(through.code[1:4]) == pytest.approx(0, abs=5)
    assert int(through.code[4:]) == pytest.approx(180, abs=5)
    left = next(movement for movement in four_arms.movements if movement.id == "N.left")
    assert (left.code[0], left.exit_leg) == ("L", "E")
    assert all(
        len(movement.lanes) >= 1 and movement.crossing_m > 0
        for movement in four_arms.movements
        if movement.kind == "pedestrian"
    )


def test_every_link_has_one_group(four_arms: Junction) -> None:
    links = sorted(link for group in four_arms.groups for link in group.links)
    assert links == list(range(len(four_arms.link_green)))
    assert len(four_arms.link_red) == len(four_arms.link_green)
    for group in four_arms.groups:
        assert set(four_arms.timing.groups) >= {group.id}


def test_right_turn_on_red_only_for_right_turns(four_arms: Junction, crosswalk_net: Path) -> None:
    rights = {
        link
        for movement in four_arms.movements
        if movement.kind == "right"
        for link in movement.links
    }
    allowed = {link for link, char in enumerate(four_arms.link_red) if char == "s"}
    assert allowed and allowed <= rights
    strict = read_junction(crosswalk_net, "B1", TimingRules(right_turn_on_red=False))
    assert set(strict.link_red) == {"r"}


def test_without_pedestrians(crosswalk_net: Path) -> None:
    junction = read_junction(crosswalk_net, "B1", TimingRules(pedestrians=False))
    assert {group.kind for group in junction.groups} == {"vehicle"}


def test_overrides_replace_the_formula(crosswalk_net: Path) -> None:
    junction = read_junction(crosswalk_net, "B1", TimingRules(yellow_s=3, all_red_s=2))
    for group in junction.groups:
        timing = junction.timing.groups[group.id]
        if group.kind == "vehicle":
            assert (timing.clearance_s, timing.all_red_s) == (3, 2)


@pytest.mark.parametrize("net", ["crosswalk_net", "wide_net", "spider_net"])
def test_conflicts_and_times_agree_with_the_geometry(
    net: str, request: pytest.FixtureRequest
) -> None:
    """The right-of-way matrix and the intersected paths are two sources of the same conflicts."""
    net_file: Path = request.getfixturevalue(net)
    for tls_id in ("B1", "A1") if net == "crosswalk_net" else ("B1", "C1"):
        rules = TimingRules()
        junction = read_junction(net_file, tls_id, rules)
        judge = LightChecker(net_file, tls_id, asdict(rules))
        group_of = {link: group.id for group in junction.groups for link in group.links}
        crossing = {
            tuple(sorted((group_of[one], group_of[two])))
            for one, foes in judge.foes.items()
            for two in foes
        }
        assert {tuple(sorted(pair)) for pair in junction.conflicts} == crossing
        for link, group in group_of.items():
            timing, need = junction.timing.groups[group], judge.needs[link]
            assert (timing.min_green_s, timing.clearance_s, timing.all_red_s) == (
                need.min_green,
                need.yellow,
                need.all_red,
            )


def test_unknown_light(crosswalk_net: Path) -> None:
    with pytest.raises(JunctionError, match=r"has no traffic light 'Z9'.*allowed: .*B1"):
        read_junction(crosswalk_net, "Z9", TimingRules())


@pytest.mark.parametrize(
    ("phases", "said"),
    [
        ([("all", ["N.through", "E.through"])], "joins conflicting groups N.through and E.through"),
        ([("walk", ["N.through", "N.ped-1"])], "joins conflicting groups"),
        ([("typo", ["N.trough"])], "unknown signal group 'N.trough'"),
        ([("only", ["N.through", "S.through"])], "no phase serves"),
    ],
)
def test_unlawful_phases_of_a_net(
    crosswalk_net: Path, phases: list[tuple[str, list[str]]], said: str
) -> None:
    with pytest.raises(JunctionError, match=said):
        read_junction(crosswalk_net, "B1", TimingRules(), phases)


def test_phase_names(four_arms: Junction) -> None:
    phase = four_arms.phases[2]
    assert four_arms.phase_named(phase.name) is phase
    assert four_arms.phase_of(reversed(phase.groups)) is phase
    assert four_arms.phase_of(phase.groups[:1]) is None
    with pytest.raises(JunctionError, match="no phase 'x'; allowed: E"):
        four_arms.phase_named("x")


def test_max_red_that_no_guard_can_keep(crosswalk_net: Path) -> None:
    junction = read_junction(crosswalk_net, "B1", TimingRules(max_red_s=60))
    with pytest.raises(JunctionError, match=r"max_red_s 60 of .* give at least \d+"):
        Guard(junction)

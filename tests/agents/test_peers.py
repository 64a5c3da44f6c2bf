"""SUMO's own programs as outside peers: what they step through, and what their results say."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("libsumo", reason="libsumo is not installed (extra: sim)")
polars = pytest.importorskip("polars", reason="polars is not installed (extra: sim)")

from agents.evaluation.document import document, is_classical  # noqa: E402
from agents.evaluation.jobs import Job  # noqa: E402
from agents.evaluation.peers import PEERS, parse_peer, program_of, write_programs  # noqa: E402
from agents.evaluation.request import Request  # noqa: E402
from agents.evaluation.runner import run_job  # noqa: E402
from signals.errors import InputError, UnknownNameError  # noqa: E402
from signals.faults import FaultSpec  # noqa: E402
from signals.world import World, resolve  # noqa: E402
from tests.independent.lights import check_lights  # noqa: E402
from tests.independent.runs import SITE, site_timing  # noqa: E402

pytestmark = pytest.mark.sumo
SHORT_S = 600


@pytest.fixture(scope="module")
def place() -> World:
    return resolve("gangnam", "am_peak")


@pytest.mark.parametrize("name", PEERS)
def test_a_peer_steps_through_the_lights_of_the_law(
    name: str, place: World, tmp_path: Path
) -> None:
    found = run_job(Job("gangnam", "am_peak", name, 7, record=tmp_path, duration_s=SHORT_S))
    lights = polars.read_parquet(tmp_path / "lights.parquet")
    seconds = list(zip(lights["second"], lights["state"], strict=True))
    assert len(seconds) == SHORT_S
    size = len(place.junction.groups)
    assert all(len(row) == size and set(row) <= set("368") for row in lights["indications"])
    # It begins with its first green at once, where a guarded run begins with all red.
    assert check_lights(seconds, place.net_file, place.junction.id, site_timing(SITE)) == []
    assert sum(found.phase_s.values()) == SHORT_S
    planned = {place.junction.phase_of(groups).name for groups, _ in place.plan.steps}
    assert {phase for phase, seconds_ in found.phase_s.items() if seconds_} == planned
    assert found.metrics.arrived > 150
    assert found.granted is None
    assert "does not pass through the guard" in document([found])["notes"][0]
    assert not is_classical(name)
    again = run_job(Job("gangnam", "am_peak", name, 7, duration_s=SHORT_S))
    assert again.metrics == found.metrics


def test_greens_may_be_extended_to_the_plans_splits_and_nothing_else(place: World) -> None:
    program = program_of(place.junction, place.plan)
    vehicles = {link for g in place.junction.groups if g.kind != "pedestrian" for link in g.links}
    for lights, least_s, most_s in zip(
        program.lights, program.seconds, program.most_s, strict=True
    ):
        if most_s > least_s:
            assert any(lights[link] in "Gg" for link in vehicles)
            assert "y" not in lights
    assert sum(program.most_s) <= place.plan.cycle_s + 1 < 1.5 * sum(program.seconds)
    longer = program_of(place.junction, place.plan, 2.0)
    assert longer.seconds == program.seconds
    assert sum(longer.most_s) > 1.8 * place.plan.cycle_s


def test_parameters_reach_sumo(place: World, tmp_path: Path) -> None:
    file, _ = write_programs(place, "sumo:actuated:max_gap_s=1.5", tmp_path)
    assert '<param key="max-gap" value="1.5"/>' in file.read_text()
    assert 'type="actuated"' in file.read_text()


def test_faults_are_said_not_to_reach_a_peer() -> None:
    fault = FaultSpec.parse("loss:0.5")
    job = Job("gangnam", "night", "sumo:actuated", 7, duration_s=60, faults=(fault,))
    assert "detector faults do not reach it" in run_job(job).notes[-1]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("sumo:actuated:max_gap_s=0", "max_gap_s is 0; allowed: 0.1 to 30"),
        ("sumo:actuated:max_gap_s=much", "give a number like 3"),
        ("sumo:actuated:max_gap_s=1,max_gap_s=2", "given twice"),
    ],
)
def test_bad_parameters_are_refused(spec: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        parse_peer(spec)


@pytest.mark.parametrize("spec", ["sumo:actuatet", "sumo", "sumo:actuated:passage_s=2"])
def test_unknown_peers_are_refused_before_any_run(spec: str) -> None:
    with pytest.raises(UnknownNameError):
        Request(
            scenario="gangnam", periods=("night",), agents=(spec,), seeds=range(1), sumo=(),
            emissions=False, duration_s=None,
        )  # fmt: skip


def test_a_step_that_serves_people_alone_is_not_extended() -> None:
    school = resolve("school_zone", "am_peak")
    program = program_of(school.junction, school.plan, 3.0)
    scramble = school.junction.phase_named("scramble").index
    steps = [i for i, phase in enumerate(program.phases) if phase == scramble]
    assert steps
    for index in steps:
        assert program.most_s[index] == program.seconds[index]

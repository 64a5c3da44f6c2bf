"""Running jobs: what is recorded, how failures are named, what SUMO options do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from agents.classical import NAMES, make
from agents.evaluation.runner import Job, RunResult, check_options, run_job, run_jobs, run_world
from agents.resolve import agent_for
from signals.errors import (
    BundleError,
    InputError,
    RunFolderError,
    SignalsError,
    SimulationError,
    UnknownNameError,
    WorkError,
)
from signals.observation import Observation
from signals.world import World, resolve

pytest.importorskip("libsumo", reason="libsumo is not installed (extra: sim)")
polars = pytest.importorskip("polars", reason="polars is not installed (extra: sim)")
pytestmark = pytest.mark.sumo

SHORT_S = 60
JOB = Job("gangnam", "night", "fixed_time", 20_000, duration_s=SHORT_S)


@pytest.fixture(scope="module")
def world() -> World:
    return resolve("gangnam", "night")


class Counting:
    """Wishes for one phase and counts how often it is asked."""

    name = "counting"
    decision_interval_s = 7

    def __init__(self) -> None:
        self.clocks: list[float] = []
        self.seeds: list[int] = []

    def reset(self, seed: int) -> None:
        self.seeds.append(seed)

    def decide(self, observation: Observation, clock_s: float) -> int:
        self.clocks.append(clock_s)
        return 0


def test_the_agent_is_asked_at_its_interval(world: World) -> None:
    agent = Counting()
    run_world(replace(world, end_s=world.begin_s + SHORT_S), agent, JOB)
    assert agent.seeds == [JOB.seed]
    assert agent.clocks == [world.begin_s + second for second in range(0, SHORT_S, 7)]


def test_every_second_of_light_is_recorded(tmp_path: Path, world: World) -> None:
    result = run_job(replace(JOB, record=tmp_path, trips_file=tmp_path / "t.xml"))
    lights = polars.read_parquet(tmp_path / "lights.parquet")
    begin_s = world.begin_s
    assert lights["second"].to_list() == list(range(begin_s, begin_s + SHORT_S))
    assert sum(result.phase_s.values()) == SHORT_S
    assert result.timeline["time_s"][-1] == begin_s + SHORT_S
    assert (tmp_path / "t.xml").is_file()
    row = result.to_dict()
    assert row["trips"] == str(tmp_path / "t.xml")
    assert row["delay_s"] == result.metrics.delay_s
    assert {"scenario", "period", "agent", "seed", "approaches", "flags"} <= set(row)


def test_without_a_place_no_trips_are_kept() -> None:
    assert run_job(JOB).to_dict()["trips"] is None


def test_results_come_in_the_order_of_the_jobs() -> None:
    jobs = [replace(JOB, seed=20_000 + number) for number in range(3)]
    jobs[0] = replace(jobs[0], duration_s=3 * SHORT_S)
    done: list[RunResult] = []
    results = run_jobs(jobs, workers=2, on_done=done.append)
    assert [result.seed for result in results] == [20_000, 20_001, 20_002]
    assert sorted(result.seed for result in done) == [20_000, 20_001, 20_002]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_failing_job_names_itself(workers: int) -> None:
    bad = replace(JOB, agent="fixed_tyme", label="the bad one")
    with pytest.raises(InputError, match=r"run the bad one: unknown agent 'fixed_tyme'"):
        run_jobs([JOB, bad], workers=workers)


def test_failed_work_is_no_bad_input(tmp_path: Path) -> None:
    extra = tmp_path / "broken.add.xml"
    extra.write_text(f'<additional><edgeData id="x" file="{tmp_path}/no/x.xml"/></additional>')
    bad = replace(JOB, sumo=("--additional-files", str(extra)), label="broken")
    with pytest.raises(WorkError, match="run broken: SUMO refused"):
        run_jobs([bad])
    assert run_job(JOB).metrics.vehicles > 0  # and the process can simulate again


@pytest.mark.parametrize("content", [None, "<additional><edgeData"])
def test_a_missing_or_broken_additional_file_is_bad_input(
    content: str | None, tmp_path: Path
) -> None:
    extra = tmp_path / "mine.add.xml"
    if content is not None:
        extra.write_text(content)
    with pytest.raises(InputError, match=r"cannot read .*mine\.add\.xml"):
        run_job(replace(JOB, sumo=(f"--additional-files={extra}",)))


def test_no_workers_are_refused() -> None:
    with pytest.raises(InputError, match="workers is 0"):
        run_jobs([JOB], workers=0)


def test_further_additional_files_and_outputs_reach_sumo(tmp_path: Path) -> None:
    extra = tmp_path / "edges.add.xml"
    extra.write_text(f'<additional><edgeData id="x" file="{tmp_path}/edges.xml"/></additional>')
    options = ("--additional-files", str(extra), f"--fcd-output={tmp_path}/{{run}}.fcd.xml")
    run_job(replace(JOB, sumo=options, label="mine"))
    assert "<edge id=" in (tmp_path / "edges.xml").read_text()
    assert "<timestep" in (tmp_path / "mine.fcd.xml").read_text()


def test_an_option_of_the_scenario_can_be_replaced() -> None:
    # SUMO refuses an option that is given twice, so the scenario's own must have gone
    assert run_job(replace(JOB, sumo=("--time-to-teleport", "300"))).metrics.vehicles > 0


def test_emissions(world: World) -> None:
    found = run_job(replace(JOB, emissions=True)).metrics
    assert found.co2_g is not None and 10.0 < found.co2_g < 2000.0


@pytest.mark.parametrize("option", ["--end", "-e", "--seed=4", "--tripinfo-output", "-n"])
def test_options_of_the_run_itself_are_refused(option: str) -> None:
    with pytest.raises(InputError, match="is set by the run itself"):
        check_options(["--fcd-output", "x.xml", option])


def test_options_that_sumo_does_not_know_are_bad_input() -> None:
    with pytest.raises(InputError, match="SUMO refuses the options '--no-such-thing'"):
        run_job(replace(JOB, sumo=("--no-such-thing",)))


def test_a_second_simulation_in_the_process_is_refused(world: World) -> None:
    class Nested(Counting):
        def decide(self, observation: Observation, clock_s: float) -> int:
            run_job(JOB)
            return 0

    with pytest.raises(SimulationError, match="second libsumo simulation"):
        run_world(replace(world, end_s=world.begin_s + 5), Nested(), JOB)
    assert run_job(JOB).metrics.vehicles > 0


def test_every_classical_agent_is_found_by_name(world: World) -> None:
    for name in NAMES:
        assert agent_for(name, world).name == make(name, world.junction, world.plan).name


def test_unknown_agents_name_the_nearest(world: World) -> None:
    with pytest.raises(UnknownNameError) as caught:
        agent_for("max_presure", world)
    assert caught.value.nearest[0] == "max_pressure"
    assert "a run folder" in str(caught.value) and "a bundle file" in str(caught.value)


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path, world: World) -> None:
    with pytest.raises(RunFolderError, match="is no training run"):
        agent_for(str(tmp_path), world)


def test_a_run_for_another_spec_is_refused(
    tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Run:
        spec_hash = "0" * 64

    monkeypatch.setattr("agents.runfolder.load_run", lambda folder: Run())
    with pytest.raises(RunFolderError, match="made for another spec"):
        agent_for(str(tmp_path), world)


def test_a_broken_bundle_is_refused(tmp_path: Path, world: World) -> None:
    file = tmp_path / "some.bundle"
    file.write_bytes(b"not a bundle")
    with pytest.raises(BundleError):
        agent_for(str(file), world)


def test_errors_keep_their_exit_code_on_the_way_from_a_worker() -> None:
    for job, code in ((replace(JOB, period="nigt"), 2), (replace(JOB, scenario="x"), 2)):
        with pytest.raises(SignalsError) as caught:
            run_jobs([job, job], workers=2)
        assert caught.value.exit_code == code


def test_flags_are_plain_words() -> None:
    found: Mapping[str, object] = run_job(JOB).metrics.to_dict()
    assert found["flags"] == []

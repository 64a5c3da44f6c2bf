"""Detector faults in whole runs: on the command line, in a site file, in an environment."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("libsumo", reason="libsumo is not installed (extra: sim)")
polars = pytest.importorskip("polars", reason="polars is not installed (extra: sim)")

from agents.evaluation.jobs import Job, RunResult  # noqa: E402
from agents.evaluation.runner import run_job, run_jobs  # noqa: E402
from scenarios.catalog import load  # noqa: E402
from scenarios.faultfile import read_faults  # noqa: E402
from signals.cli import main  # noqa: E402
from signals.envs.junction_env import JunctionEnv  # noqa: E402
from signals.errors import InputError, ScenarioError  # noqa: E402
from signals.faults import FaultSpec  # noqa: E402
from signals.recording import Recorder  # noqa: E402

pytestmark = pytest.mark.sumo
FAULTS = tuple(
    FaultSpec.parse(text)
    for text in ("miscount:*:0.3", "latency:*_loop/*:3", "rain:0.9", "stuck:exit/*:0.3")
)
JOB = Job("gangnam", "night", "actuated", 20_000, duration_s=240, faults=FAULTS)
FILE = """\
faults:
  - kind: loss
    detectors: [near_zone/*]
    share: 0.4
  - {kind: rain, intensity: 0.7, begin: "02:00", end: "02:05"}
"""


def settled(result: RunResult) -> dict[str, object]:
    return result.to_dict() | {"wall_s": 0.0}


def test_the_same_day_has_the_same_faults_in_any_process() -> None:
    jobs = [JOB, replace(JOB, seed=20_001)]
    here = [settled(run_job(job)) for job in jobs]
    assert here == [settled(result) for result in run_jobs(jobs, workers=2)]
    assert here[0]["faults"] == [spec.text for spec in FAULTS]
    assert here[0]["phase_s"] != settled(run_job(replace(JOB, faults=())))["phase_s"]


def test_a_fault_that_hits_nobody_changes_nothing() -> None:
    nobody = (FaultSpec("loss", share=0.0), FaultSpec("miscount", begin_s=80_000, end_s=80_060))
    ours, sound = (settled(run_job(replace(JOB, faults=faults))) for faults in (nobody, ()))
    assert ours | {"faults": []} == sound


def test_what_is_recorded_is_what_arrived() -> None:
    shown = []
    for _ in range(2):
        recorder = Recorder()
        env = JunctionEnv("gangnam", "night", faults=["loss:near_zone/*:0.5", FAULTS[0]],
                          recorder=recorder)  # fmt: skip
        try:
            seen, _ = env.reset(options={"day": 3})
            for _ in range(12):
                seen, *_ = env.step(np.int64(0))
            readings = env.episode.last_readings
            detectors = env.episode.spec.detectors
            dead = [
                spec.id
                for spec, row in zip(detectors, readings.values, strict=True)
                if np.isnan(row[0]) and spec.kind == "near_zone"
            ]
            assert 0 < len(dead) < sum(spec.kind == "near_zone" for spec in detectors)
            table = readings.to_dict(detectors)["detectors"]
            assert all(value is None for name in dead for value in table[name].values())
            assert env.observation.measures.missing.max() > 0
            shown.append({name: array.tobytes() for name, array in seen.items()})
        finally:
            env.close()
    assert shown[0] == shown[1]


def test_an_environment_refuses_faults_of_nothing() -> None:
    with pytest.raises(InputError, match="matches no detector"):
        JunctionEnv("gangnam", faults=["loss:radar/*"])


def test_a_file_of_faults(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "faults.yaml"
    file.write_text(FILE)
    assert [spec.text for spec in read_faults(file)] == [
        "loss:near_zone/*:0.4",
        "rain:*:0.7@02:00-02:05",
    ]
    run = ("simulate", "gangnam", "--agent", "actuated", "--period", "night", "--minutes", "1")
    assert main([*run, "--faults", str(file), "--fault", "latency:2", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["faults"] == document["runs"][0]["faults"]
    assert document["faults"][-1] == "latency:*:2" and len(document["faults"]) == 3


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("kind: loss", "kind: los", "faults.yaml:2: faults.0.kind: is 'los'; did you mean 'loss'"),
        ("0.4", "4", "faults.yaml:4: faults.0.share: is 4"),
        ('"02:05"', '"01:05"', "faults.yaml:5: .*give an end after the begin"),
        ("share", "shares", "faults.yaml:4: faults.0.shares: unknown key"),
        (FILE, "faults: []", "at least 1"),
        (FILE, "- loss", "holds list, allowed: a mapping with the keys faults"),
        (FILE, "faults: [", "not YAML"),
    ],
)
def test_a_wrong_file_is_told_with_its_line(
    before: str, after: str, words: str, tmp_path: Path
) -> None:
    file = tmp_path / "faults.yaml"
    file.write_text(FILE.replace(before, after, 1))
    with pytest.raises(ScenarioError, match=words):
        read_faults(file)


def test_faults_of_a_site_reach_its_world(tmp_path: Path) -> None:
    shipped = load("gangnam").site_file.read_text(encoding="utf-8")
    site = tmp_path / "site.yaml"
    site.write_text(shipped + "\n" + FILE, encoding="utf-8")
    assert [spec.kind for spec in load(str(tmp_path)).world("night").faults] == ["loss", "rain"]
    found = run_job(replace(JOB, scenario=str(tmp_path), duration_s=60, faults=()))
    assert found.faults[0] == "loss:near_zone/*:0.4"
    site.write_text(shipped + "\n" + FILE.replace("near_zone", "radar"), encoding="utf-8")
    with pytest.raises(ScenarioError, match=r"site\.yaml: faults: .*matches no detector"):
        load(str(tmp_path)).world("night")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--agent", "actuated", "--agent", "webster"), "--agent is given 2 times"),
        (("--agent", "actuated:passage_s=-2"), "passage_s is -2; allowed: 0 to 60"),
        (("--agent", "actuated", "--fault", "los:*"), "unknown fault 'los'; did you mean loss?"),
        (("--agent", "actuated", "--faults", "nowhere.yaml"), "give a readable fault file"),
    ],
)
def test_bad_orders_are_refused(
    arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["simulate", "gangnam", *arguments]) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1


def test_the_table_names_the_faults(capsys: pytest.CaptureFixture[str]) -> None:
    run = ("evaluate", "gangnam", "--agent", "fixed_time", "--period", "night", "--minutes", "1")
    assert main([*run, "--seeds", "1", "--fault", "rain:0.5"]) == 0
    assert "detector fault: rain:*:0.5" in capsys.readouterr().out

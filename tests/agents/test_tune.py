"""Tuning with Optuna, and learning curves over seeds."""

import csv
import json

import pytest
from click.testing import CliRunner

pytest.importorskip("torch", reason="torch is not installed (extra: train)")
pytest.importorskip("libsumo", reason="libsumo is not installed (extra: sim)")

from agents.curve_cli import curve
from agents.curves import read_curve
from agents.training import hyperparameters
from agents.tune_cli import tune
from signals.errors import InputError, RunFolderError


def run_folder(folder, seed, scores, **changes):
    folder.mkdir()
    config = {"hyperparameters": {"width": 8}, "spec_hash": "x", "seed": seed, "algo": "dqn"}
    (folder / "config.json").write_text(json.dumps(config | changes))
    lines = [
        {"decisions": 100 * (place + 1), "delay_s": score, "ratio": None, "runs": []}
        for place, score in enumerate(scores)
    ]
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    (folder / "validation.jsonl").write_text(text)
    return folder


def test_a_curve_is_the_mean_of_its_runs_with_students_interval(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra: study)")
    runs = [
        run_folder(tmp_path / "a", 1, [50.0, 40.0, 30.0]),
        run_folder(tmp_path / "b", 2, [54.0, 44.0, 36.0]),
        run_folder(tmp_path / "c", 3, [52.0, 36.0]),
    ]
    found = read_curve(runs)
    assert found.points[0].decisions == 100 and found.points[-1].decisions == 200
    # By hand: mean 40, deviations 4, 0, -4; t(2) 4.303, s 4, so 4.303 * 4 / sqrt(3).
    last = found.points[-1].score
    assert last.mean == pytest.approx(40.0)
    assert last.high - last.mean == pytest.approx(9.937, abs=0.005)
    done = CliRunner().invoke(
        curve, [*map(str, runs), "--out", str(tmp_path / "out")], catch_exceptions=False
    )
    assert done.exit_code == 0 and "3 runs, 200 decisions" in done.output
    text = (tmp_path / "out" / "curve.csv").read_text()
    rows = list(csv.DictReader(text.splitlines()))
    assert float(rows[0]["mean"]) == pytest.approx(52.0)
    assert (tmp_path / "out" / "curve.png").stat().st_size > 5000


def test_a_validation_that_was_being_written_is_left_out(tmp_path):
    run = run_folder(tmp_path / "a", 1, [50.0, 40.0])
    file = run / "validation.jsonl"
    with file.open("a") as stream:
        stream.write('{"decisions": 300, "del')
    assert read_curve([run]).runs == (((100, 50.0), (200, 40.0)),)
    file.write_text("not a line\n")
    with pytest.raises(RunFolderError, match="is damaged"):
        read_curve([run])
    file.unlink()
    with pytest.raises(RunFolderError, match="has no validations"):
        read_curve([run])


def test_runs_that_differ_in_more_than_the_seed_make_no_curve(tmp_path):
    first = run_folder(tmp_path / "a", 1, [50.0])
    with pytest.raises(InputError, match="differ in algo"):
        read_curve([first, run_folder(tmp_path / "b", 2, [50.0], algo="ppo")])
    with pytest.raises(InputError, match="different seeds"):
        read_curve([first, run_folder(tmp_path / "c", 1, [50.0])])


def test_tuning_keeps_its_study_and_writes_the_best_values(tmp_path):
    pytest.importorskip("optuna", reason="optuna is not installed (extra: tune)")
    quick = tmp_path / "quick.yaml"
    quick.write_text(
        "default: {run_s: 200, runs_per_round: 1, teacher_runs: 1, teacher_updates: 2, width: 8}\n"
    )
    space = tmp_path / "space.yaml"
    space.write_text("dqn: {learning_rate: {low: 0.001, high: 0.002}, batch_size: [16, 32]}\n")
    command = [
        *("generated:junction:1", "--check", "generated:junction:10000", "--algo", "dqn"),
        *("--steps", "10", "--eval-seeds", "1", "--workers", "1", "--hyperparams", str(quick)),
        *("--space", str(space), "--out", str(tmp_path / "study")),
    ]
    done = CliRunner().invoke(tune, [*command, "--trials", "2"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert (tmp_path / "study" / "trial-001" / "best" / "scorer.pt").is_file()
    again = CliRunner().invoke(tune, [*command, "--trials", "2"], catch_exceptions=False)
    assert again.exit_code == 0
    assert not (tmp_path / "study" / "trial-002").exists()
    best = hyperparameters("dqn", "", tmp_path / "study" / "best.yaml")
    assert 0.001 <= best["learning_rate"] <= 0.002 and best["batch_size"] in (16, 32)
    for text, words in (("ppo: {}\n", "has no section 'dqn'"), ("a: [\n", "no readable YAML")):
        space.write_text(text)
        with pytest.raises(InputError, match=words):
            CliRunner().invoke(tune, command, catch_exceptions=False, standalone_mode=False)
    space.write_text("dqn: {speed: [1, 2]}\n")
    with pytest.raises(InputError, match="unknown hyperparameter 'speed'"):
        CliRunner().invoke(
            tune, [*command, "--trials", "3"], catch_exceptions=False, standalone_mode=False
        )
    (tmp_path / "study" / "study.db").write_bytes(b"no database at all, but long enough")
    space.write_text("dqn: {batch_size: [16]}\n")
    with pytest.raises(InputError, match="no study that can be read"):
        CliRunner().invoke(tune, command, catch_exceptions=False, standalone_mode=False)


def test_an_interrupted_search_goes_on(tmp_path, monkeypatch):
    pytest.importorskip("optuna", reason="optuna is not installed (extra: tune)")
    from agents import tune as search
    from agents.progress import Progress
    from agents.train import End
    from agents.validation import Score

    ends = [End.DONE, End.INTERRUPTED, End.DONE, End.DONE]

    def trained(plan, resume, report):
        end, score = ends.pop(0), Score(30.0, None)
        return Progress(10, 10, 1, 0.0, score, score, 1.0), end, ""

    monkeypatch.setattr(search, "train", trained)
    command = [
        *("generated:junction:1", "--algo", "dqn", "--trials", "3"),
        *("--out", str(tmp_path / "study")),
    ]
    stopped = CliRunner().invoke(tune, command)
    assert stopped.exit_code == 130 and "the same command goes on" in stopped.output
    done = CliRunner().invoke(tune, command)
    assert done.exit_code == 0, done.output
    assert not ends
    assert (tmp_path / "study" / "best.yaml").is_file()

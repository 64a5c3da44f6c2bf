"""Training end to end, on one small street and as short as it can be."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed (extra: train)")
pytest.importorskip("libsumo", reason="libsumo is not installed (extra: sim)")

import torch

from agents.pretrained import pretrained_run
from agents.progress import Progress
from agents.runfolder import alone_in, load_run
from agents.training import hyperparameters
from signals.errors import InputError, RunFolderError
from signals.features import MOVEMENT_FEATURES

STREET = "generated:junction:1"
QUICK = (
    *("--period", "all", "--eval-seeds", "1", "--workers", "1", "--seed", "3"),
    "--no-baselines",
)


def signals_command(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "signals.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        **options,
    )


def test_given_weights_are_not_taught_again(tmp_path):
    folder, config = tmp_path / "on", tmp_path / "quick.yaml"
    config.write_text("default: {run_s: 60, runs_per_round: 1, compare_share: 0, epsilon: 0}\n")
    done = signals_command(
        *("train", STREET, "--algo", "lookahead", "--from", "universal", *QUICK, "--steps", "1"),
        *("--hyperparams", str(config), "--out", str(folder)),
    )
    assert done.returncode == 0, done.stderr
    assert "watching" not in done.stdout
    assert " decisions (asked for 1; rounds of runs are whole)" in done.stdout
    lines = [json.loads(line) for line in (folder / "validation.jsonl").read_text().splitlines()]
    assert lines[0]["decisions"] == 0 < lines[1]["decisions"]
    assert lines[0]["delay_s"] == lines[1]["delay_s"]
    # Nothing was learned, so that nothing was better.
    assert "no validation was better than that of the weights begun with" in done.stdout
    assert json.loads((folder / "best" / "meta.json").read_text())["decisions"] == 0
    given, kept = pretrained_run("universal").scorer, load_run(folder).scorer
    for name, value in given.state_dict().items():
        assert torch.equal(value, kept.state_dict()[name]), name


@pytest.mark.parametrize(
    ("taken", "told"),
    [
        (600, "600 of 1,200 decisions"),
        (1200, "1,200 of 1,200 decisions"),
        (3508, "3,508 decisions (asked for 1,200; rounds of runs are whole)"),
    ],
)
def test_progress_says_what_was_taken_and_asked_for(taken, told):
    assert Progress(taken, 1200, 4, 0.0, None, None, 1.0).taken == told


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "night"
    config = folder.parent / "quick.yaml"
    config.write_text(
        "default: {run_s: 900, runs_per_round: 1, teacher_runs: 1, teacher_updates: 10,"
        " batch_size: 32, buffer_size: 2000}\n"
    )
    done = signals_command(
        *("train", STREET, "--algo", "dqn", *QUICK, "--steps", "300", "--eval-every", "150"),
        *("--hyperparams", str(config), "--out", str(folder)),
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_a_run_folder_holds_what_repeats_it(trained):
    config = json.loads((trained / "config.json").read_text())
    assert config["seed"] == 3
    assert config["versions"]["torch"]
    assert config["hyperparameters"]["batch_size"] == 32
    lines = [json.loads(line) for line in (trained / "validation.jsonl").read_text().splitlines()]
    assert len(lines) >= 2
    best = json.loads((trained / "best" / "meta.json").read_text())
    assert best["validation_delay_s"] == min(line["delay_s"] for line in lines)
    assert any((trained / "tensorboard").rglob("events*"))
    observations = np.load(trained / "observations.npz")
    assert observations["movements"].ndim == 3
    assert len(observations["mask"]) > 100


def test_masked_phases_are_never_chosen(trained):
    import torch

    scorer = load_run(trained).scorer
    observations = np.load(trained / "observations.npz")
    with torch.no_grad():
        scores = scorer(
            *(
                torch.from_numpy(observations[name])
                for name in ("movements", "phases", "serves", "mask")
            )
        )
    chosen = scores.argmax(dim=1).numpy()
    assert (observations["mask"][np.arange(len(chosen)), chosen] == 1.0).all()


def test_scores_do_not_depend_on_the_order_of_movements_and_phases(trained):
    import torch

    scorer = load_run(trained).scorer
    data = np.load(trained / "observations.npz")
    movements, phases, serves, mask = (
        torch.from_numpy(data[name][:8]) for name in ("movements", "phases", "serves", "mask")
    )
    random = torch.Generator().manual_seed(1)
    rows = torch.randperm(movements.shape[1], generator=random)
    order = torch.randperm(phases.shape[1], generator=random)
    with torch.no_grad():
        plain = scorer(movements, phases, serves, mask)
        mixed = scorer(
            movements[:, rows], phases[:, order], serves[:, order][:, :, rows], mask[:, order]
        )
    assert torch.allclose(plain[:, order], mixed, atol=1e-4)


def test_a_finished_run_goes_on_with_resume(trained, tmp_path):
    folder = tmp_path / "again"
    shutil.copytree(trained, folder)
    before = json.loads((trained / "checkpoint" / "state.json").read_text())
    steps = str(before["decisions"] + 20)
    done = signals_command(
        *("train", STREET, *QUICK, "--steps", steps, "--resume", "--out", str(folder)),
    )
    assert done.returncode == 0, done.stderr
    state = json.loads((folder / "checkpoint" / "state.json").read_text())
    assert state["decisions"] >= int(steps)
    assert state["round"] > before["round"]


def test_a_run_that_has_all_its_decisions_says_so(trained, tmp_path):
    folder = tmp_path / "done"
    shutil.copytree(trained, folder)
    done = signals_command("train", STREET, "--resume", "--steps", "100", "--out", str(folder))
    assert done.returncode == 2, done.stderr
    assert "give more --steps" in done.stderr
    assert not (folder / "checkpoint.part").exists()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"periods": ["night"]}))
    done = signals_command("train", STREET, "--period", "all", "--resume", "--out", str(folder))
    assert done.returncode == 2
    assert "trains on night" in done.stderr


def test_ppo_begins_like_its_teacher_and_goes_on(tmp_path):
    folder, config = tmp_path / "ppo", tmp_path / "quick.yaml"
    config.write_text(
        "default: {run_s: 900, runs_per_round: 1, batch_size: 60, teacher_runs: 1,"
        " teacher_epochs: 4}\n"
    )
    done = signals_command(
        *("train", STREET, *QUICK, "--steps", "100", "--hyperparams", str(config)),
        *("--fault", "loss:far_zone/*:0.5", "--out", str(folder)),
    )
    assert done.returncode == 0, done.stderr
    assert "watching actuated" in done.stdout
    assert "detector faults: loss:far_zone/*:0.5" in done.stdout
    seen = np.load(folder / "observations.npz")["movements"]
    assert seen[..., MOVEMENT_FEATURES.index("missing")].max() > 0
    begun = json.loads((folder / "checkpoint" / "state.json").read_text())["decisions"]
    done = signals_command(
        *("train", STREET, *QUICK, "--resume", "--steps", str(begun + 50), "--out", str(folder))
    )
    assert done.returncode == 0, done.stderr
    after = json.loads((folder / "checkpoint" / "state.json").read_text())["decisions"]
    assert after >= begun + 50
    assert json.loads((folder / "config.json").read_text())["algo"] == "ppo"
    assert "detector faults: loss:far_zone/*:0.5" in done.stdout
    done = signals_command(
        *("train", STREET, "--resume", "--fault", "rain:0.9", "--out", str(folder)),
    )
    assert done.returncode == 2
    assert "trains under loss:far_zone/*:0.5" in done.stderr
    for options, words in (
        (("--seed", "9"), "was begun with --seed 3, not 9"),
        (("--hyperparams", str(config)), "leave --hyperparams out"),
    ):
        done = signals_command("train", STREET, "--resume", *options, "--out", str(folder))
        assert done.returncode == 2
        assert words in done.stderr
    done = signals_command(
        *("train", STREET, "--algo", "dqn", "--resume", "--out", str(folder)),
    )
    assert done.returncode == 2
    assert "with --algo ppo" in done.stderr


def test_interrupt_saves_and_resume_goes_on(tmp_path):
    folder, config = tmp_path / "stopped", tmp_path / "quick.yaml"
    config.write_text(
        "default: {run_s: 600, runs_per_round: 1, teacher_runs: 1, teacher_updates: 5}\n"
    )
    command = [
        *(sys.executable, "-m", "signals.cli", "train", STREET, *QUICK),
        *("--algo", "dqn", "--steps", "500000", "--eval-every", "1000000", "--out", str(folder)),
        *("--hyperparams", str(config)),
    ]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 120
    while not list(folder.glob("tensorboard/events*")) and time.monotonic() < deadline:
        time.sleep(0.2)
    time.sleep(10)
    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert "--resume" in output
    # Stopped before its first round, a run begins anew.
    state = folder / "checkpoint" / "state.json"
    assert not state.is_file() or 0 < json.loads(state.read_text())["decisions"] < 500_000
    assert not (folder / "checkpoint.part").exists()


def test_a_used_folder_is_not_overwritten(trained):
    done = signals_command("train", STREET, *QUICK, "--steps", "10", "--out", str(trained))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "--resume" in done.stderr


def test_a_run_of_another_spec_is_refused(trained, tmp_path):
    folder = tmp_path / "other"
    shutil.copytree(trained, folder)
    config = json.loads((folder / "config.json").read_text())
    config["spec_hash"] = "0" * 64
    (folder / "config.json").write_text(json.dumps(config))
    for command in (
        ("train", STREET, *QUICK, "--resume", "--out", str(folder)),
        ("simulate", STREET, "--period", "all", "--agent", str(folder)),
    ):
        done = signals_command(*command)
        assert done.returncode == 2, done.stderr
        assert done.stderr.count("\n") == 1
        assert "another" in done.stderr


def test_no_run_and_broken_weights_are_named(trained, tmp_path):
    with pytest.raises(RunFolderError, match="is no training run"):
        load_run(tmp_path)
    folder = tmp_path / "broken"
    shutil.copytree(trained, folder)
    (folder / "best" / "scorer.pt").write_bytes(b"not weights")
    with pytest.raises(RunFolderError, match="cannot be loaded"):
        load_run(folder)


def test_what_a_training_cannot_begin_with_leaves_nothing_behind(trained, tmp_path):
    folder, old = tmp_path / "new", tmp_path / "old"
    shutil.copytree(trained, old)
    config = json.loads((old / "config.json").read_text())
    (old / "config.json").write_text(json.dumps(config | {"features_hash": "0"}))
    for options, words in (
        (("--from", "nothere"), "nothere is neither a shipped policy (universal) nor a folder"),
        (("--from", str(tmp_path)), "is no training run"),
        (("--from", str(old)), "was made with other features"),
        (("--cluster", "127.0.0.1:1"), "ray start" if find_spec("ray") else "ray is not installed"),
    ):
        done = signals_command("train", STREET, *QUICK, *options, "--out", str(folder))
        assert done.returncode == 2, done.stderr
        assert words in done.stderr and done.stderr.count("\n") == 1
        assert not folder.exists()


def test_a_folder_has_one_training_at_a_time(trained, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(trained, folder)
    with alone_in(folder):
        done = signals_command("train", STREET, "--resume", "--steps", "9999", "--out", str(folder))
    assert done.returncode == 2
    assert "another training is at work" in done.stderr
    with alone_in(folder):
        pass


def test_a_damaged_checkpoint_is_named_with_what_to_do(trained, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(trained, folder)
    for name, content in (("state.json", b"{}"), ("model.pt", b"\x8b\x00\xff")):
        kept = (folder / "checkpoint" / name).read_bytes()
        (folder / "checkpoint" / name).write_bytes(content)
        done = signals_command("train", STREET, "--resume", "--steps", "9999", "--out", str(folder))
        assert done.returncode == 2, done.stderr
        assert "is damaged" in done.stderr and "signals train --from" in done.stderr
        (folder / "checkpoint" / name).write_bytes(kept)


def test_hyperparameters_are_checked(tmp_path):
    file = tmp_path / "own.yaml"
    file.write_text("default: {gama: 0.9}\n")
    with pytest.raises(InputError, match="unknown hyperparameter 'gama'"):
        hyperparameters("dqn", "gangnam", file)
    file.write_text("default: {gamma: high}\n")
    with pytest.raises(InputError, match="gamma is 'high'"):
        hyperparameters("dqn", "gangnam", file)
    file.write_text("gamma: 0.5\n")
    with pytest.raises(InputError, match="put it under 'default:'"):
        hyperparameters("dqn", "gangnam", file)
    file.write_text("gangnam: {gamma: 0.9}\n")
    assert hyperparameters("dqn", "gangnam", file)["gamma"] == 0.9
    assert hyperparameters("dqn", "elsewhere", file)["gamma"] != 0.9

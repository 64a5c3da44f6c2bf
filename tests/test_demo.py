"""The demo's own part: pace, steps, failures, children. The commands are tested where they live."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import click
import pytest
from click.testing import CliRunner

from signals import children, demo_pace, demo_show, demo_street
from signals import demo as module
from signals.errors import InputError, WorkError


def test_help_names_every_option() -> None:
    text = CliRunner().invoke(module.demo, ["--help"]).output
    for option in ("--out", "--quick", "--minutes", "--keep"):
        assert option in text


@pytest.mark.parametrize("part", [module, demo_pace, demo_show, demo_street, children])
def test_it_imports_none_of_the_other_packages(part: ModuleType) -> None:
    tree = ast.parse(Path(str(part.__file__)).read_text(encoding="utf-8"))
    imported = {
        name.partition(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert not imported & {"scenarios", "agents", "controllers"}


def test_a_used_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()
    with pytest.raises(InputError, match="not empty; give a new folder"):
        CliRunner().invoke(
            module.demo, ["--out", str(tmp_path)], catch_exceptions=False, standalone_mode=False
        )
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_second_demo_takes_a_new_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Path] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "_walk", lambda show, folder, chosen: seen.append(folder))
    monkeypatch.setattr(module, "end_on_signals", lambda: None)
    for _ in range(3):
        result = CliRunner().invoke(module.demo, [], catch_exceptions=False)
        assert result.exit_code == 0 and "page.html" in result.output
    assert [str(folder) for folder in seen] == ["demo", "demo-2", "demo-3"]


def test_a_failing_step_names_itself(capfd: pytest.CaptureFixture[str]) -> None:
    show = demo_show.Show(total=3)
    show.heading("the junction", "What stands there.")
    with pytest.raises(WorkError, match=r"step 1 'the junction' failed \(exit 2\)") as caught:
        show.run("scenario", "show", "atlantis")
    assert "\n" not in str(caught.value) and caught.value.exit_code == 1
    said = capfd.readouterr()
    assert "$ signals scenario show atlantis" in said.out
    assert "atlantis" in said.err and "Traceback" not in said.err


def test_a_failing_step_ends_the_demo_with_1(tmp_path: Path) -> None:
    """Through the real command, with a scenario that is not there."""
    code = (
        "import sys; from signals import demo; demo.SCENARIO = 'atlantis'; "
        "from signals.cli import main; sys.exit(main(['demo', '--out', sys.argv[1]]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "demo")],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("signals: error: demo step 1 'the junction' failed")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_takes_its_children_along(tmp_path: Path, kind: signal.Signals) -> None:
    note = tmp_path / "pid"
    stubborn = (
        "import os, signal, sys, time; signal.signal(signal.SIGINT, signal.SIG_IGN); "
        "open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(60)"
    )
    parent = (
        "import sys; from signals import children; children.end_on_signals(); "
        f"line = [sys.executable, '-c', {stubborn!r}, sys.argv[1]]\n"
        "from functools import partial\n"
        "children.stop = partial(children.stop, patience_s=0.2)\n"
        "with children.child(line) as process: process.wait()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", parent, str(note)], stderr=subprocess.DEVNULL)
    until_s = time.monotonic() + 30.0
    while not (note.is_file() and note.read_text()) and time.monotonic() < until_s:
        time.sleep(0.02)
    process.send_signal(kind)
    assert process.wait(30) != 0
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text()), 0)


def test_days_fit_the_time_that_is_left() -> None:
    assert demo_pace.fitting_days(250.0, 12.0, 5) == 4
    assert demo_pace.fitting_days(10.0, 60.0, 5) == demo_pace.FEWEST_DAYS
    assert demo_pace.fitting_days(10_000.0, 1.0, 5) == demo_pace.MOST_DAYS


def test_pace() -> None:
    assert demo_pace.pace(None, False).budget_s == pytest.approx(390.0)
    assert demo_pace.pace(None, True).budget_s < 150.0
    assert demo_pace.pace(5.0, False).train_minutes == 5.0
    assert demo_pace.pace(5.0, False).budget_s > demo_pace.pace(None, False).budget_s


def test_the_table_sorts_and_shouts_the_verdict() -> None:
    document = {
        "summary": [
            {"agent": "x/dqn", "delay_s": 90.5, "ci95": [80.0, 101.0], "bus_delay_s": None},
            {"agent": "webster", "delay_s": 50.0, "ci95": None, "pedestrian_delay_s": 40.2},
        ],
        "verdict": [
            {"agent": "x/dqn", "verdict": "worse", "text": "x/dqn is worse than webster"},
            {"agent": "webster", "verdict": "better", "text": "not printed"},
        ],
    }
    lines = demo_show.result_lines(document, "x/dqn")
    assert lines[1].startswith("webster") and lines[2].startswith("dqn")
    assert lines[-1] == "verdict: WORSE. x/dqn is worse than webster"
    assert len({len(line) for line in lines[:3]}) == 1


def test_waiting_ends_with_the_process() -> None:
    with children.child([sys.executable, "-c", "pass"]) as process:
        assert not children.wait_for(lambda: False, process, limit_s=20.0)


def test_bulk_is_removed_and_the_rest_stays(tmp_path: Path) -> None:
    run = tmp_path / "evaluation" / "runs" / "a"
    (tmp_path / "dqn" / "checkpoint").mkdir(parents=True)
    run.mkdir(parents=True)
    for name in ("tripinfo.xml", "lights.parquet"):
        (run / name).touch()
    module._remove_bulk(tmp_path)
    assert [path.name for path in run.iterdir()] == ["lights.parquet"]
    assert not (tmp_path / "dqn" / "checkpoint").exists()


def test_it_is_a_click_command() -> None:
    assert isinstance(module.demo, click.Command)

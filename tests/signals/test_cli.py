"""The command as a user meets it: every bad input is one line and exit code 2."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from signals.cli import COMMANDS, main

ROOT = Path(__file__).resolve().parents[2]
SHORT = ("--minutes", "1")


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run a command that is refused; returns its one line."""
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert printed.err.startswith("signals: error: ")
    return printed.err


def python(code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own, so that imports can be tampered with."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        env={**os.environ, **environment},
    )


BLOCKED = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocker())
from signals.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_help_lists_every_command_without_heavy_imports() -> None:
    code = """
import sys
from signals.cli import main
code = main(["--help"])
heavy = {"torch", "libsumo", "traci", "sumolib", "polars", "fastapi", "scenarios", "agents"}
print(sorted(heavy & set(sys.modules)))
sys.exit(code)
"""
    found = python(code)
    assert found.returncode == 0, found.stderr
    assert found.stdout.splitlines()[-1] == "[]"
    for name in ("agents", "demo", "evaluate", "export", "scenario", "serve", "simulate", "train"):
        assert f"\n  {name} " in found.stdout


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("signals, version ")


def test_agents_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["agents"]) == 0
    printed = capsys.readouterr().out
    for word in ("fixed_time", "actuated", "max_pressure", "training run", "bundle"):
        assert word in printed


def test_unknown_command_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert "unknown command 'simulat'; did you mean simulate?" in fails(capsys, "simulat")


def test_bad_options_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--agent" in fails(capsys, "simulate", "gangnam")
    assert "--sedes" in fails(capsys, "evaluate", "gangnam", "--agent", "x", "--sedes", "3")
    assert "--seeds" in fails(capsys, "evaluate", "gangnam", "--agent", "x", "--seeds", "0")


@pytest.mark.sumo
class TestWithSumo:
    """Needs the sim extra."""

    @pytest.fixture(autouse=True)
    def _sumo(self) -> None:
        pytest.importorskip("libsumo", reason="libsumo is not installed (extra: sim)")

    @pytest.mark.parametrize("command", ["simulate", "evaluate"])
    def test_unknown_names(self, command: str, capsys: pytest.CaptureFixture[str]) -> None:
        text = fails(capsys, command, "gangnan", "--agent", "fixed_time")
        assert "unknown scenario 'gangnan'; did you mean gangnam" in text
        text = fails(capsys, command, "gangnam", "--agent", "actuatd")
        assert "unknown agent 'actuatd'; did you mean actuated or sumo:actuated?" in text
        text = fails(capsys, command, "gangnam", "--agent", "actuated", "--period", "nigh")
        assert "unknown period 'nigh'; did you mean night?" in text

    def test_unwritable_folder(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        file = tmp_path / "file"
        file.write_text("kept")
        out = ("--out", str(file / "folder"))
        text = fails(capsys, "simulate", "gangnam", "--agent", "fixed_time", *out)
        assert f"cannot write to {file / 'folder'}" in text
        assert file.read_text() == "kept"

    def test_full_folder_is_left_alone(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "mine.txt").write_text("kept")
        out = ("--out", str(tmp_path))
        assert "is not empty" in fails(capsys, "evaluate", "gangnam", "--agent", "webster", *out)
        assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]

    def test_bad_input_creates_nothing(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = tmp_path / "deep" / "folder"
        for wrong in (["--agent", "nobody"], ["--agent", "webster", "--sumo", "--end 3"]):
            fails(capsys, "simulate", "gangnam", *wrong, "--out", str(out))
        assert list(tmp_path.iterdir()) == []

    def test_failed_work_leaves_nothing(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = tmp_path / "deep" / "folder"
        arguments = ("simulate", "gangnam", "--agent", "webster", "--out", str(out))
        assert main([*arguments, "--sumo", f"--fcd-output {tmp_path}/none/x.xml"]) == 1
        assert "SUMO refused" in capsys.readouterr().err
        assert list(tmp_path.iterdir()) == []

    def test_sumo_options(self, capsys: pytest.CaptureFixture[str]) -> None:
        command = ("evaluate", "gangnam", "--agent", "webster", "--seeds", "2", "--sumo")
        assert "close every quote" in fails(capsys, *command, "--fcd-output 'x")
        assert "--seed is set by the run itself" in fails(capsys, *command, "--seed 3")
        assert "put {run} into its name" in fails(capsys, *command, "--fcd-output x.xml")

    def test_simulate_prints_one_document(self, capsys: pytest.CaptureFixture[str]) -> None:
        arguments = ("simulate", "gangnam", "--period", "night", "--agent", "fixed_time")
        assert main([*arguments, *SHORT, "--json"]) == 0
        run = json.loads(capsys.readouterr().out)["runs"][0]
        assert (run["period"], run["agent"], run["seed"]) == ("night", "fixed_time", 20_000)
        assert run["trips"] is None

    def test_evaluate_keeps_everything(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        polars = pytest.importorskip("polars", reason="polars is not installed (extra: sim)")
        out = tmp_path / "out"
        agents = ("--agent", "fixed_time", "--agent", "actuated:passage_s=2.5")
        arguments = ("evaluate", "gangnam", "--period", "night", *agents, "--seeds", "2", *SHORT)
        assert main([*arguments, "--workers", "2", "--out", str(out), "--json"]) == 0
        printed = capsys.readouterr()
        document = json.loads(printed.out)
        assert printed.err.count("s/veh") == 4
        assert set(document) == {"faults", "notes", "runs", "summary", "verdict"}
        assert [run["seed"] for run in document["runs"]] == [20_000, 20_000, 20_001, 20_001]
        for run in document["runs"]:
            trips = Path(run["trips"])
            assert trips.is_file() and trips.is_relative_to(out)
            assert (trips.parent / "lights.parquet").is_file()
        assert len(document["summary"]) == 2 and len(document["verdict"]) == 1
        assert {"delay_s", "ci95", "scenario", "period", "agent"} <= set(document["summary"][0])
        assert document["verdict"][0]["verdict"] in (
            "better",
            "worse",
            "no difference",
            "undecided",
        )
        assert json.loads((out / "evaluation.json").read_text()) == document
        config = json.loads((out / "config.json").read_text())
        assert config["seeds"] == [20_000, 20_001]
        assert {"versions", "git_revision", "periods", "agents"} <= set(config)
        assert polars.read_parquet(out / "metrics.parquet").height == 4
        assert polars.read_parquet(out / "queues.parquet").height > 0
        assert sorted(path.name for path in out.iterdir()) == [
            "config.json", "evaluation.json", "metrics.parquet", "queues.parquet", "runs",
        ]  # fmt: skip

    @pytest.mark.skipif(sys.platform == "win32", reason="sends a POSIX signal")
    def test_interrupt_is_one_line_and_leaves_nothing(self, tmp_path: Path) -> None:
        code = "import sys; from signals.cli import main; sys.exit(main(sys.argv[1:]))"
        arguments = ("evaluate", "gangnam", "--agent", "fixed_time", "--seeds", "4")
        out = tmp_path / "out"
        process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments, "--workers", "2", "--out", str(out)],
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        deadline_s = time.monotonic() + 60
        while not any(out.glob(".unfinished-*/runs/*/tripinfo.xml")):
            assert time.monotonic() < deadline_s and process.poll() is None
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGINT)
        _, text = process.communicate(timeout=20)
        assert process.returncode == 130
        assert text.split() == ["signals:", "error:", "interrupted"]
        assert not out.exists()

    def test_missing_sumo(self) -> None:
        code = BLOCKED.format(names=("libsumo", "traci"))
        found = python(code, "simulate", "gangnam", "--agent", "fixed_time")
        assert found.returncode == 2
        assert found.stderr.splitlines() == [
            "signals: error: libsumo is not installed, but a simulation needs it; "
            "install the extra 'sim', in the product's folder: pip install '.[sim]'"
        ]


def test_missing_torch_is_said_by_train() -> None:
    code = BLOCKED.format(names=("torch",))
    found = python(code, "train", "gangnam", "--steps", "1", "--out", "never-made")
    assert found.returncode == 2
    assert "pip install '.[train]'" in found.stderr
    assert found.stderr.count("\n") == 1
    assert not (ROOT / "never-made").exists()


def test_a_shadowed_package_is_refused(tmp_path: Path) -> None:
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "__init__.py").write_text("")
    code = f"""
import sys
import signals.cli
sys.path.insert(0, {str(tmp_path)!r})
sys.meta_path[:] = [item for item in sys.meta_path if "editable" not in str(item).lower()]
sys.exit(signals.cli.main(["agents"]))
"""
    found = python(code)
    assert found.returncode == 2
    assert found.stderr.count("\n") == 1
    assert f"the package 'agents' in {tmp_path / 'agents'} hides the one" in found.stderr


BROKEN = """
import sys
import click
import signals.cli as cli

class Entry:
    def load(self):
        def work():
            raise ZeroDivisionError("of a bug")
        return click.Command("broken", callback=work)

cli.LazyGroup._entries = property(lambda self: {"broken": Entry()})
sys.exit(cli.main(sys.argv[1:]))
"""


def test_unexpected_errors_are_short_unless_debugged() -> None:
    found = python(BROKEN, "broken")
    assert found.returncode == 1
    assert found.stderr.splitlines() == [
        "signals: error: unexpected ZeroDivisionError: of a bug; "
        "for the traceback: signals --debug ..."
    ]
    found = python(BROKEN, "--debug", "broken")
    assert found.returncode == 1
    assert "Traceback" in found.stderr


def test_a_closed_pipe_is_silent() -> None:
    code = "import sys; from signals.cli import main; sys.exit(main(['--help']))"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(timeout=60) in (0, 1)


def test_the_entry_points_are_ours() -> None:
    from importlib.metadata import entry_points

    names = {entry.name for entry in entry_points(group=COMMANDS)}
    assert {"agents", "evaluate", "simulate", "train"} <= names

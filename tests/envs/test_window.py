"""A run through traci is the run in the process, second by second and trip by trip."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("libsumo", reason="libsumo is not installed (extra: sim)")
pytest.importorskip("traci", reason="traci is not installed (extra: sim)")

from agents.classical import make
from agents.evaluation.runner import tripinfo_bytes
from signals.errors import InputError, SimulationError
from signals.recording import Recorder
from signals.simulation import Episode
from signals.simulation.backend import RunOptions
from signals.simulation.sumo_backend import SumoBackend
from signals.world import World, resolve

pytestmark = pytest.mark.sumo
SHORT_S = 240


@pytest.fixture(scope="module")
def world() -> World:
    place = resolve("gangnam", "night")
    return replace(place, end_s=place.begin_s + SHORT_S)


def run(world: World, backend: SumoBackend, trips: Path) -> tuple[Recorder, bytes]:
    recorder = Recorder()
    episode = Episode(world, backend, recorder)
    agent = make("actuated", world.junction, world.plan)
    agent.reset(7)
    episode.start(7, RunOptions(trips_file=trips))
    try:
        while not episode.finished:
            episode.tick(agent.decide(episode.observe(), episode.clock_s))
    finally:
        episode.close()
    return recorder, tripinfo_bytes(trips)


def test_traci_and_libsumo_show_the_same_run(world: World, tmp_path: Path) -> None:
    inside, trips = run(world, SumoBackend(), tmp_path / "inside.xml")
    outside, others = run(world, SumoBackend(program="sumo"), tmp_path / "outside.xml")
    assert len(inside.seconds) == SHORT_S
    assert len({row[1] for row in inside.seconds}) > 3
    assert inside.seconds == outside.seconds
    assert trips == others and trips.count(b"<tripinfo ") > 50


def test_options_that_sumo_refuses_end_at_once(world: World) -> None:
    episode = Episode(world, SumoBackend(program="sumo"))
    with pytest.raises(SimulationError, match="ended before the run began"):
        episode.start(7, RunOptions(extra=("--no-such-option",)))
    episode.close()


def test_a_program_that_goes_away_is_told(world: World, tmp_path: Path) -> None:
    backend = SumoBackend(program="sumo")
    episode = Episode(world, backend)
    episode.start(7)
    episode.tick(0)
    assert backend._window is not None and backend._window._process is not None
    backend._window._process.kill()
    backend._window._process.wait()
    with pytest.raises(SimulationError, match="was closed before the end of the run"):
        for _ in range(3):
            episode.tick(0)
    episode.close()
    short = replace(world, end_s=world.begin_s + 5)
    again, _ = run(short, SumoBackend(program="sumo"), tmp_path / "trips.xml")
    assert len(again.seconds) == 5


def test_without_a_display_there_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(InputError, match="no display for sumo-gui"):
        SumoBackend(gui=True)


def test_a_display_that_cannot_be_reached_is_told(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISPLAY", ":4711")
    episode = Episode(world, SumoBackend(gui=True))
    with pytest.raises(SimulationError, match="ended before the run began"):
        episode.start(7)
    episode.close()


@pytest.fixture
def display(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A screen that nobody sees."""
    program = shutil.which("Xvfb")
    if program is None:
        pytest.skip("Xvfb is not installed, so that sumo-gui has no screen here")
    reader, writer = os.pipe()
    screen = subprocess.Popen(
        [program, "-displayfd", str(writer), "-screen", "0", "800x600x24", "-nolisten", "tcp"],
        pass_fds=(writer,),
        stderr=subprocess.DEVNULL,
    )
    os.close(writer)
    with os.fdopen(reader) as stream:
        number = stream.readline().strip()
    monkeypatch.setenv("DISPLAY", f":{number}")
    try:
        yield
    finally:
        screen.terminate()
        screen.wait()


@pytest.mark.usefixtures("display")
def test_the_window_shows_the_same_run(world: World, tmp_path: Path) -> None:
    short = replace(world, end_s=world.begin_s + 60)
    inside, trips = run(short, SumoBackend(), tmp_path / "inside.xml")
    shown, others = run(short, SumoBackend(gui=True), tmp_path / "shown.xml")
    assert inside.seconds == shown.seconds
    assert trips == others


def _command(progress: Path) -> subprocess.Popen[str]:
    code = "import sys; from signals.cli import main; sys.exit(main(sys.argv[1:]))"
    options = ("--sumo", f"--fcd-output {progress}")
    arguments = ("simulate", "gangnam", "--agent", "fixed_time", "--gui", *options)
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _window_of(process: subprocess.Popen[str], progress: Path) -> int:
    """Process id of its sumo-gui, once some seconds have been simulated."""
    deadline_s = time.monotonic() + 60
    while time.monotonic() < deadline_s and process.poll() is None:
        found = subprocess.run(
            ["ps", "-o", "pid=,args=", "--ppid", str(process.pid)],
            capture_output=True,
            text=True,
            check=False,
        ).stdout.splitlines()
        windows = [line.split()[0] for line in found if "bin/sumo-gui" in line]
        if windows and progress.is_file() and progress.read_text().count("<timestep") > 2:
            return int(windows[0])
        time.sleep(0.1)
    raise AssertionError("no window came up")


@pytest.mark.usefixtures("display")
@pytest.mark.skipif(sys.platform != "linux", reason="sends signals to processes")
@pytest.mark.parametrize(
    ("ends", "code", "words"),
    [("interrupt", 130, "interrupted"), ("close", 1, "the window of sumo-gui was closed")],
)
def test_the_run_ends_in_good_order(ends: str, code: int, words: str, tmp_path: Path) -> None:
    progress = tmp_path / "fcd.xml"
    process = _command(progress)
    window = _window_of(process, progress)
    if ends == "interrupt":
        process.send_signal(signal.SIGINT)
    else:
        os.kill(window, signal.SIGTERM)
    _, error = process.communicate(timeout=60)
    assert process.returncode == code, error
    assert words in error.splitlines()[-1]
    assert "Traceback" not in error
    with pytest.raises(ProcessLookupError):
        os.kill(window, 0)

"""A run through traci is the run in the process, second by second and trip by trip."""

from __future__ import annotations

import sys
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

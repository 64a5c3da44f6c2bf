"""A recorded episode, replayed through the running service, gives the same bytes and wishes."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import httpx2
import numpy as np
import pytest

from controllers.simulated import SimulatedController
from signals.bundle import Bundle
from signals.observation import ObservationSpec
from signals.policy import OnnxPolicy
from signals.recording import Recorder
from signals.simulation.backend import RunOptions
from signals.simulation.episode import Episode
from signals.simulation.sumo_backend import SumoBackend
from signals.world import World
from tests.controllers.street import Running


def record(world: World, bundle: Bundle, seed: int, trips_file: Path) -> Recorder:
    """Drive the world by the bundle's policy, as an evaluation does."""
    policy = OnnxPolicy(bundle)
    episode = Episode(world, SumoBackend())
    recorder = Recorder(episode.spec, decisions=True)
    episode.start(seed, RunOptions(trips_file=trips_file))
    try:
        while not episode.finished:
            observation = episode.observe()
            wish = policy.decide(observation, episode.clock_s)
            recorder.decision(observation, episode.last_readings, wish)
            for _ in range(policy.decision_interval_s):
                episode.tick(wish)
                if episode.finished:
                    break
    finally:
        episode.close()
    return recorder


def test_replay(
    world: World,
    bundle: Bundle,
    running: Running,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    recorder = record(world, bundle, 5, tmp_path / "trips.xml")
    assert len({row["wish"] for row in recorder.decisions}) > 1
    took_s = []
    with httpx2.Client(base_url=running.url, trust_env=False) as client:
        for sequence, row in enumerate(recorder.decisions):
            poll = {
                "sequence": sequence,
                "clock_s": row["readings"]["time_s"],
                "readings": row["readings"],
                "state": row["state"],
                "echo": True,
            }
            response = client.post("/v1/junctions/B1/decisions", json=poll)
            assert response.status_code == 200, response.text
            took_s.append(response.elapsed.total_seconds())
            answer = response.json()
            arrays = {name: bytes.fromhex(text) for name, text in row["arrays"].items()}
            assert (
                answer["observation_sha256"]
                == hashlib.sha256(b"".join(arrays.values())).hexdigest()
            )
            assert np.array(answer["mask"], dtype=np.float32).tobytes() == arrays["mask"]
            assert answer["phase"] == row["wish"] and answer["granted"] is True
    with capsys.disabled():
        print(
            f"\nreplay: {len(recorder.decisions)} observations and masks byte-identical, "
            f"{len(recorder.decisions)} commands equal; "
            f"median poll {1000 * np.median(took_s):.1f} ms"
        )


def test_the_street_drives_every_vehicle_as_the_evaluation_does(
    world: World, bundle: Bundle, running: Running, tmp_path: Path
) -> None:
    inside, outside = tmp_path / "inside.xml", tmp_path / "outside.xml"
    recorder = record(world, bundle, 6, inside)
    controller = SimulatedController(
        world,
        SumoBackend(),
        running.url,
        timeout_s=5.0,
        recorder=(street := Recorder(ObservationSpec(world.junction), decisions=True)),
    )
    report = controller.run(6, RunOptions(trips_file=outside))
    assert report.from_service == len(recorder.decisions) == 120
    assert street.decisions == recorder.decisions
    assert trips(outside) == trips(inside)


def trips(file: Path) -> bytes:
    """SUMO's records without the comment that holds the date and its options."""
    return re.sub(rb"<!--.*?-->", b"", file.read_bytes(), flags=re.DOTALL)

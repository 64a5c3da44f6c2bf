"""The loop of real processes shows, second by second, the lights of a plain episode.

An hour of it is ``python -m benchmarks.closed_loop``.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest.importorskip("pysnmp", reason="pysnmp is not installed (extra: serve)")
pytest.importorskip("libsumo", reason="libsumo is not installed (extra: sim)")
pytest.importorskip("onnx", reason="onnx is not installed (extra: train)")

from tests.controllers.loop import Loop, inside_the_environment, running, world_of
from tests.controllers.street import onnx_policy

SEED = 4


@pytest.mark.skipif(
    not os.environ.get("SEOUL_SIGNALS_CLOSED_LOOP"),
    reason="takes minutes on a busy machine: set SEOUL_SIGNALS_CLOSED_LOOP=1",
)
def test_the_street_shows_what_the_environment_shows(tmp_path: Path) -> None:
    world = world_of("gangnam", "night", 3)
    registry = str(tmp_path / "registry.db")
    loop = Loop(tmp_path, world, onnx_policy(), registry, "v3", SEED)
    with running(loop):
        loop.start_service()
        loop.start_controllers()
        loop.start_gateway("--out", "events")
        found = loop.finish()
        _, lights = inside_the_environment(
            world, loop.bundles, SEED, tmp_path / "inside", steps=True
        )
    row = found["junctions"]["gangnam"]
    assert (row["monitor_trips"], row["backups"]) == (0, 0) and row["commands"] >= 180
    assert loop.violations() == []
    same, total = loop.agreement(lights)
    assert same == total == 180
    assert len(set(lights[0])) > 4, "the policy changed nothing"
    assert loop.recorded() == loop.asked() >= 36
    assert loop.lost_and_back() == ([], [])
    events = (tmp_path / "events" / "events-gangnam.csv").read_text(encoding="utf-8")
    assert events.count(",1,") > 100

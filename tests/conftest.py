"""Shared nets. Tests that use one need SUMO; without it they are skipped, with that reason."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

_NETS = {"sumo_tools", "crosswalk_net", "spider_net", "wide_net"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _NETS & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.sumo)


@pytest.fixture(scope="session")
def sumo_tools() -> Path:
    """Folder of netgenerate and netconvert."""
    sumo = pytest.importorskip("sumo", reason="eclipse-sumo is not installed (extra: sim)")
    pytest.importorskip("sumolib", reason="sumolib is not installed (extra: sim)")
    return Path(sumo.SUMO_HOME) / "bin"


def _run(tools: Path, name: str, *arguments: str) -> None:
    environment = {**os.environ, "SUMO_HOME": str(tools.parent)}
    subprocess.run(
        [str(tools / name), *arguments],
        check=True,
        capture_output=True,
        env=environment,
        timeout=120,
    )


@pytest.fixture(scope="session")
def crosswalk_net(sumo_tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A 3x3 grid with left-turn pockets and crosswalks: B1 has four arms, B0 and A1 three."""
    folder = tmp_path_factory.mktemp("crosswalk")
    bare, net = folder / "bare.net.xml", folder / "grid.net.xml"
    _run(
        sumo_tools,
        "netgenerate",
        *("--grid", "--grid.number", "3", "-L", "2", "--default.speed", "13.9"),
        *("--turn-lanes", "1", "--turn-lanes.length", "60", "--tls.guess", "true"),
        *("-o", str(bare)),
    )
    _run(
        sumo_tools,
        "netconvert",
        *("-s", str(bare), "--sidewalks.guess", "--sidewalks.guess.max-speed", "30"),
        *("--crossings.guess", "--walkingareas", "true", "-o", str(net)),
    )
    return net


@pytest.fixture(scope="session")
def spider_net(sumo_tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Skewed junctions without crosswalks; B1 has six groups with forked turns."""
    folder = tmp_path_factory.mktemp("spider")
    net = folder / "spider.net.xml"
    _run(
        sumo_tools,
        "netgenerate",
        *("--spider", "--spider.arm-number", "5", "--spider.circle-number", "2"),
        *("--spider.space-radius", "150", "-L", "2", "--default.speed", "8.33"),
        *("--default-junction-type", "traffic_light", "--no-turnarounds", "true"),
        *("-o", str(net)),
    )
    return net


@pytest.fixture(scope="session")
def wide_net(sumo_tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four lanes a direction at 25 km/h and no crosswalks: B1 needs an all-red of two seconds."""
    net = tmp_path_factory.mktemp("wide") / "wide.net.xml"
    _run(
        sumo_tools,
        "netgenerate",
        *("--grid", "--grid.number", "3", "-L", "4", "--default.speed", "6.94"),
        *("--turn-lanes", "1", "--turn-lanes.length", "60", "--tls.guess", "true"),
        *("-o", str(net)),
    )
    return net

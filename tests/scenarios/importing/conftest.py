from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

pytest.importorskip("sumo", reason="eclipse-sumo is not installed (extra: sim)")
pytest.importorskip("libsumo", reason="libsumo is not installed (extra: sim)")

from scenarios.cli import scenario
from scenarios.importing.build import Order, import_scenario
from tests.scenarios.importing import nets


@pytest.fixture
def command() -> Callable[..., Result]:
    """``signals scenario`` in this process; expected errors come back as exceptions."""
    return lambda *arguments: CliRunner().invoke(scenario, [str(item) for item in arguments])


@pytest.fixture(scope="session")
def plain_net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One junction A0 with crosswalks and four arms."""
    return nets.crossing(tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="session")
def plain_routes(plain_net: Path) -> Path:
    return nets.demand(plain_net)


@pytest.fixture(scope="session")
def imported(plain_net: Path, plain_routes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("imported") / "walk"
    import_scenario(Order(out=out, net=plain_net, routes=(plain_routes,), end_s=300))
    return out


@pytest.fixture
def copied(imported: Path, tmp_path: Path) -> Path:
    """A folder of the test's own."""
    return Path(shutil.copytree(imported, tmp_path / "copy"))

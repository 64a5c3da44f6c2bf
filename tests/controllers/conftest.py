from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra: serve)")
pytest.importorskip("fastapi", reason="fastapi is not installed (extra: serve)")
pytest.importorskip("onnx", reason="onnx is not installed (extra: train)")

from signals.bundle import Bundle
from signals.junction import Junction
from signals.signing import KEYS_VARIABLE
from tests.controllers.street import (
    Running,
    junction_of,
    onnx_policy,
    serving,
    world_of,
    write_test_bundle,
)


@pytest.fixture(scope="session", autouse=True)
def keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keys of the tests, never the user's."""
    # The same folder wherever these fixtures are imported into.
    folder = tmp_path_factory.getbasetemp() / "street-keys"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(KEYS_VARIABLE, str(folder))
        yield folder


@pytest.fixture(scope="session")
def junction(crosswalk_net: Path) -> Junction:
    return junction_of(crosswalk_net)


@pytest.fixture(scope="session")
def policy() -> bytes:
    return onnx_policy()


@pytest.fixture(scope="session")
def bundle_file(
    junction: Junction, policy: bytes, keys: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    file = tmp_path_factory.mktemp("bundle") / "b1.bundle"
    write_test_bundle(file, junction, policy)
    return file


@pytest.fixture(scope="session")
def bundle(bundle_file: Path) -> Bundle:
    from signals.bundle import read_bundle

    return read_bundle(bundle_file)


@pytest.fixture(scope="session")
def running(bundle: Bundle) -> Iterator[Running]:
    with serving(bundle) as found:
        yield found


@pytest.fixture
def world(crosswalk_net: Path, tmp_path: Path):  # type: ignore[no-untyped-def]
    return world_of(crosswalk_net, tmp_path)

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from agents import export as module
from agents.export import compare, export, recorded_observations, to_onnx
from controllers.bundle import load_trusted, trusted_keys
from signals.errors import InputError, OutputError, RunFolderError, WorkError
from signals.junction import Junction
from signals.observation import MOVEMENT_FEATURES, PHASE_FEATURES, ObservationSpec
from signals.policy import OnnxPolicy
from signals.world import World
from tests.controllers.street import onnx_policy

COUNT = 250


@pytest.fixture
def torch() -> Any:
    return pytest.importorskip("torch", reason="torch is not installed (extra: train)")


def network() -> Any:
    from agents.learned.network import PhaseScorer

    return PhaseScorer(32)


@pytest.fixture
def run(
    torch: Any,
    tmp_path: Path,
    junction: Junction,
    world: World,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A run folder with an untrained network and random observations."""
    spec = ObservationSpec(junction)
    monkeypatch.setattr(module, "resolve", lambda scenario, period: world)
    folder = tmp_path / "run"
    (folder / "best").mkdir(parents=True)
    torch.manual_seed(4)
    torch.save(network().state_dict(), folder / "best" / "scorer.pt")
    (folder / "best" / "meta.json").write_text('{"decisions": 0, "validation_delay_s": 40.5}')
    config = {
        "scenario": "grid",
        "periods": ["am_peak"],
        "hyperparameters": {"width": 32, "decision_interval_s": 5},
        "spec_hash": spec.hash,
        "versions": {"torch": torch.__version__},
        "git_revision": None,
    }
    (folder / "config.json").write_text(json.dumps(config))
    rng = np.random.default_rng(2)
    arrays = {
        name: rng.random((COUNT, *shape), dtype=np.float32) for name, shape in spec.shapes.items()
    }
    arrays["mask"] = (arrays["mask"] > 0.4).astype(np.float32)
    arrays["mask"][:, 0] = 1.0
    arrays["serves"] = np.repeat(spec.serves[None], COUNT, axis=0)
    np.savez_compressed(folder / "observations.npz", **arrays)
    return folder


def test_export_writes_a_bundle_that_decides_the_same(
    run: Path, tmp_path: Path, junction: Junction, torch: Any
) -> None:
    out = tmp_path / "run.bundle"
    found = CliRunner().invoke(export, [str(run), "--out", str(out)], catch_exceptions=False)
    assert f"{COUNT} of {COUNT} decisions equal, largest difference" in found.stdout
    assert found.stderr == ""
    bundle = load_trusted(out, trusted_keys())
    assert bundle.contract.name == "run"
    assert bundle.contract.junction == junction
    assert bundle.contract.training["versions"]["torch"] == torch.__version__
    assert bundle.contract.evaluation["validation_delay_s"] == 40.5
    first = out.read_bytes()
    refused = CliRunner().invoke(export, [str(run), "--out", str(out), "--name", "other"])
    assert isinstance(refused.exception, OutputError) and "--force" in str(refused.exception)
    assert out.read_bytes() == first
    again = [str(run), "--out", str(out), "--force"]
    CliRunner().invoke(export, again, catch_exceptions=False)
    assert out.read_bytes() == first

    scorer = network()
    scorer.load_state_dict(torch.load(run / "best" / "scorer.pt", weights_only=True))
    arrays = recorded_observations(run)
    with torch.no_grad():
        ours = scorer(*(torch.from_numpy(arrays[name]) for name in arrays)).numpy()
    np.testing.assert_allclose(OnnxPolicy(bundle).scores(arrays), ours, atol=1e-5)


def test_the_network_takes_junctions_of_any_size(run: Path) -> None:
    scorer = network()
    policy = to_onnx(scorer, recorded_observations(run))
    rng = np.random.default_rng(5)
    other = {
        "movements": rng.random((20, 31, len(MOVEMENT_FEATURES)), dtype=np.float32),
        "phases": rng.random((20, 3, len(PHASE_FEATURES)), dtype=np.float32),
        "serves": rng.integers(0, 2, (20, 3, 31)).astype(np.float32),
        "mask": np.ones((20, 3), dtype=np.float32),
    }
    check = compare(scorer, policy, other)
    assert (check.decisions, check.equal) == (20, 20)
    assert check.largest < 1e-4


def test_another_decision_stops_the_export(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "to_onnx", lambda scorer, observations: onnx_policy())
    out = tmp_path / "run.bundle"
    found = CliRunner().invoke(export, [str(run), "--out", str(out)])
    assert isinstance(found.exception, WorkError)
    assert "decides otherwise" in str(found.exception)
    assert not out.exists()


def test_what_cannot_be_exported(run: Path, tmp_path: Path) -> None:
    def failure(*arguments: str) -> BaseException | None:
        return CliRunner().invoke(export, list(arguments)).exception

    wrong = failure(str(run), "--out", str(tmp_path / "x.zip"))
    assert isinstance(wrong, InputError) and "--out NAME.bundle" in str(wrong)
    out = str(tmp_path / "x.bundle")
    assert isinstance(failure(str(tmp_path / "nowhere"), "--out", out), RunFolderError)
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({**config, "spec_hash": "0" * 64}))
    wrong = failure(str(run), "--out", out)
    assert isinstance(wrong, RunFolderError) and "train it anew" in str(wrong)
    (run / "observations.npz").unlink()
    wrong = failure(str(run), "--out", out)
    assert isinstance(wrong, RunFolderError) and "first validation" in str(wrong)
    assert not Path(out).exists()

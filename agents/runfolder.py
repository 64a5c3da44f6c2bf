"""The folder of a training run: what it holds, and how it is opened.

::

    config.json         resolved configuration, seeds, package versions, git revision, spec hash
    validation.jsonl    learning curve: one line per validation, delay by period and day
    best/scorer.pt      weights that validated best (state dict, loaded with weights_only)
    best/meta.json      decision count and validation delay of those weights
    checkpoint/         model, replay buffer and counters, from which --resume goes on
    observations.npz    observations met in validation, to check an export against
    tensorboard/        event files
"""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from signals.action_models import action_model
from signals.errors import MissingDependencyError, OutputError, RunFolderError
from signals.observation import features_hash

if TYPE_CHECKING:
    from agents.base import Agent
    from agents.learned.network import PhaseScorer
    from signals.junction import Junction
    from signals.plan import Plan

_PACKAGES = (
    "seoul-signals",
    "eclipse-sumo",
    "libsumo",
    "torch",
    "stable-baselines3",
    "gymnasium",
    "numpy",
)


def provenance() -> dict[str, Any]:
    """Versions of what a result depends on, and the git revision when there is one."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {"versions": versions, "git_revision": _git_revision()}


def _git_revision() -> str | None:
    try:
        found = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() or None


def write_json(path: Path, data: Any) -> None:
    """Write JSON so that the file is whole or absent.

    Raises:
        OutputError: The folder cannot be written.
    """
    temporary = path.with_name(path.name + ".part")
    try:
        temporary.write_text(json.dumps(data, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}; choose another --out") from error


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep other trainings out of a run folder, until this process leaves it or ends.

    Raises:
        RunFolderError: Another one is at work there.
        OutputError: The folder cannot be written.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise RunFolderError(
            f"another training is at work in {folder}; wait for it, or give another --out"
        ) from error
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error.strerror}") from error
    try:
        yield
    finally:
        lock.release()


@dataclass(frozen=True)
class TrainedRun:
    """A training run opened for use.

    Attributes:
        folder: Where it is.
        scorer: The network that validated best.
        config: Contents of ``config.json``.
        metrics: Contents of ``best/meta.json``.
        spec_hash: Observation spec of its only junction; empty when it was trained on many.
    """

    folder: Path
    scorer: PhaseScorer
    config: dict[str, Any]
    metrics: dict[str, Any]
    spec_hash: str

    def agent(self, junction: Junction, plan: Plan, name: str | None = None) -> Agent:
        """The best weights as an agent.

        Args:
            junction: What it will control.
            plan: The junction's plan.
            name: Shown in results; the folder's name when not given.
        """
        from agents.learned.agent import LearnedAgent

        values = self.config["hyperparameters"]
        return LearnedAgent(
            self.scorer,
            name or self.folder.name,
            int(values["decision_interval_s"]),
            action_model(str(values.get("action_model", "phase")), junction, plan),
        )


def read_config(folder: Path) -> dict[str, Any]:
    """The resolved configuration of a run.

    Raises:
        RunFolderError: There is none, or it is broken.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunFolderError(
            f"{folder} is no training run; give a folder made by: signals train"
        ) from error
    except (OSError, ValueError) as error:
        raise RunFolderError(
            f"{folder} is no training run ({error}); give a folder made by: signals train"
        ) from error
    if not isinstance(config, dict) or not {"hyperparameters", "spec_hash"} <= set(config):
        raise RunFolderError(f"{folder}/config.json is not the configuration of a training run")
    return config


def check_features(config: dict[str, Any], what: str) -> None:
    """Refuse weights that were made for other features than this version's.

    Args:
        config: Of the run they come from.
        what: Their name in the error.

    Raises:
        RunFolderError: They were.
    """
    if config.get("features_hash", features_hash()) != features_hash():
        raise RunFolderError(f"{what} was made with other features; train it anew")


def load_run(folder: Path) -> TrainedRun:
    """Open a run.

    Raises:
        RunFolderError: The folder is no run, is broken, has validated nothing yet, or was trained
            on other features than this version's.
        MissingDependencyError: torch is not installed.
    """
    config = read_config(folder)
    check_features(config, f"run {folder}")
    best = folder / "best" / "scorer.pt"
    if not best.is_file():
        if (folder / "validation.jsonl").is_file():
            raise RunFolderError(f"{best} is gone, though the run has validated; train it anew")
        raise RunFolderError(
            f"{folder} has no validated weights yet; train longer: signals train --resume "
            f"--out {folder}"
        )
    try:
        import torch

        from agents.learned.network import PhaseScorer
    except ImportError as error:
        raise MissingDependencyError("torch", "train", f"loading {folder}") from error
    try:
        scorer = PhaseScorer(int(config["hyperparameters"]["width"]))
        scorer.load_state_dict(torch.load(best, map_location="cpu", weights_only=True))
        metrics = json.loads((folder / "best" / "meta.json").read_text(encoding="utf-8"))
    except Exception as error:
        reason = " ".join(str(error).split())[:120]
        raise RunFolderError(
            f"{folder}: its weights cannot be loaded ({reason}); they are damaged or of another "
            "version: train it anew"
        ) from error
    torch.set_num_threads(1)
    return TrainedRun(folder, scorer.eval(), config, metrics, str(config["spec_hash"]))

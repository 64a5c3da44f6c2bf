"""Policies that are shipped: ``universal`` decides for any junction.

Each is a folder like that of a training run: configuration, learning curve, weights; with the same
network as ONNX, for machines without PyTorch. `agents.pretrained.publish` makes one of a run.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

from signals.errors import RunFolderError

if TYPE_CHECKING:
    from agents.runfolder import TrainedRun
    from signals.policy import OnnxPolicy

FOLDER: Final = Path(__file__).parent
POLICY: Final = "policy.onnx"
KNOWN: Final = {
    "universal": "one learned policy for any junction, trained on generated streets (범용 정책)",
}
NAMES: Final = {name: line for name, line in KNOWN.items() if (FOLDER / name / POLICY).is_file()}
"""Name to one line about it, of those that this distribution holds."""


def folder_of(name: str) -> Path:
    """The folder of a shipped policy, or the path that was given."""
    return FOLDER / name if name in KNOWN else Path(name).expanduser()


def pretrained_run(name: str) -> TrainedRun:
    """A shipped policy or a training run, opened for use.

    Args:
        name: One of `NAMES`, or a run folder.

    Raises:
        RunFolderError: It is neither, or the run cannot be loaded.
        MissingDependencyError: torch is not installed.
    """
    from agents.runfolder import load_run

    folder = folder_of(name)
    if not folder.is_dir():
        raise RunFolderError(
            f"{name} is neither a shipped policy ({', '.join(NAMES)}) nor a folder made by: "
            "signals train"
        )
    return load_run(folder)


def shipped_policy(name: str) -> OnnxPolicy:
    """A shipped policy as an agent; it has no memory, so that one serves any number of junctions.

    Args:
        name: One of `NAMES`.

    Raises:
        RunFolderError: It was made with other features than this version's.
        MissingDependencyError: onnxruntime is not installed.
    """
    from agents.runfolder import check_features
    from signals.policy import OnnxPolicy

    folder = folder_of(name)
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        policy = (folder / POLICY).read_bytes()
    except (OSError, ValueError) as error:
        raise RunFolderError(f"the shipped policy '{name}' is incomplete: {error}") from error
    check_features(config, f"the shipped policy '{name}'")
    return OnnxPolicy.of(policy, name, int(config["hyperparameters"]["decision_interval_s"]))

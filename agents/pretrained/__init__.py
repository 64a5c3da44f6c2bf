"""Policies that are shipped: ``universal`` decides for any junction.

Each is a folder like that of a training run: configuration, recipe, learning curve, weights; and
the same network as ONNX, for machines without PyTorch.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from agents.runfolder import TrainedRun

FOLDER: Final = Path(__file__).parent
NAMES: Final = {
    "universal": "one learned policy for any junction, trained on generated streets (범용 정책)",
}
"""Name to one line about it."""
POLICY: Final = "policy.onnx"


def folder_of(name: str) -> Path:
    """The folder of a shipped policy, or the path that was given."""
    return FOLDER / name if name in NAMES else Path(name).expanduser()


def pretrained_run(name: str) -> TrainedRun:
    """A shipped policy or a training run, opened for use.

    Args:
        name: One of `NAMES`, or a run folder.

    Raises:
        RunFolderError: The folder is no run.
        MissingDependencyError: torch is not installed.
    """
    from agents.runfolder import load_run

    return load_run(folder_of(name))

"""Makes a shipped policy of a training run.

python -m agents.pretrained.publish runs/universal universal
"""

from __future__ import annotations

import shutil
from pathlib import Path

import click
import numpy as np

from agents.export import compare, recorded_observations, to_onnx
from agents.pretrained import KNOWN, POLICY, folder_of
from agents.runfolder import load_run
from signals.errors import WorkError

_KEPT = ("config.json", "validation.jsonl", "baselines.json", "best/scorer.pt", "best/meta.json")
_OBSERVATIONS = 64


@click.command()
@click.argument("run", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("name", type=click.Choice(list(KNOWN)))
def main(run: Path, name: str) -> None:
    """Copy what is needed of RUN into the folder of shipped policy NAME."""
    opened = load_run(run)
    observations = recorded_observations(run)
    policy = to_onnx(opened.scorer, observations)
    check = compare(opened.scorer, policy, observations)
    if check.equal != check.decisions:
        raise WorkError(
            f"{check.decisions - check.equal} decisions differ in ONNX; nothing changed"
        )
    folder = folder_of(name)
    (folder / "best").mkdir(parents=True, exist_ok=True)
    for file in _KEPT:
        if (run / file).is_file():
            shutil.copyfile(run / file, folder / file)
    few = {item: array[:_OBSERVATIONS] for item, array in observations.items()}
    np.savez_compressed(folder / "observations.npz", **few)  # type: ignore[arg-type]
    (folder / POLICY).write_bytes(policy)
    click.echo(f"{folder}: {len(policy) / 1024:.0f} KiB, {check.equal} decisions compared")


if __name__ == "__main__":
    main()

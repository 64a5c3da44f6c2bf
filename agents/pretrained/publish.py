"""Makes a shipped policy of a training run.

python -m agents.pretrained.publish runs/universal universal [--mean] [--stay 0.1 0.8]
    [--lean 3 60 3] [--press 1.5 20]

With ``--mean``, of a run that began from the shipped weights: the mean of its weights and those
that it began from, which forgets less of what these knew (M. Wortsman
et al., "Robust fine-tuning of zero-shot models", CVPR 2022). ``--stay`` sets the bonus
of the present phase, and what comes to it for a minute of the longest walk, ``--lean`` the bonus
of the plan's phase, and what comes to it for what the plan could have shifted and where walks do
not bind it, ``--press`` those of the phase of greatest pressure
(`agents.learned.network.PhaseScorer`); all are to be chosen on streets for choosing.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import click
import numpy as np
import torch

from agents.export import compare, recorded_observations, to_onnx
from agents.pretrained import KNOWN, POLICY, folder_of, pretrained_run
from agents.runfolder import load_run
from signals.errors import WorkError

_KEPT = ("config.json", "validation.jsonl", "baselines.json", "best/meta.json")
_OBSERVATIONS = 64


@click.command()
@click.argument("run", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("name", type=click.Choice(list(KNOWN)))
@click.option("--mean", is_flag=True, help="Take the mean of its weights and the shipped ones.")
@click.option(
    "--stay", type=(float, float), help="Bonuses of the present phase. Default: the run's."
)
@click.option(
    "--lean", type=(float, float, float), help="Bonuses of the plan's phase. Default: the run's."
)
@click.option(
    "--press", type=(float, float), help="Bonuses of the greatest pressure. Default: the run's."
)
def main(
    run: Path,
    name: str,
    mean: bool,
    stay: tuple[float, float] | None,
    lean: tuple[float, float, float] | None,
    press: tuple[float, float] | None,
) -> None:
    """Copy what is needed of RUN into the folder of shipped policy NAME."""
    scorer = load_run(run).scorer
    if mean:
        with torch.no_grad():
            shipped = pretrained_run(name).scorer.state_dict()
            for key, value in scorer.state_dict().items():
                value.lerp_(shipped[key], 0.5)
    if stay is not None:
        scorer.stay.copy_(torch.tensor(stay))
    if lean is not None:
        scorer.lean.copy_(torch.tensor(lean))
    if press is not None:
        scorer.press.copy_(torch.tensor(press))
    observations = recorded_observations(run)
    policy = to_onnx(scorer, observations)
    check = compare(scorer, policy, observations)
    if check.equal != check.decisions:
        raise WorkError(
            f"{check.decisions - check.equal} decisions differ in ONNX; nothing changed"
        )
    folder = folder_of(name)
    (folder / "best").mkdir(parents=True, exist_ok=True)
    for file in _KEPT:
        if (run / file).is_file():
            shutil.copyfile(run / file, folder / file)
    torch.save(scorer.state_dict(), folder / "best" / "scorer.pt")
    few = {item: array[:_OBSERVATIONS] for item, array in observations.items()}
    np.savez_compressed(folder / "observations.npz", **few)  # type: ignore[arg-type]
    (folder / POLICY).write_bytes(policy)
    click.echo(f"{folder}: {len(policy) / 1024:.0f} KiB, {check.equal} decisions compared")


if __name__ == "__main__":
    main()

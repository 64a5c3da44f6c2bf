"""``signals export``: the best weights of a training run as a signed bundle for one junction."""

from __future__ import annotations

import inspect
import tempfile
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from numpy.typing import NDArray

from agents.resolve import BUNDLE_SUFFIX
from signals.bundle import write_bundle
from signals.contract import Contract, TimedPlan
from signals.drift import RANGES, observed_ranges
from signals.errors import (
    InputError,
    MissingDependencyError,
    OutputError,
    RunFolderError,
    UnknownNameError,
    WorkError,
)
from signals.observation import ObservationSpec
from signals.policy import INPUTS, OUTPUT, open_session, run_session
from signals.signing import signing_key
from signals.world import World, resolve

if TYPE_CHECKING:
    from agents.learned.network import PhaseScorer
    from agents.runfolder import TrainedRun

_OPSET = 17
_AXES = {
    "movements": {0: "batch", 1: "movements"},
    "phases": {0: "batch", 1: "phases"},
    "serves": {0: "batch", 1: "phases", 2: "movements"},
    "mask": {0: "batch", 1: "phases"},
    OUTPUT: {0: "batch", 1: "phases"},
}


@dataclass(frozen=True, slots=True)
class Check:
    """Torch against onnxruntime, observation by observation.

    Attributes:
        decisions: Observations compared.
        equal: Those on which both wish for the same phase.
        largest: Largest difference of the score of an open phase.
    """

    decisions: int
    equal: int
    largest: float


def to_onnx(scorer: PhaseScorer, observations: dict[str, NDArray[np.float32]]) -> bytes:
    """The network as ONNX; batch, movements and phases may have any size.

    Args:
        scorer: Trained network.
        observations: Recorded arrays, (N, ...) each; two of them are traced.
    """
    import torch

    example = tuple(torch.from_numpy(observations[name][:2].copy()) for name in INPUTS)
    options: dict[str, Any] = {}
    # The tracing exporter: for a network without branches it gives the same graph as the newer one,
    # in a tenth of a second and without further packages.
    if "dynamo" in inspect.signature(torch.onnx.export).parameters:
        options["dynamo"] = False
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = Path(folder) / "policy.onnx"
        torch.onnx.export(
            scorer.eval(),
            example,
            str(file),
            input_names=list(INPUTS),
            output_names=[OUTPUT],
            dynamic_axes=_AXES,
            opset_version=_OPSET,
            **options,
        )
        return file.read_bytes()


def compare(
    scorer: PhaseScorer, policy: bytes, observations: dict[str, NDArray[np.float32]]
) -> Check:
    """Score every observation by itself in both, as a decision does.

    Args:
        scorer: Trained network.
        policy: Its ONNX form.
        observations: Recorded arrays, (N, ...) each.
    """
    import torch

    session = open_session(policy, "the exported network")
    count, equal, largest = len(observations["mask"]), 0, 0.0
    scorer.eval()
    for row in range(count):
        one = {name: observations[name][row : row + 1] for name in INPUTS}
        theirs = run_session(session, one)[0]
        with torch.no_grad():
            ours = scorer(*(torch.from_numpy(one[name].copy()) for name in INPUTS))[0].numpy()
        equal += int(np.argmax(ours) == np.argmax(theirs))
        open_ = one["mask"][0] > 0.5
        if open_.any():
            largest = max(largest, float(np.abs(ours - theirs)[open_].max()))
    return Check(count, equal, largest)


def recorded_observations(folder: Path) -> dict[str, NDArray[np.float32]]:
    """The observations that a training run has kept.

    Raises:
        RunFolderError: There are none.
    """
    file = folder / "observations.npz"
    try:
        with np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name].astype(np.float32, copy=False) for name in INPUTS}
    except (OSError, KeyError, ValueError) as error:
        raise RunFolderError(
            f"{file} cannot be read ({error}); without recorded observations an export cannot be "
            "checked, train until the first validation"
        ) from error
    sizes = {len(array) for array in arrays.values()}
    if len(sizes) != 1 or not sizes.pop():
        raise RunFolderError(f"{file} holds no observations; train until the first validation")
    return arrays


def _worlds(run: TrainedRun, scenario: str | None, junction: str | None) -> list[World]:
    """The worlds of one junction, one a period, as they are now.

    Raises:
        InputError: The run is for many junctions and none is named.
        RunFolderError: The scenario has another observation than the run was trained with.
    """
    try:
        single = [{"scenario": run.config["scenario"], "periods": run.config["periods"]}]
        courses = {
            course["scenario"]: list(course["periods"])
            for course in run.config.get("courses", single)
        }
    except (KeyError, TypeError) as error:
        raise RunFolderError(f"{run.folder}/config.json names no scenario and periods") from error
    if scenario is None:
        if len(courses) != 1:
            raise InputError(
                f"{run.folder} is a policy for any junction; name the one to export it for with "
                "--scenario"
            )
        scenario = next(iter(courses))
    if scenario in courses:
        periods = courses[scenario]
    else:
        from scenarios.catalog import find

        periods = list(find(scenario).periods)
    if not periods:
        raise RunFolderError(f"{run.folder}/config.json names no period")
    worlds = [only_junction(resolve(scenario, period), junction) for period in periods]
    for world in worlds:
        found = ObservationSpec(world.junction).hash
        if run.spec_hash and found != run.spec_hash:
            raise RunFolderError(
                f"{run.folder} was trained for observation {run.spec_hash[:12]}, "
                f"{world.scenario}/{world.period} now has {found[:12]}: its junction, timing or "
                "detectors differ; train it anew"
            )
    return worlds


def only_junction(world: World, name: str | None) -> World:
    """A network reduced to one of its junctions.

    Raises:
        UnknownNameError: It has no junction of that name.
    """
    ids = [junction.id for junction in world.junctions]
    if name is None:
        _ = world.junction  # says so when there are several
        return world
    if name not in ids:
        raise UnknownNameError("junction", name, ids)
    place = ids.index(name)
    return replace(world, junctions=(world.junctions[place],), plans=(world.plans[place],))


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help=f"Bundle to write, NAME{BUNDLE_SUFFIX}.",
)
@click.option(
    "--key",
    type=click.Path(path_type=Path),
    help="Ed25519 private key (PEM) that signs it; the local key when not given.",
)
@click.option("--name", help="Name shown in results; the run folder's when not given.")
@click.option("--scenario", help="Scenario to export for; that of the run when it has one.")
@click.option("--junction", help="Junction of a network.")
@click.option("--force", is_flag=True, help="Write over a bundle that exists.")
def export(
    run: Path,
    out: Path,
    key: Path | None,
    name: str | None,
    scenario: str | None,
    junction: str | None,
    force: bool,
) -> None:
    """Write the best weights of training run RUN, or 'universal', as a signed bundle.

    The network is compared with its exported form on every recorded observation; nothing is written
    when a single decision differs.
    """
    if out.suffix != BUNDLE_SUFFIX:
        raise InputError(f"'{out}' is no bundle name; give --out NAME{BUNDLE_SUFFIX}")
    if out.exists() and not force:
        raise OutputError(f"{out} exists; give another --out, or --force to write over it")
    try:
        import torch  # noqa: F401

        from agents.pretrained import pretrained_run
    except ImportError as error:
        raise MissingDependencyError("torch", "train", "an export") from error
    opened = pretrained_run(str(run))
    model = str(opened.config["hyperparameters"].get("action_model", "phase"))
    if model != "phase":
        raise InputError(
            f"{run} was trained with --action-model {model}; a bundle holds policies of "
            "--action-model phase only, train one"
        )
    observations = recorded_observations(opened.folder)
    worlds = _worlds(opened, scenario, junction)
    policy = to_onnx(opened.scorer, observations)
    check = compare(opened.scorer, policy, observations)
    line = f"{check.equal} of {check.decisions} decisions equal"
    if check.equal != check.decisions:
        raise WorkError(
            f"the exported network decides otherwise: {line}, largest difference "
            f"{check.largest:.2g}; nothing was written"
        )
    contract = Contract.promise(
        name=name or run.resolve().name,
        junction=worlds[0].junction,
        plans=tuple(
            TimedPlan(world.period, world.begin_s, world.end_s, world.plan) for world in worlds
        ),
        policy=policy,
        decision_interval_s=int(opened.config["hyperparameters"]["decision_interval_s"]),
        training={**opened.config, RANGES: observed_ranges(observations["movements"])},
        evaluation={
            **opened.metrics,
            "export_check": {
                "decisions": check.decisions,
                "equal": check.equal,
                "largest_difference": check.largest,
            },
        },
    )
    bundle = write_bundle(out, contract, policy, signing_key(key))
    click.echo(f"torch against onnxruntime: {line}, largest difference {check.largest:.2g}")
    click.echo(
        f"{out}: bundle {bundle.hash[:12]} '{contract.name}' for junction {contract.junction.id}, "
        f"{len(policy) / 1024:.0f} KiB of policy"
    )
    click.echo(f"signed by {bundle.public_key}")

"""Name, run folder or bundle to an agent."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from agents.base import Agent
from agents.classical import NAMES, make_all, parse
from agents.pretrained import NAMES as PRETRAINED
from agents.pretrained import shipped_policy
from agents.sighted import Sighted
from signals.errors import ContractError, RunFolderError, UnknownNameError
from signals.observation import ObservationSpec
from signals.world import World

BUNDLE_SUFFIX = ".bundle"
LEARNED_FROM = ("a run folder", "a bundle file")


def check_spec(spec: str, others: Iterable[str] = ()) -> None:
    """Refuse what can be no agent, before anything is built.

    Args:
        spec: Classical name, shipped policy, run folder or bundle file.
        others: What else the caller takes, named in the error.

    Raises:
        UnknownNameError: It is none of them.
    """
    if spec.partition(":")[0] in NAMES:
        parse(spec)
        return
    path = Path(spec).expanduser()
    if spec not in PRETRAINED and not path.is_dir() and not _is_bundle(path):
        raise UnknownNameError("agent", spec, (*NAMES, *others, *PRETRAINED, *LEARNED_FROM))


def agent_for(spec: str, world: World) -> Agent:
    """Build the agent of a world with a single junction, see `agents_for`.

    Raises:
        InputError: As `agents_for`; or the world has several junctions.
    """
    _ = world.junction  # says so when there are several
    return agents_for(spec, world)[0]


def agents_for(spec: str, world: World) -> tuple[Agent, ...]:
    """Build an agent for each junction of a world.

    A learned policy has one network of weights, which all junctions share; where it is blind, the
    plan is followed, see `agents.sighted`. On a single junction it
    must have been made for that very junction; in a network it also decides for junctions that it
    never saw, as long as it knows their features.

    Args:
        spec: Classical name (`agents.classical.NAMES`), shipped policy
            (`agents.pretrained.NAMES`), the folder of a training run, or a ``*.bundle`` file.
        world: What they are going to control.

    Returns:
        The agents in the order of the world's junctions, not yet reset.

    Raises:
        UnknownNameError: It is none of them.
        RunFolderError: The folder is no training run, or its run saw another observation.
        BundleError: The bundle is broken, unsigned, or not for this junction.
        MissingDependencyError: A learned agent needs an extra that is not installed.
    """
    if spec.partition(":")[0] in NAMES:
        return make_all(spec, world.junctions, world.plans)
    check_spec(spec)
    path = Path(spec).expanduser()
    if spec in PRETRAINED:
        # It has no memory, so that one serves them all.
        policies: tuple[Agent, ...] = (shipped_policy(spec),) * len(world.junctions)
    else:
        policies = _from_run(path, world) if path.is_dir() else _from_bundle(path, world)
    return tuple(
        Sighted(policy, junction, plan)
        for policy, junction, plan in zip(policies, world.junctions, world.plans, strict=True)
    )


def _is_bundle(path: Path) -> bool:
    return path.suffix == BUNDLE_SUFFIX and path.is_file()


def _from_run(folder: Path, world: World) -> tuple[Agent, ...]:
    from agents.runfolder import load_run

    run = load_run(folder)
    expected = _only_hash(world)
    if expected and run.spec_hash and run.spec_hash != expected:
        raise RunFolderError(
            f"run {folder} was made for another spec ({run.spec_hash[:12]}) than "
            f"{world.scenario}/{world.period} has now ({expected[:12]}): its junction, timing or "
            "detectors differ; train it anew"
        )
    return tuple(
        run.agent(junction, plan, folder.name)
        for junction, plan in zip(world.junctions, world.plans, strict=True)
    )


def _from_bundle(file: Path, world: World) -> tuple[Agent, ...]:
    from signals.bundle import read_bundle
    from signals.policy import OnnxPolicy

    bundle = read_bundle(file)
    expected = _only_hash(world)
    if expected and bundle.contract.spec_hash != expected:
        raise ContractError(
            f"bundle {file} was made for another junction, timing or detectors "
            f"({bundle.contract.spec_hash[:12]}) than {world.scenario}/{world.period} has now "
            f"({expected[:12]}); export one for this junction"
        )
    return (OnnxPolicy(bundle),) * len(world.junctions)


def _only_hash(world: World) -> str:
    """Spec of a single junction; empty for a network, whose junctions all differ."""
    return ObservationSpec(world.junction).hash if len(world.junctions) == 1 else ""

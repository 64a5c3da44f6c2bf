"""What to train: scenario, periods, algorithm, hyperparameters, and the folder of the run."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from agents.runfolder import provenance, read_config, write_json
from scenarios.demand import TRAINING_SEEDS, VALIDATION_SEEDS
from signals.errors import InputError, OutputError, RunFolderError
from signals.faults import FaultSpec, check_faults, check_windows
from signals.observation import ObservationSpec
from signals.world import resolve

HYPERPARAMS = Path(__file__).parent / "hyperparams"
ALGORITHMS = ("dqn", "ppo")


@dataclass(frozen=True)
class TrainingPlan:
    """What to train and for how long.

    Attributes:
        scenario: Catalogue name or folder.
        periods: Periods drawn from; at least one.
        out: Run folder.
        seed: Seeds weights, exploration and the order of days.
        algo: ``dqn`` or ``ppo``.
        hyperparameters: Resolved values, see ``agents/hyperparams``.
        minutes: Wall-clock limit, or None.
        workers: Processes of a validation.
        faults: Faults of the detectors in training and validation, further to the scenario's own.
    """

    scenario: str
    periods: tuple[str, ...]
    out: Path
    seed: int
    algo: str
    hyperparameters: dict[str, Any]
    minutes: float | None
    workers: int
    faults: tuple[FaultSpec, ...] = ()

    @property
    def validation_days(self) -> range:
        """Demand days that choose the best weights."""
        first = VALIDATION_SEEDS.start
        return range(first, first + int(self.hyperparameters["eval_seeds"]))


def hyperparameters(
    algo: str, scenario: str, file: Path | None = None, overrides: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Defaults, then the scenario's section, then overrides.

    Args:
        algo: ``dqn`` or ``ppo``.
        scenario: Section to look for.
        file: YAML of the user's own in the same shape.
        overrides: Values from the command line; None values are ignored.

    Raises:
        InputError: The file cannot be read, or names an unknown hyperparameter.
    """
    shipped = yaml.safe_load((HYPERPARAMS / f"{algo}.yaml").read_text(encoding="utf-8"))
    values: dict[str, Any] = dict(shipped["default"])
    known = set(values)
    sections = [shipped.get(scenario, {})]
    if file is not None:
        try:
            own = yaml.safe_load(file.read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError) as error:
            raise InputError(f"{file} is no readable YAML: {error}") from error
        if not isinstance(own, dict):
            raise InputError(f"{file}: give sections of hyperparameters, first 'default'")
        for name in set(own) & known:
            raise InputError(f"{file}: '{name}' stands at the top; put it under 'default:'")
        for name in own:
            if name != "default" and not isinstance(own[name], dict):
                raise InputError(
                    f"{file}: unknown section '{name}'; allowed: default, and names of scenarios"
                )
        sections += [own.get("default", {}), own.get(scenario, {})]
    sections.append({key: value for key, value in (overrides or {}).items() if value is not None})
    for section in sections:
        if not isinstance(section, dict):
            raise InputError(
                f"hyperparameters {section!r} are no section; put them under 'default:'"
            )
        for key, value in section.items():
            if key not in known:
                raise InputError(
                    f"unknown hyperparameter '{key}'; allowed: {', '.join(sorted(known))}"
                )
            if type(value) is bool or not isinstance(value, type(values[key]) | int):
                raise InputError(
                    f"hyperparameter {key} is {value!r}; give a value like {values[key]!r}"
                )
            values[key] = value
    return values


def prepare_folder(plan: TrainingPlan, resume: bool) -> dict[str, Any]:
    """Create the run folder, or check that the one to resume fits.

    Args:
        plan: What will be trained.
        resume: Go on with a stopped run.

    Returns:
        The configuration of the run.

    Raises:
        RunFolderError: It exists without --resume, or was made for another spec.
        InputError: A fault names no detector of the junction, or never holds.
        OutputError: It cannot be written.
    """
    world = resolve(plan.scenario, plan.periods[0])
    spec = ObservationSpec(world.junction)
    spec_hash = spec.hash
    check_faults(plan.faults, {world.junction.id: spec.detectors})
    worlds = [resolve(plan.scenario, period) for period in plan.periods]
    check_windows(plan.faults, {item.period: (item.begin_s, item.end_s) for item in worlds})
    if resume:
        config = read_config(plan.out)
        if config["spec_hash"] != spec_hash:
            raise RunFolderError(
                f"{plan.out} was trained for another observation spec "
                f"({config['spec_hash'][:12]}, now {spec_hash[:12]}); train into a new folder"
            )
        if config.get("algo", "dqn") != plan.algo:
            raise RunFolderError(
                f"{plan.out} was trained with --algo {config.get('algo', 'dqn')}, "
                f"not {plan.algo}; give that one"
            )
        return config
    if plan.out.exists() and (not plan.out.is_dir() or any(plan.out.iterdir())):
        raise RunFolderError(
            f"{plan.out} exists and is not empty; give another --out, or --resume to go on with it"
        )
    try:
        (plan.out / "best").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot create {plan.out}: {error.strerror}; choose another --out"
        ) from error
    config = {
        "scenario": plan.scenario,
        "periods": list(plan.periods),
        "seed": plan.seed,
        "algo": plan.algo,
        "hyperparameters": plan.hyperparameters,
        "faults": [asdict(fault) for fault in plan.faults],
        "spec_hash": spec_hash,
        "content_hash": world.content_hash,
        "training_days": [TRAINING_SEEDS.start, TRAINING_SEEDS.stop],
        "validation_days": list(plan.validation_days),
        **provenance(),
    }
    write_json(plan.out / "config.json", config)
    return config

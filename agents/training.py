"""What to train: scenario, periods, algorithm, hyperparameters, and the folder of the run."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from agents.runfolder import check_features, provenance, read_config, write_json
from scenarios.cache import digest
from scenarios.demand import TRAINING_SEEDS, VALIDATION_SEEDS
from signals.errors import InputError, OutputError, RunFolderError
from signals.faults import FaultSpec, check_faults, check_windows
from signals.features import Maxima
from signals.observation import ObservationSpec, features_hash
from signals.world import resolve

HYPERPARAMS = Path(__file__).parent / "hyperparams"
ALGORITHMS = ("dqn", "ppo", "lookahead")


@dataclass(frozen=True)
class Sizes:
    """The largest junction of a training.

    Attributes:
        maxima: Sizes that observations are padded to.
        groups: Signal groups.
    """

    maxima: Maxima
    groups: int


@dataclass(frozen=True)
class Course:
    """A scenario and its periods.

    Attributes:
        scenario: Catalogue name or folder.
        periods: At least one.
    """

    scenario: str
    periods: tuple[str, ...]


@dataclass(frozen=True)
class TrainingPlan:
    """What to train and for how long.

    Attributes:
        courses: What is trained on; at least one.
        checks: What weights are chosen on.
        out: Run folder.
        seed: Seeds weights, exploration and the order of days.
        algo: ``dqn``, ``ppo`` or ``lookahead``.
        hyperparameters: Resolved values, see ``agents/hyperparams``.
        minutes: Wall-clock limit, or None.
        workers: Processes at once.
        faults: Faults of the detectors in training and validation, further to the scenario's own.
        first: Run folder, or ``universal``, whose weights are begun with; empty for none.
        cluster: Address of a Ray cluster whose workers run; empty for this machine.
        baselines: Whether the classical agents are judged on the validation days.
    """

    courses: tuple[Course, ...]
    checks: tuple[Course, ...]
    out: Path
    seed: int
    algo: str
    hyperparameters: dict[str, Any]
    minutes: float | None
    workers: int
    faults: tuple[FaultSpec, ...] = ()
    first: str = ""
    cluster: str = ""
    baselines: bool = True

    @property
    def validation_days(self) -> range:
        """Demand days that choose the best weights."""
        first = VALIDATION_SEEDS.start
        return range(first, first + int(self.hyperparameters["eval_seeds"]))

    @property
    def title(self) -> str:
        """The scenarios in a few words."""
        names = [course.scenario for course in self.courses]
        if len(names) > 3:
            return f"{names[0]} and {len(names) - 1} more"
        return ", ".join(names)


@dataclass(frozen=True)
class Recipe:
    """A training that can be repeated: a shipped YAML file, or one of the user's own.

    Attributes:
        file: Where it stands.
        algo: ``dqn``, ``ppo`` or ``lookahead``.
        scenarios: What is trained on; ranges of generated seeds are written out.
        checks: What weights are chosen on.
        seed: Of the training.
        minutes: Wall-clock limit, or None.
    """

    file: Path
    algo: str
    scenarios: tuple[str, ...]
    checks: tuple[str, ...]
    seed: int
    minutes: float | None

    @classmethod
    def read(cls, name: str) -> Recipe:
        """A recipe by name or path.

        Raises:
            InputError: There is none, or it is no recipe.
        """
        shipped = HYPERPARAMS / f"{name}.yaml"
        file = shipped if shipped.is_file() else Path(name)
        known = sorted(
            path.stem for path in HYPERPARAMS.glob("*.yaml") if "recipe" in read_yaml(path)
        )
        if not file.exists():
            raise InputError(f"there is no recipe {name}; give a file, or: {', '.join(known)}")
        data = read_yaml(file)
        recipe = data.get("recipe")
        if not isinstance(recipe, dict):
            raise InputError(
                f"{file} holds no section 'recipe'; give a file with one, or: {', '.join(known)}"
            )
        wanted = {"algo", "scenarios", "checks", "seed", "minutes"}
        if set(recipe) != wanted or recipe["algo"] not in ALGORITHMS:
            raise InputError(
                f"{file}: a recipe has {', '.join(sorted(wanted))}, "
                f"with algo {' or '.join(ALGORITHMS)}"
            )
        return cls(
            file,
            recipe["algo"],
            tuple(recipe["scenarios"]),
            tuple(recipe["checks"]),
            int(recipe["seed"]),
            None if recipe["minutes"] is None else float(recipe["minutes"]),
        )


def read_yaml(file: Path) -> dict[str, Any]:
    """A file of sections, for hyperparameters, recipes and search spaces.

    Raises:
        InputError: It cannot be read, or has no sections.
    """
    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{file} is no readable YAML: {' '.join(str(error).split())}") from error
    if not isinstance(found, dict):
        raise InputError(f"{file}: give sections, such as 'default:'")
    return found


def hyperparameters(
    algo: str, scenario: str, file: Path | None = None, overrides: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Defaults, then the scenario's section, then overrides.

    Args:
        algo: ``dqn``, ``ppo`` or ``lookahead``.
        scenario: Section to look for.
        file: YAML of the user's own in the same shape.
        overrides: Values from the command line; None values are ignored.

    Raises:
        InputError: The file cannot be read, or names an unknown hyperparameter.
    """
    shipped = read_yaml(HYPERPARAMS / f"{algo}.yaml")
    values: dict[str, Any] = dict(shipped["default"])
    known = set(values)
    sections = [shipped.get(scenario, {})]
    if file is not None:
        own = read_yaml(file)
        own.pop("recipe", None)
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


def check_new(folder: Path) -> None:
    """Refuse a folder that holds something.

    Raises:
        RunFolderError: It does.
    """
    if folder.exists() and not folder.is_dir():
        raise RunFolderError(f"{folder} is a file; give --out a new folder")
    if folder.exists() and any(folder.iterdir()):
        raise RunFolderError(
            f"{folder} exists and is not empty; give another --out, or --resume to go on with it"
        )


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
    worlds = [
        resolve(course.scenario, period) for course in plan.courses for period in course.periods
    ]
    specs = {
        junction.id: ObservationSpec(junction) for world in worlds for junction in world.junctions
    }
    if plan.faults:
        check_faults(plan.faults, {name: spec.detectors for name, spec in specs.items()})
        check_windows(
            plan.faults,
            {f"{w.scenario}/{w.period}": (w.begin_s, w.end_s) for w in worlds}
            if len(plan.courses) > 1
            else {w.period: (w.begin_s, w.end_s) for w in worlds},
        )
    # Weights that are chosen on other junctions are not made for one.
    single = (
        len(plan.courses) == 1
        and len(worlds[0].junctions) == 1
        and {course.scenario for course in plan.checks} == {plan.courses[0].scenario}
    )
    spec_hash = ObservationSpec(worlds[0].junction).hash if single else ""
    if resume:
        config = read_config(plan.out)
        check_features(config, f"run {plan.out}")
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
    check_new(plan.out)
    try:
        (plan.out / "best").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot create {plan.out}: {error.strerror}; choose another --out"
        ) from error
    config = {
        "scenario": plan.courses[0].scenario if len(plan.courses) == 1 else plan.title,
        "periods": list(plan.courses[0].periods),
        "courses": [asdict(course) for course in plan.courses],
        "checks": [asdict(course) for course in plan.checks],
        "seed": plan.seed,
        "algo": plan.algo,
        "hyperparameters": plan.hyperparameters,
        "faults": [asdict(fault) for fault in plan.faults],
        "first": plan.first,
        "spec_hash": spec_hash,
        "features_hash": features_hash(),
        "content_hash": digest(*(world.content_hash for world in worlds)),
        "training_days": [TRAINING_SEEDS.start, TRAINING_SEEDS.stop],
        "validation_days": list(plan.validation_days),
        **provenance(),
    }
    write_json(plan.out / "config.json", config)
    return config


def sizes_of(plan: TrainingPlan) -> Sizes:
    """The largest junction that a training meets."""
    junctions = [
        junction
        for course in plan.courses
        for junction in resolve(course.scenario, course.periods[0]).junctions
    ]
    return Sizes(
        Maxima(
            max(len(junction.movements) for junction in junctions),
            max(len(junction.phases) for junction in junctions),
        ),
        max(len(junction.groups) for junction in junctions),
    )

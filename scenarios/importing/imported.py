"""An imported folder as a scenario: the same questions that a site answers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from scenarios.cache import digest
from scenarios.catalog import SUMO_OPTIONS
from scenarios.importing.days import ImportedDemand
from scenarios.importing.schema import ImportedFile, ImportedPeriod, read_scenario
from scenarios.network import sumo_version
from signals.errors import JunctionError, PlanError, ScenarioError, UnknownNameError
from signals.netreader import NetReading, read_junctions
from signals.plan import Plan
from signals.world import World

_OPTIONS = (*SUMO_OPTIONS, "--ignore-route-errors", "true")
"""A trip without a way through the net is not driven; the judgement flags that it left no trace."""


@dataclass(frozen=True)
class ImportedScenario:
    """One imported folder.

    Attributes:
        name: The folder as it was given.
        folder: Where it is.
        file: What its scenario file says.
    """

    name: str
    folder: Path
    file: ImportedFile

    @cached_property
    def reading(self) -> NetReading:
        """The junctions of the net under the folder's timing."""
        try:
            return read_junctions(
                self.folder / self.file.net,
                self.file.timing.rules(),
                tuple(self.folder / name for name in self.file.programs),
                self.file.phases,
            )
        except JunctionError as error:
            raise ScenarioError(f"{self.folder}: {error}") from error

    @property
    def periods(self) -> tuple[str, ...]:
        """Names of the periods."""
        return tuple(self.file.periods)

    def period(self, name: str | None) -> tuple[str, ImportedPeriod]:
        """A period by name; None is the first.

        Raises:
            UnknownNameError: There is no such period.
        """
        if name is None:
            name = next(iter(self.file.periods))
        if name not in self.file.periods:
            raise UnknownNameError("period", name, self.file.periods)
        return name, self.file.periods[name]

    def plans(self, period: str | None) -> tuple[Plan, ...]:
        """The plan of every junction for a period, in the order of the junctions.

        Raises:
            ScenarioError: The plan file is broken, or a plan does not fit its junction.
        """
        name, _ = self.period(period)
        path = self.folder / self.file.plans
        try:
            table = json.loads(path.read_text(encoding="utf-8"))[name]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ScenarioError(
                f"{path}: holds no plans of period '{name}' ({error!r}); import the scenario anew"
            ) from error
        plans = []
        for junction in self.reading.junctions:
            try:
                plan = Plan.from_dict(table[junction.id])
                plan.validate(junction)
            except (KeyError, TypeError) as error:
                raise ScenarioError(f"{path}: {name}: no plan for '{junction.id}'") from error
            except PlanError as error:
                raise ScenarioError(f"{path}: {name}: {junction.id}: {error}") from error
            plans.append(plan)
        return tuple(plans)

    def demand(self, period: str | None) -> ImportedDemand:
        """The demand of a period."""
        _, clock = self.period(period)
        return ImportedDemand(
            "imported",
            self.folder.resolve() / self.file.routes,
            clock.begin_s,
            clock.end_s,
            self.file.jitter_s,
        )

    def world(self, period: str | None) -> World:
        """The scenario at one time of day, ready to be simulated."""
        name, clock = self.period(period)
        demand, plans = self.demand(name), self.plans(name)
        folder = self.folder.resolve()
        net_file = folder / self.file.net
        additional = tuple(folder / item for item in self.file.additional)
        return World(
            scenario=self.name,
            period=name,
            junctions=self.reading.junctions,
            plans=plans,
            net_file=net_file,
            additional_files=additional,
            begin_s=clock.begin_s,
            end_s=clock.end_s,
            routes=demand.file,
            sumo_options=_OPTIONS,
            content_hash=digest(
                net_file.read_text(encoding="utf-8"),
                *(item.read_text(encoding="utf-8") for item in additional),
                name,
                demand.key,
                *(junction.hash for junction in self.reading.junctions),
                *(json.dumps(plan.to_dict(), sort_keys=True) for plan in plans),
                sumo_version(),
            ),
            notes=self.file.notes,
        )


def load_imported(name: str, file: Path) -> ImportedScenario:
    """The scenario of an imported folder.

    Args:
        name: The folder as it was given.
        file: Its scenario file.

    Raises:
        ScenarioError: The file is wrong.
    """
    stamp = file.stat()
    return _loaded(name, file, stamp.st_mtime_ns, stamp.st_size)


@cache
def _loaded(name: str, file: Path, _mtime_ns: int, _size: int) -> ImportedScenario:
    return ImportedScenario(name, file.parent, read_scenario(file))

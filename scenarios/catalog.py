"""Name to scenario. A folder of the user's own works like a shipped one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from scenarios.cache import digest
from scenarios.demand import Demand
from scenarios.faults import site_faults
from scenarios.layout import SiteLayout
from scenarios.network import Network, build_network, sumo_version
from scenarios.schema import Period, Site, Step, Timing
from scenarios.sitefile import read_site
from scenarios.specials import SurgeDemand, closure_file
from signals.errors import JunctionError, PlanError, ScenarioError, UnknownNameError
from signals.guard import Guard
from signals.junction import Junction
from signals.netreader import read_junction
from signals.plan import Plan, RingStep
from signals.timing import TimingRules
from signals.world import World

if TYPE_CHECKING:
    from scenarios.generated.scenario import GeneratedScenario
    from scenarios.importing.imported import ImportedScenario
    from scenarios.streets.scenario import StreetScenario

SITE_FILE = "site.yaml"
_SHIPPED = Path(__file__).parent / "seoul"

SUMO_OPTIONS = (
    "--time-to-teleport", "-1",
    "--collision.action", "warn",
    "--pedestrian.striping.stripe-width", "0.8",
    "--pedestrian.striping.reserve-oncoming", "0.3",
    "--pedestrian.striping.jamtime.crossing", "2",
    "--pedestrian.striping.dawdling", "0.1",
)  # fmt: skip
"""Nothing is taken off the street to dissolve a jam: a run that gridlocks shows it.

People on foot: stripes of 0.8 m divide sidewalks and crosswalks evenly, and the two directions keep
apart and squeeze past each other. With SUMO's defaults crowds that meet on a crosswalk of Gangnam
block each other for minutes, and the cars behind them with it; with these values people leave the
crosswalk within the flashing green or a few seconds later.
"""


@dataclass(frozen=True)
class Scenario:
    """One site file, its net and its law.

    Attributes:
        name: Catalogue name or folder.
        site_file: The file it was read from.
        site: What the file says.
    """

    name: str
    site_file: Path
    site: Site

    @property
    def periods(self) -> tuple[str, ...]:
        """Ordinary periods, then special ones."""
        return (*self.site.periods, *self.site.specials)

    @property
    def days(self) -> tuple[str, ...]:
        """Whole days: none in a site of the first format."""
        return ()

    @property
    def street_names(self) -> dict[str, str]:
        """Leg to the street's name."""
        return {name: leg.street for name, leg in self.site.legs.items()}

    @cached_property
    def network(self) -> Network:
        """The net, built on first use."""
        return build_network(self.site)

    @cached_property
    def junction(self) -> Junction:
        """The junction, its phases checked against the conflicts of the net."""
        try:
            junction = read_junction(
                self.network.net_file,
                self.site.id,
                timing_rules(self.site.timing),
                tuple(self.site.phases.items()),
            )
            # The guard refuses a maximum red that nobody could keep: say so before any run.
            Guard(junction)
        except JunctionError as error:
            raise ScenarioError(f"{self.site_file}: {error}") from error
        return junction

    def period(self, name: str | None) -> tuple[str, Period]:
        """A period by name, special ones included; None is the first.

        Raises:
            UnknownNameError: the site has no such period.
        """
        if name is None:
            name = next(iter(self.site.periods))
        if name not in self.periods:
            raise UnknownNameError("period", name, self.periods)
        special = self.site.specials.get(name)
        return name, self.site.periods[special.like if special else name]

    def plan(self, period: str | None) -> Plan:
        """The time-of-day plan of a period, checked against the junction.

        Raises:
            ScenarioError: it breaks the junction's timing or names no phase.
        """
        name, found = self.period(period)
        plan = site_plan(name, found)
        try:
            plan.validate(self.junction)
        except PlanError as error:
            raise ScenarioError(f"{self.site_file}: periods.{name}.plan: {error}") from error
        return plan

    def demand(self, period: str | None) -> Demand:
        """The demand of a period."""
        name = self.period(period)[0]
        special = self.site.specials.get(name)
        if special is not None:
            return SurgeDemand(self.site, special.like, special)
        return Demand(self.site, name)

    def additional_files(self, period: str | None) -> tuple[Path, ...]:
        """Bus stops, and the closed lanes of a special period."""
        name = self.period(period)[0]
        special = self.site.specials.get(name)
        if special is None or special.closure is None:
            return (self.network.stops_file,)
        part = SiteLayout(self.site).legs[special.closure.leg]
        closed = closure_file(self.site.id, name, special.closure, part)
        return (self.network.stops_file, closed)

    def world(self, period: str | None) -> World:
        """The scenario at one time of day, ready to be simulated."""
        name, found = self.period(period)
        demand = self.demand(name)
        plan = self.plan(name)
        special = self.site.specials.get(name)
        return World(
            scenario=self.name,
            period=name,
            junctions=(self.junction,),
            plans=(plan,),
            net_file=self.network.net_file,
            additional_files=self.additional_files(name),
            begin_s=found.begin_s,
            end_s=found.end_s,
            routes=demand.file,
            sumo_options=SUMO_OPTIONS,
            content_hash=digest(
                # Other special periods leave a period what it is.
                self.site.model_dump_json(exclude={"specials"}),
                name,
                demand.key,
                self.junction.hash,
                sumo_version(),
                *([special.model_dump_json()] if special else []),
            ),
            faults=site_faults(self.site.faults, (self.junction,), self.site_file),
        )


def names() -> tuple[str, ...]:
    """Shipped scenarios."""
    return tuple(sorted(path.parent.name for path in _SHIPPED.glob(f"*/{SITE_FILE}")))


def find(
    name_or_path: str,
) -> Scenario | StreetScenario | ImportedScenario | GeneratedScenario:
    """A shipped or generated scenario by name, or a folder, written or imported.

    Raises:
        UnknownNameError: neither exists.
        ScenarioError: its file is wrong.
        InputError: A generated scenario cannot be named so.
    """
    # These need this module's SUMO options.
    from scenarios.generated.names import is_generated
    from scenarios.generated.scenario import load_generated
    from scenarios.importing.imported import load_imported
    from scenarios.importing.schema import SCENARIO_FILE

    if is_generated(name_or_path):
        return load_generated(name_or_path)
    path = Path(name_or_path).expanduser()
    file = path / SCENARIO_FILE if path.is_dir() else path
    if name_or_path not in names() and file.name == SCENARIO_FILE and file.is_file():
        return load_imported(name_or_path, file)
    return load(name_or_path)


def load(name_or_path: str) -> Scenario | StreetScenario:
    """A shipped scenario by name, or a folder (or site file) of the user's own.

    Raises:
        UnknownNameError: neither exists.
        ScenarioError: the site file is wrong.
    """
    shipped = names()
    path = Path(name_or_path).expanduser()
    if name_or_path in shipped:
        file = _SHIPPED / name_or_path / SITE_FILE
    elif path.is_file():
        file = path
    elif path.is_dir():
        file = path / SITE_FILE
        if not file.is_file() and (path / "scenario.yaml").is_file():
            raise ScenarioError(
                f"folder {path} holds an imported network, and this needs a site with a "
                f"{SITE_FILE}; give one of: {', '.join(shipped)}"
            )
        if not file.is_file():
            raise ScenarioError(
                f"folder {path} holds no {SITE_FILE}; give a folder with one, "
                f"or one of: {', '.join(shipped)}"
            )
    else:
        raise UnknownNameError("scenario", name_or_path, (*shipped, "a folder with a site.yaml"))
    stamp = file.stat()
    return _loaded(name_or_path, file, stamp.st_mtime_ns, stamp.st_size)


@cache
def _loaded(name: str, file: Path, _mtime_ns: int, _size: int) -> Scenario | StreetScenario:
    site = read_site(file)
    if isinstance(site, Site):
        return Scenario(name, file, site)
    # Imported here because a junction of a network is a `Scenario` itself.
    from scenarios.streets.scenario import StreetScenario

    return StreetScenario(name, file, site)


def world(name: str, period: str | None = None) -> World:
    """The loader behind `signals.world.resolve`.

    Args:
        name: Catalogue name or folder.
        period: Period of the day; None takes the scenario's first.

    Raises:
        InputError: an unknown name or period, or a site file that is wrong.
    """
    return find(name).world(period)


def timing_rules(timing: Timing) -> TimingRules:
    """The engineer's settings of a site; what the file leaves out keeps the product's default."""
    given = {
        name: getattr(timing, name).value
        for name in type(timing).model_fields
        if getattr(timing, name) is not None
    }
    return TimingRules(**given)


def site_plan(name: str, period: Period) -> Plan:
    """The plan of a period as the site file gives it, unchecked."""
    plan = period.plan

    def ring(steps: list[Step]) -> tuple[RingStep, ...]:
        return tuple(RingStep(tuple(step.groups), step.split_s) for step in steps)

    return Plan(name, plan.cycle_s, plan.offset_s, ring(plan.ring_a), ring(plan.ring_b))

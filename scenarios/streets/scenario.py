"""A second-format site file, its net and the law of each of its junctions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from scenarios.cache import digest
from scenarios.catalog import SUMO_OPTIONS, Scenario
from scenarios.faults import site_faults
from scenarios.network import Network, sumo_version
from scenarios.schema import Span
from scenarios.specials import closure_file
from scenarios.streets.build import build_network
from scenarios.streets.days import DayDemand, day_parts, day_plan, day_span
from scenarios.streets.demand import StreetDemand
from scenarios.streets.friction import friction_file
from scenarios.streets.junction_demand import JunctionDemand
from scenarios.streets.junctions import Streets, leg_ref
from scenarios.streets.schema import StreetSite
from signals.errors import InputError, UnknownNameError
from signals.junction import Junction
from signals.plan import Plan
from signals.world import World


@dataclass(frozen=True)
class JunctionScenario(Scenario):
    """One junction of a network, seen as a scenario of its own: to design, check and print it.

    Attributes:
        streets: The site it belongs to.
        shared: The net of the whole site.
    """

    streets: Streets
    shared: Network

    @cached_property
    def network(self) -> Network:
        """The net of the whole site."""
        return self.shared

    def demand(self, period: str | None) -> JunctionDemand:
        """What the network's flows bring to this junction."""
        name = self.period(self.streets.base(period) if period else None)[0]
        return StreetDemand(self.streets, name).junction(self.site.id)


@dataclass(frozen=True)
class StreetScenario:
    """One second-format site file.

    Attributes:
        name: Catalogue name or folder.
        site_file: The file it was read from.
        site: What the file says.
    """

    name: str
    site_file: Path
    site: StreetSite

    @cached_property
    def streets(self) -> Streets:
        """The site, taken apart into junctions."""
        return Streets(self.site)

    @cached_property
    def network(self) -> Network:
        """The net, built on first use."""
        return build_network(self.streets)

    @cached_property
    def parts(self) -> dict[str, JunctionScenario]:
        """Junction name to the junction as a scenario."""
        return {
            name: JunctionScenario(self.name, self.site_file, view, self.streets, self.network)
            for name, view in self.streets.junctions.items()
        }

    @cached_property
    def junctions(self) -> tuple[Junction, ...]:
        """The junctions in the file's order, phases checked against the conflicts of the net."""
        return tuple(part.junction for part in self.parts.values())

    @property
    def periods(self) -> tuple[str, ...]:
        """Ordinary periods, then special ones; whole days are not among them."""
        return (*self.site.periods, *self.site.specials)

    @property
    def days(self) -> tuple[str, ...]:
        """Whole days, which have their own plans for each part."""
        return tuple(self.site.days)

    @property
    def street_names(self) -> dict[str, str]:
        """Leg to the street's name; in a network the leg with its junction."""
        alone = len(self.site.junctions) == 1
        return {
            leg if alone else f"{name}.{leg}": part.street
            for name, junction in self.site.junctions.items()
            for leg, part in junction.legs.items()
        }

    def period(self, name: str | None) -> tuple[str, Span]:
        """A period by name, special ones and whole days included; None is the first.

        Raises:
            UnknownNameError: the site has no such period.
        """
        if name is None:
            name = next(iter(self.site.periods))
        allowed = (*self.periods, *self.days)
        if name not in allowed:
            raise UnknownNameError("period", name, allowed)
        if name in self.days:
            return name, day_span(self.streets, name)
        return name, self.site.periods[self.streets.base(name)]

    def plans(self, period: str | None) -> tuple[Plan, ...]:
        """The plan of each junction, in the order of `junctions`.

        Raises:
            ScenarioError: one breaks its junction's timing or names no phase.
        """
        name = self.period(period)[0]
        if name in self.days:
            parts = day_parts(self.streets, name)
            return tuple(
                day_plan(name, [(stretch.begin_s, part.plan(base)) for stretch, base in parts])
                for part in self.parts.values()
            )
        base = self.streets.base(name)
        return tuple(part.plan(base) for part in self.parts.values())

    def demand(self, period: str | None) -> StreetDemand | DayDemand:
        """The demand of a period."""
        name = self.period(period)[0]
        return DayDemand(self.streets, name) if name in self.days else self.steady(name)

    def steady(self, period: str | None) -> StreetDemand:
        """The demand of a period with one set of shares and plans: any but a whole day.

        Raises:
            InputError: It is a whole day.
        """
        name = self.period(period)[0]
        if name in self.days:
            raise InputError(
                f"'{name}' is a whole day of several periods, and this looks at one; "
                f"allowed: {', '.join([*self.site.periods, *self.site.specials])}"
            )
        return StreetDemand(self.streets, name)

    def additional_files(self, period: str | None) -> tuple[Path, ...]:
        """Bus stops, slow blocks, and the closed lanes of a special period."""
        name = self.period(period)[0]
        special = self.streets.special(name)
        files = [self.network.stops_file]
        if name in self.days:
            holds = [(part.begin_s, base) for part, base in day_parts(self.streets, name)]
        else:
            base = self.streets.base(name)
            holds = [(self.site.periods[base].begin_s, base)]
        friction = friction_file(self.streets, holds)
        if friction is not None:
            files.append(friction)
        if special is not None and special.closure is not None:
            part = self.streets.leg(leg_ref(special.closure.leg))
            files.append(closure_file(self.site.id, name, special.closure, part))
        return tuple(files)

    def world(self, period: str | None) -> World:
        """The scenario at one time of day, ready to be simulated."""
        name, span = self.period(period)
        demand = self.demand(name)
        special = self.streets.special(name)
        return World(
            scenario=self.name,
            period=name,
            junctions=self.junctions,
            plans=self.plans(name),
            net_file=self.network.net_file,
            additional_files=self.additional_files(name),
            begin_s=span.begin_s,
            end_s=span.end_s,
            routes=demand.file,
            sumo_options=SUMO_OPTIONS,
            content_hash=digest(
                self.site.model_dump_json(exclude={"specials"}, by_alias=True),
                special.model_dump_json() if special else "",
                name,
                demand.key,
                *(junction.hash for junction in self.junctions),
                sumo_version(),
            ),
            faults=site_faults(self.site.faults, self.junctions, self.site_file),
        )

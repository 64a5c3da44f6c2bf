"""Whole days of a network: parts of the day, each with the shares and the plans of a period."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from scenarios.cache import digest
from scenarios.demand import check_seed, day_file
from scenarios.network import write_text
from scenarios.schema import Span, clock_s
from scenarios.streets.demand import StreetDemand
from scenarios.streets.junction_demand import Stretch, Trip
from scenarios.streets.junctions import Streets
from signals.plan import Plan

DAY_S = 86_400


def day_parts(streets: Streets, name: str) -> list[tuple[Stretch, str]]:
    """The parts of a day, each with the period whose shares and plans hold in it."""
    entries = [(clock_s(clock), part) for clock, part in sorted(streets.site.days[name].items())]
    ends = [*[begin_s for begin_s, _ in entries[1:]], DAY_S]
    return [
        (Stretch(begin_s, end_s, number, part.level.value if part.level else 1.0), part.period)
        for number, ((begin_s, part), end_s) in enumerate(zip(entries, ends, strict=True))
    ]


def day_span(streets: Streets, name: str) -> Span:
    """From the first part to midnight."""
    return Span(begin=min(streets.site.days[name]), end="00:00")


def day_plan(name: str, plans: Sequence[tuple[int, Plan]]) -> Plan:
    """One plan of several, each from its clock second on.

    Args:
        name: Name of the whole.
        plans: Clock second and plan, in order.
    """
    # The guard's wishes are remembered by the name of the plan in force.
    return replace(plans[0][1], name=f"{name} {plans[0][1].name}", later=tuple(plans[1:]))


@dataclass(frozen=True)
class DayDemand:
    """The demand of a whole day: the volumes of every hour, the shares of the parts' periods.

    Attributes:
        streets: The site.
        period: Name of the day.
    """

    streets: Streets
    period: str

    def __reduce__(self) -> tuple[type[DayDemand], tuple[Streets, str]]:
        """Pickled without what is computed on demand."""
        return DayDemand, (self.streets, self.period)

    @cached_property
    def parts(self) -> tuple[StreetDemand, ...]:
        """The demand of each part."""
        return tuple(
            StreetDemand(self.streets, base, stretch=stretch)
            for stretch, base in day_parts(self.streets, self.period)
        )

    def xml(self, seed: int) -> str:
        """The route file of one demand day.

        Args:
            seed: 0 or more; the ranges of `scenarios.demand` say what for.

        Raises:
            InputError: The seed is negative.
        """
        check_seed(seed)
        routes: dict[tuple[str, ...], str] = {}
        trips: list[Trip] = []
        for part in self.parts:
            trips += part.trips(seed, routes)
        return self.parts[0].document(trips, routes)

    def file(self, seed: int) -> Path:
        """The route file of one demand day, from the cache or freshly drawn."""
        return day_file(
            self.streets.site.id, self.key, seed, lambda to: write_text(to, self.xml(seed))
        )

    @cached_property
    def key(self) -> str:
        """Identifies everything but the seed that the route file depends on."""
        own = Path(__file__).read_text(encoding="utf-8")
        return digest(self.period, own, *[part.key for part in self.parts])[:20]

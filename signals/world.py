"""A world: one or more junctions at one time of day, ready to be simulated.

Scenarios are found through the entry-point group ``seoul_signals.scenarios``, so that this package
needs to know none of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

from signals.errors import InputError
from signals.faults import FaultSpec
from signals.junction import Junction
from signals.plan import Plan

ENTRY_POINTS = "seoul_signals.scenarios"


@dataclass(frozen=True)
class World:
    """Everything a simulation of one scenario and period needs.

    Attributes:
        scenario: Catalogue name or folder.
        period: Period of the day, e.g. ``am_peak``.
        junctions: The signalised junctions, each under a guard of its own.
        plans: The time-of-day plan of each junction for the period, in the same order.
        net_file: SUMO net.
        additional_files: Further SUMO inputs (stops, vehicle types).
        begin_s: Clock time at which demand and control begin (s since midnight).
        end_s: Clock time at which the run ends (s since midnight).
        routes: Seed to the route file of that demand day; the same seed gives the same bytes.
        sumo_options: Further SUMO options.
        content_hash: Identifies net, demand description and plan.
        notes: What every result of this world must say, e.g. an override of the timing.
        faults: What is wrong with the detectors of the scenario.
    """

    scenario: str
    period: str
    junctions: tuple[Junction, ...]
    plans: tuple[Plan, ...]
    net_file: Path
    additional_files: tuple[Path, ...]
    begin_s: int
    end_s: int
    routes: Callable[[int], Path]
    sumo_options: tuple[str, ...]
    content_hash: str
    notes: tuple[str, ...] = ()
    faults: tuple[FaultSpec, ...] = ()

    @property
    def junction(self) -> Junction:
        """The only junction.

        Raises:
            InputError: The scenario is a network of several.
        """
        return self.junctions[self._only()]

    @property
    def plan(self) -> Plan:
        """The plan of the only junction.

        Raises:
            InputError: The scenario is a network of several.
        """
        return self.plans[self._only()]

    def _only(self) -> int:
        if len(self.junctions) != 1:
            raise InputError(
                f"scenario '{self.scenario}' has {len(self.junctions)} junctions "
                f"({', '.join(item.id for item in self.junctions[:10])}), and this works on one"
            )
        return 0


def resolve(scenario: str, period: str | None = None) -> World:
    """Find and build a scenario.

    Args:
        scenario: Catalogue name or folder.
        period: Period of the day; None takes the scenario's first.

    Returns:
        The world, its net built (or taken from the cache).

    Raises:
        InputError: No scenario catalogue is installed, or it refuses the name or period.
    """
    found = entry_points(group=ENTRY_POINTS)
    if not found:
        raise InputError(
            f"no scenario catalogue is installed, so '{scenario}' cannot be found; "
            "install the distribution seoul-signals, not a copy of its folders"
        )
    loader = next(iter(found)).load()
    world: World = loader(scenario, period)
    return world

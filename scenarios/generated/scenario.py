"""A generated street as a scenario: the same questions that a site answers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from scenarios.cache import cache_folder, cached_file, digest
from scenarios.catalog import SUMO_OPTIONS
from scenarios.generated.demand import BEGIN_S, GeneratedDemand, turn_weights
from scenarios.generated.drawing import draw
from scenarios.generated.names import GeneratedName, parse
from scenarios.generated.net import build_net
from scenarios.generated.plans import busy_volume_veh_h, plans_of
from scenarios.generated.streets import Drawing
from scenarios.importing.schema import ImportedPeriod
from scenarios.network import sumo_version
from signals.errors import JunctionError, ScenarioError, UnknownNameError
from signals.faults import FaultSpec
from signals.guard import Guard
from signals.junction import Junction
from signals.netreader import read_junction
from signals.plan import Plan
from signals.timing import TimingRules
from signals.world import World

PERIOD = "all"
MOST_PHASES = 8


@dataclass(frozen=True)
class GeneratedScenario:
    """One generated street.

    Attributes:
        generated: Kind and seed.
    """

    generated: GeneratedName

    @property
    def name(self) -> str:
        """The catalogue name."""
        return str(self.generated)

    @property
    def periods(self) -> tuple[str, ...]:
        """There is one."""
        return (PERIOD,)

    @cached_property
    def drawing(self) -> Drawing:
        """Streets, lanes and habits."""
        return draw(self.generated)

    @cached_property
    def net_file(self) -> Path:
        """The net, built on first use."""
        return build_net(self.drawing)

    @cached_property
    def junctions(self) -> tuple[Junction, ...]:
        """The junctions under their law."""
        drawing = self.drawing
        return tuple(_lawful(self.net_file, light, drawing) for light in drawing.lights)

    @cached_property
    def _designed(self) -> dict[str, Any]:
        """Volume and plans, from the cache or worked out: they take longer than the net."""
        here = Path(__file__).parent
        key = digest(
            self.drawing.text(),
            *(junction.hash for junction in self.junctions),
            *((here / name).read_text(encoding="utf-8") for name in ("plans.py", "demand.py")),
        )[:20]
        name = f"generated-{self.generated.kind}-{self.generated.seed}-{key}.plans.json"
        file = cached_file(cache_folder() / "networks" / name, self._design)
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return found

    def _design(self, target: Path) -> None:
        weights = turn_weights(self.drawing)
        volume_veh_h = busy_volume_veh_h(self.drawing, self.junctions, weights)
        plans = plans_of(self.drawing, self.junctions, weights, volume_veh_h)
        table = {"volume_veh_h": volume_veh_h, "plans": [plan.to_dict() for plan in plans]}
        target.write_text(json.dumps(table), encoding="utf-8")

    @property
    def volume_veh_h(self) -> float:
        """Volume at which the busiest group is as busy as the drawing says."""
        return float(self._designed["volume_veh_h"])

    @cached_property
    def _plans(self) -> tuple[Plan, ...]:
        return tuple(Plan.from_dict(plan) for plan in self._designed["plans"])

    def period(self, name: str | None) -> tuple[str, ImportedPeriod]:
        """A period by name; None is the first.

        Raises:
            UnknownNameError: There is no such period.
        """
        if name not in (None, PERIOD):
            raise UnknownNameError("period", str(name), (PERIOD,))
        return PERIOD, ImportedPeriod(begin_s=BEGIN_S, end_s=BEGIN_S + self.drawing.duration_s)

    def plans(self, period: str | None) -> tuple[Plan, ...]:
        """The plan of every light."""
        self.period(period)
        return self._plans

    def demand(self, period: str | None) -> GeneratedDemand:
        """The demand."""
        self.period(period)
        return GeneratedDemand(self.drawing, self.volume_veh_h)

    def world(self, period: str | None) -> World:
        """The scenario, ready to be simulated."""
        demand = self.demand(period)
        return World(
            scenario=self.name,
            period=PERIOD,
            junctions=self.junctions,
            plans=self._plans,
            net_file=self.net_file,
            additional_files=(),
            begin_s=BEGIN_S,
            end_s=BEGIN_S + self.drawing.duration_s,
            routes=demand.file,
            sumo_options=SUMO_OPTIONS,
            content_hash=digest(
                self.net_file.read_text(encoding="utf-8"),
                demand.key,
                *(junction.hash for junction in self.junctions),
                *(repr(plan) for plan in self._plans),
                sumo_version(),
            ),
            faults=tuple(FaultSpec.parse(text) for text in self.drawing.faults),
        )


def _lawful(net_file: Path, light: str, drawing: Drawing) -> Junction:
    """The junction with a maximum red that its guard can keep."""
    for longest_red_s in range(200, 601, 20):
        rules = TimingRules(
            right_turn_on_red=drawing.right_on_red,
            recall="call" if drawing.on_call else "always",
            max_red_s=longest_red_s,
            pedestrian_max_red_s=longest_red_s,
        )
        junction = _with_phases(read_junction(net_file, light, rules), drawing, rules, net_file)
        try:
            Guard(junction)
        except JunctionError:
            continue
        return junction
    raise ScenarioError(f"{drawing.name}: no maximum red below 600 s can be kept at {light}")


def _with_phases(
    junction: Junction, drawing: Drawing, rules: TimingRules, net_file: Path
) -> Junction:
    """The junction with two to eight of its compatible sets."""
    phases = list(junction.phases)
    vehicles = {group.id: group.kind != "pedestrian" for group in junction.groups}
    leg_of = {item.id: item.leg for item in junction.movements}

    def legs(groups: tuple[str, ...]) -> set[str]:
        return {
            leg_of[name]
            for group in junction.groups
            if group.id in groups and vehicles[group.id]
            for name in group.movements
        }

    random = np.random.default_rng([drawing.name.seed, 44])
    order = [phases[index] for index in random.permutation(len(phases))]
    if drawing.phasing == "legs":
        order.sort(key=lambda phase: len(legs(phase.groups)))
    keep: list[str] = []
    missing = set(junction.group_index)
    while missing:
        best = max(order, key=lambda phase: len(missing & set(phase.groups)))
        if drawing.phasing == "legs":
            best = next(phase for phase in order if missing & set(phase.groups))
        keep.append(best.name)
        missing -= set(best.groups)
    wanted = MOST_PHASES if drawing.phasing == "all" else len(keep)
    if drawing.phasing == "some":
        wanted += int(random.integers(0, 3))
    for phase in order:
        if len(keep) >= max(wanted, 2):
            break
        if phase.name not in keep:
            keep.append(phase.name)
    if len(keep) == len(phases):
        return junction
    chosen = [(phase.name, phase.groups) for phase in phases if phase.name in keep]
    return read_junction(net_file, junction.id, rules, chosen)


@cache
def load_generated(name: str) -> GeneratedScenario:
    """The scenario of a name such as ``generated:junction:7``.

    Raises:
        InputError: The name has another form.
    """
    return GeneratedScenario(parse(name))

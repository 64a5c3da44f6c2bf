"""Tries cycles and splits of a plan in SUMO: how the shipped plans were chosen.

    python -m scenarios.plan_search gangnam am_peak --cycles 120,135,150 --days 2

Days are drawn from the training seeds, so that nothing a study reports was used to choose. The
guard shows the lights, as in every other run, so that a plan is judged with its real clearances.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

import click

from scenarios.cache import cache_folder, scratch_folder
from scenarios.catalog import SUMO_OPTIONS, Scenario, load
from scenarios.demand import TRAINING_SEEDS
from scenarios.plan_design import design, with_splits
from scenarios.sumo_tools import run_program
from signals.guard import Guard
from signals.junction import Junction
from signals.plan import Plan

_TASK = "running a plan"


@dataclass(frozen=True)
class PlanResult:
    """One demand day under one plan.

    Attributes:
        delay_s: (timeLoss + departDelay of all vehicles) / scheduled vehicles.
        by_approach_s: The same per approach or bus line.
        pedestrian_delay_s: Mean time that people on foot lose.
        scheduled: Vehicles of the day.
        unfinished: Vehicles still on the way at the end.
        never_inserted: Vehicles that found no room to enter.
        refused: Seconds in which the guard did not follow the plan.
    """

    delay_s: float
    by_approach_s: dict[str, float]
    pedestrian_delay_s: float
    scheduled: int
    unfinished: int
    never_inserted: int
    refused: int


def light_program(junction: Junction, plan: Plan, begin_s: int, end_s: int) -> tuple[str, int]:
    """The lights of a plan under the guard as a SUMO program over the whole run.

    Returns:
        The additional file's text, and the seconds in which the guard refused the plan's wish.
    """
    guard = Guard(junction)
    state = guard.start(plan.wish(junction, begin_s))
    runs: list[tuple[str, int]] = []
    refused = 0
    for clock_s in range(begin_s, end_s):
        state, verdict = guard.tick(state, plan.wish(junction, clock_s))
        # While it clears, the guard names the phase it is changing to: that is the plan's wish.
        refused += not verdict.granted
        lights = guard.lights(state)
        if runs and runs[-1][0] == lights:
            runs[-1] = (lights, runs[-1][1] + 1)
        else:
            runs.append((lights, 1))
    phases = "".join(f'<phase duration="{seconds}" state="{s}"/>' for s, seconds in runs)
    text = (
        f'<additional><tlLogic id="{junction.id}" type="static" programID="plan"'
        f' offset="{begin_s % (end_s - begin_s)}">{phases}</tlLogic></additional>'
    )
    return text, refused


def run_plan(scenario: Scenario, period: str, plan: Plan, seed: int) -> PlanResult:
    """Simulate one demand day under a plan.

    Raises:
        MissingDependencyError: SUMO is not installed.
        SimulationError: SUMO refused the run.
    """
    demand = scenario.demand(period)
    program, refused = light_program(scenario.junction, plan, demand.begin_s, demand.end_s)
    with scratch_folder(cache_folder() / "measuring") as folder:
        lights, trips = folder / "lights.add.xml", folder / "tripinfo.xml"
        lights.write_text(program, encoding="utf-8")
        run_program(
            "sumo",
            (
                "--net-file", str(scenario.network.net_file),
                "--route-files", str(demand.file(seed)),
                "--additional-files", f"{scenario.network.stops_file},{lights}",
                "--begin", str(demand.begin_s),
                "--end", str(demand.end_s),
                "--step-length", "1",
                "--seed", str(seed),
                "--no-step-log", "true",
                "--no-warnings", "true",
                "--xml-validation", "never",
                "--tripinfo-output", str(trips),
                "--tripinfo-output.write-unfinished", "true",
                "--tripinfo-output.write-undeparted", "true",
                *SUMO_OPTIONS,
            ),
            _TASK,
        )  # fmt: skip
        return _summary(ElementTree.parse(trips).getroot(), refused)


def _summary(root: ElementTree.Element, refused: int) -> PlanResult:
    lost: dict[str, list[float]] = {}
    unfinished = never = 0
    for trip in root.iter("tripinfo"):
        entered = float(trip.get("depart", "-1")) >= 0.0
        unfinished += entered and float(trip.get("arrival", "-1")) < 0.0
        never += not entered
        delay_s = float(trip.get("departDelay", "0"))
        delay_s += float(trip.get("timeLoss", "0")) if entered else 0.0
        lost.setdefault(trip.get("id", "").split(".")[0], []).append(delay_s)
    walks = [
        float(walk.get("timeLoss", "0"))
        for walk in root.iter("walk")
        if walk.get("arrival") != "-1"
    ]
    everything = [value for values in lost.values() for value in values]
    return PlanResult(
        delay_s=sum(everything) / max(1, len(everything)),
        by_approach_s={key: sum(values) / len(values) for key, values in sorted(lost.items())},
        pedestrian_delay_s=sum(walks) / max(1, len(walks)),
        scheduled=len(everything),
        unfinished=unfinished,
        never_inserted=never,
        refused=refused,
    )


def mean_delay_s(scenario: Scenario, period: str, plan: Plan, seeds: Sequence[int]) -> float:
    """Mean delay over several demand days (s/veh)."""
    return sum(run_plan(scenario, period, plan, seed).delay_s for seed in seeds) / len(seeds)


@click.command()
@click.argument("name")
@click.argument("period")
@click.option("--cycles", default="120,130,140,150,160,170,180", help="Cycles to try, s.")
@click.option("--days", default=2, show_default=True, help="Training days per plan.")
@click.option("--shift", default=0, show_default=True, help="Also move this many s between steps.")
def main(name: str, period: str, cycles: str, days: int, shift: int) -> None:
    """Print the delay of plans with several cycles, splits by `scenarios.plan_design`."""
    scenario = load(name)
    if not isinstance(scenario, Scenario):
        raise click.UsageError(f"'{name}' is a network; use scenarios.streets.planning")
    shape = scenario.plan(period)
    basis = design(scenario, period, shape)
    click.echo(f"Webster cycle {basis.webster_s:.0f} s, Y {sum(basis.flow_ratios):.3f}")
    seeds = TRAINING_SEEDS[:days]
    for cycle_s in (int(text) for text in cycles.split(",")):
        if cycle_s < sum(basis.minimum_splits_s):
            click.echo(f"{cycle_s:4d} s  below the minimum of {sum(basis.minimum_splits_s)} s")
            continue
        base = basis.splits(cycle_s)
        trials = [base]
        for giver in range(len(base)) if shift else ():
            for taker in range(len(base)):
                moved = list(base)
                moved[giver] -= shift
                moved[taker] += shift
                if giver != taker and moved[giver] >= basis.minimum_splits_s[giver]:
                    trials.append(tuple(moved))
        for splits in trials:
            delay_s = mean_delay_s(scenario, period, with_splits(shape, splits), seeds)
            click.echo(f"{cycle_s:4d} s  {splits}  {delay_s:6.2f} s/veh")


if __name__ == "__main__":
    main()

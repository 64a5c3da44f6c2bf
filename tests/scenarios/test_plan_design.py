"""The shipped splits are those of the method that the site file names."""

from __future__ import annotations

import pytest

from scenarios import catalog
from scenarios.catalog import Scenario
from scenarios.plan_design import design, with_splits

pytestmark = pytest.mark.sumo

QUARTER_S = 900


def parts(name: str) -> list[Scenario]:
    """The junctions of a site, each as a scenario."""
    scenario = catalog.load(name)
    return [scenario] if isinstance(scenario, Scenario) else list(scenario.parts.values())


PLANS = [(name, period) for name in catalog.names() for period in catalog.load(name).site.periods]


@pytest.mark.parametrize(("name", "period"), PLANS)
def test_splits_agree_with_the_design(name: str, period: str) -> None:
    for scenario in parts(name):
        plan = scenario.plan(period)
        basis = design(scenario, period, plan)
        given = [seconds for _, seconds in plan.steps]
        assert given == pytest.approx(basis.splits(plan.cycle_s), abs=2)
        assert plan.cycle_s >= sum(basis.minimum_splits_s)
        assert plan.cycle_s >= basis.webster_s - 1


@pytest.mark.parametrize(("name", "period"), PLANS)
def test_the_guard_follows_every_shipped_plan(name: str, period: str) -> None:
    from scenarios.plan_search import light_program

    for scenario in parts(name):
        begin_s = scenario.demand(period).begin_s
        plan = scenario.plan(period)
        _, refused = light_program(scenario.junction, plan, begin_s, begin_s + QUARTER_S)
        # The run may begin in the middle of a step; from the second cycle on every wish is granted.
        assert refused <= plan.cycle_s


def test_moving_splits_moves_both_rings() -> None:
    plan = catalog.load("gangnam").plan("am_peak")
    moved = with_splits(plan, (50, 20, 50, 30))
    assert moved.cycle_s == 150
    assert [step.split_s for step in moved.ring_a] == [50, 20, 50, 30]
    assert sum(step.split_s for step in moved.ring_b) == 150
    moved.validate(catalog.load("gangnam").junction)

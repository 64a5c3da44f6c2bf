"""The calibrated drivers discharge a queue at the manual's saturation flow."""

from __future__ import annotations

import pytest

from scenarios import catalog
from scenarios.calibration import measure_saturation_flow

pytestmark = pytest.mark.sumo


@pytest.mark.parametrize("leg", ["N", "E"])
def test_discharge_matches_the_formula_for_the_mix_of_a_lane(leg: str) -> None:
    scenario = catalog.load("gangnam")
    found = measure_saturation_flow(
        scenario.demand("am_peak").general_mix(leg),
        width_m=scenario.site.legs[leg].approach.lane_width_m.value,
        speed_kmh=scenario.site.legs[leg].speed_limit_kmh.value,
    )
    assert found.vehicles > 500
    assert found.ratio == pytest.approx(1.0, abs=0.05)
    # Two seconds are the usual start-up loss.
    assert 0.5 < found.startup_loss_s < 3.0


@pytest.mark.parametrize("kind", ["car", "truck", "bus"])
def test_each_type_alone_matches_the_formula(kind: str) -> None:
    found = measure_saturation_flow({kind: 1.0}, cycles=12)
    assert found.ratio == pytest.approx(1.0, abs=0.05)

"""Delay of an isolated fixed-time approach in SUMO against d1 + d2 of the manual.

Control delay is the travel time with the light minus that of the same vehicles with the light
always green, so that what drivers lose behind slower leaders is not counted. The effective green is
the displayed one: start-up loss and the used part of the yellow cancel out (test_saturation_flow
holds the start-up loss to 0.5-3 s). Arrivals last an hour: t = 1 h.
"""

from __future__ import annotations

import numpy as np
import pytest

from scenarios.calibration import measure_control_delay
from signals.capacity import control_delay_s, saturation_flow_veh_h

pytestmark = pytest.mark.sumo

MIX = {"car": 0.82, "taxi": 0.08, "bus": 0.04, "truck": 0.06}
SEEDS = range(4)


@pytest.mark.parametrize(
    ("lanes", "cycle_s", "green_s", "degree"),
    [(1, 90, 40, 0.6), (2, 120, 50, 0.7), (2, 150, 45, 0.8)],
)
def test_delay_is_that_of_the_formula(
    lanes: int, cycle_s: int, green_s: int, degree: float
) -> None:
    saturation = saturation_flow_veh_h(lanes, heavy_share=MIX["bus"] + MIX["truck"])
    volume = degree * saturation * green_s / cycle_s
    measured = [
        measure_control_delay(
            volume, mix=MIX, cycle_s=cycle_s, green_s=green_s, lanes=lanes, seed=seed
        )
        for seed in SEEDS
    ]
    expected = control_delay_s(volume, saturation, cycle_s, green_s, period_h=1.0)
    assert float(np.mean(measured)) == pytest.approx(expected, rel=0.10)

"""Worked values of the closed-form formulas, computed by hand from the manual's figures."""

from __future__ import annotations

import math

import pytest

from signals import capacity
from signals.errors import InputError


@pytest.mark.parametrize(("share", "factor"), [(0.0, 1.0), (0.10, 1 / 1.08), (1.0, 1 / 1.8)])
def test_heavy_vehicles(share: float, factor: float) -> None:
    assert capacity.heavy_vehicle_factor(share) == pytest.approx(factor)


@pytest.mark.parametrize(
    ("width_m", "factor"), [(2.5, 0.88), (2.6, 0.88), (2.75, 0.94), (2.9, 0.94), (3.0, 1.0)]
)
def test_lane_width(width_m: float, factor: float) -> None:
    assert capacity.lane_width_factor(width_m) == factor


@pytest.mark.parametrize(
    ("grade", "factor"),
    [(-2.0, 1.0), (0.0, 1.0), (3.0, 0.96), (4.5, 0.945), (6.0, 0.93), (9, 0.93)],
)
def test_grade(grade: float, factor: float) -> None:
    assert capacity.grade_factor(grade) == pytest.approx(factor)


@pytest.mark.parametrize(
    ("lanes", "radius_m", "factor"),
    [(1, 25.0, 1.0), (1, 9.0, 1 / 1.14), (2, 25.0, 1 / 1.05), (1, 14.5, 1 / 1.07)],
)
def test_left_turn(lanes: int, radius_m: float, factor: float) -> None:
    assert capacity.left_turn_factor(lanes, radius_m) == pytest.approx(factor)


@pytest.mark.parametrize(
    ("per_h", "factor"),
    [(0, 0.3), (500, 0.3), (501, 0.6), (1000, 0.6), (2000, 0.8), (3000, 0.9), (3001, 1.0)],
)
def test_right_turns_blocked_by_pedestrians(per_h: float, factor: float) -> None:
    assert capacity.crosswalk_blocking_factor(per_h) == factor


def test_bus_stop_blocking_fades() -> None:
    assert capacity.bus_stop_blocking_s(0.0, bay=False) == 10.8
    assert capacity.bus_stop_blocking_s(37.5, bay=False, in_lane_s=22.8) == pytest.approx(11.4)
    assert capacity.bus_stop_blocking_s(0.0, bay=True) == 1.4
    assert capacity.bus_stop_blocking_s(80.0, bay=False) == 0.0


def test_saturation_flow() -> None:
    assert capacity.saturation_flow_veh_h() == 2200.0
    # 4 lanes of 3.1 m with 10 % heavy vehicles: 2200 x 4 / 1.08.
    assert capacity.saturation_flow_veh_h(4, heavy_share=0.1, width_m=3.1) == pytest.approx(8148.15)
    # One narrow lane at +3 %: 2200 x 0.94 x 0.96.
    assert capacity.saturation_flow_veh_h(1, width_m=2.8, grade_percent=3) == pytest.approx(1985.28)


def test_critical_flow_ratios_are_those_of_the_busier_ring() -> None:
    assert capacity.critical_flow_ratios([(0.2, 0.1), (0.15, 0.2)]) == (0.15, 0.2)


def test_webster_cycle() -> None:
    # L = 16 s, Y = 0.6: (24 + 5) / 0.4.
    assert capacity.webster_cycle_s(16, 0.6) == pytest.approx(72.5)
    assert capacity.webster_cycle_s(16, 0.6, minimum_s=111) == 111
    assert capacity.webster_cycle_s(16, 0.95) == 180
    assert capacity.webster_cycle_s(16, 1.2) == 180


def test_splits_are_proportional() -> None:
    # 100 s less 4 x 5 s lost leaves 80 s of green in the ratio 3 : 2 : 2 : 1.
    assert capacity.splits_s(100, (0.3, 0.2, 0.2, 0.1), (10,) * 4, 5.0) == (35, 25, 25, 15)


def test_splits_fill_the_minima_first() -> None:
    # The second step is raised to 44; 150 - 44 - 2 x 6 = 94 s of green remain in the ratio 3 : 2.
    assert capacity.splits_s(150, (0.3, 0.1, 0.2), (20, 44, 13), 6.0) == (62, 44, 44)


def test_splits_always_sum_to_the_cycle_and_keep_the_minima() -> None:
    for cycle_s in range(60, 181):
        splits = capacity.splits_s(cycle_s, (0.17, 0.11, 0.0, 0.23), (20, 9, 12, 15), 3.7)
        assert sum(splits) == cycle_s
        assert all(a >= b for a, b in zip(splits, (20, 9, 12, 15), strict=True))


def test_splits_that_do_not_fit() -> None:
    with pytest.raises(InputError, match="cycle 60 s is shorter than its minimum splits"):
        capacity.splits_s(60, (0.1, 0.1), (40, 30))


def test_uniform_delay() -> None:
    # C 100, g 50, X 0.8: 0.5 x 100 x 0.25 / (1 - 0.4).
    assert capacity.uniform_delay_s(100, 50, 0.8) == pytest.approx(20.8333, abs=1e-4)
    # Above capacity X counts as 1: 0.5 x 100 x 0.25 / 0.5.
    assert capacity.uniform_delay_s(100, 50, 1.3) == pytest.approx(25.0)
    assert capacity.uniform_delay_s(100, 100, 1.0) == 0.0


def test_incremental_delay() -> None:
    # X 1, c 900 veh/h, t 0.25 h: 225 x sqrt(4 / 225).
    assert capacity.incremental_delay_s(1.0, 900.0) == pytest.approx(30.0)
    # X 0.8: 225 x (-0.2 + sqrt(0.04 + 3.2 / 225)).
    expected = 225 * (-0.2 + math.sqrt(0.04 + 3.2 / 225))
    assert capacity.incremental_delay_s(0.8, 900.0) == pytest.approx(expected)


def test_control_delay_adds_up() -> None:
    # v 720, S 1800, C 100, g 50: c 900, X 0.8.
    delay_s = capacity.control_delay_s(720, 1800, 100, 50)
    assert delay_s == pytest.approx(20.8333 + capacity.incremental_delay_s(0.8, 900), abs=1e-3)
    with_rest = capacity.control_delay_s(
        720, 1800, 100, 50, progression_factor=0.5, initial_queue_delay_s=7
    )
    assert with_rest == pytest.approx(delay_s - 20.8333 / 2 + 7, abs=1e-3)


def test_crosswalk_delay() -> None:
    assert capacity.crosswalk_delay_s(150, 35) == pytest.approx(115**2 / 300)


@pytest.mark.parametrize(
    ("delay_s", "level"),
    [
        (15, "A"),
        (15.1, "B"),
        (50, "C"),
        (70, "D"),
        (100, "E"),
        (220, "F"),
        (340, "FF"),
        (341, "FFF"),
    ],
)
def test_junction_los(delay_s: float, level: str) -> None:
    assert capacity.junction_los(delay_s) == level


@pytest.mark.parametrize(("delay_s", "level"), [(15, "A"), (44, "C"), (90, "E"), (91, "F")])
def test_crosswalk_los(delay_s: float, level: str) -> None:
    assert capacity.crosswalk_los(delay_s) == level


def test_arterial_los() -> None:
    assert capacity.arterial_los(25.0) == "D"
    assert capacity.arterial_los(24.9) == "E"
    assert capacity.arterial_los(12.0, 3) == "E"
    assert capacity.arterial_los(3.0) == "FFF"
    with pytest.raises(InputError, match="arterial_type is 7; allowed: 2, 3"):
        capacity.arterial_los(20.0, 7)


def test_impossible_inputs_are_refused() -> None:
    with pytest.raises(InputError):
        capacity.heavy_vehicle_factor(1.5)
    with pytest.raises(InputError):
        capacity.saturation_flow_veh_h(0)
    with pytest.raises(InputError):
        capacity.uniform_delay_s(100, 120, 0.5)
    with pytest.raises(InputError):
        capacity.flow_ratio(100, 0)

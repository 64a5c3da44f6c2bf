"""Offsets of least delay against cases that can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from scenarios.progression import Link, Stream, best_difference_s, link_delays

CYCLE_S = 100


def _link(travel_s: float, volume: float = 800.0, green: float = 40.0) -> Link:
    return Link(
        (Stream(volume, ((0.0, green),)),), travel_s, ((0.0, green),), saturation_veh_h=4000.0
    )


def test_one_way_the_light_follows_the_platoon() -> None:
    delays = link_delays(_link(30.0), CYCLE_S)
    # Not before the platoon's head (0.8 of the mean travel time), not after the mean vehicle's half
    # of the green: its tail is to pass as well.
    assert 24 <= int(np.argmin(delays)) <= 30 + 20
    assert delays.min() < 0.2 * delays.max()


def test_steady_arrivals_meet_the_uniform_delay() -> None:
    from signals.capacity import uniform_delay_s

    link = Link((Stream(800.0),), 30.0, ((0.0, 40.0),), saturation_veh_h=4000.0)
    delays = link_delays(link, CYCLE_S)
    per_vehicle = delays / (800.0 * CYCLE_S / 3600.0)
    expected = uniform_delay_s(CYCLE_S, 40.0, 800.0 / (4000.0 * 0.4))
    assert per_vehicle == pytest.approx(expected, rel=0.03)


def test_two_ways_half_a_cycle_apart_need_half_a_cycle() -> None:
    # 0.8 x 62.5 s = 50 s: both platoons arrive at green when the lights alternate.
    difference, cost = best_difference_s(_link(62.5), _link(62.5), CYCLE_S)
    assert difference == pytest.approx(50, abs=3)
    at_once = 2 * link_delays(_link(62.5), CYCLE_S)[0]
    assert cost < 0.8 * at_once


def test_the_busier_direction_wins() -> None:
    difference, _ = best_difference_s(_link(30.0, 1400.0), _link(30.0, 100.0), CYCLE_S)
    assert 24 <= difference <= 50
    back, _ = best_difference_s(_link(30.0, 100.0), _link(30.0, 1400.0), CYCLE_S)
    assert (difference + back) % CYCLE_S == pytest.approx(0, abs=1)

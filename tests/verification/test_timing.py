"""Yellow, all-red and pedestrian times against values worked by hand.

Y = Tb + V/2d + (W + L)/V - Ts with Tb 1.0 s, d 5.0 m/s2, L 5.0 m, Ts 1.5 s, so that
Y = V/10 + (W + 5)/V - 0.5; rounded up, 3 to 5 s of it are yellow, the rest (1 to 2 s) all-red.
"""

from __future__ import annotations

import pytest

from signals.timing import (
    GroupTiming,
    TimingTable,
    change_interval_s,
    pedestrian_times_s,
    yellow_and_all_red_s,
)

KMH_50 = 50 / 3.6  # 13.8889 m/s: V/10 = 1.38889, and (W + 5)/V = (W + 5) x 0.072
KMH_30 = 30 / 3.6  # 8.33333 m/s: V/10 = 0.83333, and (W + 5)/V = (W + 5) x 0.12


@pytest.mark.parametrize(
    ("speed_mps", "width_m", "interval_s", "yellow_s", "all_red_s"),
    [
        # 50 km/h: 0.88889 + 25 x 0.072 = 2.68889 -> 3: all of it yellow, and the least all-red.
        (KMH_50, 20.0, 2.688889, 3, 1),
        # 0.88889 + 35 x 0.072 = 3.40889 -> 4
        (KMH_50, 30.0, 3.408889, 4, 1),
        # 0.88889 + 50 x 0.072 = 4.48889 -> 5
        (KMH_50, 45.0, 4.488889, 5, 1),
        # 0.88889 + 65 x 0.072 = 5.56889 -> 6 = 5 + 1
        (KMH_50, 60.0, 5.568889, 5, 1),
        # 0.88889 + 80 x 0.072 = 6.64889 -> 7 = 5 + 2
        (KMH_50, 75.0, 6.648889, 5, 2),
        # 0.88889 + 110 x 0.072 = 8.80889 -> 9, of which 5 + 2 are allowed
        (KMH_50, 105.0, 8.808889, 5, 2),
        # 30 km/h: 0.33333 + 20 x 0.12 = 2.73333 -> 3
        (KMH_30, 15.0, 2.733333, 3, 1),
        # 0.33333 + 25 x 0.12 = 3.33333 -> 4
        (KMH_30, 20.0, 3.333333, 4, 1),
        # 10 m/s: 1.0 + 35/10 - 0.5 = 4.0 exactly, which must not become 5
        (10.0, 30.0, 4.0, 4, 1),
        # 10 m/s: 0.5 + 0.5 + 0.5 = 1.0: never less than 3
        (10.0, 0.0, 1.0, 3, 1),
    ],
)
def test_change_interval(
    speed_mps: float, width_m: float, interval_s: float, yellow_s: int, all_red_s: int
) -> None:
    assert change_interval_s(speed_mps, width_m) == pytest.approx(interval_s, abs=1e-6)
    assert yellow_and_all_red_s(speed_mps, width_m) == (yellow_s, all_red_s)


def test_intervals_stay_in_their_bounds_and_grow_with_the_width() -> None:
    for tenth_mps in range(50, 250, 7):
        totals = []
        for width_m in range(0, 120, 3):
            yellow_s, all_red_s = yellow_and_all_red_s(tenth_mps / 10, float(width_m))
            assert 3 <= yellow_s <= 5
            assert 1 <= all_red_s <= 2
            totals.append(yellow_s + all_red_s)
        assert totals == sorted(totals)


@pytest.mark.parametrize(
    ("length_m", "speed_mps", "walk_s", "clearance_s", "green_s"),
    [
        (32.0, 1.0, 7, 32, 39),  # published example: 32 m -> 39 s
        (15.0, 1.0, 7, 15, 22),  # published example: 15 m -> 22 s
        (15.0, 0.8, 7, 19, 26),  # the same in a school zone: 15 / 0.8 = 18.75 -> 19, 26 s
        (20.0, 0.8, 7, 25, 32),  # 20 / 0.8 = 25 exactly
        (9.6, 1.0, 7, 10, 17),  # a started second counts
        (2.4, 0.8, 7, 3, 10),  # 2.4 / 0.8 is 2.9999999999999996 in binary, 3 in the street
        (8.4, 1.2, 7, 7, 14),  # 8.4 / 1.2 is 7.000000000000001 in binary, 7 in the street
    ],
)
def test_pedestrian_times(
    length_m: float, speed_mps: float, walk_s: int, clearance_s: int, green_s: int
) -> None:
    assert pedestrian_times_s(length_m, speed_mps) == (walk_s, clearance_s)
    assert walk_s + clearance_s == green_s


def test_intergreen_is_clearance_and_all_red() -> None:
    table = TimingTable({"S.through": GroupTiming(7, 4, 2, 180)}, 120, "always")
    assert table.intergreen_s("S.through") == 4 + 2
    assert TimingTable.from_dict(table.to_dict()) == table

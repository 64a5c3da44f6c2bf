"""Capacity, delay and level of service of a signalised approach, in closed form.

The formulas are those of the Korean Highway Capacity Manual (KHCM, 도로용량편람 2013, chapter on
signalised junctions) and of Webster, "Traffic Signal Settings", Road Research Technical Paper 39
(1958). They size the time-of-day plans, and they are the yardstick that the simulator is checked
against.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from signals.errors import InputError

BASE_SATURATION_FLOW_VEH_H: Final = 2200.0
"""Passenger cars per hour of green and lane under ideal conditions (KHCM)."""

HEAVY_VEHICLE_EQUIVALENT: Final = 1.8
"""Passenger cars that one bus or truck is worth in a discharging queue (KHCM)."""

JUNCTION_LOS: Final = (
    (15.0, "A"),
    (30.0, "B"),
    (50.0, "C"),
    (70.0, "D"),
    (100.0, "E"),
    (220.0, "F"),
    (340.0, "FF"),
)
"""Upper bounds of control delay, s/veh, and the level of service (KHCM); above the last: FFF."""

CROSSWALK_LOS: Final = ((15.0, "A"), (30.0, "B"), (45.0, "C"), (60.0, "D"), (90.0, "E"))
"""Upper bounds of pedestrian delay, s, and the level of service (KHCM); above the last: F."""

ARTERIAL_LOS: Final = {
    2: ((60.0, "A"), (46.0, "B"), (33.0, "C"), (25.0, "D"), (18.0, "E"), (10.0, "F"), (6.0, "FF")),
    3: ((49.0, "A"), (39.0, "B"), (29.0, "C"), (20.0, "D"), (12.0, "E"), (8.0, "F"), (5.0, "FF")),
}
"""Lower bounds of mean travel speed, km/h, per arterial type (KHCM); below the last: FFF."""


def _share(name: str, value: float) -> float:
    if not 0.0 <= value <= 1.0:
        raise InputError(f"{name} is {value:g}; allowed: 0 to 1")
    return value


def _positive(name: str, value: float) -> float:
    if not (value > 0.0 and math.isfinite(value)):
        raise InputError(f"{name} is {value:g}; allowed: a finite number above 0")
    return value


def heavy_vehicle_factor(heavy_share: float) -> float:
    """f_HV = 1 / (1 + 0.8 P), P the share of buses and trucks (KHCM)."""
    return 1.0 / (1.0 + (HEAVY_VEHICLE_EQUIVALENT - 1.0) * _share("heavy_share", heavy_share))


def lane_width_factor(width_m: float) -> float:
    """f_w: 0.88 up to 2.6 m, 0.94 up to 2.9 m, 1.0 above (KHCM)."""
    _positive("width_m", width_m)
    if width_m <= 2.6:
        return 0.88
    return 0.94 if width_m <= 2.9 else 1.0


def grade_factor(grade_percent: float) -> float:
    """f_g: 1.0 level and downhill, 0.96 at +3 %, 0.93 at +6 % and above (KHCM), linear between."""
    if grade_percent <= 0.0:
        return 1.0
    if grade_percent <= 3.0:
        return 1.0 - 0.04 * grade_percent / 3.0
    return 0.96 - 0.03 * (min(grade_percent, 6.0) - 3.0) / 3.0


def left_turn_factor(lanes: int, radius_m: float) -> float:
    """f_turn of a protected left turn: 1 / (E1 x radius equivalent).

    E1 is 1.0 for one left-turn lane and 1.05 for two or more; the radius equivalent is 1.14 up to 9
    m and 1.00 above 20 m (KHCM), linear between.
    """
    if lanes < 1:
        raise InputError(f"lanes is {lanes}; allowed: 1 or more")
    _positive("radius_m", radius_m)
    radius = 1.14 - 0.14 * (min(max(radius_m, 9.0), 20.0) - 9.0) / 11.0
    return 1.0 / ((1.0 if lanes == 1 else 1.05) * radius)


def crosswalk_blocking_factor(pedestrians_per_h: float) -> float:
    """f_c, the share of a pedestrian green in which crossing people block right turns (KHCM)."""
    if pedestrians_per_h < 0.0:
        raise InputError(f"pedestrians_per_h is {pedestrians_per_h:g}; allowed: 0 or more")
    for bound, factor in ((500.0, 0.3), (1000.0, 0.6), (2000.0, 0.8), (3000.0, 0.9)):
        if pedestrians_per_h <= bound:
            return factor
    return 1.0


def bus_stop_blocking_s(distance_m: float, *, bay: bool, in_lane_s: float = 10.8) -> float:
    """Green seconds that one stopping bus takes from its lane.

    In the lane 10.8 to 22.8 s by how busy the stop is (`in_lane_s`), in a bay 1.4 s, fading to 0
    when the stop is 75 m from the stop line (KHCM; the fading is taken as linear).
    """
    if distance_m < 0.0:
        raise InputError(f"distance_m is {distance_m:g}; allowed: 0 or more")
    if not 10.8 <= in_lane_s <= 22.8:
        raise InputError(f"in_lane_s is {in_lane_s:g}; allowed: 10.8 to 22.8")
    return (1.4 if bay else in_lane_s) * max(0.0, 1.0 - distance_m / 75.0)


def saturation_flow_veh_h(
    lanes: int = 1,
    *,
    heavy_share: float = 0.0,
    width_m: float = 3.0,
    grade_percent: float = 0.0,
    turn_factor: float = 1.0,
) -> float:
    """S = 2200 N f_turn f_w f_g f_HV, vehicles per hour of green over all `lanes` (KHCM)."""
    if lanes < 1:
        raise InputError(f"lanes is {lanes}; allowed: 1 or more")
    return (
        BASE_SATURATION_FLOW_VEH_H
        * lanes
        * _positive("turn_factor", turn_factor)
        * lane_width_factor(width_m)
        * grade_factor(grade_percent)
        * heavy_vehicle_factor(heavy_share)
    )


def flow_ratio(volume_veh_h: float, saturation_veh_h: float) -> float:
    """The share of time that a lane group needs green, y = v / S."""
    if volume_veh_h < 0.0:
        raise InputError(f"volume_veh_h is {volume_veh_h:g}; allowed: 0 or more")
    return volume_veh_h / _positive("saturation_veh_h", saturation_veh_h)


def critical_flow_ratios(rings: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """The flow ratios of the ring that needs most time between two barriers.

    Args:
        rings: one sequence of flow ratios per ring, the steps between two barriers in order.
    """
    if not rings or not all(rings):
        raise InputError("rings is empty; allowed: at least one ring with at least one flow ratio")
    return tuple(max(rings, key=lambda ring: sum(ring)))


def webster_cycle_s(
    lost_s: float,
    flow_ratio_sum: float,
    *,
    minimum_s: float = 0.0,
    maximum_s: float = 180.0,
) -> float:
    """Webster's optimum cycle C = (1.5 L + 5) / (1 - Y), kept within the bounds.

    At Y >= 1 no cycle can serve the demand and the longest one loses least: `maximum_s`.
    """
    if minimum_s > maximum_s:
        raise InputError(f"minimum_s {minimum_s:g} is above maximum_s {maximum_s:g}")
    if lost_s < 0.0 or flow_ratio_sum < 0.0:
        raise InputError(
            f"lost_s {lost_s:g} and flow_ratio_sum {flow_ratio_sum:g} must be 0 or more"
        )
    if flow_ratio_sum >= 1.0:
        return maximum_s
    return min(max((1.5 * lost_s + 5.0) / (1.0 - flow_ratio_sum), minimum_s), maximum_s)


def splits_s(
    cycle_s: int,
    flow_ratios: Sequence[float],
    minimum_splits_s: Sequence[int],
    lost_s: Sequence[float] | float = 0.0,
) -> tuple[int, ...]:
    """Whole-second splits of a cycle: effective greens proportional to the flow ratios.

    Splits below their minimum are raised to it and the rest is shared again (water-filling);
    fractions go to the largest remainders so that the splits sum to the cycle exactly.

    Args:
        cycle_s: the cycle.
        flow_ratios: critical flow ratio of each phase.
        minimum_splits_s: least split of each phase, its yellow and all-red included.
        lost_s: time of each split that moves nobody.

    Raises:
        InputError: the minimum splits do not fit into the cycle.
    """
    count = len(flow_ratios)
    lost = (
        [float(lost_s)] * count if isinstance(lost_s, int | float) else [float(x) for x in lost_s]
    )
    if not count or len(minimum_splits_s) != count or len(lost) != count:
        raise InputError(
            "flow_ratios, minimum_splits_s and lost_s must have one value for each phase"
        )
    if sum(minimum_splits_s) > cycle_s:
        raise InputError(
            f"cycle {cycle_s} s is shorter than its minimum splits {list(minimum_splits_s)}"
            f" (sum {sum(minimum_splits_s)} s); take a longer cycle"
        )
    # A phase without demand still takes a sliver, so that its share is defined.
    ratios = [max(ratio, 1e-9) for ratio in flow_ratios]
    free = set(range(count))
    exact = [float(minimum) for minimum in minimum_splits_s]
    while free:
        held = sum(exact[i] for i in range(count) if i not in free)
        green = cycle_s - held - sum(lost[i] for i in free)
        weight = sum(ratios[i] for i in free)
        trial = {i: lost[i] + green * ratios[i] / weight for i in free}
        short = {i for i in free if trial[i] < minimum_splits_s[i]}
        if not short:
            for i, value in trial.items():
                exact[i] = value
            break
        free -= short
    else:
        # Every phase sits at its minimum; what is left over goes to the busiest.
        exact[max(range(count), key=lambda i: ratios[i])] += cycle_s - sum(exact)
    whole = [math.floor(value + 1e-9) for value in exact]
    order = sorted(range(count), key=lambda i: (whole[i] - exact[i], i))
    for i in order[: cycle_s - sum(whole)]:
        whole[i] += 1
    return tuple(whole)


def uniform_delay_s(cycle_s: float, green_s: float, saturation_degree: float) -> float:
    """d1 = 0.5 C (1 - g/C)^2 / (1 - min(1, X) g/C), s/veh (KHCM)."""
    share = _share("green_s / cycle_s", green_s / _positive("cycle_s", cycle_s))
    used = min(1.0, saturation_degree) * share
    if used >= 1.0:
        return 0.0
    return 0.5 * cycle_s * (1.0 - share) ** 2 / (1.0 - used)


def incremental_delay_s(
    saturation_degree: float, capacity_veh_h: float, period_h: float = 0.25
) -> float:
    """d2 = 900 t [(X-1) + sqrt((X-1)^2 + 4X/(c t))], s/veh: random arrivals and overflow (KHCM).

    Args:
        saturation_degree: X = v / c.
        capacity_veh_h: c = S g / C of the lane group.
        period_h: t, the length of the analysis period.
    """
    c_t = _positive("capacity_veh_h", capacity_veh_h) * _positive("period_h", period_h)
    over = saturation_degree - 1.0
    return 900.0 * period_h * (over + math.sqrt(over * over + 4.0 * saturation_degree / c_t))


def control_delay_s(
    volume_veh_h: float,
    saturation_veh_h: float,
    cycle_s: float,
    green_s: float,
    *,
    period_h: float = 0.25,
    progression_factor: float = 1.0,
    initial_queue_delay_s: float = 0.0,
) -> float:
    """Control delay d = d1 PF + d2 + d3, s/veh (KHCM). `green_s` is the effective green."""
    capacity = saturation_veh_h * green_s / _positive("cycle_s", cycle_s)
    degree = flow_ratio(volume_veh_h, capacity)
    return (
        uniform_delay_s(cycle_s, green_s, degree) * progression_factor
        + incremental_delay_s(degree, capacity, period_h)
        + initial_queue_delay_s
    )


def crosswalk_delay_s(cycle_s: float, green_s: float) -> float:
    """Mean wait of a person at a crosswalk, (C - g)^2 / 2C (KHCM), for people who arrive evenly."""
    _share("green_s / cycle_s", green_s / _positive("cycle_s", cycle_s))
    return (cycle_s - green_s) ** 2 / (2.0 * cycle_s)


def junction_los(delay_s: float) -> str:
    """Level of service of a junction or approach by control delay (KHCM): A to F, FF, FFF."""
    return next((level for bound, level in JUNCTION_LOS if delay_s <= bound), "FFF")


def crosswalk_los(delay_s: float) -> str:
    """Level of service of a crosswalk by pedestrian delay (KHCM): A to F."""
    return next((level for bound, level in CROSSWALK_LOS if delay_s <= bound), "F")


def arterial_los(speed_kmh: float, arterial_type: int = 2) -> str:
    """Level of service of an arterial by mean travel speed (KHCM), arterial type 2 or 3."""
    if arterial_type not in ARTERIAL_LOS:
        raise InputError(
            f"arterial_type is {arterial_type}; allowed: {', '.join(map(str, ARTERIAL_LOS))}"
        )
    bounds = ARTERIAL_LOS[arterial_type]
    return next((level for bound, level in bounds if speed_kmh >= bound), "FFF")

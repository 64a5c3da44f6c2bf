"""Classical agents against closed forms, brute force and published behaviour; no SUMO.

Queues are fluid and stand at the stop line, the model in which the sources prove their results.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from agents.classical import DegreeOfSaturation, MaxPressure, MaxWave, Sotl, Webster, make
from agents.classical.coordination import Coordination
from agents.classical.cycle import lost_times_s, timing
from agents.classical.profile import Profile
from agents.classical.search import Problem, best_schedule, departures
from agents.classical.stages import stages
from signals import capacity
from signals.guard import Guard
from tests.verification.crossing import (
    SATURATION_VEH_S,
    Crossing,
    crossing,
    measured,
    plan_of,
    seen,
)

# --- The search of schedule_driven -------------------------------------------------------------

CHANGE_S = 4.0


def problem(dice: np.random.Generator, steps: int = 7, phases: int = 2) -> Problem:
    """Random arrivals at a junction whose streams each have a phase, and one has two."""
    streams = phases + 1
    serves = np.zeros((phases, streams), dtype=np.bool_)
    serves[np.arange(phases), np.arange(phases)] = True
    serves[:2, phases] = True  # goes on through the change between the first two
    change_s = np.full((phases, phases), CHANGE_S)
    np.fill_diagonal(change_s, 0.0)
    return Problem(
        step_s=5.0,
        serves=serves,
        saturation_veh_s=dice.uniform(0.4, 1.5, streams),
        change_s=change_s,
        stay_s=np.full((phases, phases), 5.0),
        room=np.full(streams, 1e9),
        blocks=np.zeros((streams, streams)),
        most_s=np.full(phases, 1e9),
        due_s=1e9,
        queue=dice.uniform(0.0, 8.0, streams),
        arrivals=dice.poisson(1.5, (steps, streams)).astype(float),
        phase=0,
        bound_s=0.0,
        until_green_s=np.zeros(streams),
        open=np.ones(phases, dtype=np.bool_),
        follows=~np.eye(phases, dtype=np.bool_),
        tail_s=20.0,
    )


def cost(given: Problem, path: tuple[int, ...]) -> float:
    """Delay of a schedule, one vehicle queue after the other; inf of one that breaks the law."""
    total = 0.0
    horizon_s = len(path) * given.step_s
    phase, changed_s, free_s = given.phase, None, given.bound_s
    green_s = given.until_green_s.copy()
    queue = given.queue.copy()
    for step, wish in enumerate(path):
        now_s = step * given.step_s
        if wish != phase:
            if now_s < free_s:
                return float("inf")
            changed_s = now_s + given.change_s[phase, wish]
            for stream in range(len(queue)):
                if given.serves[wish, stream] and not given.serves[phase, stream]:
                    green_s[stream] = changed_s
            free_s = changed_s + given.stay_s[phase, wish]
            phase = wish
        for stream in range(len(queue)):
            open_s = 0.0
            if given.serves[phase, stream]:
                open_s = min(max(now_s + given.step_s - green_s[stream], 0.0), given.step_s)
            able = given.saturation_veh_s[stream] * open_s
            after = max(queue[stream] + given.arrivals[step, stream] - able, 0.0)
            total += given.step_s * (queue[stream] + after) / 2.0
            queue[stream] = after
    for stream, left in enumerate(queue):
        wait_s = given.tail_s
        if given.serves[phase, stream]:
            wait_s = max(green_s[stream] - horizon_s, 0.0)
        total += left * (wait_s + left / given.saturation_veh_s[stream] / 2.0)
    return total


@pytest.mark.parametrize("phases", [2, 3])
@pytest.mark.parametrize("seed", range(12))
def test_the_search_finds_the_brute_force_optimum(seed: int, phases: int) -> None:
    given = problem(np.random.default_rng(seed), steps=7, phases=phases)
    everything = itertools.product(range(phases), repeat=len(given.arrivals))
    best = min(cost(given, path) for path in everything)
    found = best_schedule(given, width=10_000)
    assert found.cost_veh_s == pytest.approx(best, rel=1e-9)
    assert cost(given, found.phases) == pytest.approx(best, rel=1e-9)
    assert found.first == found.phases[0]


@pytest.mark.parametrize("seed", range(6))
def test_a_bounded_search_is_never_better_and_seldom_much_worse(seed: int) -> None:
    given = problem(np.random.default_rng(seed), steps=9, phases=3)
    best = best_schedule(given, width=100_000).cost_veh_s
    bounded = best_schedule(given, width=8)
    assert best - 1e-9 <= bounded.cost_veh_s <= 1.1 * best
    assert cost(given, bounded.phases) == pytest.approx(bounded.cost_veh_s)


def test_the_search_keeps_minimum_green_order_and_longest_time() -> None:
    given = problem(np.random.default_rng(3), steps=12, phases=3)
    follows = np.roll(np.eye(3, dtype=np.bool_), 1, axis=1)  # 0, 1, 2, 0
    found = best_schedule(
        replace(
            given,
            follows=follows,
            bound_s=10.0,
            open=np.array([True, False, False]),
            most_s=np.full(3, 20.0),
            due_s=15.0,
        ),
        50,
    )
    runs = [(phase, len(list(group))) for phase, group in itertools.groupby(found.phases)]
    for (before, _), (after, _) in itertools.pairwise(runs):
        assert after == (before + 1) % 3
    assert runs[0][0] == 0 and 2 <= runs[0][1] <= 3
    assert all(2 <= steps <= 4 for _, steps in runs[1:-1])


def test_promised_departures_are_what_leaves_the_queues() -> None:
    given = problem(np.random.default_rng(5))
    found = best_schedule(given, 50)
    left = departures(given, found.phases)
    assert (left >= 0.0).all()
    assert (left <= given.saturation_veh_s * given.step_s + 1e-9).all()
    came = given.queue + given.arrivals.sum(axis=0)
    assert (left.sum(axis=0) <= came + 1e-9).all()
    assert left.sum() > 0.0


def test_a_full_pocket_is_served_before_it_blocks_the_street() -> None:
    """Without room in mind a short queue waits; a pocket that would block the street does not."""
    given = replace(
        problem(np.random.default_rng(1), steps=12),
        serves=np.array([[True, False], [False, True]]),
        saturation_veh_s=np.array([1.5, 0.5]),
        queue=np.array([15.0, 5.0]),
        arrivals=np.tile([4.0, 0.5], (12, 1)),
        until_green_s=np.zeros(2),
        room=np.array([1e9, 4.0]),
        blocks=np.zeros((2, 2)),
    )
    free = best_schedule(given, 500)
    blocks = np.zeros((2, 2))
    blocks[1, 0] = 0.5
    blocked = best_schedule(replace(given, blocks=blocks), 500)

    def served_by(path: tuple[int, ...]) -> int:
        return path.index(1) if 1 in path else len(path)

    assert served_by(blocked.phases) < served_by(free.phases)


# --- Equal degrees of saturation -----------------------------------------------------------------


def test_splits_from_measured_saturation_converge_to_websters() -> None:
    """Constant flows: measuring X = y C / g and sharing again gives g proportional to y."""
    flows = np.array([0.30, 0.12, 0.22, 0.08])
    lost_s, shortest_s = [4.0] * 4, [8] * 4
    cycle_s = 120
    splits = [30, 30, 30, 30]
    for _ in range(20):
        greens = np.array(splits) - np.array(lost_s)
        degrees = flows * cycle_s / greens
        ratios = degrees * greens / cycle_s
        least = [max(s, split - 6) for s, split in zip(shortest_s, splits, strict=True)]
        splits = list(capacity.splits_s(cycle_s, ratios.tolist(), least, lost_s))
    greens = np.array(splits) - np.array(lost_s)
    degrees = flows * cycle_s / greens
    assert degrees.max() / degrees.min() < 1.08  # whole seconds
    websters = flows / flows.sum() * (cycle_s - sum(lost_s))
    assert np.abs(greens - websters).max() <= 1.0


@pytest.mark.parametrize("goal", [0.7, 0.8, 0.9])
def test_the_cycle_is_the_shortest_that_keeps_the_goal(goal: float) -> None:
    """Without minimum splits the closed form is C = L / (1 - Y / goal)."""
    ratios, lost_s = [0.2, 0.15, 0.2], [4.0, 4.0, 4.0]
    cycle_s, splits = timing(
        ratios, [5, 5, 5], lost_s, least_cycle_s=20, most_cycle_s=300, goal=goal
    )
    exact = sum(lost_s) / (1.0 - sum(ratios) / goal)
    assert exact <= cycle_s + 1e-9 and cycle_s <= exact + 12.0  # splits are whole seconds
    assert sum(splits) == cycle_s


@pytest.mark.parametrize(
    "flows", [[0.22, 0.11], [0.13, 0.13, 0.08], [0.14, 0.07, 0.08, 0.06]], ids=len
)
def test_degree_of_saturation_ends_with_websters_splits(flows: list[float]) -> None:
    """The agent under a real guard, queues fluid: all streets end equally saturated."""
    junction = crossing(len(flows))
    agent = DegreeOfSaturation(junction, plan_of(junction), goal=0.8)
    place = Crossing(junction, agent, flows)
    for _ in range(7200):
        place.second()
    needs = np.array(flows) / SATURATION_VEH_S
    greens = np.array(agent.splits_s) - np.array(agent._lost_s)
    degrees = needs * sum(agent.splits_s) / greens
    assert degrees.max() / degrees.min() < 1.2  # whole seconds of short greens
    assert 0.65 < degrees.mean() < 0.95
    share = needs / needs.sum() * greens.sum()
    assert np.abs(greens - share).max() <= 2.0
    assert place.queue.max() < 25.0


def test_degree_of_saturation_moves_a_little_each_cycle() -> None:
    junction = crossing(2)
    agent = DegreeOfSaturation(junction, plan_of(junction, 40), step_s=5)
    place = Crossing(junction, agent, [0.3, 0.02])
    before = list(agent.splits_s)
    for _ in range(3600):
        place.second()
        if agent.splits_s != before:
            assert all(new >= old - 5 for new, old in zip(agent.splits_s, before, strict=True))
            assert abs(sum(agent.splits_s) - sum(before)) <= 5
            before = list(agent.splits_s)
    assert agent.splits_s[0] > 2 * agent.splits_s[1]


@pytest.mark.parametrize(
    "flows", [[0.22, 0.11], [0.13, 0.13, 0.08], [0.14, 0.07, 0.08, 0.06]], ids=len
)
def test_webster_shares_green_by_flow_ratios(flows: list[float]) -> None:
    """Counted volumes give Webster's shares, though every queue fills its zone at red."""
    junction = crossing(len(flows))
    agent = Webster(junction, plan_of(junction, 40))
    place = Crossing(junction, agent, flows)
    for _ in range(7200):
        place.second()
    lost_s = lost_times_s(junction, stages(junction, plan_of(junction, 40)))
    greens = np.array(agent.splits_s) - np.array(lost_s)
    share = np.array(flows) / sum(flows) * greens.sum()
    assert np.abs(greens - share).max() <= 0.05 * agent.cycle_s
    assert place.queue.max() < 25.0


def test_webster_sees_that_counts_hide_demand_only_where_queues_outlast_green() -> None:
    """One street gets half of what comes and empties at its own saturation flow."""
    junction = crossing(2)
    flows = [0.36, 0.07]
    agent = Webster(junction, plan_of(junction, 60), max_cycle_s=120)
    by_manual = agent.saturation_veh_h.copy()
    place = Crossing(junction, agent, flows)
    filled_at_red = False
    for _ in range(600):
        place.second()
        filled_at_red |= bool(place.queue[1] > 50 / 7.5)
    assert filled_at_red
    assert agent.outlasting[0] > 0.5
    assert agent.outlasting[1] == 0.0
    assert agent.saturation_veh_h[0] < 0.5 * (by_manual[0] + 3600 * SATURATION_VEH_S)
    assert agent.saturation_veh_h[1] == by_manual[1]
    for _ in range(3000):
        place.second()
    assert agent.splits_s[0] > 3 * agent.splits_s[1]
    assert place.queue[0] < 25.0


@pytest.mark.parametrize(("given_s", "longest_s"), [(0, 160), (100, 100)])
def test_webster_keeps_the_longest_cycle_that_it_was_given(given_s: int, longest_s: int) -> None:
    """Saturated streets want the longest: the plan's 160 s by default, else what was said."""
    junction = crossing(4)
    agent = Webster(junction, plan_of(junction, 40), max_cycle_s=given_s)
    place = Crossing(junction, agent, [0.14, 0.12, 0.12, 0.12])
    for _ in range(3600):
        place.second()
    assert agent.cycle_s == longest_s


# --- Max pressure on a store-and-forward model ---------------------------------------------------


def run_store(demand: np.ndarray, policy: str, steps: int = 6000) -> np.ndarray:
    """Total queue over time of two junctions in a row, after Varaiya (2013).

    The first street of the first junction feeds the first of the second; the others cross. A step
    serves one phase of each at the saturation flow. The rule is that of the agent, without a bonus
    for the present phase.
    """
    dice = np.random.default_rng(1)
    places = [crossing(2, "a"), crossing(2, "b")]
    agents = [MaxPressure(place, plan_of(place), bonus=0.0) for place in places]
    states = [Guard(place).start(0) for place in places]
    queue, totals = np.zeros((2, 2)), np.zeros(steps)
    mask = np.ones(2, dtype=np.float32)
    for step in range(steps):
        served = np.zeros((2, 2))
        for index, agent in enumerate(agents):
            phase = 0 if step % 10 < 5 else 1  # a fixed split: half the time each
            if policy == "max_pressure":
                ahead = np.array([queue[1, 0] if index == 0 else 0.0, 0.0])
                found = measured(2, near=queue[index], near_stopped=queue[index],
                                 exit_stopped=ahead)  # fmt: skip
                phase = agent.decide(seen(places[index], states[index], mask, found, 0.0), 0.0)
            served[index, phase] = min(queue[index, phase], SATURATION_VEH_S)
        queue = queue - served + dice.poisson(demand)
        queue[1, 0] += served[0, 0]
        totals[step] = queue.sum()
    return totals


INSIDE = np.array([[0.33, 0.12], [0.0, 0.12]])
"""(0.33 + 0.12) / 0.5 = 0.9 of what either junction can serve: inside the stability region, and
beyond the half of the time that the fixed split gives the street."""
OUTSIDE = np.array([[0.46, 0.14], [0.0, 0.12]])


def growth(totals: np.ndarray) -> float:
    """Vehicles a step in the second half."""
    half = len(totals) // 2
    return float(np.polyfit(np.arange(half), totals[half:], 1)[0])


def test_max_pressure_keeps_queues_bounded_inside_the_stability_region() -> None:
    totals = run_store(INSIDE, "max_pressure")
    assert totals[len(totals) // 2 :].max() < 100.0
    assert abs(growth(totals)) < 0.01


def test_a_fixed_split_does_not_there() -> None:
    """It serves the street 0.25 a step of the 0.33 that come: 0.08 a step are left over."""
    assert growth(run_store(INSIDE, "fixed")) == pytest.approx(0.08, abs=0.03)


def test_outside_the_region_nothing_helps() -> None:
    """0.6 a step come where 0.5 can be served."""
    assert growth(run_store(OUTSIDE, "max_pressure")) > 0.07


# --- Simple cases --------------------------------------------------------------------------------


def test_max_wave_takes_the_fullest_and_keeps_it_for_its_bonus() -> None:
    junction = crossing(3)
    state, mask = Guard(junction).start(0), np.ones(3, dtype=np.float32)

    def choice(counts: list[float], bonus: float, closed: int | None = None) -> int:
        agent = MaxWave(junction, plan_of(junction), bonus=bonus)
        open_ = mask.copy()
        if closed is not None:
            open_[closed] = 0.0
        found = measured(3, near=np.array(counts))
        return agent.decide(seen(junction, state, open_, found, 0.0), 0.0)

    assert choice([4.0, 6.0, 9.0], bonus=0.0) == 2
    assert choice([4.0, 6.0, 9.0], bonus=0.0, closed=2) == 1
    assert choice([5.0, 6.0, 9.0], bonus=1.0) == 0
    assert choice([4.0, 6.0, 9.0], bonus=1.0) == 2


@pytest.mark.parametrize("waiting", [2.0, 4.0, 8.0])
def test_sotl_changes_when_enough_vehicle_seconds_have_gathered(waiting: float) -> None:
    """n vehicles that stand at red ask for their green after threshold / n seconds."""
    junction = crossing(2)
    agent = Sotl(junction, plan_of(junction), threshold_veh_s=80.0, platoon_veh=1.0)
    guard = Guard(junction)
    state = guard.start(0)
    for _ in range(30):
        state, _ = guard.tick(state, 0)
    mask = np.ones(2, dtype=np.float32)
    found = measured(2, near=np.array([4.0, waiting]), near_stopped=np.array([0.0, waiting]))
    wishes = [agent.decide(seen(junction, state, mask, found, t), t) for t in range(60)]
    assert wishes.index(1) == pytest.approx(80.0 / waiting, abs=1)


def test_sotl_lets_the_tail_of_a_platoon_pass_and_gives_up_an_empty_green() -> None:
    junction = crossing(2)
    guard = Guard(junction)
    state = guard.start(0)
    for _ in range(30):
        state, _ = guard.tick(state, 0)
    mask = np.ones(2, dtype=np.float32)

    def wish(near: list[float], after_s: int) -> int:
        agent = Sotl(junction, plan_of(junction), threshold_veh_s=80.0, platoon_veh=2.0)
        for second in range(after_s):
            found = measured(2, near=np.array(near), near_stopped=np.array([0.0, near[1]]))
            phase = agent.decide(seen(junction, state, mask, found, second), second)
        return phase

    assert wish([2.0, 5.0], 60) == 0  # a tail of two
    assert wish([3.0, 5.0], 60) == 1  # more than a tail may be cut
    assert wish([0.0, 1.0], 2) == 1  # nobody comes to the green
    assert wish([0.0, 0.0], 60) == 0  # and nobody waits


@pytest.mark.parametrize(
    "name", ["schedule_driven", "degree_of_saturation", "sotl", "max_wave", "actuated"]
)
def test_demand_within_capacity_is_carried(name: str) -> None:
    """Two streets at 0.8 of what any cycle of 60 s can serve: queues stay bounded."""
    junction = crossing(2)
    place = Crossing(junction, make(name, junction, plan_of(junction)), [0.22, 0.11])
    for _ in range(2400):
        place.second()
    assert place.queue.max() < 20.0
    assert {0, 1} == set(place.phases[-300:])


# --- Green waves ---------------------------------------------------------------------------------


class OneStream:
    """A street of two lanes, in place of a junction's streams."""

    rows = np.array([0])
    saturation_veh_s = np.array([1.0])

    def __len__(self) -> int:
        return 1


@pytest.mark.parametrize(("distance_m", "speed_mps", "cycle_s"), [(320, 13.9, 80), (560, 11.1, 90)])
def test_offsets_of_distance_over_speed_give_arrivals_on_green(
    distance_m: float, speed_mps: float, cycle_s: int
) -> None:
    """Time and space: who leaves at green upstream meets green downstream, and nowhere else."""
    green_s = 30
    for second in range(green_s):
        arrival_s = second + distance_m / speed_mps
        good = (arrival_s - distance_m / speed_mps) % cycle_s
        assert good < green_s
        bad = (arrival_s - distance_m / speed_mps - cycle_s / 2) % cycle_s
        assert bad >= green_s


@pytest.mark.parametrize("late_s", [-28, -12, 16, 32])
def test_the_offset_moves_towards_the_platoon(late_s: int) -> None:
    """A platoon of 20 s comes each cycle; from any offset the steps lead to its green."""
    cycle_s, green_s, step_s = 90, 30, 4
    profile = Profile(OneStream(), np.array([150.0]))  # type: ignore[arg-type]
    platoon = np.zeros((cycle_s, 1))
    platoon[30:50] = 0.9
    offset_s = 30.0 - late_s
    served = np.array([True])
    costs = []
    for _ in range(20):
        # What comes is seen from the cycle's own begin, one second before it reaches the line.
        seen = np.roll(platoon, -round(offset_s), axis=0)
        profile.arrivals = seen.copy()
        profile._entered.clear()
        profile._entered.extend(np.concatenate((seen, seen[:1])))
        windows = [(served, 0.0, float(green_s)), (~served, float(green_s), float(cycle_s))]
        costs.append(profile._delay(seen, windows, 0))
        offset_s += step_s * profile.better_shift(step_s, windows, cycle_s)
    assert costs[-1] < 0.1 * costs[0] + 1.0
    position_s = (30.0 - offset_s) % cycle_s
    assert position_s <= green_s - 20 + step_s or position_s >= cycle_s - step_s


def test_coordinated_junctions_keep_one_cycle_and_their_offsets() -> None:
    wanted = [100, 120]
    group = Coordination([lambda: wanted[0], lambda: wanted[1]])
    first = group.start(28_800.0, 110, 0.0)
    second = group.start(28_800.0, 110, 40.0)
    assert group.begin_s(first) <= 28_800.0 < group.begin_s(first + 1)
    assert group.begin_s(second) + 40.0 <= 28_800.0 < group.begin_s(second + 1) + 40.0
    number = first + 3
    begin_s = group.begin_s(number)
    assert group.begin_s(number + 1) - begin_s == 120  # the longest that anybody asks for
    wanted[1] = 90
    assert group.begin_s(number + 2) - group.begin_s(number + 1) == 100
    assert group.begin_s(number) == begin_s  # what is settled stays

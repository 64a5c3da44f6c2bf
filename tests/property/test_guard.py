"""Nothing that is wished gets unlawful lights out of the guard."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from signals.errors import ContractError
from signals.guard import Guard
from signals.lights import CLEARANCE, GREEN, GuardState
from tests.independent.lights import summary
from tests.property.driving import Case, Driver, drive, in_turn, starving

MODERATE = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)

_invalid = st.sampled_from([-1, -100, 99, 10**9, None, "1", 2.0])
_segment = st.tuples(
    st.one_of(st.integers(0, 7), st.just("hold"), st.just("any"), _invalid), st.integers(1, 60)
)
# Picks the case, the first phase and the starved group.
_which = st.integers(0, 2**12)
_wishes = st.lists(_segment, min_size=1, max_size=25)
_calling = st.tuples(st.integers(0, 2**16), st.sampled_from([0.0, 0.01, 0.1, 1.0]))


def _driver(segments: list[tuple[Any, int]], seed: int) -> tuple[Driver, int]:
    """Each wish for its seconds; "any" takes a random phase every second."""
    dice = random.Random(seed)
    wishes = [wish for wish, seconds in segments for _ in range(seconds)]

    def wish(guard: Guard, state: GuardState, second: int) -> Any:
        given_wish = wishes[second - 1]
        if given_wish == "hold":
            return state.phase
        if given_wish == "any":
            return dice.randrange(len(guard.junction.phases))
        return given_wish

    return wish, len(wishes)


def _caller(case: Case, seed: int, share: float) -> Any:
    dice = random.Random(seed)
    walkers = [group.id for group in case.junction.groups if group.kind == "pedestrian"]
    return lambda second: [group for group in walkers if dice.random() < share]


def _judge(case: Case, lights: list[tuple[int, str]], calls: list[tuple[int, int]]) -> None:
    violations = case.checker.check(lights, calls)
    assert not violations, (case.name, summary(violations), violations[:5])


@MODERATE
@given(which=_which, segments=_wishes, calling=_calling)
def test_no_wish_gets_unlawful_lights(
    cases: list[Case], which: int, segments: list[tuple[Any, int]], calling: Any
) -> None:
    case = cases[which % len(cases)]
    start = which // 7 % len(case.junction.phases)
    driver, seconds = _driver(segments, calling[0])
    lights, calls = drive(case.guard, driver, seconds, start=start, calls=_caller(case, *calling))
    _judge(case, lights, calls)


@settings(MODERATE, max_examples=40)
@given(which=_which, seed=st.integers(0, 2**16), share=st.sampled_from([0.002, 0.02, 0.3, 1.0]))
def test_no_group_is_starved(cases: list[Case], which: int, seed: int, share: float) -> None:
    case = cases[which % len(cases)]
    group = case.junction.groups[which // 11 % len(case.junction.groups)].id
    start = which // 7 % len(case.junction.phases)
    lights, calls = drive(
        case.guard, starving(group, seed), 700, start=start, calls=_caller(case, seed, share)
    )
    _judge(case, lights, calls)


def _stay(guard: Guard, state: GuardState, second: int) -> int:
    return state.phase


def test_long_hostile_runs(cases: list[Case]) -> None:
    for case in cases:
        for driver in (in_turn(1), in_turn(3), in_turn(13), _stay):
            lights, calls = drive(case.guard, driver, 1500, calls=_caller(case, 1, 0.05))
            _judge(case, lights, calls)


def test_each_phase_is_reached(cases: list[Case]) -> None:
    """The lights are lawful because they obey, not because they stand still."""
    for case in cases:
        if min(row.max_red_s for row in case.junction.timing.groups.values()) < 200:
            continue
        for target in range(len(case.junction.phases)):
            state, reached = case.guard.start(0 if target else 1), False
            for second in range(60):
                state, _ = case.guard.tick(state, target if second >= 5 else state.phase)
                reached |= state.phase == target and state.held_s > 0
            assert reached, (case.name, target)


@settings(MODERATE, max_examples=25)
@given(which=_which, seed=st.integers(0, 2**16), seconds=st.integers(1, 250))
def test_options_tell_the_truth(cases: list[Case], which: int, seed: int, seconds: int) -> None:
    """A wish is granted exactly when the mask says so, and something is always allowed."""
    case = cases[which % len(cases)]
    dice = random.Random(seed)
    guard, count = case.guard, len(case.junction.phases)
    state = guard.start(dice.randrange(count))
    for _ in range(seconds):
        options = guard.options(state)
        assert len(options.mask) == count and any(options.mask)
        assert options.mask[options.fallback]
        for wish in range(count):
            verdict = guard.tick(state, wish)[1]
            assert verdict.granted == options.mask[wish]
            assert verdict.phase == (wish if verdict.granted else options.fallback)
            if verdict.granted:
                assert verdict.reason == ("kept" if wish == state.phase else "changed")
            else:
                assert verdict.reason == options.reason
        state, _ = guard.tick(state, dice.randrange(count))


@pytest.mark.parametrize("wish", [-1, 8, 10**9, None, "0", 0.0, float("nan"), [0]])
def test_nonsense_is_refused(cases: list[Case], wish: Any) -> None:
    guard = cases[0].guard
    state = guard.start(0)
    for _ in range(40):
        fallback = guard.options(state).fallback
        state, verdict = guard.tick(state, wish)
        assert (verdict.phase, verdict.granted, verdict.reason) == (fallback, False, "invalid")


@settings(MODERATE, max_examples=25)
@given(which=_which, segments=_wishes, seed=st.integers(0, 2**16))
def test_state_round_trip_and_purity(
    cases: list[Case], which: int, segments: list[tuple[Any, int]], seed: int
) -> None:
    case = cases[which % len(cases)]
    driver, seconds = _driver(segments[:6], seed)
    caller = _caller(case, seed, 0.05)
    twin = Guard(case.junction)
    state = case.guard.start(0)
    for second in range(1, seconds + 1):
        before = state.to_dict()
        sent = GuardState.from_dict(json.loads(json.dumps(before)), case.junction)
        assert sent == state
        wish, calls = driver(case.guard, state, second), frozenset(caller(second))
        after = case.guard.tick(state, wish, calls)
        assert case.guard.tick(state, wish, calls) == after
        assert twin.tick(sent, wish, calls) == after
        assert state.to_dict() == before
        assert twin.lights(after[0]) == case.guard.lights(after[0])
        state = after[0]


def _named(cases: list[Case], name: str) -> Case:
    return next(case for case in cases if case.name == name)


def test_a_crosswalk_that_stays_in_its_phases_is_walked_in_time(cases: list[Case]) -> None:
    """Phases that share a crosswalk follow one another; its red must still not grow."""
    case = _named(cases, "three arms, impatient walkers")
    for seed in range(20):
        dice = random.Random(seed)
        phases = [dice.randrange(len(case.junction.phases)) for _ in range(1000)]
        lights, _ = drive(case.guard, lambda guard, state, second: phases[second % 1000], 1000)  # noqa: B023
        _judge(case, lights, [])


def test_a_late_call_does_not_lock_an_all_pedestrian_phase(cases: list[Case]) -> None:
    """The call comes when the others can wait no longer: it keeps its turn for the next visit."""
    case = _named(cases, "three arms, on call")
    junction, guard = case.junction, case.guard
    vehicles = {group.id for group in junction.groups if group.kind == "vehicle"}
    walk = next(phase for phase in junction.phases if not vehicles & set(phase.groups))
    for late in range(1, 40):
        state = guard.start(0)
        lights, calls = [(0, guard.lights(state))], []
        begun = 0
        for second in range(1, 500):
            pressed = set()
            if second == 40:
                pressed = {walk.groups[-1]}
            begun += state.phase == walk.index
            if begun == late:
                pressed = {walk.groups[0]}
            state, _ = guard.tick(state, walk.index if 40 < second else 1, pressed)
            lights.append((second, guard.lights(state)))
            if pressed:
                links = junction.groups[junction.group_index[min(pressed)]].links
                calls += [(second, link) for link in links]
        _judge(case, lights, calls)


def test_a_call_during_flashing_green_is_kept(cases: list[Case]) -> None:
    """Who arrives too late to start presses once, and walks at the next visit."""
    case = _named(cases, "four arms, on call")
    walker = case.junction.group_index["N.ped-1"]
    state = case.guard.start(2)
    state, _ = case.guard.tick(state, 2, {"N.ped-1"})
    while state.indications[walker] != CLEARANCE:
        state, _ = case.guard.tick(state, 2)
    state, _ = case.guard.tick(state, 2, {"N.ped-1"})
    assert state.indications[walker] == CLEARANCE
    greens = 0
    for second in range(400):
        state, _ = case.guard.tick(state, 2 if second // 60 % 2 == 0 else 3)
        greens += state.indications[walker] == GREEN
    assert greens == 7


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"phase": 99}, "is in phase 99"),
        ({"phase": -1}, "is in phase -1"),
        ({"indications": [3]}, "signal groups"),
        ({"served": None}, "not a controller state"),
        ({"held_s": "soon"}, "not a controller state"),
    ],
)
def test_foreign_state_is_refused(cases: list[Case], change: dict[str, Any], said: str) -> None:
    case = cases[0]
    data = {**case.guard.start(0).to_dict(), **change}
    with pytest.raises(ContractError, match=said):
        GuardState.from_dict(data, case.junction)


def test_foreign_indication_is_refused(cases: list[Case]) -> None:
    case = cases[0]
    data = case.guard.start(0).to_dict()
    data["indications"][0] = 5
    with pytest.raises(ContractError, match="indications"):
        GuardState.from_dict(data, case.junction)


def test_the_guards_own_states_never_contradict_themselves(cases: list[Case]) -> None:
    for case in cases:
        guard, dice = Guard(case.junction), random.Random(4)
        state = guard.start(0)
        for _ in range(400):
            state, _verdict = guard.tick(state, dice.randrange(len(case.junction.phases)))
            assert guard.contradiction(state) == ""


def test_states_the_guard_could_not_show_are_named(cases: list[Case]) -> None:
    junction = next(case.junction for case in cases if case.junction.conflicts)
    guard = Guard(junction)
    state = guard.start(0)
    size = len(junction.groups)
    everything_green = replace(state, indications=(GREEN,) * size)
    assert "conflict" in guard.contradiction(everything_green)
    stranger = next(
        index
        for index, group in enumerate(junction.groups)
        if group.id not in junction.phases[0].groups
    )
    lights = list(state.indications)
    lights[stranger] = GREEN
    assert "not part of phase" in guard.contradiction(replace(state, indications=tuple(lights)))


@pytest.mark.parametrize("every_s", [1, 9, 31])
def test_quiet_seconds_only_count_on(cases: list[Case], every_s: int) -> None:
    """What `quiet_s` promises, the ticks one by one give, state by state."""
    for case in cases:
        guard, dice = Guard(case.junction), random.Random(every_s)
        state = guard.start(0)
        names = [group.id for group in case.junction.groups if group.kind == "pedestrian"]
        quiet = most = wish = 0
        for second in range(1500):
            if second % every_s == 0:
                wish = dice.randrange(len(case.junction.phases))
            promised = guard.quiet_s(state)
            options, steady = guard.steady_options(state)
            most = max(most, promised)
            quiet += promised > 0
            ahead = state
            for seconds in range(1, promised + 1):
                ahead, verdict = guard.tick(ahead, state.phase)
                assert ahead == guard.counted(state, seconds), case.name
                if seconds <= steady:
                    assert guard.options(ahead) == options, case.name
                assert (verdict.granted, verdict.reason) == (True, "kept"), case.name
                assert ahead.indications == state.indications, case.name
            calls = frozenset(name for name in names if dice.random() < 0.02)
            state, _ = guard.tick(state, wish, calls)
        assert quiet > (500 if every_s > 1 else 50), case.name
        assert most >= 3, case.name

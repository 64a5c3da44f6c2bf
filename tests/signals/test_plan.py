"""Time-of-day plans: clock to phase, every refusal, and the guard following one exactly."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from signals.errors import PlanError
from signals.guard import Guard
from signals.junction import Junction, Phase, SignalGroup
from signals.lights import GREEN
from signals.netreader import read_junction
from signals.plan import Plan, RingStep
from signals.timing import GroupTiming, TimingRules, TimingTable

VEHICLES = ("E.left", "E.through", "N.left", "N.through")


def _junction(walker: str = "N.ped") -> Junction:
    """Two arms that cross, with left turns and a crosswalk; built without a net."""
    groups = tuple(
        SignalGroup(group, "pedestrian" if group == walker else "vehicle", (link,), ())
        for link, group in enumerate((*VEHICLES, walker))
    )
    timing = {group: GroupTiming(7, 4, 1, 200) for group in VEHICLES}
    timing[walker] = GroupTiming(7, 12, 1, 200)
    return Junction(
        id="J",
        lanes=(),
        movements=(),
        groups=groups,
        phases=(
            Phase(0, "north", ("N.left", "N.through")),
            Phase(1, "east", ("E.left", "E.through", walker)),
            Phase(2, "east through", ("E.through", walker)),
        ),
        conflicts=(
            *(("E.left", foe) for foe in ("N.left", "N.through")),
            *(("E.through", foe) for foe in ("N.left", "N.through")),
            *((foe, walker) for foe in ("N.left", "N.through")),
        ),
        link_green="GGGGG",
        link_red="rrrrr",
        timing=TimingTable(timing, 120, "always"),
    )


def _plan(north_s: int = 50, left_s: int = 20, through_s: int = 30, **changes: object) -> Plan:
    """Ring A: north, then east with its crosswalk; ring B: the left turns."""
    plan = Plan(
        name="am",
        cycle_s=north_s + left_s + through_s,
        offset_s=0,
        ring_a=(
            RingStep(("N.through",), north_s),
            RingStep(("E.through", "N.ped"), left_s + through_s),
        ),
        ring_b=(
            RingStep(("N.left",), north_s),
            RingStep(("E.left",), left_s),
            RingStep((), through_s),
        ),
    )
    return replace(plan, **changes)


@pytest.mark.parametrize(
    ("offset_s", "clock_s", "phase"),
    [
        (0, 0, 0),
        (0, 49, 0),
        (0, 50, 1),
        (0, 69.5, 1),
        (0, 70, 2),
        (0, 99, 2),
        (0, 100, 0),
        # 08:00 is second 28800 = 288 cycles of 100 s; with offset 30 it is position 70.
        (0, 28_800, 0),
        (30, 28_800, 2),
        (30, 28_829, 2),
        (30, 28_830, 0),
        (30, 28_880, 1),
        # Before the offset the position counts from the end of the cycle.
        (30, 0, 2),
        (80, 0, 0),
        (80, 29, 0),
        (80, 30, 1),
        (80, 86_399, 0),
    ],
)
def test_wish_at_clock_times(offset_s: int, clock_s: float, phase: int) -> None:
    assert _plan(offset_s=offset_s).wish(_junction(), clock_s) == phase


def test_steps_merge_the_rings() -> None:
    assert _plan().steps == (
        (frozenset({"N.left", "N.through"}), 50),
        (frozenset({"E.left", "E.through", "N.ped"}), 20),
        (frozenset({"E.through", "N.ped"}), 30),
    )


def test_sound_plan_is_accepted() -> None:
    _plan().validate(_junction())


def test_plan_round_trip() -> None:
    plan = _plan(offset_s=17)
    assert Plan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (_plan(cycle_s=101), "ring A sum to 100 s, the cycle is 101 s"),
        (_plan(ring_b=(RingStep(("N.left",), 50),)), "ring B sum to 50 s, the cycle is 100 s"),
        (
            _plan(ring_b=(RingStep(("N.lift",), 50), RingStep(("E.left",), 50))),
            "unknown signal group 'N.lift'; allowed: E.left",
        ),
        (
            _plan(ring_b=(RingStep(("E.left",), 50), RingStep(("N.left",), 50))),
            "serves E.left, N.through together, which is no phase of junction J",
        ),
        (
            _plan(ring_b=(RingStep(("N.left",), 50), RingStep((), 50))),
            "never serves E.left; give it a step",
        ),
        # Intergreen 4 + 1 and minimum green 7.
        (_plan(north_s=11), "N.left gets 11 s, needs 12 s"),
        # The turn of E.left is its own 11 s, though E.through stays on.
        (_plan(left_s=11), "E.left gets 11 s, needs 12 s"),
        # Intergreen 5, walk 7 and flashing 12 are 24 s; the crosswalk has 12 + 11 = 23.
        (_plan(left_s=12, through_s=11), "N.ped gets 23 s, needs 24 s"),
    ],
)
def test_refused_plans(plan: Plan, said: str) -> None:
    with pytest.raises(PlanError, match=said) as caught:
        plan.validate(_junction())
    assert "plan 'am'" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_least_splits_are_accepted() -> None:
    _plan(north_s=12, left_s=12, through_s=12).validate(_junction())


def test_name_of_a_crosswalk_does_not_matter() -> None:
    """An arm with a refuge has two crosswalks, ``N.ped-1`` and ``N.ped-2``."""
    plan = _plan(
        12,
        12,
        12,
        ring_a=(RingStep(("N.through",), 12), RingStep(("E.through", "N.ped-1"), 24)),
    )
    plan.validate(_junction(walker="N.ped-1"))


def test_wish_of_no_phase() -> None:
    plan = _plan(ring_b=(RingStep(("E.left",), 50), RingStep(("N.left",), 50)))
    with pytest.raises(PlanError, match="which is no phase of junction J"):
        plan.wish(_junction(), 0)


def test_wish_outside_short_rings() -> None:
    with pytest.raises(PlanError, match="do not fill the cycle 120 s"):
        _plan(cycle_s=120).wish(_junction(), 110)


@pytest.mark.parametrize(
    "data",
    [
        {},
        {**_plan().to_dict(), "cycle_s": "long"},
        {**_plan().to_dict(), "ring_a": [{"groups": ["N.through"]}]},
        {**_plan().to_dict(), "ring_b": 5},
        None,
    ],
)
def test_what_is_no_plan(data: dict[str, object]) -> None:
    with pytest.raises(PlanError, match="not a time-of-day plan"):
        Plan.from_dict(data)


def _followed(
    junction: Junction, plan: Plan, seconds: int, begin: int = 0
) -> dict[str, list[tuple[int, int]]]:
    """Green runs of every group, ``(first second, seconds)``, the plan wished every second."""
    guard = Guard(junction)
    state = guard.start(plan.wish(junction, begin))
    runs: dict[str, list[tuple[int, int]]] = {group.id: [] for group in junction.groups}
    begun: dict[str, int] = {}
    for second in range(begin, seconds):
        state, verdict = guard.tick(state, plan.wish(junction, second))
        assert verdict.phase == plan.wish(junction, second), (second, verdict)
        for group, shown in zip(junction.groups, state.indications, strict=True):
            if shown == GREEN:
                begun.setdefault(group.id, second)
            elif group.id in begun:
                start = begun.pop(group.id)
                runs[group.id].append((start, second - start))
    return runs


def test_guard_follows_the_plan_to_the_second() -> None:
    """North ends at 50 of 100 s: 4 s yellow, 1 s all-red, east from 55; left ends at 70."""
    junction, plan = _junction(), _plan()
    plan.validate(junction)
    runs = _followed(junction, plan, 401)
    for cycle in (100, 200, 300):
        for group, run in {
            "N.through": (cycle + 5, 45),
            "N.left": (cycle + 5, 45),
            "E.left": (cycle - 45, 15),
            "E.through": (cycle - 45, 45),
            "N.ped": (cycle - 45, 7),
        }.items():
            assert run in runs[group], (group, run, runs[group])
    assert [len(runs[group]) for group in runs] == [4, 4, 4, 4, 4]


def test_guard_follows_the_shortest_plan() -> None:
    junction, plan = _junction(), _plan(12, 12, 12)
    plan.validate(junction)
    runs = _followed(junction, plan, 36 * 4 + 1)
    assert {run[1] for run in runs["N.through"][1:]} == {12 - 5}
    assert {run[1] for run in runs["E.left"]} == {12 - 5}
    assert {run[1] for run in runs["E.through"]} == {24 - 5}
    assert {run[1] for run in runs["N.ped"]} == {7}
    assert [start for start, _ in runs["E.left"]] == [17, 53, 89, 125]


def test_plan_on_a_net_gives_the_planned_greens(crosswalk_net: Path) -> None:
    """Four stages of 40 s on four arms; yellow 4 s and all-red 1 s come out of each split."""
    junction = read_junction(crosswalk_net, "B1", TimingRules())
    stages = ("N.through+S.through", "N.left+S.left", "E.through+W.through", "E.left+W.left")
    steps = tuple(RingStep(junction.phase_named(stage).groups, 40) for stage in stages)
    plan = Plan("four stages", 160, 15, steps, (RingStep((), 160),))
    plan.validate(junction)
    runs = _followed(junction, plan, 160 * 4 + 16, begin=15)
    for stage, name in enumerate(stages):
        for group in name.split("+"):
            planned = [(15 + 160 * cycle + 40 * stage + 5, 35) for cycle in range(4)]
            # The first green of the run starts from all red, without an intergreen before it.
            assert runs[group][1:] == planned[1:], group
            assert sum(runs[group][0]) == sum(planned[0]), group

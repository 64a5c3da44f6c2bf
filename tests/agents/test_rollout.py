"""Training runs as tasks: the same task gives the same result, wherever it is done."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed (extra: train)")
pytest.importorskip("libsumo", reason="libsumo is not installed (extra: sim)")

import torch

from agents.learned.lookahead import parts_loss, weighted_choice_loss
from agents.learned.network import CLOSED, PhaseScorer
from agents.learned.replay import Replay
from agents.learned.rollout import RolloutTask, Trajectory, pad, weights_of
from agents.learned.run import Run, roll_out
from agents.workers import ATTEMPTS, local_workers
from signals.action_models import BOUNDS, AnyPhase, ExtendOrNext, NextSplits
from signals.envs.junction_env import JunctionEnv
from signals.envs.network_env import NetworkEnv
from signals.errors import InputError, UnknownNameError, WorkError
from signals.features import MOVEMENT_FEATURES, PHASE_FEATURES, Maxima
from signals.rewards import LOST_SCALE_S
from signals.world import resolve
from tests.agents.fragile import Fragile, refuse, survive

VALUES = {
    "decision_interval_s": 3, "gamma": 0.97, "reward": "lost_seconds", "width": 16,
    "walkers_low": 1.0, "walkers_high": 1.0, "action_model": "phase",
}  # fmt: skip


def task(scenario="generated:junction:3", behaviour="draw", seconds=240, **changes):
    torch.manual_seed(1)
    weights = weights_of(PhaseScorer(16))
    values = {**VALUES, **changes}
    return RolloutTask(scenario, "all", 4, 9, behaviour, values, weights, 0.2,
                       "actuated" if behaviour == "teach" else "", maximum_s=seconds)  # fmt: skip


def same(first, second):
    assert first.lost_veh_h == second.lost_veh_h
    for one, other in zip(first.trajectories, second.trajectories, strict=True):
        assert np.array_equal(one.actions, other.actions)
        assert np.array_equal(one.parts, other.parts)
        assert all(np.array_equal(one.seen[name], other.seen[name]) for name in one.seen)


@pytest.mark.parametrize("behaviour", ["explore", "draw", "teach"])
def test_the_same_task_gives_the_same_result_in_any_process(behaviour):
    here = roll_out(task(behaviour=behaviour))
    assert here.decisions > 5
    same(here, roll_out(task(behaviour=behaviour)))
    if behaviour == "draw":
        with local_workers(1) as workers:
            same(here, workers.run(roll_out, [task()])[0])


def test_only_open_phases_are_chosen_in_a_network():
    found = roll_out(task("generated:corridor:1", "explore", 120))
    assert len(found.trajectories) == len(resolve("generated:corridor:1").junctions)
    for item in found.trajectories:
        chosen = item.seen["mask"][np.arange(len(item)), item.actions]
        assert (chosen == 1.0).all()
        assert (item.seen["mask"][:-1].sum(axis=1) > 1).all()
        assert item.elapsed_s.sum() <= 120


def test_extend_keeps_or_goes_on_in_the_order_of_the_plan():
    world = resolve("generated:junction:3")
    junction, plan = world.junction, world.plan
    order = [junction.phase_of(groups).index for groups, _ in plan.steps]
    granted = np.ones(len(junction.phases), dtype=bool)
    model = ExtendOrNext(junction, plan)
    for now, after in zip(order, [*order[1:], order[0]], strict=True):
        assert set(np.flatnonzero(model.mask(granted, now, 0.0))) == {now, after}
    none = np.zeros_like(granted)
    none[order[1]] = True
    assert (model.mask(none, order[0], 0.0) == none).all()
    assert (AnyPhase().mask(granted, 0, 0.0) == granted).all()
    found = roll_out(task(behaviour="explore", action_model="extend")).trajectories[0]
    assert (found.seen["mask"][:-1].sum(axis=1) == 2).all()
    with pytest.raises(UnknownNameError, match="splits"):
        roll_out(task(action_model="splits"))


def test_padding_changes_no_score():
    torch.manual_seed(2)
    scorer = PhaseScorer(16).eval()
    found = roll_out(task()).trajectories[0]
    row = {name: array[0] for name, array in found.seen.items()}
    phases, movements = row["serves"].shape
    names = ("movements", "phases", "serves", "mask")
    padded = pad([row], Maxima(movements + 3, phases + 2))
    with torch.no_grad():
        bare = scorer(*(torch.from_numpy(row[name].copy()[None]) for name in names))[0]
        wide = scorer(*(torch.from_numpy(padded[name]) for name in names))[0]
    assert torch.allclose(wide[:phases], bare, atol=1e-5)
    assert (wide[phases:] == CLOSED).all()


def test_splits_keep_order_cycle_and_bounds():
    world = resolve("generated:junction:3")
    junction, plan = world.junction, world.plan
    order = [junction.phase_of(groups).index for groups, _ in plan.steps]
    granted = np.ones(len(junction.phases), dtype=bool)
    model = NextSplits(junction, plan)
    clock_s = plan.offset_s
    planned = np.array([seconds for _, seconds in plan.steps], dtype=float)
    for cycle in range(12):
        begin_s = clock_s + cycle * plan.cycle_s
        assert set(np.flatnonzero(model.mask(granted, order[0], begin_s))) == set(order)
        assert model.wish(order[-1], begin_s) == order[0]
        turns = [model.wish(0, begin_s + second) for second in range(1, plan.cycle_s)]
        assert list(dict.fromkeys(turns)) == order
        assert model.mask(granted, order[0], begin_s + 1).sum() == 1
        assert model.splits_s.sum() == pytest.approx(plan.cycle_s)
        assert (model.splits_s <= BOUNDS[1] * planned + 1e-9).all()
        assert (model.splits_s >= BOUNDS[0] * planned - 1e-9).all()
    # Always favouring the last phase lengthens it; the environment's masks follow the model.
    assert model.splits_s[-1] > planned[-1]
    found = roll_out(task(behaviour="explore", action_model="split")).trajectories[0]
    first, last = (
        (second - plan.offset_s) // plan.cycle_s
        for second in (world.begin_s, world.begin_s + 240 - VALUES["decision_interval_s"])
    )
    assert len(found) == last - first + 1


@pytest.mark.parametrize("name", ["extend", "split"])
def test_environments_follow_the_action_model(name):
    single = JunctionEnv("generated:junction:3", action_model=name)
    _, info = single.reset(seed=1, options={"day": 2})
    counts = set()
    for _ in range(60):
        counts.add(int(info["action_mask"].sum()))
        seen, _, _, _, info = single.step(info["action_mask"].nonzero()[0][-1])
        assert (seen["mask"] > 0.5).sum() == info["action_mask"].sum()
    single.close()
    most = len(resolve("generated:junction:3").plan.steps) if name == "split" else 2
    assert counts == {1, most}
    network = NetworkEnv("generated:corridor:1", action_model=name)
    _, infos = network.reset(seed=1)
    for _ in range(3):
        _, _, _, _, infos = network.step(
            {agent: int(one["action_mask"].nonzero()[0][0]) for agent, one in infos.items()}
        )
    network.close()


def test_a_bonus_keeps_the_present_phase_where_it_is_open():
    draw = torch.Generator().manual_seed(2)
    scorer = PhaseScorer(16).eval()
    phases = torch.rand(3, 4, len(PHASE_FEATURES), generator=draw)
    phases[:, :, 0] = torch.eye(4)[:3]
    seen = (
        torch.rand(3, 5, len(MOVEMENT_FEATURES), generator=draw),
        phases,
        torch.randint(0, 2, (3, 4, 5), generator=draw).float(),
    )
    open_ = torch.ones(3, 4)
    with torch.no_grad():
        bare = scorer(*seen, open_)
        scorer.stay.copy_(torch.tensor([20.0, 60.0]))
        stays = scorer(*seen, open_)
        shut = scorer(*seen, 1.0 - phases[:, :, 0])
    # More where the longest walk of the junction is longer.
    walk = phases[:, :, PHASE_FEATURES.index("walk")].max(dim=1, keepdim=True).values
    assert torch.allclose(stays - bare, (20.0 + 60.0 * walk) * phases[:, :, 0], atol=1e-4)
    assert stays.argmax(dim=1).tolist() == [0, 1, 2]
    assert all(row != column for row, column in enumerate(shut.argmax(dim=1).tolist()))


def test_the_phase_of_the_plan_counts_for_more_the_longer_the_queues():
    """Padding rows, right turns and people who wait are no queue."""
    scorer = PhaseScorer(16).eval()
    movements, phases = (
        torch.zeros(2, 5, len(MOVEMENT_FEATURES)),
        torch.zeros(2, 3, len(PHASE_FEATURES)),
    )
    for row, kind in enumerate(("through", "left", "right", "pedestrian")):
        movements[:, row, MOVEMENT_FEATURES.index(kind)] = 1.0
    movements[1, :, MOVEMENT_FEATURES.index("queue")] = torch.tensor([0.8, 0.4, 1.0, 1.0, 1.0])
    phases[:, 2, PHASE_FEATURES.index("walk")] = 0.5
    phases[:, 1, PHASE_FEATURES.index("plan_due")] = 1.0
    seen = (movements, phases, torch.ones(2, 3, 5))
    with torch.no_grad():
        bare = scorer(*seen, torch.ones(2, 3))
        scorer.lean.copy_(torch.tensor([10.0, 0.0, 0.0]))
        gained = scorer(*seen, torch.ones(2, 3)) - bare
    expected = torch.tensor([[0.0, 0.0, 0.0], [0.0, 10.0 * 0.5 * 0.6, 0.0]])
    assert torch.allclose(gained, expected, atol=1e-5)


def gained_by(lean, splits_s, walks_s):
    """What a lean adds to two phases, the first one due, where a stream has queued to 0.6."""
    scorer = PhaseScorer(16).eval()
    movements = torch.zeros(1, 1, len(MOVEMENT_FEATURES))
    movements[0, 0, MOVEMENT_FEATURES.index("through")] = 1.0
    movements[0, 0, MOVEMENT_FEATURES.index("queue")] = 0.6
    phases = torch.zeros(1, 2, len(PHASE_FEATURES))
    phases[0, :, PHASE_FEATURES.index("plan_split")] = torch.tensor(splits_s) / 120.0
    for name in ("walk", "crossing"):
        phases[0, :, PHASE_FEATURES.index(name)] = torch.tensor(walks_s) / 60.0
    phases[0, 0, PHASE_FEATURES.index("plan_due")] = 1.0
    seen = (movements, phases, torch.ones(1, 2, 1), torch.ones(1, 2))
    with torch.no_grad():
        bare = scorer(*seen)
        scorer.lean.copy_(torch.tensor(lean))
        return scorer(*seen) - bare


@pytest.mark.parametrize(
    ("splits_s", "walks_s", "spare"),
    [
        # 13 s of 60 s and 35 s of 60 s are needed, and a tenth is always taken for needed.
        ((60.0, 60.0), (0.0, 30.0), 1.0 - 48.0 / 120.0 - 0.1),
        ((13.0, 35.0), (0.0, 30.0), 0.0),
        # A walk that ends after its split, and a phase that the plan never serves.
        ((90.0, 30.0), (0.0, 48.0), 1.0 - 43.0 / 120.0 - 0.1),
        ((120.0, 0.0), (0.0, 30.0), 1.0 - 13.0 / 120.0 - 0.1),
    ],
)
def test_a_plan_that_could_have_shifted_more_counts_for_more(splits_s, walks_s, spare):
    gained = gained_by([0.0, 60.0, 0.0], splits_s, walks_s)
    expected = torch.tensor([[60.0 * spare * max(walks_s) / 60.0 * 0.6, 0.0]])
    assert torch.allclose(gained, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("splits_s", "gained"),
    [
        # Of 70 s, walks and shortest splits need 48 s.
        ((30.0, 40.0), 4.0 * 0.5 * 0.6),
        ((15.0, 35.0), 0.0),
        # Half way between the two: 19 % could be shifted.
        ((13.0 + 48.0 / 0.81 - 48.0, 35.0), 4.0 * 0.5 * 0.6 * 0.5),
    ],
)
def test_the_plan_counts_for_more_where_walks_do_not_bind_it(splits_s, gained):
    found = gained_by([0.0, 0.0, 4.0], splits_s, (0.0, 30.0))
    assert torch.allclose(found, torch.tensor([[gained, 0.0]]), atol=1e-4)


def test_the_phase_of_greatest_pressure_counts_for_more():
    scorer = PhaseScorer(16).eval()
    movements, phases = (
        torch.zeros(1, 4, len(MOVEMENT_FEATURES)),
        torch.zeros(1, 4, len(PHASE_FEATURES)),
    )
    for row, kind in enumerate(("through", "left", "pedestrian", "right")):
        movements[0, row, MOVEMENT_FEATURES.index(kind)] = 1.0
    # Each phase serves one movement; people on foot and right turns press nobody.
    serves = torch.eye(4).unsqueeze(0)
    for name, values in (
        ("near_density", [1.0, 1.0, 1.0, 1.0]),
        ("far_density", [0.6, 0.3, 1.0, 1.0]),
        ("queue", [0.5, 0.5, 0.0, 0.0]),
    ):
        movements[0, :, MOVEMENT_FEATURES.index(name)] = torch.tensor(values)
    phases[0, 2, PHASE_FEATURES.index("walk")] = 0.5

    def gained(mask):
        scorer.press.fill_(0.0)
        bare = scorer(movements, phases, serves, torch.tensor([mask]))
        scorer.press.copy_(torch.tensor([8.0, 0.0]))
        found = scorer(movements, phases, serves, torch.tensor([mask])) - bare
        return [round(value, 4) for value in found[0].tolist()]

    with torch.no_grad():
        assert gained([1.0, 1.0, 1.0, 1.0]) == [2.0, 0.0, 0.0, 0.0]
        assert gained([0.0, 1.0, 1.0, 1.0]) == [0.0, 2.0, 0.0, 0.0]
        # Nearly equal pressures share it: rounding decides nothing.
        movements[0, 1, MOVEMENT_FEATURES.index("far_density")] = 0.6 * (1.0 - 1e-6)
        assert gained([1.0, 1.0, 1.0, 1.0]) == [2.0, 2.0, 0.0, 0.0]
        movements[0, 1, MOVEMENT_FEATURES.index("far_density")] = 0.3
        phases[0, 1, PHASE_FEATURES.index("current")] = 1.0
        assert gained([1.0, 1.0, 1.0, 1.0]) == [0.0, 2.0, 0.0, 0.0]
        # Where the present phase would let vehicles into a full exit, its pressure is gone.
        movements[0, 1, MOVEMENT_FEATURES.index("exit_stopped")] = 1.0
        assert gained([1.0, 1.0, 1.0, 1.0]) == [2.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("splits_s", "taken", "gained"),
    [
        # Of 70 s, walks and shortest splits need 13 + 35 s: the cycle is long for traffic's sake.
        ((30.0, 40.0), 1.0, 0.0),
        # Of 50 s, all but 2 s are needed: nobody must wait long for a change.
        ((15.0, 35.0), 1.0, 20.0 * 0.5 * 0.7),
        ((15.0, 35.0), 0.5, 20.0 * 0.5 * 0.2),
        ((15.0, 35.0), 0.3, 0.0),
        # Half way between the two: 19 % could be shifted.
        ((13.0 + 48.0 / 0.81 - 48.0, 35.0), 1.0, 20.0 * 0.5 * 0.7 * 0.5),
        # No plan, nothing to go by.
        ((0.0, 0.0), 1.0, 0.0),
    ],
)
@pytest.mark.parametrize("present", [0, 1])
def test_the_fullest_lanes_count_for_more_where_walks_bind_the_plan(
    splits_s, taken, gained, present
):
    scorer = PhaseScorer(16).eval()
    movements = torch.zeros(1, 3, len(MOVEMENT_FEATURES))
    for row, kind in enumerate(("through", "left", "pedestrian")):
        movements[0, row, MOVEMENT_FEATURES.index(kind)] = 1.0
    for name in ("near_density", "far_density"):
        movements[0, 0, MOVEMENT_FEATURES.index(name)] = taken
    phases = torch.zeros(1, 3, len(PHASE_FEATURES))
    phases[0, present, PHASE_FEATURES.index("current")] = 1.0
    phases[0, 1, PHASE_FEATURES.index("crossing")] = 0.5
    # The longest walk is that of a phase which the plan leaves out, so that it always lies ahead.
    phases[0, 2, PHASE_FEATURES.index("walk")] = 0.5
    if present != 1:
        phases[0, 1, PHASE_FEATURES.index("walk")] = 0.5
    phases[0, :2, PHASE_FEATURES.index("plan_split")] = torch.tensor(splits_s) / 120.0
    seen = (movements, phases, torch.eye(3).unsqueeze(0), torch.ones(1, 3))
    with torch.no_grad():
        bare = scorer(*seen)
        scorer.press.copy_(torch.tensor([0.0, 20.0]))
        assert torch.allclose(scorer(*seen) - bare, torch.tensor([[gained, 0.0, 0.0]]), atol=1e-4)


def test_phases_are_tried_out_from_the_same_moment():
    changes = {
        "compare_share": 0.5, "compare_phases": 3, "compare_horizon_s": 30, "compare_follow": 0.5,
    }  # fmt: skip
    first, second = (roll_out(task(behaviour="compare", **changes)) for _ in range(2))
    same(first, second)
    found, again = first.comparisons[0], second.comparisons[0]
    assert len(found) > 3
    # What is usually lost grows with the root of what is lost until the horizon, which the end of
    # the run cuts for the last moments.
    early = slice(0, len(found) // 2)
    until = np.nanmean(found.costs_s, axis=1)
    assert np.ptp(until[early]) > 0.0
    shares = found.usual_s[early] ** 2 / until[early]
    assert np.allclose(shares, shares[0], rtol=1e-3)
    assert np.array_equal(found.costs_s, again.costs_s, equal_nan=True)
    tried = np.isfinite(found.costs_s)
    assert ((tried.sum(axis=1) >= 2) & (tried.sum(axis=1) <= 3)).all()
    assert (found.seen["mask"][tried] == 1.0).all()
    # Phases differ in what they cost, and nobody gains time by standing.
    assert np.nanmin(found.costs_s) >= 0.0
    # A junction alone: its groups lose all that is lost.
    assert np.allclose(found.parts_s.sum(axis=2), found.costs_s, equal_nan=True)
    assert found.parts_s.shape[2] > found.group_of.max()
    assert (np.nanmax(found.costs_s, axis=1) > np.nanmin(found.costs_s, axis=1)).mean() > 0.5


def test_a_run_tries_out_no_more_than_it_may():
    changes = {
        "compare_share": 1.0, "compare_phases": 3, "compare_horizon_s": 10, "compare_follow": 0.0,
    }  # fmt: skip
    free, bound = (
        roll_out(task(behaviour="compare", trials_s=most_s, **changes)) for most_s in (0, 3000)
    )
    tried_s = [found.simulated_s - 240 for found in (free, bound)]
    assert tried_s[0] > 2 * 3000 and 0 < tried_s[1] <= 3000


def test_a_led_run_takes_the_best_of_what_it_tries():
    changes = {
        "compare_share": 0.0, "compare_phases": 2, "compare_horizon_s": 10, "compare_follow": 0.0,
    }  # fmt: skip
    assert not roll_out(task(behaviour="compare", **changes)).comparisons
    led = roll_out(task(behaviour="compare", led_runs=1.0, led_share=1.0, **changes))
    choices, tried = led.trajectories[0], led.comparisons[0]
    rows = [
        next(row for row, one in enumerate(choices.seen["phases"]) if np.array_equal(one, seen))
        for seen in tried.seen["phases"]
    ]
    assert len(set(rows)) > 0.9 * len(choices)
    best = np.nanargmin(tried.costs_s, axis=1)
    assert (choices.actions[rows] == best).mean() > 0.9


@pytest.mark.skipif(not Path("/proc/self/fdinfo").is_dir(), reason="/proc tells of open files")
def test_trials_read_no_routes_that_the_run_still_needs(monkeypatch):
    """A forked process moves the place in an open file for both; SUMO reads a MiB at a time."""
    unread = []

    def look(self, wishes):
        for link in Path("/proc/self/fd").iterdir():
            name = link.resolve()
            if name.name.endswith(".rou.xml") and name.is_file():
                told = Path("/proc/self/fdinfo", link.name).read_text(encoding="utf-8").split()
                unread.append(name.stat().st_size - int(told[1]))
        raise KeyError(str(max(unread, default=0)))

    monkeypatch.setattr(Run, "decide", look)
    left = {}
    for behaviour in ("compare", "explore"):
        trial = replace(
            task(behaviour=behaviour, compare_share=1, compare_phases=2, compare_follow=0,
                 compare_horizon_s=60),
            scenario="gangnam", period="am_peak",
        )  # fmt: skip
        with pytest.raises(KeyError) as found:
            roll_out(trial)
        left[behaviour] = int(found.value.args[0])
    assert left["compare"] == 0 < left["explore"]


def test_what_a_phase_costs_counts_vehicles_that_have_gone_on():
    """To the end of the run and by the policy's own choices, it costs what the run cost."""
    changes = {
        "compare_share": 1.0, "compare_phases": 2, "compare_horizon_s": 10_000,
        "compare_follow": 0.0,
    }  # fmt: skip
    whole = replace(task(behaviour="compare", seconds=200, **changes), epsilon=0.0)
    found = roll_out(whole)
    first = found.trajectories[0]
    groups_lost = -first.parts.sum() * LOST_SCALE_S
    usual = found.comparisons[0].costs_s[0][first.actions[0]]
    assert usual == pytest.approx(groups_lost, rel=0.05)


def test_the_policy_learns_to_choose_what_turned_out_cheapest():
    torch.manual_seed(3)
    scores = torch.zeros(1, 3, requires_grad=True)
    tried = torch.tensor([[True, True, False]])
    regret = torch.tensor([[0.0, 2.0, 0.0]])
    for _ in range(50):
        loss, met = weighted_choice_loss(scores, regret, tried, 1.0)
        (slope,) = torch.autograd.grad(loss, scores)
        scores = (scores - slope).detach().requires_grad_()
    # Cross entropy is least at the wanted shares, 1 : exp(-2).
    assert float((scores[0, 0] - scores[0, 1]).detach()) == pytest.approx(2.0, abs=0.1)
    assert float(met) == 0.0
    assert float(slope[0, 2]) == 0.0


def test_parts_answer_for_their_groups():
    """Two groups of one and two movements, a padding row, three phases of which two were tried."""
    parts = torch.zeros(1, 3, 4, requires_grad=True)
    group_of = torch.tensor([[0, 1, 1, 2]])
    worth = torch.tensor([[[0.5, -0.25], [-0.5, 0.25], [9.0, 9.0]]])
    tried = torch.tensor([[True, True, False]])
    for _ in range(200):
        loss = parts_loss(parts, group_of, worth, tried)
        (slope,) = torch.autograd.grad(loss, parts)
        parts = (parts - 0.5 * slope).detach().requires_grad_()
    assert float(loss.detach()) == pytest.approx(0.0, abs=1e-6)
    found = parts.detach()[0]
    assert float(found[0, 0] - found[1, 0]) == pytest.approx(1.0, abs=1e-3)
    assert float(found[1, 1:3].sum() - found[0, 1:3].sum()) == pytest.approx(0.5, abs=1e-3)
    assert not found[2].any() and not found[:, 3].any()


def test_transitions_lead_over_several_choices():
    count, gamma = 4, 0.9
    shape = {
        "movements": (2, len(MOVEMENT_FEATURES)),
        "phases": (2, len(PHASE_FEATURES)),
        "serves": (2, 2),
        "mask": (2,),
    }
    seen = {
        name: np.stack([np.full(size, row / 8, dtype=np.float32) for row in range(count + 1)])
        for name, size in shape.items()
    }
    item = Trajectory(
        seen,
        np.arange(count) % 2,
        np.zeros(count, dtype=np.float32),
        np.array([[1.0], [10.0], [100.0], [1000.0]], dtype=np.float32),
        np.array([5.0, 10.0, 5.0, 5.0], dtype=np.float32),
        np.ones((2, 1), dtype=np.float32),
    )
    replay = Replay(50, Maxima(3, 2), 2, gamma, 2, np.random.default_rng(0))
    replay.add(item)
    batch = replay.sample(200)
    place = (batch.seen["mask"][:, 0] * 8).round().long()
    after = (batch.after["mask"][:, 0] * 8).round().long()
    # By hand: two choices each, discounted by the seconds between them; at the end one is left.
    wanted = torch.tensor([1 + 0.9 * 10, 10 + 0.81 * 100, 100 + 0.9 * 1000, 1000.0])
    assert torch.allclose(batch.parts[:, 0], wanted[place])
    assert torch.equal(after, torch.tensor([2, 3, 4, 4])[place])
    passed = torch.tensor([15.0, 15.0, 10.0, 5.0])[place]
    assert torch.allclose(batch.discounts[:, 0], gamma ** (passed / 5.0))
    assert (batch.parts[:, 1] == 0).all()


def test_a_lost_worker_is_replaced_and_its_task_done_again(tmp_path):
    with local_workers(1) as workers:
        assert workers.run(survive, [Fragile(str(tmp_path), 2)]) == ["done after 2"]
        assert workers.lost == 2
        (tmp_path / "more").mkdir()
        with pytest.raises(WorkError, match=f"{ATTEMPTS} workers died during a fragile task"):
            workers.run(survive, [Fragile(str(tmp_path / "more"), 99)])
        with pytest.raises(InputError, match="give a good one"):
            workers.run(refuse, [1])

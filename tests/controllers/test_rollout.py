from __future__ import annotations

import numpy as np
import pytest

from controllers.rollout import Glimpse, RolloutOptions, Watch, acts, labelled, may_act
from controllers.switchback import (
    DAY_S,
    Block,
    Sample,
    blocks,
    by_time_of_day,
    day_of,
    evaluate,
    interval,
    is_on,
    paired,
)
from signals.drift import TrainedRanges, observed_ranges
from signals.errors import ContractError, InputError
from signals.features import MOVEMENT_FEATURES


def test_who_acts_when() -> None:
    plain = RolloutOptions()
    day = 1_700_000_000_000
    assert acts("deploy", plain, 0.0, day) and acts("canary", plain, 0.0, day)
    assert not acts("shadow", plain, 0.0, day) and not acts("recommend", plain, 0.0, day)
    morning = RolloutOptions(windows=("07:00-09:00", "23:00-01:00"))
    for hour, on in ((6.99, False), (7, True), (8.99, True), (9, False), (23.5, True), (0.5, True)):
        assert acts("canary", morning, hour * 3600, day) is on
    assert [may_act(stage) for stage in ("shadow", "recommend", "canary", "deploy")] == [
        False, False, True, True,
    ]  # fmt: skip
    assert labelled("canary", True) == "canary/on"


@pytest.mark.parametrize(
    "given",
    [
        {"windows": ["7-9"]},
        {"windows": ["09:00-09:00"]},
        {"windows": ["24:30-25:00"]},
        {"block_s": 700},
        {"block_s": "x"},
        {"vetoes": float("nan")},
        {"trim_s": 1800},
    ],
)
def test_options_that_are_none(given: dict[str, object]) -> None:
    with pytest.raises(InputError):
        RolloutOptions.read(given)


def test_each_pair_has_one_block_of_each_and_the_order_is_a_coin() -> None:
    firsts = []
    for day in range(200):
        for pair in range(0, 24, 2):
            on = [is_on(3, day, block * 3600 + 10.0, 3600) for block in (pair, pair + 1)]
            assert sorted(on) == [False, True]
            firsts.append(on[0])
    assert abs(np.mean(firsts) - 0.5) < 4 * 0.5 / len(firsts) ** 0.5
    assert is_on(3, 5, 100.0, 600) == is_on(3, 5, 100.0 + DAY_S, 600)
    midnight_ms = 20_000 * DAY_S * 1000 - 9 * 3_600_000  # Seoul's, in UTC
    days = {day_of(midnight_ms + 1000 * second, float(second)) for second in range(0, DAY_S, 600)}
    assert len(days) == 1


def test_delay_of_a_block_is_the_manuals() -> None:
    # Every vehicle waits 20 s: one vehicle every 10 s keeps two in the queue.
    rows = [Sample(0, float(t), True, 2.0, t / 10) for t in range(0, 1800, 5)]
    (found,) = blocks(rows, 1800, 300)
    assert found.delay_s == pytest.approx(0.9 * 20.0, rel=1e-6)
    assert found.vehicles == pytest.approx(149.5)
    assert blocks(rows[:100], 1800, 300) == [], "a block that was hardly observed"
    mixed = [*rows[:200], *[Sample(0, r.clock_s, False, r.queued, r.passed) for r in rows[200:]]]
    assert blocks(mixed, 1800, 300) == []
    still = [Sample(0, float(t), True, 2.0, 7.0) for t in range(0, 1800, 5)]
    assert blocks(still, 1800, 300) == []


def test_the_interval_covers_as_often_as_it_says() -> None:
    draw = np.random.default_rng(5)
    hits = 0
    for _ in range(400):
        low, high = interval(draw.normal(1.0, 3.0, 8))
        assert low is not None and high is not None and low <= high
        hits += low <= 1.0 <= high
    assert 0.92 <= hits / 400 <= 0.98
    # With many pairs it is close to Student's, 2.093 being its quantile for 20 of them.
    many = draw.normal(1.0, 3.0, 20)
    low, high = interval(many)
    assert low is not None and high is not None
    half_width = 2.093 * many.std(ddof=1) / 20**0.5
    assert (high - low) / 2 == pytest.approx(half_width, rel=0.15)
    assert interval(np.ones(5)) == (None, None)
    # Six pairs: the exact interval is from the smallest to the largest subset mean.
    assert interval(np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])) == (1.0, 6.0)


def pairs_of(on_s: list[float], off_s: list[float]) -> list[tuple[Block, Block]]:
    found = []
    for number, (on, off) in enumerate(zip(on_s, off_s, strict=True)):
        found += [Block(0, 2 * number, True, on, 10.0), Block(0, 2 * number + 1, False, off, 10.0)]
    return paired(found)


def test_verdicts() -> None:
    off = [40.0, 42.0, 39.0, 45.0, 41.0, 44.0, 43.0]
    assert evaluate(pairs_of([x - 5 for x in off], off)).verdict == "better"
    worse = evaluate(pairs_of([x + 3 + x / 50 for x in off], off))
    assert worse.verdict == "worse" and worse.low_s is not None and worse.low_s > 3
    same = evaluate(pairs_of([x + (-1) ** i for i, x in enumerate(off)], off))
    assert same.verdict == "no difference"
    assert evaluate(pairs_of(off[:3], off[:3])).verdict == "too few pairs"
    assert evaluate([]).pairs == 0
    days = [Block(day, 8, day > 1, 30.0 + day, 5.0) for day in range(4)]
    assert [(on.day, off.day) for on, off in by_time_of_day(days)] == [(2, 0), (3, 1)]
    assert "source" not in worse.to_dict() and worse.to_dict()["design"]


def test_the_watch_finds_vetoes_stale_readings_and_drift() -> None:
    options = RolloutOptions(watch_s=100, least=10, vetoes=0.5, stale=0.5, drift=0.3)

    def after(count: int, **change: object) -> str:
        watch = Watch(options)
        said = ""
        for second in range(count):
            plain = {"decided": True, "granted": True, "drift": 0.0}
            said = watch.see(Glimpse(float(second), **{**plain, **change}))  # type: ignore[arg-type]
        return said

    assert after(50) == ""
    assert after(9, granted=False) == ""
    assert "guard refused 100% of 10 wishes" in after(10, granted=False)
    assert "could not be decided on" in after(10, decided=False)
    assert "outside the training range" in after(10, drift=0.4)
    watch = Watch(options)
    for second in range(20):
        assert watch.see(Glimpse(float(second), True, second >= 10, 0.0)) == "" or second < 20
    for second in range(200, 220):
        said = watch.see(Glimpse(float(second), True, True, 0.0))
    assert said == "", "what is long past counts no more"


def test_drift_out_of_the_trained_ranges() -> None:
    size = len(MOVEMENT_FEATURES)
    seen = np.full((20, 4, size), 0.3, dtype=np.float32)
    seen[0, 0] = 0.1
    seen[:, 3] = 0.0  # padding
    found = observed_ranges(seen)
    assert found[MOVEMENT_FEATURES[0]] == [0.1, 0.3]
    ranges = TrainedRanges({"ranges": found})
    assert ranges.outside(seen[0, :3]) == 0.0
    strange = seen[0, :2].copy()
    strange[1, 2] = 0.9
    assert ranges.outside(strange) == 0.5
    assert not TrainedRanges({}).known and TrainedRanges({}).outside(strange) == 0.0
    assert observed_ranges(np.zeros((2, 2, size), dtype=np.float32)) == {}
    for bad in ({"nothing": [0, 1]}, {MOVEMENT_FEATURES[0]: 3}):
        with pytest.raises(ContractError):
            TrainedRanges({"ranges": bad})

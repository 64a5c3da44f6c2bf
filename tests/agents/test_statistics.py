"""Intervals and verdicts, against textbook values."""

from __future__ import annotations

import math
import random
from itertools import pairwise

import pytest

from agents.evaluation.statistics import (
    best_of,
    compare,
    estimate,
    ratio_of_means,
    summarise_runs,
    t_quantile,
    verdicts,
)
from signals.errors import InputError


@pytest.mark.parametrize(
    ("degrees", "expected"),
    [(1, 12.706), (2, 4.303), (9, 2.262), (30, 2.042), (31, 2.0395), (60, 2.0003), (1000, 1.9623)],
)
def test_t_quantile(degrees: int, expected: float) -> None:
    assert t_quantile(degrees) == pytest.approx(expected, abs=5e-4)


def test_t_quantile_falls_without_a_step() -> None:
    values = [t_quantile(degrees) for degrees in range(1, 200)]
    assert all(a > b for a, b in pairwise(values))


def test_estimate_of_a_textbook_sample() -> None:
    found = estimate([10.0, 12.0, 14.0])
    half = 4.3027 * 2.0 / math.sqrt(3)
    assert found.mean == 12.0
    assert found.ci95 == pytest.approx((12.0 - half, 12.0 + half), rel=1e-4)


def test_one_run_has_no_interval() -> None:
    assert estimate([5.0]).ci95 is None


def test_nothing_cannot_be_averaged() -> None:
    with pytest.raises(InputError):
        estimate([])


def test_interval_covers_the_truth_as_often_as_it_says() -> None:
    source = random.Random(1)
    hits = 0
    for _ in range(2000):
        low, high = estimate([source.gauss(50.0, 8.0) for _ in range(6)]).ci95 or (0.0, 0.0)
        hits += low <= 50.0 <= high
    assert 0.935 < hits / 2000 < 0.965


def test_ratio_interval_covers_the_truth_as_often_as_it_says() -> None:
    source = random.Random(2)
    hits = 0
    for _ in range(2000):
        days = [source.gauss(0.0, 10.0) for _ in range(10)]
        others = [60.0 + day + source.gauss(0.0, 3.0) for day in days]
        values = [48.0 + 0.8 * day + source.gauss(0.0, 3.0) for day in days]
        low, high = ratio_of_means(values, others).ci95 or (0.0, 0.0)
        hits += low <= 0.8 <= high
    assert 0.93 < hits / 2000 < 0.97


def test_exact_ratio_has_no_width() -> None:
    found = ratio_of_means([8.0, 16.0, 24.0], [10.0, 20.0, 30.0])
    assert found.ci95 == pytest.approx((0.8, 0.8))


def test_pairing_sees_what_separate_intervals_hide() -> None:
    days = [20.0, 90.0, 40.0, 150.0, 60.0]
    delays = {"a": dict(enumerate(days)), "b": {k: v + 3.0 for k, v in enumerate(days)}}
    found = compare("am", "b", "a", delays)
    assert found.word == "worse"
    assert found.difference.ci95 == pytest.approx((3.0, 3.0))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ([-5, -6, -4, -5], "better"),
        ([-2, 2, -1, 1], "no difference"),
        ([-5, 6, -4, 5], "undecided"),
        ([5, 6, 4, 5], "worse"),
    ],
)
def test_words(change: list[float], word: str) -> None:
    base = {seed: 50.0 for seed in range(4)}
    mine = {seed: 50.0 + change[seed] for seed in range(4)}
    found = compare("am", "new", "old", {"new": mine, "old": base})
    assert found.word == word
    assert found.to_dict()["verdict"] == word
    assert "new" in found.sentence() and "old" in found.sentence()


def test_one_day_decides_nothing() -> None:
    found = compare("am", "new", "old", {"new": {1: 20.0}, "old": {1: 50.0}})
    assert found.word == "undecided"
    assert found.to_dict()["difference_ci95"] is None


def test_different_days_are_refused() -> None:
    with pytest.raises(InputError, match="did not meet the same days"):
        compare("am", "new", "old", {"new": {1: 20.0}, "old": {2: 50.0}})


def test_best_classical_is_chosen_per_period() -> None:
    delays = {
        "am": {"x": {1: 30.0, 2: 31.0}, "fixed": {1: 40.0, 2: 42.0}, "act": {1: 50.0, 2: 52.0}},
        "pm": {"x": {1: 30.0, 2: 31.0}, "fixed": {1: 60.0, 2: 62.0}, "act": {1: 50.0, 2: 52.0}},
    }
    found = {(item.period, item.agent): item.against for item in verdicts(delays, {"fixed", "act"})}
    assert found == {
        ("am", "x"): "fixed",
        ("am", "act"): "fixed",
        ("pm", "x"): "act",
        ("pm", "fixed"): "act",
    }


def test_without_a_classical_agent_there_is_no_verdict() -> None:
    assert verdicts({"am": {"x": {1: 3.0, 2: 4.0}}}, {"fixed"}) == []
    assert best_of([], {}) is None


def test_summary_says_when_a_metric_is_missing() -> None:
    rows = [
        {"delay_s": 10.0, "stops": 1.0, "co2_g": None, "flags": []},
        {"delay_s": 20.0, "stops": 2.0, "co2_g": 3.0, "flags": ["gridlock: ..."]},
    ]
    found = summarise_runs("gangnam", "am", "x", rows, ("stops", "co2_g")).to_dict()
    assert found["delay_s"] == 15.0 and found["stops"] == 1.5 and found["co2_g"] is None
    assert (found["flagged"], found["seeds"], len(found["ci95"])) == (1, 2, 2)

"""Detector faults: what each does to readings, that they are seeded, and that they are refused."""

from __future__ import annotations

import numpy as np
import pytest

from signals.detectors import FIELDS, DetectorSpec, Readings
from signals.errors import InputError, SignalsError
from signals.fault_model import FaultModel
from signals.faults import KINDS, FaultSpec, check_faults, check_windows
from signals.junction import LanePiece

PIECE = (LanePiece("S_in_0", 0.0, 50.0),)
LANES = [f"S_in_{number}" for number in range(40)]
WATCHING = ("stop_loop", "near_zone", "far_zone", "exit")
DETECTORS = (
    *(DetectorSpec(f"{kind}/{lane}", kind, PIECE) for kind in WATCHING for lane in LANES),
    DetectorSpec("pedestrian/E.ped", "pedestrian", (), "E.ped"),
)
SIZE = len(LANES)
LOOPS, NEAR, FAR = slice(0, SIZE), slice(SIZE, 2 * SIZE), slice(2 * SIZE, 3 * SIZE)
COUNT, STOPPED, QUEUE, SPEED, OCCUPIED, GAP = range(len(FIELDS))


def readings(time_s: float) -> Readings:
    """Every loop has counted a vehicle every two seconds, every zone holds 20, 12 of them stand."""
    values = np.full((len(DETECTORS), len(FIELDS)), np.nan)
    for row, spec in enumerate(DETECTORS):
        known = {"count": 20.0, "stopped": 12.0, "queue_m": 60.0, "speed_mps": 5.0,
                 "occupied": time_s % 2, "gap_s": time_s % 7}  # fmt: skip
        if spec.kind == "stop_loop":
            known["count"] = time_s // 2
        for name in spec.fields:
            values[row, FIELDS.index(name)] = known[name]
    return Readings(time_s, values)


def after(*texts: str, seconds: int = 60, seed: int = 1, junction: str = "J") -> list[Readings]:
    model = FaultModel([FaultSpec.parse(text) for text in texts], DETECTORS, seed, junction)
    return [model.apply(readings(float(second))) for second in range(seconds)]


def same(one: Readings, two: Readings) -> bool:
    return np.array_equal(one.values, two.values, equal_nan=True)


def dead(found: Readings) -> set[str]:
    rows = np.flatnonzero(np.isnan(found.values[:, COUNT]))
    return {DETECTORS[row].id for row in rows}


def test_without_faults_readings_are_untouched() -> None:
    model = FaultModel((), DETECTORS, 1)
    assert not model.remembers
    assert same(model.apply(readings(5.0)), readings(5.0))


def test_loss_hits_its_share_of_the_named_detectors_all_day() -> None:
    found = after("loss:near_zone/*:0.25")
    hit = dead(found[0])
    assert all(name.startswith("near_zone/") for name in hit)
    assert 4 <= len(hit) <= 16
    assert all(dead(moment) == hit for moment in found)
    assert np.isnan(found[0].values[[DETECTORS[r].id in hit for r in range(len(DETECTORS))]]).all()


def test_spells_come_and_go() -> None:
    spec = FaultSpec("loss", ("far_zone/*",), share=0.3, spell_s=10)
    model = FaultModel([spec], DETECTORS, 3)
    hits = [frozenset(dead(model.apply(readings(float(second))))) for second in range(60)]
    assert all(len(set(hits[start : start + 10])) == 1 for start in range(0, 60, 10))
    assert len(set(hits)) == 6


def test_a_fault_holds_inside_its_window_only() -> None:
    model = FaultModel([FaultSpec.parse("loss:exit/*@00:01-00:02")], DETECTORS, 1)
    hit = [bool(dead(model.apply(readings(time_s)))) for time_s in (59.0, 60.0, 119.0, 120.0)]
    assert hit == [False, True, True, False]


def test_stuck_keeps_the_value_it_had() -> None:
    found = after("stuck:stop_loop/*@00:00-00:01", seconds=90)
    assert np.array_equal(found[59].values[LOOPS], found[0].values[LOOPS], equal_nan=True)
    assert same(found[60], readings(60.0))


def test_latency_shows_what_was_some_seconds_ago_and_nothing_before() -> None:
    found = after("latency:stop_loop/*:7")
    assert np.isnan(found[6].values[LOOPS]).all()
    assert all(
        np.array_equal(found[now].values[LOOPS], readings(now - 7.0).values[LOOPS], equal_nan=True)
        for now in range(7, 60)
    )
    assert np.array_equal(found[6].values[NEAR], readings(6.0).values[NEAR], equal_nan=True)


def test_a_miscounting_loop_errs_both_ways_and_keeps_its_error() -> None:
    found = after("miscount:stop_loop/*:0.3@00:00-00:10", seconds=720)
    errors = [found[now].values[LOOPS, COUNT] - now // 2 for now in (600, 719)]
    assert np.array_equal(errors[0], errors[1])
    assert errors[0].min() < 0 < errors[0].max()
    assert abs(errors[0].mean()) < 5.0 < np.abs(errors[0]).max()


@pytest.mark.parametrize(
    "texts",
    [
        ("miscount:*:0.9",),
        ("latency:*:9@00:00-00:01",),
        ("miscount:*:0.5", "latency:*:4@00:01-00:02", "stuck:*:0.5@00:01-00:03", "loss:*:0.3"),
    ],
)
def test_a_counter_never_runs_back(texts: tuple[str, ...]) -> None:
    found = after(*texts, seconds=240)
    counts = np.array([moment.values[LOOPS, COUNT] for moment in found])
    for column in counts.T:
        known = column[~np.isnan(column)]
        assert (np.diff(known) >= 0).all()


def test_a_counter_that_was_switched_off_begins_anew() -> None:
    model = FaultModel([FaultSpec.parse("latency:*:2"), FaultSpec.parse("miscount:*:0.5")],
                       DETECTORS, 1)  # fmt: skip
    for second in range(100):
        model.apply(readings(float(second)))
    shown = []
    for second in range(100, 110):
        raw = readings(float(second))
        raw.values[LOOPS, COUNT] -= 50.0
        shown.append(model.apply(raw).values[LOOPS, COUNT])
    assert np.isnan(shown[0]).all()
    assert (shown[5] < 10).all()


def test_miscounted_zones_stay_possible() -> None:
    for moment in after("miscount:*:0.4"):
        zones = moment.values[SIZE:-1]
        assert (zones[:, STOPPED] <= zones[:, COUNT]).all()
        assert (zones[:, COUNT] >= 0).all()
        assert np.isnan(zones[zones[:, COUNT] == 0, SPEED]).all()
    assert not same(moment, readings(59.0))


def test_rain_takes_more_from_the_far_zone_and_nothing_from_loops() -> None:
    found = after("rain:1.0", seconds=300)
    table = np.array([moment.values for moment in found])
    truth = np.array([readings(float(now)).values for now in range(300)])
    assert np.array_equal(table[:, LOOPS], truth[:, LOOPS], equal_nan=True)
    assert np.array_equal(table[:, -1], truth[:, -1], equal_nan=True)
    near, far = table[:, NEAR, COUNT], table[:, FAR, COUNT]
    assert np.nanmean(far) < np.nanmean(near) - 2.0 < 20.0
    assert 0.0 < np.isnan(near).mean() < np.isnan(far).mean() < 0.5
    assert (np.nan_to_num(far) <= 20).all()


def test_the_same_day_has_the_same_faults_and_another_has_others() -> None:
    texts = ("loss:near_zone/*:0.3", "miscount:*:0.3", "rain:0.8", "stuck:exit/*:0.2")
    first = after(*texts, seed=4)
    assert all(map(same, first, after(*texts, seed=4)))
    assert all(map(same, first, after(*reversed(texts), seed=4)))
    assert not any(map(same, first, after(*texts, seed=5)))
    assert dead(after(texts[0], junction="A")[0]) != dead(after(texts[0], junction="B")[0])


def test_another_fault_leaves_the_draws_of_the_first() -> None:
    alone = dead(after("loss:near_zone/*:0.3")[0])
    assert dead(after("loss:near_zone/*:0.3", "loss:far_zone/*:0.3")[0]) > alone


def test_reading_twice_in_a_second_changes_nothing() -> None:
    model = FaultModel([FaultSpec.parse("miscount:*:0.5")], DETECTORS, 1)
    assert model.remembers
    assert same(model.apply(readings(3.0)), model.apply(readings(3.0)))


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("loss", FaultSpec("loss")),
        ("loss:near_zone/*:0.2", FaultSpec("loss", ("near_zone/*",), share=0.2)),
        ("stuck:a/*,b/*", FaultSpec("stuck", ("a/*", "b/*"))),
        ("latency:3", FaultSpec("latency", delay_s=3)),
        ("rain:0.7@07:30-24:00",
         FaultSpec("rain", intensity=0.7, begin_s=27_000, end_s=86_400)),
        ("miscount:B1/stop_loop/S_in_*:0.05",
         FaultSpec("miscount", ("B1/stop_loop/S_in_*",), rate=0.05)),
    ],
)  # fmt: skip
def test_short_forms(text: str, spec: FaultSpec) -> None:
    assert FaultSpec.parse(text) == spec
    assert FaultSpec.parse(spec.text) == spec


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("los:near_zone/*", "did you mean loss"),
        ("", "unknown fault ''"),
        ("loss:near_zone/*:1.2", "share is 1.2; allowed: 0 to 1"),
        ("loss:*:-0.1", "allowed: 0 to 1"),
        ("loss:*:nan", "cannot be read"),
        ("loss:*:much", "cannot be read"),
        ("latency:*:0", "delay_s is 0; allowed"),
        ("latency:*:2.5", "whole seconds"),
        ("latency:*:inf", "cannot be read"),
        ("rain:0.5@09:00-08:00", "give an end after the begin"),
        ("rain:0.5@25:00-26:00", "is no clock time"),
        ("rain:0.5@9:00-10:00", "cannot be read"),
        ("loss:,:0.5", "names no detectors"),
    ],
)
def test_what_is_no_fault_is_refused(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        FaultSpec.parse(text)


def test_a_pattern_that_hits_nothing_is_refused() -> None:
    here = {"J": DETECTORS}
    for kind in KINDS:
        check_faults([FaultSpec(kind)], here)
    check_faults([FaultSpec("loss", ("J/near_zone/*",))], here)
    with pytest.raises(
        InputError, match=r"'near_zones/\*' matches no detector; allowed: stop_loop/\*"
    ):
        check_faults([FaultSpec("loss", ("near_zone/*", "near_zones/*"))], here)
    with pytest.raises(SignalsError, match="that rain can hit"):
        check_faults([FaultSpec("rain", ("stop_loop/*",))], here)


def test_a_fault_that_no_run_would_meet_is_refused() -> None:
    early = FaultSpec.parse("loss:0.3@02:00-03:00")
    check_windows([early], {"night": (7200, 10800), "midday": (46800, 50400)})
    with pytest.raises(InputError, match=r"loss:\*:0.3@02:00-03:00 never holds .* 13:00-14:00"):
        check_windows([early], {"midday": (46800, 50400)})

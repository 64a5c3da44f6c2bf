"""A demand day: the same seed gives the same bytes, and the counts come out."""

from __future__ import annotations

import pickle
from xml.etree import ElementTree

import numpy as np
import pytest

from scenarios import catalog
from scenarios.demand import HELD_OUT_SEEDS, TRAINING_SEEDS, VALIDATION_SEEDS, Demand
from signals.errors import InputError


@pytest.fixture(scope="module")
def demand() -> Demand:
    return catalog.load("gangnam").demand("am_peak")


def test_seed_ranges_do_not_meet() -> None:
    ranges = (TRAINING_SEEDS, VALIDATION_SEEDS, HELD_OUT_SEEDS)
    assert len(set().union(*ranges)) == sum(map(len, ranges))


def test_the_same_seed_gives_the_same_bytes(demand: Demand) -> None:
    fresh = Demand(demand.site, demand.period)
    assert demand.xml(7) == fresh.xml(7)
    assert demand.xml(7) != demand.xml(8)


def test_a_pickled_demand_draws_the_same_day(demand: Demand) -> None:
    again = pickle.loads(pickle.dumps(demand))
    assert again.key == demand.key
    assert again.xml(3) == demand.xml(3)


def test_the_file_is_cached_by_content(demand: Demand) -> None:
    first = demand.file(5)
    stamp = first.stat().st_mtime_ns
    assert demand.file(5) == first
    assert first.stat().st_mtime_ns == stamp
    assert first.read_text(encoding="utf-8") == demand.xml(5)
    assert catalog.load("gangnam").demand("night").file(5) != first


def test_a_negative_seed_is_refused(demand: Demand) -> None:
    with pytest.raises(InputError, match="demand seed is -1"):
        demand.xml(-1)


def test_departures_are_sorted_and_inside_the_period(demand: Demand) -> None:
    departs = [
        float(item.get("depart", "-1"))
        for item in ElementTree.fromstring(demand.xml(1))
        if item.tag in ("vehicle", "person")
    ]
    assert departs == sorted(departs)
    assert demand.begin_s <= departs[0]
    assert departs[-1] < demand.end_s


def test_mean_counts_are_those_of_the_site_file(demand: Demand) -> None:
    days = 12
    legs: dict[str, int] = dict.fromkeys("NESW", 0)
    kinds: dict[str, int] = {}
    people = 0
    for seed in range(days):
        for item in ElementTree.fromstring(demand.xml(seed)):
            if item.tag == "vehicle":
                legs[item.get("route", "")[0]] += 1
                kind = item.get("type", "")
                kinds[kind] = kinds.get(kind, 0) + 1
            elif item.tag == "person":
                people += len(item.findall("walk"))
    for leg, count in legs.items():
        assert count / days == pytest.approx(demand.approach_volume_veh_h(leg), rel=0.10)
    total = sum(kinds.values())
    for kind, share in demand.site.demand.mix.value.items():
        assert kinds[kind] / total == pytest.approx(share, abs=0.01)
    per_crosswalk = demand.site.demand.pedestrians.per_crosswalk_h["am_peak"].value
    assert people / days / 4 == pytest.approx(per_crosswalk, rel=0.05)


def test_days_differ_as_the_site_file_says(demand: Demand) -> None:
    counts = []
    for seed in range(40):
        text = demand.xml(seed)
        counts.append(text.count('route="S.'))
    variation = demand.site.demand.variation
    cv = np.hypot(variation.approach_cv.value, variation.common_cv.value)
    # Poisson counting adds 1 / mean to the squared coefficient of variation.
    expected = np.hypot(cv, 1 / np.sqrt(np.mean(counts)))
    assert np.std(counts) / np.mean(counts) == pytest.approx(expected, rel=0.4)


def test_vehicles_know_how_many_people_they_carry(demand: Demand) -> None:
    persons: dict[str, list[int]] = {}
    for item in ElementTree.fromstring(demand.xml(2)).iter("vehicle"):
        param = item.find("param[@key='persons']")
        assert param is not None
        persons.setdefault(item.get("type", ""), []).append(int(param.get("value", "0")))
    for kind, mean in demand.site.demand.persons.value.items():
        assert min(persons[kind]) >= 1
        assert np.mean(persons[kind]) == pytest.approx(mean, rel=0.15)


def test_line_buses_stop_and_dwell(demand: Demand) -> None:
    low, high = demand.site.demand.dwell_s.value
    lines = set()
    for item in ElementTree.fromstring(demand.xml(2)).iter("vehicle"):
        if item.get("line"):
            lines.add(item.get("line"))
            stop = item.find("stop")
            assert stop is not None
            assert low <= float(stop.get("duration", "0")) <= high
    assert lines == set(demand.site.demand.bus_lines)

"""Whole days: time-of-day plans that take over from each other, demand of every hour."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("libsumo", reason="libsumo is not installed (extra: sim)")

from scenarios.catalog import load, world
from scenarios.sitefile import parse_site, read_text
from scenarios.streets.scenario import StreetScenario
from signals.errors import InputError, ScenarioError
from signals.plan import Plan
from signals.recording import Recorder
from signals.simulation.episode import Episode
from signals.simulation.sumo_backend import SumoBackend
from tests.independent.lights import check_lights
from tests.independent.runs import SITE, site_timing

SCHOOL = SITE.parents[1] / "school_zone" / "site.yaml"


def test_each_part_has_the_plan_of_its_period() -> None:
    scenario = load("school_zone")
    whole = world("school_zone", "day").plan
    for clock, period in ((0, "night"), (6, "am_peak"), (13, "midday"), (18, "pm_peak")):
        own = scenario.plan(period) if hasattr(scenario, "plan") else scenario.plans(period)[0]
        in_force = whole.at(clock * 3600.0)
        assert (in_force.cycle_s, in_force.ring_a) == (own.cycle_s, own.ring_a)
        for second in range(0, 300, 7):
            at_s = clock * 3600 + second
            junction = world("school_zone", "day").junction
            assert whole.wish(junction, at_s) == own.wish(junction, at_s)
    assert Plan.from_dict(whole.to_dict()) == whole
    assert "later" not in in_force.to_dict()


def test_demand_follows_the_hours(tmp_path: Path) -> None:
    scenario = load("school_zone")
    assert isinstance(scenario, StreetScenario)
    demand = scenario.demand("day")
    text = demand.xml(3)
    assert text == scenario.demand("day").xml(3)
    vehicles = re.findall(r'<vehicle id="([^"]+)"[^>]* depart="([\d.]+)"', text)
    assert len({name for name, _ in vehicles}) == len(vehicles)
    departs = [float(depart) for _, depart in vehicles]
    assert departs == sorted(departs)
    hours = Counter(int(depart // 3600) for depart in departs)
    assert sorted(hours) == list(range(24))
    for period, hour in (("night", 2), ("am_peak", 8), ("midday", 13), ("pm_peak", 18)):
        own = len(re.findall("<vehicle ", scenario.demand(period).xml(3)))
        assert hours[hour] == pytest.approx(own, rel=0.25, abs=15)
    assert hours[8] > 2 * hours[2]


def test_a_level_thins_the_general_traffic_of_its_hours(tmp_path: Path) -> None:
    def hours(level: str) -> Counter[int]:
        part = f"{{period: midday, level: {{value: {level}, mark: G, source: assumed}}}}"
        text = re.sub(
            r"  day: \{.*\}",
            f'  day: {{"00:00": night, "12:00": {part}, "16:00": midday}}',
            read_text(SCHOOL, "site"),
        )
        folder = tmp_path / level
        folder.mkdir()
        (folder / "site.yaml").write_text(text, encoding="utf-8")
        found = load(str(folder))
        assert isinstance(found, StreetScenario)
        departs = re.findall(
            r'type="(?:car|taxi|truck)"[^>]* depart="([\d.]+)"', found.demand("day").xml(3)
        )
        return Counter(int(float(depart) // 3600) for depart in departs)

    whole, half = hours("1"), hours("0.5")
    assert all(whole[hour] == half[hour] for hour in (*range(12), *range(16, 24)))
    thinned = sum(half[hour] for hour in range(12, 16)) / sum(whole[hour] for hour in range(12, 16))
    assert thinned == pytest.approx(0.5, abs=0.05)


def test_plans_take_over_lawfully() -> None:
    place = world("school_zone", "day")
    place = replace(place, begin_s=6 * 3600 - 300, end_s=6 * 3600 + 600)
    recorder = Recorder()
    episode = Episode(place, SumoBackend(), recorder)
    try:
        episode.start(4)
        while not episode.finished:
            episode.run([None], 5)
    finally:
        episode.close()
    lights = [(row[0], row[1]) for row in recorder.seconds]
    assert len(lights) == 900
    assert check_lights(lights, place.net_file, place.junction.id, site_timing(SCHOOL)) == []
    served = [row[4] for row in recorder.seconds[-200:]]
    plan = place.plan.at(place.end_s - 1.0)
    wished = [plan.wish(place.junction, row[0]) for row in recorder.seconds[-200:]]
    assert sum(a == b for a, b in zip(served, wished, strict=True)) > 180


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ('"00:00": night, "06:00": am_peek', r"days\.day\.06:00: .*'am_peek'.*am_peak"),
        ('"00:00": night, "06:00": event', r"ordinary period 'event'"),
        ('"05:00": night, "06:00": am_peak', r"begins at 05:00; a day begins at '00:00'"),
        ('"06:00": am_peak, "00:00": night', r"out of order"),
        ('"00:00": night, "25:00": am_peak', r"a clock time in quotes, from '00:00' to '23:59'"),
        ('"00:00": night, 6:00: am_peak', r"a clock time in quotes"),
        ("", r"give at least 1"),
        ('"00:00": {period: night, level: 0.9}', r"level"),
        ('"00:00": {period: night, level: {value: 4, mark: G, source: a}}', r"level: is 4; .*to 3"),
        ('"00:00": {of: night}', r"period"),
    ],
)
def test_days_that_are_none_are_refused(given: str, words: str, tmp_path: Path) -> None:
    text = re.sub(r"  day: \{.*\}", f"  day: {{{given}}}", read_text(SCHOOL, "site"))
    with pytest.raises(ScenarioError, match=words):
        parse_site(text, tmp_path / "site.yaml")


def test_what_looks_at_one_period_says_so() -> None:
    scenario = load("school_zone")
    assert isinstance(scenario, StreetScenario)
    with pytest.raises(InputError, match="'day' is a whole day"):
        scenario.steady("day")

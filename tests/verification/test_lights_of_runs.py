"""The independent checker over every second of real runs of Gangnam Station, hostile ones too."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("libsumo", reason="libsumo is not installed (extra: sim)")

from agents.classical import NAMES, make
from scenarios.catalog import world
from signals.recording import Recorder
from signals.simulation import Episode
from signals.simulation.sumo_backend import SumoBackend
from tests.independent.lights import check_lights
from tests.independent.runs import SITE, site_timing


def lights_of(place, wish, interval_s):
    recorder = Recorder()
    episode = Episode(place, SumoBackend(), recorder)
    episode.start(7)
    try:
        wished, second = 0, 0
        while not episode.finished:
            if second % interval_s == 0:
                wished = wish(episode)
            episode.tick(wished)
            second += 1
    finally:
        episode.close()
    return [(row[0], row[1]) for row in recorder.seconds]


@pytest.mark.parametrize("period", ["am_peak", "night"])
@pytest.mark.parametrize("name", NAMES)
def test_classical_agents_show_no_unlawful_second(name, period):
    place = world("gangnam", period)
    place = replace(place, end_s=place.begin_s + 600)
    agent = make(name, place.junction, place.plan)
    agent.reset(0)
    lights = lights_of(
        place,
        lambda episode: agent.decide(episode.observe(), episode.clock_s),
        agent.decision_interval_s,
    )
    assert len(lights) == 600
    assert check_lights(lights, place.net_file, place.junction.id, site_timing(SITE)) == []


@pytest.mark.parametrize("interval_s", [1, 23])
def test_hostile_wishes_show_no_unlawful_second(interval_s):
    place = world("gangnam", "night")
    random = np.random.default_rng(interval_s)
    size = len(place.junction.phases)
    lights = lights_of(place, lambda _: int(random.integers(-1, size + 1)), interval_s)
    assert len(lights) == 3600
    assert check_lights(lights, place.net_file, place.junction.id, site_timing(SITE)) == []

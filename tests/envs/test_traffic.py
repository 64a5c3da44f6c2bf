"""What the environment sees and rewards, against SUMO's own answers and files."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("libsumo", reason="libsumo is not installed (extra: sim)")
pytest.importorskip("pettingzoo", reason="pettingzoo is not installed (extra: sim)")

import libsumo

from signals.envs.junction_env import JunctionEnv
from signals.envs.network_env import NetworkEnv
from signals.errors import InputError
from signals.rewards import LOST_SCALE_S
from signals.world import World


def test_everybody_on_the_road_is_seen_where_they_are(network: World) -> None:
    env = NetworkEnv(network)
    _, infos = env.reset(seed=1)
    seen_once: set[str] = set()
    wrong = compared = 0
    while env.agents:
        wishes = {name: int(info["plan_wish"]) for name, info in infos.items()}
        _, _, _, _, infos = env.step(wishes)
        traffic = env.episode._backend._traffic.look()
        assert traffic.ids == tuple(sorted(libsumo.vehicle.getIDList()))
        seen_once.update(traffic.ids)
        for row in range(0, len(traffic.ids), 7):
            name, compared = traffic.ids[row], compared + 1
            place = (traffic.position_m[row], traffic.speed_mps[row])
            asked = libsumo.vehicle.getLanePosition(name), libsumo.vehicle.getSpeed(name)
            wrong += not np.allclose(place, asked)
    env.close()
    assert len(seen_once) > 200
    # Who changes lanes on the spot is seen when it moves on, see `Traffic.look`.
    assert compared > 1000 and wrong <= compared / 200


def test_who_is_teleported_stays_in_the_account(network: World) -> None:
    """Lights that never change, and SUMO takes whoever waits for long off the street."""
    options = list(network.sumo_options)
    at = options.index("--time-to-teleport")
    options[at + 1] = "10"
    env = NetworkEnv(replace(network, sumo_options=tuple(options)))
    env.reset(seed=1)
    away: set[str] = set()
    lost: dict[str, float] = {}
    while env.agents:
        env.step(dict.fromkeys(env.agents, 0))
        traffic = env.episode._backend._traffic.look()
        on_road = set(libsumo.vehicle.getIDList())
        assert on_road <= set(traffic.ids)
        away |= set(traffic.ids) - on_road
        assert (traffic.speed_mps >= 0.0).all()
        for name, loss_s in zip(traffic.ids, traffic.loss_s.tolist(), strict=True):
            assert loss_s >= lost.get(name, 0.0) - 1e-6
            lost[name] = loss_s
    env.close()
    assert away


def test_rewards_sum_to_the_delay_of_the_results(tmp_path: Path) -> None:
    trips = tmp_path / "trips.xml"
    options = ("--tripinfo-output", str(trips))
    options += ("--tripinfo-output.write-unfinished", "true")
    options += ("--tripinfo-output.write-undeparted", "true")
    env = JunctionEnv("gangnam", "night", sumo_options=options)
    _, info = env.reset(options={"day": 3})
    total, done = 0.0, False
    while not done:
        wish = int(info["plan_wish"])
        if not info["action_mask"][wish]:
            wish = int(np.argmax(info["action_mask"]))
        _, reward, _, done, info = env.step(wish)
        total -= float(reward) * LOST_SCALE_S
    env.close()
    delay_s = 0.0
    for text in re.findall(r"<tripinfo ([^>]*)>", trips.read_text(encoding="utf-8")):
        trip = dict(re.findall(r'(\w+)="([^"]*)"', text))
        delay_s += float(trip["departDelay"])
        delay_s += float(trip["timeLoss"]) if float(trip["depart"]) >= 0.0 else 0.0
    assert delay_s > 1000.0
    assert total == pytest.approx(delay_s, rel=0.01)


def test_a_fault_that_never_holds_is_refused() -> None:
    for make in (JunctionEnv, NetworkEnv):
        with pytest.raises(InputError, match="never holds in what is run: night 02:00-03:00"):
            make("gangnam", "night", faults=["loss:0.3@17:00-18:00"])


@pytest.mark.parametrize("wish", [-1, 99])
def test_a_wish_for_no_phase_is_refused(network: World, wish: int) -> None:
    env = NetworkEnv(network, control=[network.junctions[0].id])
    env.reset(seed=1)
    with pytest.raises(InputError, match=rf"action {wish} is no phase; allowed: 0 to \d"):
        env.step({network.junctions[0].id: wish})
    env.close()


def test_standard_output_is_for_results_alone() -> None:
    code = (
        "import importlib.metadata as m\n"
        "real = m.version\n"
        "m.version = lambda name: '1.0.0' if name == 'pyarrow' else real(name)\n"
        "from signals.simulation.sumo_backend import SumoBackend\n"
        "SumoBackend()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")

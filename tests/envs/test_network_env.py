import warnings
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("libsumo", reason="libsumo is not installed (extra: sim)")
pytest.importorskip("pettingzoo", reason="pettingzoo is not installed (extra: sim)")

from signals.encoder import Encoder, Padder
from signals.envs.junction_env import JunctionEnv
from signals.envs.network_env import NetworkEnv
from signals.errors import InputError, SimulationError, UnknownNameError
from signals.observation import maxima_of
from signals.recording import Recorder
from signals.simulation.backend import RunOptions
from signals.simulation.episode import Episode
from signals.simulation.sumo_backend import SumoBackend


@pytest.fixture
def env(mixed):
    made = NetworkEnv(mixed)
    yield made
    made.close()


def by_mask(infos, number):
    """A wish that is open, another one each time."""
    found = {}
    for row, (name, info) in enumerate(infos.items()):
        open_ = np.flatnonzero(info["action_mask"])
        found[name] = int(open_[(number * 7 + row) % len(open_)])
    return found


def test_parallel_api_test_passes_without_a_warning(env):
    from pettingzoo.test import parallel_api_test

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parallel_api_test(env, num_cycles=30)


def test_observations_are_padded_with_closed_phases(env, mixed):
    observations, infos = env.reset(seed=1)
    assert env.possible_agents == [junction.id for junction in mixed.junctions]
    small, large = mixed.junctions[0], mixed.junctions[1]
    assert len(small.phases) < env.maxima.phases == max(len(j.phases) for j in mixed.junctions)
    mask = observations[small.id]["mask"]
    assert mask[: len(small.phases)].any() and not mask[len(small.phases) :].any()
    assert not infos[small.id]["action_mask"][len(small.phases) :].any()
    phases = observations[small.id]["phases"].reshape(env.maxima.phases, -1)
    assert not phases[len(small.phases) :].any()
    for name, observation in observations.items():
        assert env.observation_space(name).contains(observation)
    assert env.action_space(large.id).n == env.maxima.phases


def test_a_junction_is_padded_alike_alone_and_among_others(mixed):
    episode = Episode(mixed, SumoBackend())
    episode.start(3)
    try:
        for second in range(120):
            episode.tick_all([second // 20 % len(run.junction.phases) for run in episode.junctions])
        specs = [run.spec for run in episode.junctions]
        maxima = maxima_of(specs)
        encoder = Encoder(specs)
        readings, states = episode.read_all(), episode.states()
        values = np.concatenate([item.values for item in readings])
        stack = Padder(encoder, maxima).stack(
            encoder.encode(values, states, [item.time_s for item in readings])
        )
        for row, (spec, reading, state) in enumerate(zip(specs, readings, states, strict=True)):
            alone = spec.encode(reading, state).vectors(maxima)
            for name, array in alone.items():
                assert array.tobytes() == stack[name][row].tobytes(), (spec.junction.id, name)
        assert stack["movements"].sum() > 0
    finally:
        episode.close()


def test_the_others_follow_their_plans(mixed):
    ids = [junction.id for junction in mixed.junctions]
    recorders = [Recorder() for _ in ids]
    env = NetworkEnv(mixed, control=[ids[2], ids[0]], recorders=recorders)
    try:
        _, infos = env.reset(seed=4)
        assert env.agents == [ids[0], ids[2]]
        number = 0
        while env.agents and number < 60:
            _, _, _, _, infos = env.step(by_mask(infos, number))
            number += 1
    finally:
        env.close()
    for index, (junction, plan) in enumerate(zip(mixed.junctions, mixed.plans, strict=True)):
        wishes = [row[3] for row in recorders[index].seconds]
        planned = [plan.wish(junction, mixed.begin_s + second) for second in range(len(wishes))]
        assert (wishes == planned) == (index not in (0, 2))


def test_seconds_done_at_once_show_the_same_lights(mixed):
    """A recorder makes the run go second by second; without one the guards go ahead."""
    import libsumo

    def lights(recorders):
        env = NetworkEnv(mixed, recorders=recorders)
        _, infos = env.reset(seed=4)
        shown, number = [], 0
        while env.agents and number < 60:
            _, rewards, _, _, infos = env.step(by_mask(infos, number))
            shown.append(
                [libsumo.trafficlight.getRedYellowGreenState(j.id) for j in mixed.junctions]
                + [repr(rewards)]
            )
            number += 1
        env.close()
        return shown

    assert lights(None) == lights([Recorder() for _ in mixed.junctions])


def test_rewards_and_the_rest_sum_to_the_reported_delay(network, tmp_path):
    trips = tmp_path / "trips.xml"
    options = [
        *("--tripinfo-output", str(trips), "--tripinfo-output.write-unfinished", "true"),
        *("--tripinfo-output.write-undeparted", "true"),
    ]
    env = NetworkEnv(network, sumo_options=options)
    total = 0.0
    try:
        _, infos = env.reset(seed=1, options={"day": 2})
        number = 0
        while env.agents:
            _, rewards, _, _, infos = env.step(by_mask(infos, number))
            total += sum(rewards.values()) + next(iter(infos.values()))["elsewhere"]
            assert all(reward <= 0.0 for reward in rewards.values())
            for name, reward in rewards.items():
                assert infos[name]["reward_parts"].sum() == pytest.approx(reward)
            number += 1
    finally:
        env.close()
    from xml.etree import ElementTree

    lost_s = 0.0
    for trip in ElementTree.parse(trips).iter("tripinfo"):
        lost_s += float(trip.get("departDelay")) + max(float(trip.get("timeLoss")), 0.0)
    assert lost_s > 10_000
    assert -1000.0 * total == pytest.approx(lost_s, rel=0.01)


def test_the_same_seed_gives_the_same_run(env):
    def run():
        observations, infos = env.reset(seed=11)
        seen = [repr(sorted(infos[name]["day"] for name in infos))]
        for number in range(20):
            observations, rewards, _, _, infos = env.step(by_mask(infos, number))
            seen.append(repr(rewards) + observations[env.agents[0]]["movements"].tobytes().hex())
        return seen

    assert run() == run()


def test_a_run_ends_with_its_period(network):
    env = NetworkEnv(replace(network, end_s=network.begin_s + 23), decision_interval_s=10)
    try:
        env.reset(seed=1)
        steps = []
        while env.agents:
            _, _, terminated, truncated, infos = env.step(dict.fromkeys(env.agents, 0))
            steps.append(next(iter(infos.values()))["step_s"])
        assert steps == [10.0, 10.0, 3.0]
        assert all(truncated.values()) and not any(terminated.values())
        with pytest.raises(InputError, match="reset"):
            env.step({})
    finally:
        env.close()


def test_a_second_simulation_in_one_process_is_refused(env, network):
    env.reset(seed=1)
    other = NetworkEnv(network)
    with pytest.raises(SimulationError, match="second libsumo simulation"):
        other.reset(seed=1)
    with pytest.raises(SimulationError, match="use worker processes"):
        JunctionEnv("gangnam", "night").reset(seed=1)


def test_bad_arguments_are_named(network, env):
    with pytest.raises(UnknownNameError, match="junction"):
        NetworkEnv(network, control=["Z9"])
    with pytest.raises(InputError, match="no junction"):
        NetworkEnv(network, control=[])
    with pytest.raises(InputError, match="decision_interval_s is 0"):
        NetworkEnv(network, decision_interval_s=0)
    with pytest.raises(InputError, match="own period"):
        NetworkEnv(network, "am_peak")
    with pytest.raises(InputError, match="reset"):
        env.action_masks()
    env.reset(seed=1)
    with pytest.raises(InputError, match="no action for"):
        env.step({env.agents[0]: 0})


def test_the_episode_of_a_network_names_what_works_on_one(network):
    episode = Episode(network, SumoBackend())
    assert [run.junction.id for run in episode.junctions] == [j.id for j in network.junctions]
    with pytest.raises(InputError, match="6 junctions"):
        episode.observe()
    with pytest.raises(InputError, match="start the episode"):
        _ = episode.junctions[0].state
    with pytest.raises(InputError, match="2 recorders for 6 junctions"):
        Episode(network, SumoBackend(), [Recorder(), Recorder()])
    assert RunOptions().features_only is False

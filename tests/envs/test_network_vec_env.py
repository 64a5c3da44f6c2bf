import os
import signal
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("libsumo", reason="libsumo is not installed (extra: sim)")
pytest.importorskip("stable_baselines3", reason="stable-baselines3 is not installed (extra: train)")

from signals.envs.network_vec_env import NetworkVecEnv
from signals.errors import InputError, UnknownNameError, WorkError


def drive(env, steps):
    """Bytes of each simulation's observations and rewards."""
    observations = env.reset()
    simulations = env.num_envs // len(env.junctions)
    seen = [b""] * simulations
    for number in range(steps):
        masks = np.stack(env.env_method("action_masks"))
        actions = [int(np.flatnonzero(mask)[number % mask.sum()]) for mask in masks]
        observations, rewards, _, _ = env.step(np.array(actions))
        for simulation in range(simulations):
            rows = slice(simulation * len(env.junctions), (simulation + 1) * len(env.junctions))
            seen[simulation] += observations["movements"][rows].tobytes() + rewards[rows].tobytes()
    return seen


def test_results_depend_neither_on_the_number_of_workers_nor_on_how_they_start(mixed):
    found = []
    for simulations, start_method in ((1, "spawn"), (2, "forkserver")):
        env = NetworkVecEnv(mixed, simulations=simulations, start_method=start_method, seed=5)
        try:
            found.append(drive(env, 20))
        finally:
            env.close()
    alone, two = found
    assert alone[0] == two[0]
    assert two[0] != two[1]


def test_stable_baselines3_conventions(mixed):
    short = replace(mixed, end_s=mixed.begin_s + 20)
    env = NetworkVecEnv(short, control=[j.id for j in mixed.junctions[:2]], simulations=2, seed=1)
    try:
        assert env.num_envs == 4
        first = env.reset()
        assert env.observation_space.contains({name: a[0] for name, a in first.items()})
        assert first["mask"].shape == (4, env.maxima.phases)
        assert env.get_attr("junction_id") == [j.id for j in mixed.junctions[:2]] * 2
        for step in range(4):
            observations, rewards, dones, infos = env.step(np.zeros(4, dtype=np.int64))
            assert rewards.shape == (4,) and rewards.dtype == np.float32
            assert dones.tolist() == [step == 3] * 4
        for slot, info in enumerate(infos):
            assert info["TimeLimit.truncated"] is True
            last = info["terminal_observation"]
            assert env.observation_space.contains(last)
            assert last["movements"].tobytes() != observations["movements"][slot].tobytes()
            assert env.reset_infos[slot]["clock_s"] == mixed.begin_s
        assert env.has_attr("action_masks")
        assert env.env_method("action_masks", indices=[3])[0].dtype == np.bool_
        with pytest.raises(AttributeError, match="no method"):
            env.env_method("render")
    finally:
        env.close()


def test_a_policy_learns_through_it(mixed):
    from stable_baselines3 import PPO
    from stable_baselines3.common.vec_env import VecMonitor

    env = VecMonitor(NetworkVecEnv(replace(mixed, end_s=mixed.begin_s + 60), seed=1))
    try:
        model = PPO("MultiInputPolicy", env, n_steps=8, batch_size=16, n_epochs=1, seed=1)
        model.learn(96)
        assert model.num_timesteps >= 96
    finally:
        env.close()


def test_a_worker_that_dies_gives_one_clear_error(mixed):
    env = NetworkVecEnv(mixed, simulations=2, seed=1)
    env.reset()
    os.kill(env._workers[1].pid, signal.SIGKILL)
    with pytest.raises(WorkError, match=r"simulation 1 died \(exit code -9"):
        for _ in range(3):
            env.step(np.zeros(env.num_envs, dtype=np.int64))
    assert not any(worker.is_alive() for worker in env._workers)
    env.close()


def test_errors_come_home_from_workers(mixed):
    with pytest.raises(InputError, match="Z9"):
        NetworkVecEnv(mixed, control=["Z9"])
    with pytest.raises(InputError, match="simulations is 0"):
        NetworkVecEnv(mixed, simulations=0)
    with pytest.raises(InputError, match="forkserver, spawn"):
        NetworkVecEnv(mixed, start_method="fork")
    broken = replace(mixed, sumo_options=("--no-such-option", "1"))
    env = NetworkVecEnv(broken)
    with pytest.raises(WorkError, match="SUMO refused"):
        env.reset()
    assert issubclass(UnknownNameError, InputError)

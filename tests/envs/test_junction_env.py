import subprocess
import sys

import numpy as np
import pytest

gymnasium = pytest.importorskip("gymnasium")
pytest.importorskip("libsumo")

from signals.envs.junction_env import JunctionEnv  # noqa: E402
from signals.errors import InputError, SimulationError, UnknownNameError  # noqa: E402


@pytest.fixture
def env():
    made = gymnasium.make("signals:Junction-v0", scenario="gangnam", period="night")
    yield made
    made.close()


def test_gymnasium_check_env_passes_without_a_warning(env):
    from gymnasium.utils.env_checker import check_env

    check_env(env.unwrapped, skip_render_check=True)


def test_stable_baselines3_check_env_passes_without_a_warning(env):
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    checker.check_env(env.unwrapped, warn=True)


def test_observations_lie_in_the_space_and_masks_agree(env):
    observation, info = env.reset(seed=3)
    random = np.random.default_rng(0)
    for _ in range(60):
        assert env.observation_space.contains(observation)
        assert np.array_equal(info["action_mask"], observation["mask"] > 0.5)
        assert np.array_equal(info["action_mask"], env.unwrapped.action_masks())
        assert info["action_mask"].any()
        open_phases = np.flatnonzero(info["action_mask"])
        observation, reward, terminated, truncated, info = env.step(random.choice(open_phases))
        assert reward <= 0.0
        assert not terminated
        assert not truncated


def test_the_same_seed_gives_the_same_observations(env):
    def run():
        observation, _ = env.reset(seed=11)
        seen = [observation["movements"].tobytes()]
        for step in range(40):
            observation, reward, _, _, _ = env.step(step % env.action_space.n)
            seen.append(observation["movements"].tobytes() + repr(reward).encode())
        return seen

    assert run() == run()


def test_an_episode_ends_with_its_period():
    made = JunctionEnv("gangnam", "night", decision_interval_s=60)
    try:
        made.reset(seed=1)
        truncated, steps = False, 0
        while not truncated:
            _, _, _, truncated, info = made.step(np.int64(0))
            steps += 1
        assert steps == 60
        assert info["clock_s"] == 3 * 3600
    finally:
        made.close()


def test_sumo_never_advances_a_light_by_itself(env):
    """Every state SUMO shows is the guard's, second by second."""
    import libsumo

    env.reset(seed=2)
    episode = env.unwrapped.episode
    for second in range(200):
        episode.tick(second // 40 % len(episode.world.junction.phases))
        shown = libsumo.trafficlight.getRedYellowGreenState(episode.world.junction.id)
        assert shown == episode.guard.lights(episode.state)


def test_a_second_simulation_in_one_process_is_refused(env):
    env.reset(seed=1)
    other = JunctionEnv("gangnam", "night")
    with pytest.raises(SimulationError, match="second libsumo simulation"):
        other.reset(seed=1)


def test_bad_arguments_are_named():
    with pytest.raises(UnknownNameError, match="did you mean gangnam"):
        JunctionEnv("gangnem")
    with pytest.raises(UnknownNameError, match="lost_seconds"):
        JunctionEnv("gangnam", reward="lost_second")
    with pytest.raises(InputError, match="decision_interval_s is 0"):
        JunctionEnv("gangnam", decision_interval_s=0)


def test_observations_are_equal_across_processes():
    code = (
        "import hashlib\n"
        "from signals.envs.junction_env import JunctionEnv\n"
        "env = JunctionEnv('gangnam', 'night')\n"
        "observation, info = env.reset(seed=5)\n"
        "digest = hashlib.sha256()\n"
        "for step in range(60):\n"
        "    observation, reward, *_ = env.step(step // 9 % env.action_space.n)\n"
        "    digest.update(observation['movements'].tobytes() + repr(reward).encode())\n"
        "env.close()\n"
        "print(digest.hexdigest())\n"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    }
    assert len(digests) == 1

"""A Ray cluster of a head and two workers, each a process group of its own, on loopback."""

import os
import signal
import socket
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed (extra: train)")
pytest.importorskip("libsumo", reason="libsumo is not installed (extra: sim)")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    ray = pytest.importorskip("ray", reason="ray is not installed (extra: cluster)")

from agents.cluster import cluster_workers, connect
from agents.learned.rollout import RolloutTask
from agents.learned.run import roll_out
from signals.errors import InputError

pytestmark = pytest.mark.filterwarnings("ignore")

VALUES = {
    "decision_interval_s": 5, "gamma": 0.97, "reward": "lost_seconds", "width": 16,
    "walkers_low": 1.0, "walkers_high": 1.0, "action_model": "phase",
}  # fmt: skip


def task(day):
    return RolloutTask(
        "generated:junction:3", "all", day, 5, "teach", VALUES, teacher="max_pressure",
        epsilon=0.2, maximum_s=400,
    )  # fmt: skip


def start(*options):
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "ray.scripts.scripts", "start", "--block",
         "--disable-usage-stats", "--node-ip-address", "127.0.0.1", *options],
        start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def end(process):
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=20)


@pytest.fixture
def cluster():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"127.0.0.1:{port}"
    small = ("--object-store-memory", str(80 * 2**20))
    nodes = [
        start("--head", "--port", str(port), "--num-cpus", "0",
              "--include-dashboard", "false", *small)
    ]  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if not probe.connect_ex(("127.0.0.1", port)):
                    break
            time.sleep(0.1)
        connect(address)
        # A worker that is killed before it has joined would leave nothing to replace.
        for count in (2, 3):
            nodes.append(start("--address", address, "--num-cpus", "1", *small))
            deadline = time.monotonic() + 60
            while sum(node["Alive"] for node in ray.nodes()) < count:
                assert time.monotonic() < deadline, "a worker did not join within 60 s"
                time.sleep(0.1)
        yield address, nodes
    finally:
        ray.shutdown()
        for node in nodes:
            end(node)


def test_results_are_equal_and_a_killed_worker_loses_nothing(cluster):
    address, nodes = cluster
    tasks = [task(day) for day in range(8)]
    expected = [roll_out(one) for one in tasks]
    killed = []

    def kill_one(_):
        if not killed:
            killed.append(nodes[2])
            end(nodes[2])

    with cluster_workers(address, 2) as workers:
        found = workers.run(roll_out, tasks, kill_one)
        # One of the two was at work, or about to be, when its machine went.
        assert killed and len(ray.nodes()) == 3
    for one, other in zip(expected, found, strict=True):
        assert one.lost_veh_h == other.lost_veh_h
        for here, there in zip(one.trajectories, other.trajectories, strict=True):
            assert np.array_equal(here.actions, there.actions)
            assert np.array_equal(here.parts, there.parts)


def test_no_cluster_at_the_address():
    with pytest.raises(InputError, match="no Ray cluster answers"):
        connect("127.0.0.1:1")

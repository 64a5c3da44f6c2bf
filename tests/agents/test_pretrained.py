"""The shipped policy: the same network in both forms, and a lawful, useful agent anywhere."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed (extra: train)")
pytest.importorskip("libsumo", reason="libsumo is not installed (extra: sim)")

import torch

from agents.evaluation.runner import Job, run_job
from agents.export import compare, recorded_observations
from agents.pretrained import NAMES, POLICY, folder_of, pretrained_run, shipped_policy
from agents.resolve import agents_for
from signals.world import resolve


def test_both_forms_decide_alike() -> None:
    assert "universal" in NAMES
    folder = folder_of("universal")
    observations = recorded_observations(folder)
    run = pretrained_run("universal")
    check = compare(run.scorer, (folder / POLICY).read_bytes(), observations)
    assert check.equal == check.decisions > 50
    with torch.no_grad():
        assert all(np.isfinite(value.numpy()).all() for value in run.scorer.state_dict().values())


def test_one_policy_decides_for_every_junction_of_a_network() -> None:
    world = resolve("generated:corridor:3")
    agents = agents_for("universal", world)
    assert len(agents) == len(world.junctions)
    assert {agent.name for agent in agents} == {shipped_policy("universal").name}


def test_it_beats_the_plan_on_a_street_kept_for_judging() -> None:
    street = "generated:junction:20004"
    delay = {
        name: run_job(Job(street, None, name, 20_000)).metrics.delay_s
        for name in ("universal", "fixed_time")
    }
    assert delay["universal"] < delay["fixed_time"]

"""The published delay, recomputed from SUMO's files by code of its own.

Delay is (sum of timeLoss + departDelay over all trips, unfinished included, + waiting of vehicles
never inserted) / all scheduled vehicles. The overloaded run has the demand of four days at once, so
that the street cannot take in all of it.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agents.evaluation.runner import Job, RunResult, run_job, run_jobs, tripinfo_bytes
from signals.world import resolve

pytest.importorskip("libsumo", reason="libsumo is not installed (extra: sim)")
pytestmark = pytest.mark.sumo

PERIOD, SEED, RUN_S = "am_peak", 20_000, 240


@pytest.fixture(scope="module")
def overloaded(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    return _run(tmp_path_factory.mktemp("overloaded"), "--scale", "4")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    return _run(tmp_path_factory.mktemp("plain"))


def _job(folder: Path, *sumo: str, seed: int = SEED) -> Job:
    file = folder / f"trips-{seed}.xml"
    return Job("gangnam", PERIOD, "actuated", seed, file, sumo=sumo, duration_s=RUN_S)


def _run(folder: Path, *sumo: str) -> RunResult:
    return run_job(_job(folder, *sumo))


def _trips(result: RunResult) -> list[dict[str, str]]:
    assert result.trips is not None
    text = result.trips.read_text(encoding="utf-8")
    return [
        dict(re.findall(r'(\w+)="([^"]*)"', found))
        for found in re.findall(r"<tripinfo ([^>]*)>", text)
    ]


def _due_s() -> dict[str, float]:
    """Vehicles of the demand day that are due before the run ends, and when."""
    world = resolve("gangnam", PERIOD)
    text = world.routes(SEED).read_text(encoding="utf-8")
    found = re.findall(r'<vehicle id="([^"]+)"[^>]* depart="([^"]+)"', text)
    return {name: float(due) for name, due in found if float(due) < world.begin_s + RUN_S}


def test_every_scheduled_vehicle_has_exactly_one_trip(plain: RunResult) -> None:
    names = [trip["id"] for trip in _trips(plain)]
    assert len(names) == len(set(names))
    assert set(names) == set(_due_s())
    assert plain.metrics.vehicles == len(names)
    assert plain.metrics.flags == ()


def test_overload_schedules_four_times_as_many(overloaded: RunResult) -> None:
    assert overloaded.metrics.vehicles == 4 * len(_due_s())


@pytest.mark.parametrize("which", ["plain", "overloaded"])
def test_delay_is_what_the_files_say(which: str, request: pytest.FixtureRequest) -> None:
    result: RunResult = request.getfixturevalue(which)
    trips = _trips(result)
    lost_s = sum(float(trip["timeLoss"]) + float(trip["departDelay"]) for trip in trips)
    assert result.metrics.delay_s == pytest.approx(lost_s / len(trips), rel=1e-12)
    inside = [trip for trip in trips if trip["depart"] != "-1"]
    finished = [trip for trip in inside if float(trip["arrival"]) >= 0]
    assert result.metrics.arrived == len(finished)
    assert result.metrics.unfinished == len(inside) - len(finished)
    assert result.metrics.never_inserted == len(trips) - len(inside)


def test_vehicles_never_inserted_count_with_their_whole_wait(overloaded: RunResult) -> None:
    """Their wait is taken from the route file here, not from what SUMO says it was."""
    world = resolve("gangnam", PERIOD)
    end_s, due_s = world.begin_s + RUN_S, _due_s()
    trips = _trips(overloaded)
    never = [trip for trip in trips if trip["depart"] == "-1"]
    assert len(never) > 50
    lost_s = sum(
        float(trip["timeLoss"]) + float(trip["departDelay"])
        for trip in trips
        if trip["depart"] != "-1"
    )
    for trip in never:
        due = due_s.get(trip["id"], due_s.get(trip["id"].rpartition(".")[0]))
        assert due is not None
        lost_s += end_s - due
    # SUMO rounds each departDelay to 0.01 s
    assert overloaded.metrics.delay_s == pytest.approx(lost_s / len(trips), abs=0.01)


def test_approaches_add_up_to_the_junction(overloaded: RunResult) -> None:
    parts = overloaded.metrics.approaches.values()
    assert sum(part.vehicles for part in parts) == overloaded.metrics.vehicles
    lost_s = sum(part.vehicles * part.delay_s for part in parts)
    assert lost_s / overloaded.metrics.vehicles == pytest.approx(overloaded.metrics.delay_s)


def test_same_seed_same_trips_here_and_in_other_processes(plain: RunResult, tmp_path: Path) -> None:
    assert plain.trips is not None
    first = tripinfo_bytes(plain.trips)
    again = _run(tmp_path)
    assert again.trips is not None
    assert tripinfo_bytes(again.trips) == first
    assert again.metrics == plain.metrics
    folder = tmp_path / "workers"
    folder.mkdir()
    apart = run_jobs([_job(folder), _job(folder, seed=SEED + 1)], workers=2)
    assert apart[0].trips is not None and apart[1].trips is not None
    assert tripinfo_bytes(apart[0].trips) == first
    assert apart[0].metrics == plain.metrics
    assert tripinfo_bytes(apart[1].trips) != first

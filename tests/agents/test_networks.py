"""Agents, results and recordings of several junctions in one run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

pytest.importorskip("libsumo", reason="libsumo is not installed (extra: sim)")
polars = pytest.importorskip("polars", reason="polars is not installed (extra: sim)")

from agents.classical import NAMES  # noqa: E402
from agents.evaluation import request, run  # noqa: E402
from agents.evaluation.cli import evaluate, simulate  # noqa: E402
from agents.evaluation.jobs import Job, RunResult  # noqa: E402
from agents.evaluation.run import run_world  # noqa: E402
from agents.resolve import agent_for, agents_for  # noqa: E402
from signals.errors import InputError  # noqa: E402
from signals.faults import FaultSpec  # noqa: E402
from signals.observation import Observation  # noqa: E402
from signals.world import World  # noqa: E402
from tests.agents.street import BEGIN_S, generate, junctions_of, shortened, world_of  # noqa: E402
from tests.independent.lights import check_lights  # noqa: E402

pytestmark = pytest.mark.sumo
JOB = Job("some", "all_day", "max_pressure", 3)
GRID = ("--grid", "--grid.x-number", "3", "--grid.y-number", "2", "--grid.length", "180",
        "--grid.attach-length", "150", "-L", "2")  # fmt: skip


@pytest.fixture(scope="module")
def grid(sumo_tools: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("grid")
    net = generate(folder, sumo_tools, *GRID)
    return world_of(net, folder, junctions_of(net))


def judged(world: World, agent: str, folder: Path | None = None, **changes: object) -> RunResult:
    job = Job("some", "all_day", agent, 3, record=folder, **changes)  # type: ignore[arg-type]
    return run_world(world, agents_for(agent, world), job)


@pytest.mark.parametrize("name", NAMES)
def test_every_classical_agent_runs_a_network_lawfully(
    name: str, grid: World, tmp_path: Path
) -> None:
    found = judged(grid, name, tmp_path)
    assert len(grid.junctions) == 6
    assert found.metrics.arrived > 10
    assert found.metrics.los is None and found.metrics.approaches == {}
    assert list(found.metrics.junctions) == [item.id for item in grid.junctions]
    lights = polars.read_parquet(tmp_path / "lights.parquet")
    assert lights.columns[0] == "junction"
    for junction in grid.junctions:
        mine = lights.filter(polars.col("junction") == junction.id)
        seconds = list(zip(mine["second"], mine["state"], strict=True))
        assert len(seconds) == 300
        assert check_lights(seconds, grid.net_file, junction.id) == []


def test_junctions_are_judged_by_their_approaches(grid: World) -> None:
    found = judged(grid, "fixed_time").to_dict()
    assert set(found["junctions"]) == {item.id for item in grid.junctions}
    for junction in grid.junctions:
        mine = found["junctions"][junction.id]
        legs = mine["approaches"]
        assert set(legs) == {lane.leg for lane in junction.lanes}
        assert mine["vehicles"] == sum(leg["vehicles"] for leg in legs.values())
        assert mine["lost_s"] == pytest.approx(sum(leg["lost_s"] for leg in legs.values()))
        assert mine["delay_s"] == pytest.approx(mine["lost_s"] / mine["vehicles"])
        assert sum(mine["phase_s"].values()) == 300
        assert 0.0 < mine["granted"] <= 1.0
    assert found["phase_s"] == {}
    # Trips lose time on approaches above all; what they lose inside junctions is little.
    on_approaches_s = sum(item["lost_s"] for item in found["junctions"].values())
    assert on_approaches_s == pytest.approx(found["delay_s"] * found["vehicles"], rel=0.25)
    assert json.loads(json.dumps(found)) == found


class Counting:
    """Wishes for one phase and notes when it is asked."""

    name = "counting"

    def __init__(self, interval_s: int) -> None:
        self.decision_interval_s = interval_s
        self.clocks: list[float] = []
        self.sizes: set[int] = set()

    def reset(self, seed: int) -> None:
        self.clocks.clear()

    def decide(self, observation: Observation, clock_s: float) -> int:
        self.clocks.append(clock_s)
        self.sizes.add(len(observation.mask))
        return 0


def test_each_junction_decides_at_its_own_interval(grid: World) -> None:
    agents = [Counting(interval_s) for interval_s in (1, 3, 5, 7, 30, 60)]
    run_world(shortened(grid, 60), agents, JOB)
    for agent, junction in zip(agents, grid.junctions, strict=True):
        assert agent.clocks == list(range(BEGIN_S, BEGIN_S + 60, agent.decision_interval_s))
        assert agent.sizes == {len(junction.phases)}


def test_as_many_agents_as_junctions(grid: World) -> None:
    with pytest.raises(InputError, match="2 agents for the 6 junctions"):
        run_world(grid, [Counting(1), Counting(1)], JOB)
    with pytest.raises(InputError, match="has 6 junctions"):
        agent_for("fixed_time", grid)


def test_the_same_day_gives_the_same_network_run(grid: World, tmp_path: Path) -> None:
    faults = (FaultSpec.parse("rain:0.8"), FaultSpec.parse("miscount:*:0.2"))
    short = shortened(grid, 120)
    folders = [tmp_path / name for name in ("one", "two", "sound")]
    for folder in folders:
        folder.mkdir()
    first, again = (judged(short, "max_pressure", f, faults=faults) for f in folders[:2])
    assert first.to_dict() | {"wall_s": 0} == again.to_dict() | {"wall_s": 0}
    assert first.faults == ("rain:*:0.8", "miscount:*:0.2")
    sound = judged(short, "max_pressure", folders[2])
    assert sound.faults == ()
    lights = [polars.read_parquet(folder / "lights.parquet") for folder in folders]
    assert lights[0].equals(lights[1]) and not lights[0].equals(lights[2])


@pytest.fixture
def known(grid: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """The grid as a scenario that the commands find."""
    for module in (request, run):
        monkeypatch.setattr(module, "resolve", lambda scenario, period=None: grid)
    return grid


def test_simulate_prints_junctions_and_faults(known: World) -> None:
    found = CliRunner().invoke(
        simulate,
        ["some", "--agent", "actuated", "--minutes", "2", "--fault", "loss:near_zone/*:0.5"],
        catch_exceptions=False,
    )
    assert found.exit_code == 0
    assert "worst approach" in found.output and "level of service" not in found.output
    assert all(junction.id in found.output for junction in known.junctions)
    assert "detector fault: loss:near_zone/*:0.5" in found.output


def test_evaluate_keeps_networks_whole(known: World, tmp_path: Path) -> None:
    out = tmp_path / "kept"
    found = CliRunner().invoke(
        evaluate,
        ["some", "--agent", "fixed_time", "--agent", "max_pressure", "--seeds", "2",
         "--workers", "1", "--minutes", "2", "--out", str(out), "--json"],
        catch_exceptions=False,
    )  # fmt: skip
    assert found.exit_code == 0
    document = json.loads(found.stdout)
    assert document["faults"] == []
    assert len(document["runs"]) == 4
    assert all(len(row["junctions"]) == 6 for row in document["runs"])
    table = polars.read_parquet(out / "junctions.parquet")
    assert table.height == 4 * 6
    assert {"period", "agent", "seed", "junction", "delay_s", "lost_s"} <= set(table.columns)
    assert polars.read_parquet(out / "metrics.parquet").height == 4
    config = json.loads((out / "config.json").read_text())
    assert set(config["periods"]["all_day"]["junctions"]) == {j.id for j in known.junctions}


def test_evaluate_prints_where_time_is_lost(known: World) -> None:
    found = CliRunner().invoke(
        evaluate,
        ["some", "--agent", "fixed_time", "--agent", "webster", "--seeds", "1", "--workers", "1",
         "--minutes", "1"],
        catch_exceptions=False,
    )  # fmt: skip
    assert "junctions where most time is lost" in found.output
    assert all(junction.id in found.output for junction in known.junctions)


def test_a_fault_of_no_detector_is_refused_before_any_run(known: World) -> None:
    with pytest.raises(InputError, match="matches no detector"):
        CliRunner().invoke(
            simulate,
            ["some", "--agent", "actuated", "--fault", "loss:radar/*"],
            catch_exceptions=False,
            standalone_mode=False,
        )

"""The page: self-contained, complete, and as loud about bad news as about good news."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

pytest.importorskip("sumolib", reason="sumolib is not installed (extra: sim)")
pytest.importorskip("jinja2", reason="Jinja2 is not installed (extra: study)")
polars = pytest.importorskip("polars", reason="polars is not installed (extra: sim)")

from agents.evaluation.report import charts  # noqa: E402
from agents.evaluation.report.cli import report  # noqa: E402
from agents.evaluation.report.page import build_page  # noqa: E402
from agents.evaluation.report.source import Seconds, timeline_window  # noqa: E402
from agents.evaluation.report.words import plan_words  # noqa: E402
from agents.evaluation.statistics import summarise_runs, verdicts  # noqa: E402
from signals.capacity import junction_los  # noqa: E402
from signals.errors import InputError, ScenarioError  # noqa: E402
from signals.guard import Guard  # noqa: E402
from signals.recording import Recorder  # noqa: E402
from signals.world import World, resolve  # noqa: E402

LEARNED = "runs/gangnam"
CLASSICAL = ("fixed_time", "webster", "actuated", "max_pressure")
SECTIONS = (
    "verdict", "delay", "los", "queues", "junction", "phases", "timeline", "guard", "learning",
    "smallprint",
)  # fmt: skip
MEANS = (
    "stops", "unfinished", "never_inserted", "longest_wait_s", "pedestrian_delay_s", "bus_delay_s",
    "person_delay_s", "queue_p95_m", "co2_g",
)  # fmt: skip
Folder = Callable[..., Path]


@pytest.fixture(scope="module")
def world() -> World:
    return resolve("gangnam", "am_peak")


def lights(world: World, seed: int, every_s: int) -> Recorder:
    """1500 s under guard: the plan, or with `every_s` a wish that changes as often."""
    recorder, guard = Recorder(), Guard(world.junction)
    state = guard.start(0)
    for second in range(1500):
        wish = world.plan.wish(world.junction, world.begin_s + second)
        if every_s:
            wish = (second // every_s + seed) % len(world.junction.phases)
        state, verdict = guard.tick(state, wish)
        recorder.second(world.begin_s + second, guard.lights(state), wish, state, verdict)
    return recorder


@pytest.fixture(scope="module")
def folder(world: World, tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """Builds an evaluation folder whose learned agent has the given delays."""

    def build(
        learned: tuple[float, ...] = (45.0, 47.0, 44.0),
        agents: tuple[str, ...] = (*CLASSICAL, LEARNED),
        seeds: tuple[int, ...] = (20000, 20001, 20002),
        recorded: bool = True,
        **changes: Any,
    ) -> Path:
        home = tmp_path_factory.mktemp("evaluation")
        runs: list[dict[str, Any]] = []
        queues: list[dict[str, Any]] = []
        for number, agent in enumerate(agents):
            for day, seed in enumerate(seeds):
                delay_s = learned[day] if agent == LEARNED else 70.0 - 5.0 * number + 1.7 * day
                name = f"am_peak-{Path(agent).name.partition(':')[0]}-{seed}"
                runs.append(a_run(world, agent, seed, delay_s, home / "runs" / name))
                if recorded:
                    (home / "runs" / name).mkdir(parents=True)
                    recorder = lights(world, seed, 0 if agent == "fixed_time" else 9 + 4 * number)
                    recorder.write(home / "runs" / name)
                    queues += queue_rows(world, agent, seed, delay_s)
        if recorded:
            polars.DataFrame(queues).write_parquet(home / "queues.parquet")
        delays = {"am_peak": {a: {r["seed"]: r["delay_s"] for r in runs if r["agent"] == a}
                              for a in agents}}  # fmt: skip
        document = {
            "runs": runs,
            "summary": [
                summarise_runs(
                    "gangnam", "am_peak", a, [r for r in runs if r["agent"] == a], MEANS
                ).to_dict()
                for a in agents
            ],
            "verdict": [
                found.to_dict()
                for found in verdicts(delays, {agent for agent in agents if agent != LEARNED})
            ],
        }
        config = {
            "command": "evaluate",
            "scenario": "gangnam",
            "periods": {
                "am_peak": {
                    "begin_s": world.begin_s,
                    "end_s": world.end_s,
                    "junction_hash": world.junction.hash,
                    "plan": world.plan.to_dict(),
                    "sumo_options": list(world.sumo_options),
                }
            },
            "agents": list(agents),
            "seeds": list(seeds),
            "duration_s": None,
            "sumo": [],
            "versions": {"python": "3.11.2", "libsumo": "1.28.0"},
            "git_revision": "0123456789abcdef",
            **changes,
        }
        (home / "evaluation.json").write_text(json.dumps(document))
        (home / "config.json").write_text(json.dumps(config))
        return home

    return build


def a_run(world: World, agent: str, seed: int, delay_s: float, home: Path) -> dict[str, Any]:
    legs = dict.fromkeys(lane.leg for lane in world.junction.lanes)
    return {
        "scenario": "gangnam", "period": "am_peak", "agent": agent, "seed": seed,
        "delay_s": delay_s, "stops": delay_s / 40, "unfinished": 31, "never_inserted": 0,
        "longest_wait_s": 3.2 * delay_s, "pedestrian_delay_s": 0.9 * delay_s,
        "bus_delay_s": 0.8 * delay_s, "person_delay_s": 0.85 * delay_s,
        "queue_p95_m": 2.4 * delay_s, "co2_g": None, "flags": [],
        "approaches": {
            leg: {"vehicles": 1000, "delay_s": delay_s * (0.4 + 0.6 * index),
                  "los": junction_los(delay_s)}
            for index, leg in enumerate(legs)
        },
        "phase_s": {phase.name: 600 for phase in world.junction.phases},
        "trips": str(home / "tripinfo.xml"),
    }  # fmt: skip


def queue_rows(world: World, agent: str, seed: int, delay_s: float) -> list[dict[str, Any]]:
    legs = dict.fromkeys(lane.leg for lane in world.junction.lanes)
    return [
        {"period": "am_peak", "agent": agent, "seed": seed, "leg": leg,
         "time_s": float(world.begin_s + time_s),
         "queue_m": delay_s * (1 + index + (time_s % 150) / 150 + time_s / 3600)}
        for index, leg in enumerate(legs)
        for time_s in range(30, 3601, 30)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("run")
    config = {
        "scenario": "gangnam", "periods": ["am_peak"], "seed": 1, "algo": "dqn",
        "spec_hash": "0" * 64, "hyperparameters": {"decision_interval_s": 5, "width": 64},
    }  # fmt: skip
    (home / "config.json").write_text(json.dumps(config))
    lines = [
        {"decisions": 3000 * n, "delay_s": 60.0 + 40.0 / n, "elapsed_s": 20.0 * n,
         "runs": [{"period": "am_peak", "day": 10000, "delay_s": 60.0 + 40.0 / n}]}
        for n in range(1, 8)
    ]  # fmt: skip
    (home / "validation.jsonl").write_text("\n".join(json.dumps(line) for line in lines) + "\n")
    return home


class _Links(HTMLParser):
    """What a page would fetch or follow, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: set[str] = set()
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "data", "srcset", "action"):
                self.found.append(value or "")
            if name == "id":
                self.ids.append(value or "")


def test_the_page_fetches_nothing(folder: Folder, run_folder: Path) -> None:
    text = build_page(folder(), run_folder)
    links = _Links()
    links.feed(text)
    assert not links.tags & {"script", "link", "img", "iframe", "object", "embed"}
    assert all(link.startswith("#") for link in links.found)
    assert not re.findall(r"https?://|@import|url\((?!#)", text)


def test_the_page_has_every_section(folder: Folder, run_folder: Path) -> None:
    text = build_page(folder(), run_folder)
    links = _Links()
    links.feed(text)
    assert [name for name in links.ids if name in SECTIONS] == list(SECTIONS)
    assert len(links.ids) == len(set(links.ids))
    for words in ("지체", "현시", "서비스수준", "대기행렬", "numbers that describe gangnam",
                  "held out", "seeds 20000-20002", "revision 0123456789ab", "libsumo 1.28.0",
                  "21,000 decisions", "20 m"):  # fmt: skip
        assert words in text
    assert text.count('class="phase"') == 6
    assert text.count('class="chart timeline"') == 2
    assert "nan" not in re.sub(r"<style>.*?</style>", "", text, flags=re.S).lower().split()


@pytest.mark.parametrize(
    ("learned", "kind", "words"),
    [
        ((45.0, 47.0, 44.0), "better", "loses 11.4 s less"),
        ((95.0, 97.0, 94.0), "worse", "loses 38.6 s more"),
        ((56.0, 57.5, 56.0), "no difference", "no difference in delay can be shown"),
        ((40.0, 58.0, 72.0), "undecided", "scatter too much to decide"),
    ],
)
def test_the_verdict_says_what_the_data_say(
    folder: Folder, learned: tuple[float, ...], kind: str, words: str
) -> None:
    text = build_page(folder(learned))
    assert re.findall(r'data-verdict="([^"]+)"', text) == [kind]
    assert words in text
    assert "max_pressure, the best classical strategy" in text
    title = re.search(r'<p class="title">([^<]+)</p>', text)
    assert title is not None and title[1].lower().startswith(kind)


def test_worse_advises_against_the_policy(folder: Folder) -> None:
    text = build_page(folder((95.0, 97.0, 94.0)))
    assert "Do not put this policy on the street" in text
    assert "Difference +38.6 s/veh" in text


def test_one_day_decides_nothing(folder: Folder) -> None:
    text = build_page(folder((45.0,), seeds=(20000,)))
    assert 'data-verdict="undecided"' in text


def test_days_that_are_not_held_out_are_named(folder: Folder) -> None:
    assert "NOT held out" in build_page(folder(seeds=(1, 2, 3)))


def test_classical_agents_alone_and_nothing_recorded(folder: Folder) -> None:
    text = build_page(folder(agents=CLASSICAL, recorded=False))
    assert 'data-verdict="none"' in text
    assert "max_pressure has the lowest mean delay" in text
    assert "No lights were kept" in text


def test_a_classical_agent_with_parameters_is_no_learned_one(folder: Folder) -> None:
    text = build_page(folder(agents=("fixed_time", "actuated:max_gap_s=3")))
    assert 'data-verdict="none"' in text and 'class="learned"' not in text


def test_a_changed_scenario_is_refused(folder: Folder, world: World) -> None:
    periods = {"am_peak": {"begin_s": 0, "end_s": 1, "junction_hash": "0" * 64}}
    with pytest.raises(ScenarioError, match="evaluate again"):
        build_page(folder(periods=periods))


def test_no_evaluation_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="signals evaluate") as caught:
        build_page(tmp_path)
    assert "\n" not in str(caught.value)


def test_the_command_writes_the_page(folder: Folder, run_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "page.html"
    options = [str(folder()), "--run", str(run_folder), "--out", str(out)]
    result = CliRunner().invoke(report, options, catch_exceptions=False)
    assert result.exit_code == 0 and str(out) in result.output
    assert out.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_ticks_are_round_and_cover() -> None:
    for low, high in ((0.0, 87.3), (0.0, 0.4), (0.0, 1234.0), (0.0, 100.0)):
        marks = charts.ticks(low, high)
        assert marks[0] <= low and marks[-1] >= high - 1e-9 and 3 <= len(marks) <= 8


def test_a_timeline_shows_ten_minutes_or_all_there_is() -> None:
    def run(length: int) -> Seconds:
        return Seconds(list(range(length)), [], [], [], [])

    assert timeline_window(run(3600)) == (1200, 1800)
    assert timeline_window(run(700)) == (100, 700)
    assert timeline_window(run(300)) == (0, 300)


def test_a_day_names_every_plan_with_the_time_it_takes_over() -> None:
    day = resolve("school_zone", "day")
    words = plan_words(day.junctions[0], day.plans[0])
    assert words.startswith("cycle ")
    for at_s, _ in day.plans[0].later:
        assert f"; from {at_s // 3600:02d}:{at_s % 3600 // 60:02d} cycle " in words
    assert words.count("offset") == 1 + len(day.plans[0].later) > 1

"""`signals tune-classical` and the table of all agents, on a small site."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

pytest.importorskip("libsumo", reason="libsumo is not installed (extra: sim)")

from agents.classical import NAMES, parameters_of
from agents.evaluation import tuning
from agents.evaluation.peers import PEERS, peer_parameters
from agents.evaluation.tuning import SPACES, Tuner
from agents.evaluation.tuning_cli import tune_classical
from benchmarks.quality import quality
from signals.errors import InputError, UnknownNameError

pytestmark = pytest.mark.sumo
NIGHT = ("school_zone", "night")


def test_every_agent_with_parameters_can_be_tuned_within_its_bounds() -> None:
    assert set(SPACES) == {*NAMES, *PEERS} - {"fixed_time"}
    for agent, space in SPACES.items():
        rows = peer_parameters(agent) if agent in PEERS else parameters_of(agent)
        for name, values in space.items():
            default, low, high = rows[name]
            assert default in values, f"{agent} {name}: the default is not among the values"
            assert low <= min(values) and max(values) <= high


def test_the_best_setting_is_found_kept_and_not_run_again(tmp_path: Path) -> None:
    kept = tmp_path / "trials.json"
    command = ["school_zone", "--period", "night", "--agent", "actuated", "--days", "1",
               "--trials", "3", "--out", str(kept)]  # fmt: skip
    first = CliRunner().invoke(tune_classical, [*command, "--json"], catch_exceptions=False)
    assert first.exit_code == 0
    found = json.loads(first.stdout)
    trials = json.loads(kept.read_text())["trials"]
    assert len(trials) == found["trials"] == 3
    delays = {name: run["delays"]["school_zone/night"] for name, run in trials.items()}
    assert min(delays, key=delays.__getitem__) == found["agent"]
    before = kept.stat().st_mtime_ns
    again = CliRunner().invoke(tune_classical, command, catch_exceptions=False)
    assert kept.stat().st_mtime_ns == before, "a trial was run again"
    assert f'"{found["agent"]}"' in again.output
    with pytest.raises(InputError, match="holds trials of actuated"):
        Tuner("webster", [NIGHT], 1, kept=kept)
    kept.write_text("{}")
    with pytest.raises(InputError, match="holds no trials"):
        Tuner("actuated", [NIGHT], 1, kept=kept)


def test_the_search_goes_down_to_the_best_of_all_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bowl over the two parameters of actuated, in place of runs."""

    def bowl(self: Tuner, agent: str) -> tuning.Trial:
        values = self._values(agent)
        score = abs(values["passage_s"] - 2.0) + abs(values["max_share"] - 1.2) + 1.0
        return tuning.Trial(agent, {"a/b": score}, score, 0)

    monkeypatch.setattr(Tuner, "_try", bowl)
    best = Tuner("actuated", [NIGHT], 1).search(60)
    assert best.agent == "actuated:passage_s=2,max_share=1.2"


def test_what_cannot_be_tuned_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="fixed_time"):
        CliRunner().invoke(
            tune_classical, ["gangnam", "--agent", "fixed_time"], catch_exceptions=False,
            standalone_mode=False,
        )  # fmt: skip


def test_the_table_of_all_agents_is_made_and_goes_on(tmp_path: Path) -> None:
    command = ["--out", str(tmp_path), "--sites", "school_zone", "--periods", "night",
               "--minutes", "5", "--seeds", "2", "--agents"]  # fmt: skip
    agents = "fixed_time,actuated:passage_s=2,max_share=1.2"
    first = CliRunner().invoke(quality, [*command, agents], catch_exceptions=False)
    assert first.exit_code == 0, first.output
    with (tmp_path / "runs.jsonl").open("a") as stream:
        stream.write('{"scenario": "school_')  # the line at which somebody pulled the plug
    more = CliRunner().invoke(
        quality, [*command, f"{agents},sumo:actuated"], catch_exceptions=False
    )
    assert "4 of 6 runs are there already" in more.output
    whole = json.loads((tmp_path / "quality.json").read_text())
    lines = {line["agent"]: line for line in whole["table"]}
    text = (tmp_path / "quality.md").read_text()
    assert "SUMO's own programs" in text and "python -m benchmarks.quality" in text
    rows = (tmp_path / "runs.jsonl").read_text().splitlines()
    kept = [json.loads(row) for row in rows if row.endswith("}")]
    assert set(lines) == {"fixed_time", "actuated:passage_s=2,max_share=1.2", "sumo:actuated"}
    assert sum(line["verdict"] == "best classical" for line in lines.values()) == 1
    for line in lines.values():
        assert line["ci95"][0] < line["delay_s"] < line["ci95"][1]
        assert line["worst_junction"] == "school" and line["longest_wait_s"] > 0
        assert line["worst_junction_delay_s"] >= line["delay_s"]
        mine = [row for row in kept if row["agent"] == line["agent"]]
        for name in ("pedestrian_delay_s", "person_delay_s"):
            assert line[name] == pytest.approx(sum(row[name] for row in mine) / 2)
            assert f"| {line[name]:.1f} |" in text
    anew = CliRunner().invoke(quality, [*command, agents, "--again", "fixed_time"])
    assert "2 of 4 runs are there already" in anew.output and anew.exit_code == 0
    assert len((tmp_path / "runs.jsonl").read_text().splitlines()) == 4 + 1 + 2 + 2
    for more in ("sotl", f"{agents},sotl"):
        shown = CliRunner().invoke(quality, [*command, more, "--show"])
        assert shown.exit_code == 2 and "keeps no day that all of these agents" in shown.output
    command[command.index("--seeds") + 1] = "3"
    shown = CliRunner().invoke(quality, [*command, agents, "--show"])
    assert "4 of 6 runs" in shown.output and "| fixed_time | 2 |" in shown.output, shown.output
    assert len((tmp_path / "runs.jsonl").read_text().splitlines()) == 4 + 1 + 2 + 2


def test_the_table_of_all_that_is_kept_needs_no_names(tmp_path: Path) -> None:
    empty = CliRunner().invoke(quality, ["--out", str(tmp_path / "no"), "--show"])
    assert empty.exit_code == 2 and "keeps no run" in empty.output
    assert not (tmp_path / "no").exists()
    command = ["--out", str(tmp_path), "--sites", "school_zone", "--periods", "night",
               "--seeds", "2", "--agents", "sumo:actuated,fixed_time"]  # fmt: skip
    made = CliRunner().invoke(quality, command, catch_exceptions=False)
    assert made.exit_code == 0, made.output
    table = json.loads((tmp_path / "quality.json").read_text())["table"]
    with (tmp_path / "runs.jsonl").open("ab") as stream:
        stream.write(b'{"a": 1}\n\xdd\xff\n[]\n{"scen')
    shown = CliRunner().invoke(quality, ["--out", str(tmp_path), "--show"])
    assert shown.exit_code == 0, shown.output
    assert "no run stands in line 5, 6, 7, 8; left out" in shown.output
    assert json.loads((tmp_path / "quality.json").read_text())["table"] == table


def test_bad_orders_of_the_table_are_refused(tmp_path: Path) -> None:
    command = ["--out", str(tmp_path), "--sites"]
    for more, words in (
        (["school_zone", "--periods", "nite"], "allowed: "),
        (["atlantis"], "atlantis"),
        (["school_zone", "--agents", "actuatet"], "actuatet"),
        (["school_zone", "--agents", "sotl", "--again", "actuated"], "allowed: sotl"),
    ):
        found = CliRunner().invoke(quality, [*command, *more])
        assert found.exit_code == 2 and words in found.output

"""``signals scenario ...`` as a user calls it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from scenarios.cli import scenario
from signals.errors import OutputError, ScenarioError, UnknownNameError

pytestmark = pytest.mark.sumo


def _run(*arguments: str) -> str:
    result = CliRunner().invoke(scenario, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_list() -> None:
    assert "gangnam" in _run("list")


def test_show() -> None:
    text = _run("show", "gangnam")
    for part in ("Gangnam-daero", "NS_through", "am_peak", "numbers are assumed"):
        assert part in text


def test_show_sources_lists_every_assumption() -> None:
    text = _run("show", "gangnam", "--sources")
    assert "G  demand.variation.approach_cv = 0.08  (assumed)" in text
    assert "M  legs.S.approach.block_m = 195.0  (measured from public data: " in text


def test_show_draws_a_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra: study)")
    target = tmp_path / "junction.png"
    _run("show", "gangnam", "--picture", str(target))
    assert target.read_bytes().startswith(b"\x89PNG")


def test_build_writes_files_that_sumo_opens(tmp_path: Path) -> None:
    from scenarios.sumo_tools import run_program

    _run("build", "gangnam", "--out", str(tmp_path), "--period", "night", "--seed", "3")
    config = tmp_path / "gangnam.sumocfg"
    run_program("sumo", ("-c", str(config), "--end", "7260", "--no-step-log"), "opening the files")


def test_build_into_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("x", encoding="utf-8")
    with pytest.raises(OutputError, match="cannot write to"):
        CliRunner().invoke(
            scenario, ["build", "gangnam", "--out", str(tmp_path / "taken")], catch_exceptions=False
        )


def test_check() -> None:
    text = _run("check", "gangnam")
    assert "ok: " in text
    assert "by the KHCM" in text


def test_check_without_a_run_names_the_junctions_of_a_network() -> None:
    text = _run("check", "teheran", "--static")
    assert "9 junctions, 36 legs" in text
    assert "note: samseong: phase N_direct_left is in no plan" in text
    assert "saturation" not in text


def test_check_runs_a_period_and_compares_the_counts() -> None:
    text = _run("check", "school_zone", "--period", "night")
    assert "counts with GEH below 5 (100 %)" in text
    assert "0 still there half an hour later" in text


def test_a_missed_target_fails_the_check() -> None:
    from scenarios.streets.measure import CorridorSpeed, Count, Measurement
    from scenarios.streets.printing import verdicts

    slow = CorridorSpeed("eastbound", 10.0, 9.0, 20.0, ())
    counts = (Count("a.N", 500.0, 300.0), Count("a.E", 500.0, 510.0))
    assert counts[0].geh == pytest.approx(10.0)
    found = Measurement(counts, (slow,), 1000, 50, 0, 40, 60.0, 0)
    said = verdicts("midday", found)
    assert len(said) == 3
    assert "GEH below 5 on 50 %" in said[0]
    assert "eastbound -50 %" in said[1]
    assert "40 vehicles do not leave" in said[2]


def test_show_a_network_and_one_junction_of_it() -> None:
    text = _run("show", "teheran")
    for part in ("Samseong Station", "hyundai.E - samseong.W", "lanes [2] of seolleung.W closed"):
        assert part in text
    assert "Eonju-ro" in _run("show", "teheran", "--junction", "renaissance")
    with pytest.raises(UnknownNameError, match="did you mean seolleung"):
        CliRunner().invoke(
            scenario, ["show", "teheran", "--junction", "seoleung"], catch_exceptions=False
        )


def test_a_picture_of_a_network(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra: study)")
    target = tmp_path / "network.png"
    _run("show", "teheran", "--picture", str(target))
    assert target.read_bytes().startswith(b"\x89PNG")


def test_build_writes_the_closure_of_an_incident(tmp_path: Path) -> None:
    from scenarios.sumo_tools import run_program

    _run("build", "school_zone", "--out", str(tmp_path), "--period", "incident")
    assert (tmp_path / "school_zone.closure.add.xml").is_file()
    config = tmp_path / "school_zone.sumocfg"
    run_program("sumo", ("-c", str(config), "--end", "46830", "--no-step-log"), "opening the files")


def test_check_names_the_mistake(edited: Callable[..., Path]) -> None:
    folder = edited(("format: 1", "fromat: 1"))
    with pytest.raises(ScenarioError, match="did you mean 'format'"):
        CliRunner().invoke(scenario, ["check", str(folder)], catch_exceptions=False)

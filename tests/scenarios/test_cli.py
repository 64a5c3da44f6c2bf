"""``signals scenario ...`` as a user calls it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from scenarios.cli import scenario
from signals.errors import OutputError, ScenarioError

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
    assert "ok: " in _run("check", "gangnam")


def test_check_names_the_mistake(edited: Callable[..., Path]) -> None:
    folder = edited(("format: 1", "fromat: 1"))
    with pytest.raises(ScenarioError, match="did you mean 'format'"):
        CliRunner().invoke(scenario, ["check", str(folder)], catch_exceptions=False)

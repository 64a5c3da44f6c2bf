"""Mistakes in a site file: one line that names file, line, what was given and what is allowed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from scenarios import catalog
from scenarios.schema import marked_values
from signals.errors import ScenarioError, UnknownNameError

MISTAKES = [
    pytest.param(
        ("      block_m: {value: 180", "      blok_m: {value: 180"),
        "blok_m:",
        ["legs.N.approach.blok_m", "unknown key", "did you mean 'block_m'", "entry_m"],
        id="typo-in-a-key",
    ),
    pytest.param(
        ("lane_width_m: {value: 3.1, mark: G}", "lane_width_m: {value: 3.1, mark: H}"),
        "mark: H",
        ["mark", "is 'H'", "allowed: S, M, G"],
        id="unknown-mark",
    ),
    pytest.param(
        ("value: 180, mark: M, source: map", "value: 180, mark: M, source: mpa"),
        "source: mpa",
        ["names source 'mpa'", "did you mean 'map'"],
        id="unknown-source",
    ),
    pytest.param(
        ("N.left: {to: E, lanes: [2]", "N.left: {to: E, lanes: [7]"),
        "lanes: [7]",
        ["movements.N.left.lanes", "lane 7 of leg N", "1 to 5"],
        id="lane-that-does-not-exist",
    ),
    pytest.param(
        ("  W.right: {to: S, lanes: [5]", "  NW.right: {to: S, lanes: [5]"),
        "NW.right:",
        ["movements.NW.right", "names leg 'NW'", "allowed: N, E, S, W"],
        id="leg-that-does-not-exist",
    ),
    pytest.param(
        ("N.left: {to: E", "N.left: {to: EE"),
        "to: EE",
        ["movements.N.left.to", "names leg 'EE'", "did you mean 'E'"],
        id="movement-to-nowhere",
    ),
    pytest.param(
        ("N.through: {to: S, lanes: [3, 4, 5]", "N.through: {to: S, lanes: [1, 4, 5]"),
        "lanes: [1, 4, 5]",
        ["names lane 1", "is a bus lane", "allowed: 2 to 5"],
        id="cars-in-the-bus-lane",
    ),
    pytest.param(
        ("EW_left: [E.left, W.left]", "EW_left: [E.left, W.leftt]"),
        "W.leftt",
        ["phases.EW_left.1", "did you mean 'W.left'"],
        id="unknown-group-in-a-phase",
    ),
    pytest.param(
        ("through: 0.74", "through: 0.84"),
        "through: 0.84",
        ["demand.approaches.N.turning", "sum to 1.1", "make them sum to 1"],
        id="shares-that-do-not-sum-to-1",
    ),
    pytest.param(
        ("bearing_deg: {value: 339.0", "bearing_deg: {value: 39.0"),
        "value: 39.0",
        ["legs.N.bearing_deg", "points to NE"],
        id="leg-that-points-elsewhere",
    ),
    pytest.param(
        ('begin: "08:00"', 'begin: "8 am"'),
        '"8 am"',
        ["periods.am_peak.begin", "'8 am'"],
        id="clock-time",
    ),
    pytest.param(
        ("stops: [gangnam-northbound]", "stops: [gangnam-northbond]"),
        "gangnam-northbond]",
        ["bus stop 'gangnam-northbond'", "did you mean 'gangnam-northbound'"],
        id="unknown-stop",
    ),
]


@pytest.mark.parametrize(("replacement", "where", "said"), MISTAKES)
def test_a_mistake_is_named_with_its_line(
    edited: Callable[..., Path], replacement: tuple[str, str], where: str, said: list[str]
) -> None:
    folder = edited(replacement)
    with pytest.raises(ScenarioError) as caught:
        catalog.load(str(folder))
    message = str(caught.value)
    text = (folder / "site.yaml").read_text(encoding="utf-8").splitlines()
    line = next(number for number, content in enumerate(text, 1) if where in content)
    assert message.startswith(f"{folder / 'site.yaml'}:{line}: ")
    assert "\n" not in message
    for part in said:
        assert part in message


def test_a_missing_key_is_named(edited: Callable[..., Path]) -> None:
    folder = edited(("    street: Teheran-ro (테헤란로)\n", ""))
    with pytest.raises(ScenarioError, match=r"legs\.E\.street: is missing"):
        catalog.load(str(folder))


def test_a_key_that_stands_twice(edited: Callable[..., Path]) -> None:
    folder = edited(("format: 1\n", "format: 1\nformat: 1\n"))
    with pytest.raises(ScenarioError, match="key 'format' stands twice"):
        catalog.load(str(folder))


@pytest.mark.parametrize("text", ["a: [", "- 1\n- 2\n", "", "\t: x", "id: ok\n  title: no\n"])
def test_what_is_no_site_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "site.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ScenarioError) as caught:
        catalog.load(str(tmp_path))
    assert str(caught.value).startswith(f"{tmp_path / 'site.yaml'}:")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ScenarioError, match="is not UTF-8 text"):
        catalog.load(str(tmp_path))


def test_unknown_names_give_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean gangnam"):
        catalog.load("gangnm")
    with pytest.raises(UnknownNameError, match="did you mean am_peak"):
        catalog.load("gangnam").period("ampeak")


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"holds no site\.yaml"):
        catalog.load(str(tmp_path))


@pytest.mark.parametrize("name", catalog.names())
def test_every_number_of_a_shipped_site_has_its_provenance(name: str) -> None:
    site = catalog.load(name).site
    values = marked_values(site)
    assert len(values) > 50
    for path, _, mark, source in values:
        if mark == "G":
            assert source.startswith("assumed"), path
        else:
            assert source in site.sources, path

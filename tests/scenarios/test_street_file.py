"""The second format: what it spreads over its numbers, and one line for every mistake."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from scenarios import catalog
from scenarios.sitefile import parse_site
from scenarios.streets.inherit import spread
from signals.errors import ScenarioError

MISTAKES = [
    pytest.param(
        "balsan",
        ("        out_lanes: 3\n", "        out_lans: 3\n"),
        "out_lans:",
        ["junctions.balsan.legs.N.out_lans", "unknown key", "did you mean 'out_lanes'"],
        id="typo-in-a-key",
    ),
    pytest.param(
        "balsan",
        ("lanes: [left, through, through, through+right]", "lanes: [left, thru, through+right]"),
        "thru,",
        ["junctions.balsan.legs.N.lanes", "is 'thru'"],
        id="unknown-lane-use",
    ),
    pytest.param(
        "balsan",
        ("lanes: [bus, left, through", "lanes: [left, bus, through"),
        "lanes: [left, bus",
        ["begin with bus lanes"],
        id="bus-lane-that-is-not-at-the-median",
    ),
    pytest.param(
        "balsan",
        ("turning: {through: 0.66, left: 0.16", "turning: {through: 0.86, left: 0.16"),
        "through: 0.86",
        ["legs.N.turning", "sum to 1.2"],
        id="shares-that-do-not-sum-to-1",
    ),
    pytest.param(
        "balsan",
        ("mark: S, source: fnnews}", "mark: S, source: fnews}"),
        "source: fnews",
        ["names source 'fnews'", "did you mean 'fnnews'"],
        id="unknown-source",
    ),
    pytest.param(
        "balsan",
        ("sequence: [EW_through,", "sequence: [EW_thru,"),
        "EW_thru,",
        ["junctions.balsan.sequence.0", "did you mean 'EW_through'"],
        id="unknown-phase-in-the-sequence",
    ),
    pytest.param(
        "balsan",
        ("EW_left: [E.left, W.left]", "EW_left: [E.left, W.lift]"),
        "W.lift",
        ["junctions.balsan.phases.EW_left.1", "did you mean 'W.left'"],
        id="unknown-group-in-a-phase",
    ),
    pytest.param(
        "balsan",
        (
            "closure: {leg: balsan.W, lanes: {value: [3]",
            "closure: {leg: balsan.W, lanes: {value: [9]",
        ),
        "value: [9]",
        ["specials.incident.closure.lanes", "allowed: 1 to 5"],
        id="closed-lane-that-does-not-exist",
    ),
    pytest.param(
        "balsan",
        ('begin: "18:15", end: "18:45"', 'begin: "17:15", end: "18:45"'),
        '"17:15"',
        ["specials.event.surge", "allowed: inside period pm_peak"],
        id="surge-outside-its-period",
    ),
    pytest.param(
        "balsan",
        ("like: pm_peak", "like: pm_pek"),
        "like: pm_pek",
        ["specials.event.like", "did you mean 'pm_peak'"],
        id="special-like-no-period",
    ),
    pytest.param(
        "balsan",
        ("stops: [airport-near]", "stops: [airport-neer]"),
        "airport-neer]",
        ["bus stop 'airport-neer'", "did you mean 'airport-near'"],
        id="unknown-stop",
    ),
    pytest.param(
        "teheran",
        ("{from: hyundai.E, to: samseong.W}", "{from: hyundai.E, to: samsung.W}"),
        "from: hyundai.E, to: samsung.W}",
        ["streets.7.to", "names samsung.W again"],
        id="two-streets-at-one-leg",
    ),
    pytest.param(
        "teheran",
        ("lanes: [through, through, through, through+right]", "lanes: [through, through+right]"),
        "{from: samsung.E, to: posco.W}",
        ["out_lanes", "the block to", "make them equal"],
        id="street-whose-ends-differ",
    ),
    pytest.param(
        "teheran",
        ("  - {from: gangnam.E, to: gukgiwon.W}\n", ""),
        "      E: &teheran",
        ["junctions.gangnam.legs.E.bearing_deg", "that no street continues"],
        id="leg-without-bearing-or-street",
    ),
]


@pytest.mark.parametrize(("site", "replacement", "where", "said"), MISTAKES)
def test_a_mistake_is_named_with_its_line(
    edited: Callable[..., Path],
    request: pytest.FixtureRequest,
    site: str,
    replacement: tuple[str, str],
    where: str,
    said: list[str],
) -> None:
    folder = edited(replacement, site=site)
    with pytest.raises(ScenarioError) as caught:
        catalog.load(str(folder))
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{folder / 'site.yaml'}:")
    for part in said:
        assert part in message
    if "ends-differ" not in request.node.callspec.id:
        text = (folder / "site.yaml").read_text(encoding="utf-8").splitlines()
        line = next(number for number, content in enumerate(text, 1) if where in content)
        assert message.startswith(f"{folder / 'site.yaml'}:{line}: ")


def test_splits_that_do_not_fill_the_cycle(edited: Callable[..., Path]) -> None:
    plan = catalog.load("balsan").site.plans["night"].junctions["balsan"]
    given = f"splits_s: [{', '.join(map(str, plan.splits_s))}]"
    text = (Path(catalog.__file__).parent / "seoul/balsan/site.yaml").read_text(encoding="utf-8")
    assert text.count(given) == 1
    folder = edited(
        (given, given.replace(f"[{plan.splits_s[0]}", f"[{plan.splits_s[0] + 1}")), site="balsan"
    )
    with pytest.raises(ScenarioError, match=r"plans\.night\.junctions\.balsan\.splits_s: sum to"):
        catalog.load(str(folder))


def test_a_mark_covers_the_table_it_stands_in() -> None:
    legs = {
        "N": {"mark": "M", "source": "map", "out_lanes": 4, "pocket_m": {"value": 60, "mark": "G"}},
        "E": {"out_lanes": 2},
    }
    given = {
        "defaults": {"leg": {"mark": "G", "source": "assumed", "entry_m": 300}},
        "junctions": {"a": {"legs": legs}},
    }
    found = spread(given)["junctions"]["a"]["legs"]
    assert found["N"]["out_lanes"] == {"value": 4, "mark": "M", "source": "map"}
    assert found["N"]["pocket_m"] == {"value": 60, "mark": "G"}
    assert found["N"]["entry_m"] == {"value": 300, "mark": "G", "source": "assumed"}
    assert found["E"]["out_lanes"] == {"value": 2, "mark": "G", "source": "assumed"}


@pytest.mark.parametrize("given", [[], 3, None, {"a": 3}, {"a": {"legs": [1]}}])
def test_what_is_no_junction_is_left_to_the_schema(tmp_path: Path, given: object) -> None:
    import yaml

    (tmp_path / "site.yaml").write_text(yaml.safe_dump({"format": 2, "junctions": given}), "utf-8")
    with pytest.raises(ScenarioError) as caught:
        catalog.load(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_a_closure_leaves_every_turn_a_lane() -> None:
    """Renaissance's U-turn leads into lane 3 alone; SUMO would end at the first vehicle there."""
    file = Path(catalog.__file__).parent / "seoul" / "teheran" / "site.yaml"
    text = file.read_text(encoding="utf-8")
    closed = text.replace(
        "      lanes: {value: [2], mark: G}", "      lanes: {value: [3], mark: G}"
    )
    assert closed != text
    with pytest.raises(ScenarioError, match=r"all that renaissance E\.uturn leads into"):
        parse_site(closed, file)

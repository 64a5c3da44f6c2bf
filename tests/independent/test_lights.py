"""The judge itself: its independence, and hand-made records with one fault each."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path

import pytest

from tests.independent import lights as judge
from tests.independent.lights import LightChecker, change_interval, main, summary

ALLOWED = {*sys.stdlib_module_names, "polars"}


def test_it_shares_no_code_with_the_product() -> None:
    source = Path(judge.__file__).read_text(encoding="utf-8")
    imported = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported.add((node.module or "").partition(".")[0])
    assert imported <= ALLOWED
    assert "__import__" not in source and "importlib" not in source


def test_change_interval_by_hand() -> None:
    assert change_interval(10.0, 30.0) == (4, 1)  # 1 + 1 + 3.5 - 1.5 = 4.0
    assert change_interval(50 / 3.6, 75.0) == (5, 2)  # 6.65 -> 7


NET = """<net>
  <edge id=":J_0" function="internal"><lane id=":J_0_0" speed="10" length="30" shape="0,-15 0,15"/>
  </edge>
  <edge id=":J_1" function="internal"><lane id=":J_1_0" speed="10" length="20" shape="-15,0 0,0"/>
  </edge>
  <edge id=":J_2" function="internal"><lane id=":J_2_0" speed="10" length="10" shape="0,0 15,0"/>
  </edge>
  <edge id=":J_3" function="internal"><lane id=":J_3_0" speed="5" length="8"
    shape="0,-15 5,-10 15,-10"/></edge>
  <edge id=":J_c0" function="crossing"><lane id=":J_c0_0" allow="pedestrian" speed="1"
    length="6.2" width="4" shape="-3,-12 3,-12"/></edge>
  <edge id=":J_w0" function="walkingarea"><lane id=":J_w0_0" speed="1" length="2" shape="0,0 1,1"/>
  </edge>
  <edge id="S"><lane id="S_0" speed="10" length="90" shape="0,-105 0,-15"/></edge>
  <edge id="W"><lane id="W_0" speed="10" length="90" shape="-105,0 -15,0"/></edge>
  <edge id="toN"><lane id="toN_0" speed="10" length="90" shape="0,15 0,105"/></edge>
  <edge id="toE"><lane id="toE_0" speed="10" length="90" shape="15,0 105,0"/></edge>
  <connection from="S" to="toN" fromLane="0" toLane="0" via=":J_0_0" tl="J" linkIndex="0" dir="s"/>
  <connection from="W" to="toE" fromLane="0" toLane="0" via=":J_1_0" tl="J" linkIndex="1" dir="s"/>
  <connection from="S" to="toE" fromLane="0" toLane="0" via=":J_3_0" tl="J" linkIndex="2" dir="r"/>
  <connection from=":J_w0" to=":J_c0" fromLane="0" toLane="0" tl="J" linkIndex="3" dir="s"/>
  <connection from=":J_1" to="toE" fromLane="0" toLane="0" via=":J_2_0" dir="s"/>
  <connection from=":J_2" to="toE" fromLane="0" toLane="0" dir="s"/>
</net>"""


@pytest.fixture
def net(tmp_path: Path) -> Path:
    """Two straight streams, south to north and west to east, a right turn and a crosswalk."""
    path = tmp_path / "cross.net.xml"
    path.write_text(NET, encoding="utf-8")
    return path


def _record(*runs: tuple[str, int]) -> list[tuple[int, str]]:
    states = [state for state, seconds in runs for _ in range(seconds)]
    return list(enumerate(states, start=100))


LAWFUL = (
    ("rrsr", 5),
    ("Grgr", 20),
    ("yryr", 4),
    ("rrsr", 1),
    ("rGsG", 7),
    ("rGsr", 20),
    ("rysr", 4),
    ("rrsr", 1),
    ("Grgr", 10),
    ("yryr", 4),
)


def test_geometry(net: Path) -> None:
    """Continuation lanes count: the way from the west is 20 + 10 m and meets the other in both."""
    found = LightChecker(net, "J")
    assert found.pairs == {(0, 1), (0, 3), (1, 2), (2, 3)}
    assert found.foes == {0: [1, 3], 1: [0], 2: [], 3: [0]}
    assert found.links[1].length_m == 30.0
    # 10/10 + 35/10 - 0.5 = 4 s yellow; the crosswalk flashes 6.2 -> 7 s.
    assert [found.needs[link].yellow for link in range(4)] == [4, 4, 4, 7]
    assert [found.needs[link].all_red for link in range(4)] == [1, 1, 1, 1]


def test_lawful_record(net: Path) -> None:
    assert LightChecker(net, "J").check(_record(*LAWFUL)) == []


def _changed(position: int, state: str | None = None, seconds: int | None = None) -> list:
    runs = list(LAWFUL)
    was = runs[position]
    runs[position] = (was[0] if state is None else state, was[1] if seconds is None else seconds)
    return _record(*runs)


@pytest.mark.parametrize(
    ("record", "kind", "second", "link"),
    [
        (_changed(3, "rGsr"), "short_all_red", 129, 1),
        (_record(("rrsr", 2), ("Grgr", 9), ("GGgr", 9)), "conflict", 111, 0),
        (_record(("rrsr", 2), ("Grgr", 9), ("yGyr", 9)), "conflict", 111, 0),
        (_record(("rrsr", 2), ("Grgr", 9), ("yryG", 9)), "conflict", 111, 0),
        (_changed(2, seconds=3), "short_yellow", 128, 0),
        (_changed(2, "rrsr"), "short_yellow", 125, 0),
        (_changed(1, seconds=6), "short_green", 111, 0),
        (_changed(4, seconds=6), "short_walk", 136, 3),
        (_changed(4, "rGsX"), "unknown_character", 130, 3),
        (_changed(4, "sGsG"), "unknown_character", 130, 0),
        (_changed(0, "rrs"), "unknown_character", 100, -1),
    ],
)
def test_one_fault(
    net: Path, record: list[tuple[int, str]], kind: str, second: int, link: int
) -> None:
    found = LightChecker(net, "J").check(record)
    assert (found[0].kind, found[0].second, found[0].link) == (kind, second, link)
    assert {violation.kind for violation in found} == {kind}


def test_short_clearance_counts_from_the_end_of_the_walk(net: Path) -> None:
    """Flashing 7 s and buffer 1 s: eight seconds of red before a conflicting green."""

    def record(red_s: int) -> list[tuple[int, str]]:
        return _record(("rrsr", 2), ("rrsG", 7), ("rrsr", red_s), ("Grgr", 9))

    assert LightChecker(net, "J").check(record(8)) == []
    for red_s in (7, 1):
        found = LightChecker(net, "J").check(record(red_s))
        assert [violation.kind for violation in found] == ["short_clearance"]
    slow = LightChecker(net, "J", {"walking_speed_mps": 0.8, "pedestrian_buffer_s": 3})
    assert slow.check(record(11)) == []
    assert [violation.kind for violation in slow.check(record(10))] == ["short_clearance"]


def test_red_maximum(net: Path) -> None:
    """Vehicles from the end of yellow, crosswalks from the end of flashing, ``s`` is red."""
    rules = {"max_red_s": 30, "pedestrian_max_red_s": 40}

    assert LightChecker(net, "J", rules).check(_record(("Grgr", 30))) == []
    found = LightChecker(net, "J", rules).check(_record(("rGsr", 31)))
    assert {(item.kind, item.second, item.link) for item in found} == {
        ("max_red", 130, 0),
        ("max_red", 130, 2),
    }
    walked = LightChecker(net, "J", {**rules, "max_red_s": 999})
    assert walked.check(_record(("rGsG", 7), ("rGsr", 7 + 40))) == []
    found = walked.check(_record(("rGsG", 7), ("rGsr", 7 + 41)))
    assert [(violation.kind, violation.second) for violation in found] == [("max_red", 154)]


def test_red_on_call(net: Path) -> None:
    rules = {"max_red_s": 999, "pedestrian_max_red_s": 40, "recall": "call"}
    found = LightChecker(net, "J", rules)
    record = _record(("rGsr", 100))
    assert found.check(record) == []
    late = found.check(record, calls=[(120, 3), (150, 3)])
    assert [(violation.kind, violation.second) for violation in late] == [("max_red", 160)]
    assert found.check(record, calls=[(160, 3)]) == []


def test_gap(net: Path) -> None:
    record = [item for item in _record(*LAWFUL) if item[0] != 110]
    found = LightChecker(net, "J").check(record)
    assert [(violation.kind, violation.second) for violation in found] == [("gap", 111)]


def test_permissive_right_turn_conflicts_only_when_protected(net: Path) -> None:
    found = LightChecker(net, "J")
    assert found.check(_record(("Grgr", 9))) == []
    assert found.check(_record(("rGgr", 9))) == []
    assert [item.kind for item in found.check(_record(("rGGr", 9)))] == ["conflict"]


def test_unknown_light(net: Path) -> None:
    with pytest.raises(ValueError, match="no traffic light 'K'"):
        LightChecker(net, "K")


def test_command_line(net: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(record: list[tuple[int, str]], *more: str) -> tuple[int, dict[str, int]]:
        path = tmp_path / "lights.csv"
        path.write_text("\n".join(["second,state", *(f"{s},{x}" for s, x in record)]))
        code = main(["--net", str(net), "--tls", "J", "--lights", str(path), *more])
        return code, json.loads(capsys.readouterr().out.splitlines()[-1])

    code, counts = run(_record(*LAWFUL))
    assert (code, counts) == (0, {"violations": 0, **summary([])})
    code, counts = run(_changed(1, seconds=6))
    assert (code, counts["short_green"]) == (1, 2)
    assert run(_changed(1, seconds=6), "--timing", '{"min_green_s": 5}')[0] == 0
    rules = tmp_path / "rules.json"
    rules.write_text('{"min_green_s": 5}')
    assert run(_changed(1, seconds=6), "--timing", str(rules))[0] == 0


def test_parquet(net: Path, tmp_path: Path) -> None:
    polars = pytest.importorskip("polars", reason="polars is not installed (extra: sim)")
    path = tmp_path / "lights.parquet"
    record = _record(*LAWFUL)
    polars.DataFrame(record, schema=["second", "state"], orient="row").write_parquet(path)
    assert judge.read_lights(path) == record

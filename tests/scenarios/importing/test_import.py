"""``signals scenario import``: days, counts, police plans, overrides, and what is refused."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result

from agents.evaluation.cli import simulate
from scenarios.catalog import find, load
from scenarios.importing.build import Order, import_scenario
from scenarios.importing.schema import ImportedTiming
from signals.errors import InputError, ScenarioError
from signals.world import resolve
from tests.scenarios.importing import nets

ROUTES = """<routes>
  <vType id="car"/><vType id="van" vClass="delivery"/>
  <vTypeDistribution id="mix" vTypes="car van" probabilities="0.7 0.3"/>
  <route id="ns" edges="top0A0 A0bottom0"/>
  <vehicle id="v1" type="mix" route="ns" depart="10"/>
  <vehicle id="v2" type="car" depart="0:00:20"><route edges="left0A0 A0right0"/></vehicle>
  <trip id="t1" type="car" from="bottom0A0" to="A0left0" depart="30"/>
  <flow id="many" type="mix" route="ns" begin="0" end="120" number="10"/>
  <flow id="rate" type="car" from="right0A0" to="A0left0" begin="0" end="120" vehsPerHour="600"/>
  <flow id="poisson" type="car" from="right0A0" to="A0top0" begin="0" end="120" period="exp(0.1)"/>
  <person id="p1" depart="5"><walk from="top0A0" to="A0right0"/></person>
  <personFlow id="walkers" begin="0" end="60" number="4">
    <walk edges="left0A0 A0right0"/></personFlow>
</routes>"""


def _file(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def _due(path: Path) -> dict[str, float]:
    return {
        item.get("id", ""): float(item.get("depart", "nan"))
        for item in ElementTree.parse(path).getroot()
        if item.get("depart")
    }


def test_days_differ_and_repeat(plain_net: Path, tmp_path: Path) -> None:
    out = tmp_path / "s"
    routes = _file(tmp_path, "all.rou.xml", ROUTES)
    import_scenario(Order(out=out, net=plain_net, routes=(routes,)))
    world = resolve(str(out))
    assert (world.begin_s, world.end_s) == (0, 420)
    one, other = world.routes(1), world.routes(2)
    assert one.read_bytes() != other.read_bytes()
    first = one.read_bytes()
    one.unlink()
    assert world.routes(1).read_bytes() == first
    due, otherwise = _due(one), _due(other)
    assert sum(name.startswith("many.") for name in due) == 10
    assert sum(name.startswith("walkers.") for name in due) == 4
    rates = [sum(name.startswith("rate.") for name in day) for day in (due, otherwise)]
    assert all(8 <= count <= 34 for count in rates)
    assert abs(due["t1"] - 30) <= 60 and due["t1"] != otherwise["t1"]
    assert list(due.values()) == sorted(due.values())
    assert "flow" not in {item.tag for item in ElementTree.parse(one).getroot()}


def test_several_files_gzipped_and_additional(plain_net: Path, tmp_path: Path) -> None:
    packed = tmp_path / "net.net.xml.gz"
    packed.write_bytes(gzip.compress(plain_net.read_bytes()))
    stops = _file(
        tmp_path,
        "stops.add.xml",
        '<additional><busStop id="b" lane="A0right0_1" startPos="10" endPos="30"/>'
        '<inductionLoop id="l" lane="A0right0_1" pos="3" period="60" file="out.xml"/>'
        '<vType id="bus" vClass="bus"/></additional>',
    )
    first = _file(
        tmp_path,
        "a.rou.xml",
        '<routes><vehicle id="b1" type="bus" depart="50"><route edges="left0A0 A0right0"/>'
        '<stop busStop="b" duration="10"/></vehicle></routes>',
    )
    second = _file(
        tmp_path,
        "b.rou.xml",
        '<routes><trip id="t" from="top0A0" to="A0left0" depart="1"/></routes>',
    )
    out = tmp_path / "s"
    outcome = import_scenario(
        Order(out=out, net=packed, routes=(first, second), additional=(stops,), begin_s=0)
    )
    assert [item.text for item in outcome.findings if item.kind == "dropped"] == [
        "stops.add.xml: 1 <inductionLoop> left out"
    ]
    world = resolve(str(out))
    assert [path.name for path in world.additional_files] == ["street.add.xml"]
    done = CliRunner().invoke(simulate, [str(out), "--agent", "fixed_time", "--json"])
    assert done.exit_code == 0, done.output
    metrics = json.loads(done.stdout[done.stdout.index("{") :])["runs"][0]
    assert (metrics["vehicles"], metrics["buses"], metrics["unfinished"]) == (2, 1, 0)


def test_programs_of_additional_files_count(plain_net: Path, tmp_path: Path) -> None:
    """A further program gives phases, and SUMO never runs it."""
    size = len(re.search(r'state="([^"]*)"', plain_net.read_text())[1])  # type: ignore[index]
    greens = "".join("G" if link == 0 else "r" for link in range(size))
    program = _file(
        tmp_path,
        "tls.add.xml",
        f'<additional><tlLogic id="A0" programID="x" type="static" offset="0">'
        f'<phase duration="30" state="{greens}"/></tlLogic></additional>',
    )
    out = tmp_path / "s"
    without = import_scenario(Order(out=tmp_path / "w", net=plain_net, end_s=60))
    having = import_scenario(Order(out=out, net=plain_net, additional=(program,), end_s=60))
    assert having.reading.programs["A0"][-1].id == "x"
    assert len(having.reading.programs["A0"]) == len(without.reading.programs["A0"]) + 1
    assert resolve(str(out)).additional_files == ()


def test_plan_of_the_net_is_kept(tmp_path: Path) -> None:
    """42 + 3 s and 42 + 3 s of the program: two splits of 45 s that begin with the yellow."""
    out = tmp_path / "s"
    outcome = import_scenario(Order(out=out, net=nets.odd_ids(tmp_path), end_s=60))
    plan = resolve(str(out)).plan
    assert (plan.cycle_s, [step.split_s for step in plan.ring_a]) == (90, [45, 45])
    assert plan.offset_s == 87
    assert not [item for item in outcome.findings if item.kind == "plan"]


def test_actuated_programs_give_an_even_split(tmp_path: Path) -> None:
    out = tmp_path / "s"
    import_scenario(Order(out=out, net=nets.actuated(tmp_path), end_s=60))
    world = resolve(str(out))
    for junction, plan in zip(world.junctions, world.plans, strict=True):
        plan.validate(junction)
        assert plan.cycle_s >= 90


def test_detectors_of_an_actuated_program_are_not_missed(tmp_path: Path) -> None:
    """They stood in a file that is not taken along; the program never runs."""
    net = nets.actuated(tmp_path)
    text = net.read_text(encoding="utf-8")
    lane = re.search(r'from="([\w.]+)" to="[\w.]+" fromLane="0"[^>]*tl="A0"', text)
    assert lane
    param = f'<param key="{lane[1]}_0" value="lost"/>'
    changed = re.sub(r'(<tlLogic id="A0"[^>]*>)', rf"\1{param}", text)
    net.write_text(changed, encoding="utf-8")
    out = tmp_path / "s"
    import_scenario(Order(out=out, net=net, routes=(nets.demand(net),), end_s=60))
    assert 'type="actuated"' not in (out / "net.net.xml").read_text(encoding="utf-8")


def test_ring_and_barrier_programs_give_whole_phases(tmp_path: Path) -> None:
    bare, net = nets.with_crosswalks(tmp_path), tmp_path / "nema.net.xml"
    nets.run(
        "netconvert", "-s", str(bare), "--tls.rebuild", "true", "--tls.default-type", "NEMA",
        "-o", str(net),
    )  # fmt: skip
    out = tmp_path / "s"
    made = import_scenario(Order(out=out, net=net, routes=(nets.demand(net),), end_s=60))
    junction = resolve(str(out)).junction
    assert junction.hash == made.reading.junctions[0].hash
    together = [set(phase.groups) for phase in junction.phases]
    assert any({"N.through", "S.through"} <= groups for groups in together)
    assert any({"N.left", "S.left"} <= groups for groups in together)


def test_overrides_are_named(
    plain_net: Path, plain_routes: Path, tmp_path: Path, command: Callable[..., Result]
) -> None:
    out = tmp_path / "s"
    done = command(
        "import", "--net", plain_net, "--routes", plain_routes, "--out", out,
        "--yellow", 2, "--all-red", 0, "--min-green", 5, "--pedestrians", "off",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    world = resolve(str(out))
    assert world.notes == (
        "timing override: yellow 2 s",
        "timing override: all-red 0 s",
        "timing override: minimum green 5 s",
        "timing override: pedestrians off",
    )
    assert all(note in done.output for note in world.notes)
    row = world.junction.timing.groups["N.through"]
    assert (row.clearance_s, row.all_red_s, row.min_green_s) == (2, 0, 5)
    assert all(group.kind != "pedestrian" for group in world.junction.groups)


def test_random_demand_in_one_command(
    plain_net: Path, tmp_path: Path, command: Callable[..., Result]
) -> None:
    out = tmp_path / "s"
    done = command("import", "--net", plain_net, "--out", out, "--end", 300, "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout[done.stdout.index('{"folder"') :])
    assert told["junctions"][0]["id"] == "A0"
    assert any("randomTrips, seed 1" in note for note in told["notes"])
    ran = CliRunner().invoke(simulate, [str(out), "--agent", "max_pressure"])
    assert ran.exit_code == 0, ran.output
    for verb in ("show", "check"):
        shown = command(verb, out)
        assert shown.exit_code == 0, shown.output
        assert "A0" in shown.output or "1 junctions" in shown.output


def test_turning_counts(plain_net: Path, tmp_path: Path) -> None:
    counts = _file(
        tmp_path,
        "counts.csv",
        "junction,from,to,begin,end,count\nA0,N,S,0,300,20\nA0,left0A0,A0bottom0,0,300,10\n",
    )
    routes = nets.demand(plain_net)
    out = tmp_path / "s"
    outcome = import_scenario(
        Order(out=out, net=plain_net, routes=(routes,), counts=counts, end_s=400)
    )
    assert any("counts.csv by SUMO's routeSampler" in note for note in outcome.file.notes)
    text = (out / "demand.rou.xml").read_text()
    assert len(re.findall(r'edges="top0A0 A0bottom0"', text)) == 20
    assert len(re.findall(r'edges="left0A0 A0bottom0"', text)) == 10


def _police(light: str = "A0", **change: object) -> str:
    def row(hour: int, cycle: int, *splits: int) -> dict[str, object]:
        found: dict[str, object] = {
            "OPER_PLAN_HH": f"{hour:02d}",
            "OPER_PLAN_MI": "00",
            "INT_OPER_CYCLE_VAL": str(cycle),
            "INT_OPER_OFFSET_VAL": "40",
        }
        for ring in "AB":
            for number in range(8):
                value = splits[number] if number < len(splits) else 0
                found[f"{ring}_RING_{number + 1}_PHASE_VAL"] = value
        return found

    table = {
        # Bearings as an engineer would have measured them, some degrees off.
        "ring_a": ["S005175", "L352081", "S095265", "L085171"],
        "ring_b": ["S185004", "L173262", "S268092", "L280004"],
        "answer": {
            "response": {
                "body": {"items": [row(7, 160, 50, 30, 50, 30), row(0, 140, 40, 30, 40, 30)]}
            }
        },
        **change,
    }
    return json.dumps({"junctions": {light: table}})


def test_police_plans(tmp_path: Path) -> None:
    net = nets.with_crosswalks(tmp_path)
    plans = _file(tmp_path, "plans.json", _police())
    out = tmp_path / "s"
    import_scenario(
        Order(
            out=out, net=net, routes=(nets.demand(net),), plans=plans,
            begin_s=0, end_s=8 * 3600,
        )
    )  # fmt: skip
    found = find(str(out))
    assert found.periods == ("from_0000", "from_0700")
    night, day = (found.world(period) for period in found.periods)
    assert (night.end_s, day.begin_s) == (25200, 25200)
    assert (night.plan.cycle_s, day.plan.cycle_s, day.plan.offset_s) == (140, 160, 40)
    first, second = day.plan.steps[0][0], day.plan.steps[1][0]
    assert {"N.through", "S.through"} <= first and {"N.left", "S.left"} <= second
    assert any(group.endswith("ped") for group in first)
    assert [seconds for _, seconds in day.plan.steps] == [50, 30, 50, 30]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is no UTF-8 JSON"),
        ("[]", 'give {"junctions"'),
        (_police("B7"), "no light 'B7'; allowed: A0"),
        (_police(ring_a=["S005175", "X1"]), "'X1' is no movement code"),
        (_police(ring_a=["S045135"]), "codes for 1 phases|no movement fits code S045135"),
        (_police(answer=[]), "no row with OPER_PLAN_HH"),
        (_police(ring_b=["S095265", "L173262", "S185004", "L280004"]), "green together, which"),
    ],
)
def test_police_plans_that_cannot_be_used(
    plain_net: Path, plain_routes: Path, tmp_path: Path, text: str, said: str
) -> None:
    plans = _file(tmp_path, "plans.json", text)
    with pytest.raises(ScenarioError, match=said):
        import_scenario(
            Order(out=tmp_path / "s", net=plain_net, routes=(plain_routes,), plans=plans)
        )
    assert not (tmp_path / "s").exists()


def _truncated(net: Path, folder: Path) -> dict[str, object]:
    text = net.read_text(encoding="utf-8")
    return {"net": _file(folder, "cut.net.xml", text[: len(text) // 2])}


def _no_signals(net: Path, folder: Path) -> dict[str, object]:
    bare = folder / "bare.net.xml"
    text = net.read_text(encoding="utf-8").replace('type="traffic_light"', 'type="priority"')
    text = re.sub(r' tl="A0" linkIndex="\d+"', "", text)
    bare.write_text(re.sub(r"<tlLogic.*?</tlLogic>", "", text, flags=re.S), encoding="utf-8")
    return {"net": bare}


def _encoding(net: Path, folder: Path) -> dict[str, object]:
    path = folder / "latin.net.xml"
    text = net.read_text(encoding="utf-8").replace('id="A0"', 'id="강남"')
    path.write_bytes(text.encode("cp949"))
    return {"net": path}


def _text(net: Path, folder: Path) -> dict[str, object]:
    return {"net": _file(folder, "notes.txt", "not a net at all")}


def _routes_as_net(net: Path, folder: Path) -> dict[str, object]:
    return {"net": _file(folder, "r.rou.xml", "<routes/>")}


def _net_as_routes(net: Path, folder: Path) -> dict[str, object]:
    return {"net": net, "routes": (net,)}


def _missing(net: Path, folder: Path) -> dict[str, object]:
    return {"net": folder / "nowhere.net.xml"}


def _foreign_routes(net: Path, folder: Path) -> dict[str, object]:
    text = '<routes><trip id="x" from="Elsewhere1" to="top0A0" depart="0"/></routes>'
    return {"net": net, "routes": (_file(folder, "x.rou.xml", text),)}


def _disjoint_routes(net: Path, folder: Path) -> dict[str, object]:
    text = '<routes><vehicle id="x" depart="0"><route edges="top0A0 left0A0"/></vehicle></routes>'
    return {"net": net, "routes": (_file(folder, "x.rou.xml", text),)}


def _unknown_type(net: Path, folder: Path) -> dict[str, object]:
    text = '<routes><trip id="x" type="ufo" from="top0A0" to="A0left0" depart="0"/></routes>'
    return {"net": net, "routes": (_file(folder, "x.rou.xml", text),)}


def _odd_time(net: Path, folder: Path) -> dict[str, object]:
    text = '<routes><trip id="x" from="top0A0" to="A0left0" depart="noon"/></routes>'
    return {"net": net, "routes": (_file(folder, "x.rou.xml", text),)}


def _empty_window(net: Path, folder: Path) -> dict[str, object]:
    text = '<routes><trip id="x" from="top0A0" to="A0left0" depart="10"/></routes>'
    return {"net": net, "routes": (_file(folder, "x.rou.xml", text),), "begin_s": 3600}


def _no_osm(net: Path, folder: Path) -> dict[str, object]:
    return {"osm": net}


def _counts_column(net: Path, folder: Path) -> dict[str, object]:
    return {"net": net, "counts": _file(folder, "c.csv", "junction,from,to,count\nA0,N,S,5\n")}


def _counts_leg(net: Path, folder: Path) -> dict[str, object]:
    text = "junction,from,to,begin,end,count\nA0,NNW,S,0,60,5\n"
    return {"net": net, "counts": _file(folder, "c.csv", text)}


def _both(net: Path, folder: Path) -> dict[str, object]:
    return {"net": net, "osm": net}


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (_truncated, "cut.net.xml is no well-formed XML"),
        (_no_signals, "no traffic light for road traffic"),
        (_encoding, "latin.net.xml is no well-formed XML"),
        (_text, "notes.txt is no well-formed XML"),
        (_routes_as_net, "holds <routes>, expected <net>"),
        (_net_as_routes, "holds <net>, expected <routes>"),
        (_missing, "nowhere.net.xml does not exist"),
        (_foreign_routes, "trip 'x' uses edge 'Elsewhere1', and 1 of the 2 edges"),
        (_disjoint_routes, "from edge 'top0A0' to 'left0A0', which no connection joins"),
        (_unknown_type, "SUMO refuses what was given: .*ufo"),
        (_odd_time, "time 'noon'"),
        (_empty_window, "allowed|--end|nobody travels"),
        (_no_osm, "holds <net>, expected <osm>"),
        (_counts_column, "lacks the column begin, end"),
        (_counts_leg, "c.csv:2: 'NNW' is neither an edge"),
        (_both, "either --net or --osm"),
    ],
)
def test_broken_files(
    plain_net: Path,
    tmp_path: Path,
    broken: Callable[[Path, Path], dict[str, object]],
    said: str,
) -> None:
    given = broken(plain_net, tmp_path)
    before = set(tmp_path.iterdir())
    with pytest.raises(InputError, match=said) as caught:
        import_scenario(Order(out=tmp_path / "s", **given))  # type: ignore[arg-type]
    message = str(caught.value)
    assert "\n" not in message and ".importing-" not in message, message
    assert caught.value.exit_code == 2
    assert set(tmp_path.iterdir()) == before


def test_existing_folders_are_kept(
    imported: Path, copied: Path, plain_net: Path, plain_routes: Path
) -> None:
    order = Order(out=copied, net=plain_net, routes=(plain_routes,), end_s=100)
    with pytest.raises(InputError, match="exists already; give another --out, or --force"):
        import_scenario(order)
    assert resolve(str(copied)).end_s == 300
    import_scenario(Order(**{**order.__dict__, "force": True}))
    assert resolve(str(copied)).end_s == 100
    with pytest.raises(InputError, match="is no imported scenario"):
        import_scenario(Order(out=plain_net.parent, net=plain_net, force=True))


def test_same_input_same_bytes(
    imported: Path, plain_net: Path, plain_routes: Path, tmp_path: Path
) -> None:
    out = tmp_path / "again"
    import_scenario(Order(out=out, net=plain_net, routes=(plain_routes,), end_s=300))
    for path in imported.iterdir():
        assert (out / path.name).read_bytes() == path.read_bytes()
    assert resolve(str(out)).content_hash == resolve(str(imported)).content_hash


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("kind: imported", "kind: other", "kind: Input should be 'imported'"),
        ("net: net.net.xml", "net: /etc/passwd", "leaves the folder"),
        ("end_s: 300", "end_s: 0", "end_s"),
        ("jitter_s:", "jitter:", "Extra inputs|jitter"),
        ("kind: imported", "kind: [", "not YAML"),
    ],
)
def test_edited_scenario_files(copied: Path, old: str, new: str, said: str) -> None:
    path = copied / "scenario.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(ScenarioError, match=said):
        resolve(str(copied))


def test_an_edited_plan_is_checked(copied: Path) -> None:
    path = copied / "plans.json"
    table = json.loads(path.read_text())
    table["all"]["A0"]["cycle_s"] += 1
    path.write_text(json.dumps(table))
    with pytest.raises(ScenarioError, match=r"plans.json: all: A0: .*the cycle is"):
        resolve(str(copied))


def test_build_writes_files_that_sumo_runs(
    imported: Path, tmp_path: Path, command: Callable[..., Result]
) -> None:
    done = command("build", imported, "--out", tmp_path / "files", "--seed", 3)
    assert done.exit_code == 0, done.output
    nets.run("sumo", "-c", str(tmp_path / "files" / "all.3.sumocfg"), "--no-step-log", "true")


def test_what_needs_a_site_says_so(imported: Path) -> None:
    with pytest.raises(ScenarioError, match="holds an imported network, and this needs a site"):
        load(str(imported))


def test_folder_can_move(imported: Path, tmp_path: Path) -> None:
    """Nothing in the folder names the place where it was made."""
    for path in imported.iterdir():
        assert str(imported.parent) not in path.read_text(encoding="utf-8")


def test_timing_of_the_file_is_bounded() -> None:
    with pytest.raises(ValueError, match="yellow_s"):
        ImportedTiming(yellow_s=0)


def test_routes_without_anybody_are_refused(
    plain_net: Path, tmp_path: Path, command: Callable[..., Result]
) -> None:
    empty = tmp_path / "empty.rou.xml"
    empty.write_text("<routes/>", encoding="utf-8")
    out = tmp_path / "out"
    done = command("import", "--net", plain_net, "--routes", empty, "--out", out)
    assert isinstance(done.exception, ScenarioError)
    assert "nobody travels in empty.rou.xml" in str(done.exception)
    assert not out.exists()

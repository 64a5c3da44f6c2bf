"""Awkward nets, each made by SUMO's own tools or by a small edit of what they made."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree
from xml.sax.saxutils import quoteattr

import sumo

_HOME = Path(sumo.SUMO_HOME)


def run(program: str, *arguments: str) -> None:
    done = subprocess.run(
        [str(_HOME / "bin" / program), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "SUMO_HOME": str(_HOME)},
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def _grid(folder: Path, *options: str, size: tuple[int, int] = (2, 1)) -> Path:
    net = folder / "grid.net.xml"
    run(
        "netgenerate", "--grid", "--grid.x-number", str(size[0]), "--grid.y-number", str(size[1]),
        "--grid.length", "120", "--grid.attach-length", "120", "--no-turnarounds", "true",
        "--default-junction-type", "traffic_light", *options, "-o", str(net),
    )  # fmt: skip
    return net


def _walkable(folder: Path, net: Path, *options: str) -> Path:
    target = folder / "walk.net.xml"
    run(
        "netconvert", "-s", str(net), "--sidewalks.guess", "--sidewalks.guess.max-speed", "30",
        "--crossings.guess", "--walkingareas", "true", *options, "-o", str(target),
    )  # fmt: skip
    return target


def _plain(folder: Path, nodes: str, edges: str, connections: str = "", *options: str) -> Path:
    files = {"nod": ("nodes", nodes), "edg": ("edges", edges), "con": ("connections", connections)}
    for suffix, (root, body) in files.items():
        (folder / f"p.{suffix}.xml").write_text(f"<{root}>{body}</{root}>", encoding="utf-8")
    net = folder / "plain.net.xml"
    run(
        "netconvert", "-n", str(folder / "p.nod.xml"), "-e", str(folder / "p.edg.xml"),
        "-x", str(folder / "p.con.xml"), "--no-turnarounds", "true", *options, "-o", str(net),
    )  # fmt: skip
    return net


def _edit(net: Path, change: Callable[[str], str]) -> Path:
    net.write_text(change(net.read_text(encoding="utf-8")), encoding="utf-8")
    return net


def _states(net: Path, change: Callable[[list[str]], list[str]]) -> Path:
    """Rewrite the states of every program."""

    def program(match: re.Match[str]) -> str:
        states = change(re.findall(r'state="([^"]*)"', match[2]))
        phases = "".join(f'<phase duration="20" state="{state}"/>\n' for state in states)
        return f"{match[1]}\n{phases}</tlLogic>"

    return _edit(
        net, lambda text: re.sub(r"(<tlLogic[^>]*>)(.*?)</tlLogic>", program, text, flags=re.S)
    )


def _edge(name: str, start: str, end: str, more: str = "") -> str:
    return f'<edge id="{name}" from="{start}" to="{end}" numLanes="2" speed="13.9" {more}/>'


def _both(name: str, start: str, end: str, more: str = "") -> str:
    return _edge(name, start, end, more) + _edge(f"-{name}", end, start, more)


def _cross(centre: str = "C", light: str = 'type="traffic_light"', reach: int = 150) -> str:
    around = {"N": (0, reach), "E": (reach, 0), "S": (0, -reach), "W": (-reach, 0)}
    return f'<node id="{centre}" x="0" y="0" {light}/>' + "".join(
        f'<node id="{name}" x="{x}" y="{y}"/>' for name, (x, y) in around.items()
    )


def _arms(centre: str = "C") -> str:
    return "".join(_both(f"{name}#1", name, centre) for name in "NESW")


def actuated(folder: Path) -> Path:
    return _grid(folder, "--tls.default-type", "actuated", "--turn-lanes", "1")


def no_yellow(folder: Path) -> Path:
    """No yellow, all-red phases, and the phases in reverse."""
    return _states(
        _grid(folder),
        lambda states: [
            part
            for state in reversed(states)
            if "y" not in state
            for part in (state, "r" * len(state))
        ],
    )


def several_programs(folder: Path) -> Path:
    def change(text: str) -> str:
        programs = re.findall(r"<tlLogic.*?</tlLogic>", text, flags=re.S)
        more = "".join(item.replace('programID="0"', 'programID="night"') for item in programs)
        more = more.replace("GGg", "GGG")
        return text.replace(programs[-1], programs[-1] + more)

    return _edit(_grid(folder, "-L", "2"), change)


def joined(folder: Path) -> Path:
    """One program for two nodes, the street between them short."""
    nodes = (
        '<node id="a" x="0" y="0" type="traffic_light" tl="both"/>'
        '<node id="b" x="40" y="0" type="traffic_light" tl="both"/>'
        '<node id="W" x="-150" y="0"/><node id="E" x="190" y="0"/>'
        '<node id="aN" x="0" y="150"/><node id="aS" x="0" y="-150"/>'
        '<node id="bN" x="40" y="150"/><node id="bS" x="40" y="-150"/>'
    )
    edges = (
        _both("w", "W", "a") + _both("m", "a", "b") + _both("e", "b", "E")
        + _edge("an", "aN", "a") + _edge("as", "a", "aS") + _edge("bn", "b", "bN")
        + _edge("bs", "bS", "b")
    )  # fmt: skip
    return _plain(folder, nodes, edges)


def uncontrolled_links(folder: Path) -> Path:
    uncontrolled = '<connection from="N#1" to="-W#1" fromLane="0" toLane="0" uncontrolled="true"/>'
    return _plain(folder, _cross(), _arms(), uncontrolled)


def shared_indices(folder: Path) -> Path:
    """Connections that show the same share one index, those of other streets included."""
    return _walkable(folder, _grid(folder, "-L", "2"), "--tls.group-signals", "true")


def index_gaps(folder: Path) -> Path:
    net = _edit(
        _grid(folder),
        lambda text: re.sub(
            r'linkIndex="(\d+)"', lambda match: f'linkIndex="{2 * int(match[1]) + 1}"', text
        ),
    )
    return _states(net, lambda states: ["".join("r" + char for char in state) for state in states])


def rails(folder: Path) -> Path:
    """A level crossing beside a light, and tram tracks through the light."""
    nodes = _cross() + (
        '<node id="X" x="80" y="0" type="rail_crossing"/>'
        '<node id="rN" x="80" y="200"/><node id="rS" x="80" y="-200"/>'
        '<node id="rM" x="80" y="100" type="rail_signal"/>'
        '<node id="tN" x="12" y="200"/><node id="tS" x="12" y="-200"/>'
    )
    track = 'allow="rail"'
    tram = 'allow="tram"'
    edges = (
        "".join(_both(f"{name}#1", name, "C") for name in "NSW")
        + _both("E1", "E", "X") + _both("E2", "X", "C")
        + _edge("r1", "rN", "rM", track) + _edge("r2", "rM", "X", track)
        + _edge("r3", "X", "rS", track)
        + _edge("t1", "tN", "C", tram) + _edge("t2", "C", "tS", tram)
    )  # fmt: skip
    return _plain(folder, nodes, edges)


def crosswalks_share_an_index(folder: Path) -> Path:
    """A crosswalk lit by the vehicles' own signal, two lit by one, and one not lit at all."""

    def change(text: str) -> str:
        walks = re.findall(
            r'<connection from=":A0_w\d" to=":A0_c\d"[^>]*tl="A0" linkIndex="\d+"[^>]*>', text
        )
        assert len(walks) == 4
        index = [re.search(r'linkIndex="(\d+)"', walk)[1] for walk in walks]  # type: ignore[index]
        text = text.replace(walks[2], walks[2].replace(f'"{index[2]}"', f'"{index[0]}"'))
        text = text.replace(
            walks[3], re.sub(r' tl="A0" linkIndex="\d+"', "", walks[3]).replace('"o"', '"M"')
        )
        return text.replace(walks[1], walks[1].replace(f'"{index[1]}"', '"1"'))

    return _edit(_walkable(folder, _grid(folder, size=(1, 1))), change)


def one_phase(folder: Path) -> Path:
    return _states(_grid(folder, size=(1, 1)), lambda states: ["".join("g" for _ in states[0])])


def conflicting_greens(folder: Path) -> Path:
    return _states(_grid(folder), lambda states: ["G" * len(states[0]), *states])


def short_edges(folder: Path) -> Path:
    """Approaches cut into pieces of 12 m, and one of 5 cm."""
    nodes, edges = [_cross(reach=170)], []
    for name, (x, y) in {"N": (0, 1), "E": (1, 0), "S": (0, -1), "W": (-1, 0)}.items():
        steps = [*(f"{name}{number}" for number in range(1, 13)), name]
        nodes += [
            f'<node id="{step}" x="{x * 12 * number}" y="{y * 12 * number}"/>'
            for number, step in enumerate(steps[:-1], start=1)
        ]
        edges += [
            _both(f"{name}.{number}", after, before)
            for number, (before, after) in enumerate(itertools.pairwise(["C", *steps]))
        ]
    return _plain(folder, "".join(nodes), "".join(edges))


def roundabout(folder: Path) -> Path:
    ring = {"N": (0, 30), "W": (-30, 0), "S": (0, -30), "E": (30, 0)}
    nodes = "".join(
        f'<node id="r{name}" x="{x}" y="{y}" type="traffic_light"/>'
        f'<node id="{name}" x="{5 * x}" y="{5 * y}"/>'
        for name, (x, y) in ring.items()
    )
    edges = "".join(_both(f"a{name}", name, f"r{name}") for name in ring)
    edges += "".join(
        _edge(f"c{start}", f"r{start}", f"r{end}")
        for start, end in itertools.pairwise([*ring, next(iter(ring))])
    )
    return _plain(folder, nodes, edges + '<roundabout nodes="rN rW rS rE" edges="cN cW cS cE"/>')


def left_hand(folder: Path) -> Path:
    return _plain(folder, _cross(), _arms(), "", "--lefthand", "true")


def no_inner_lanes(folder: Path) -> Path:
    return _grid(folder, "--no-internal-links", "true")


def odd_ids(folder: Path) -> Path:
    nodes = _cross("강남.C@1~x")
    return _plain(folder, nodes, _arms("강남.C@1~x"))


def no_conflict(folder: Path) -> Path:
    """A light on an open road: a street that nobody crosses."""
    nodes = (
        '<node id="W" x="-150" y="0"/><node id="C" x="0" y="0" type="traffic_light"/>'
        '<node id="E" x="150" y="0"/>'
    )
    return _plain(folder, nodes, _edge("in", "W", "C") + _edge("out", "C", "E"))


def five_arms(folder: Path) -> Path:
    """Skewed junctions of a random net, U-turns allowed."""
    net = folder / "spider.net.xml"
    run(
        "netgenerate", "--spider", "--spider.arm-number", "5", "--spider.circle-number", "1",
        "--spider.space-radius", "120", "-L", "2", "--default-junction-type", "traffic_light",
        "-o", str(net),
    )  # fmt: skip
    return net


def with_crosswalks(folder: Path) -> Path:
    return _walkable(folder, _grid(folder, "-L", "2", "--turn-lanes", "1", size=(1, 1)))


def crossing(folder: Path) -> Path:
    """Nothing odd: four arms of two lanes, A0 in the middle, with crosswalks."""
    return _walkable(folder, _grid(folder, "-L", "2", size=(1, 1)))


AWKWARD: dict[str, Callable[[Path], Path]] = {
    made.__name__: made
    for made in (
        actuated,
        no_yellow,
        several_programs,
        joined,
        uncontrolled_links,
        shared_indices,
        index_gaps,
        rails,
        crosswalks_share_an_index,
        one_phase,
        conflicting_greens,
        short_edges,
        roundabout,
        left_hand,
        no_inner_lanes,
        odd_ids,
        no_conflict,
        five_arms,
        with_crosswalks,
    )
}


def osm_crossing(folder: Path) -> Path:
    """An arterial and a side street with a light, and a signalised crosswalk away from it."""
    places = {
        1: (37.5000, 127.0000, ""),
        2: (37.5000, 127.0020, '<tag k="highway" v="traffic_signals"/>'),
        3: (37.5000, 127.0035, '<tag k="highway" v="crossing"/>'
            '<tag k="crossing" v="traffic_signals"/><tag k="crossing_ref" v="zebra"/>'),
        4: (37.5000, 127.0055, ""),
        5: (37.5015, 127.0020, ""),
        6: (37.4985, 127.0020, ""),
        7: (37.5004, 127.0035, ""),
        8: (37.4996, 127.0035, ""),
    }  # fmt: skip
    ways = {
        10: ((1, 2, 3, 4), {"highway": "primary", "name": "테헤란로", "lanes": "6"}),
        11: ((5, 2, 6), {"highway": "tertiary"}),
        12: ((7, 3, 8), {"highway": "footway", "footway": "crossing"}),
    }
    text = '<?xml version="1.0" encoding="UTF-8"?><osm version="0.6">'
    for number, (lat, lon, tags) in places.items():
        text += f'<node id="{number}" lat="{lat}" lon="{lon}" version="1">{tags}</node>'
    for number, (nodes, tags_of) in ways.items():
        text += f'<way id="{number}" version="1">'
        text += "".join(f'<nd ref="{node}"/>' for node in nodes)
        text += "".join(f'<tag k="{key}" v="{value}"/>' for key, value in tags_of.items())
        text += "</way>"
    path = folder / "street.osm"
    path.write_text(text + "</osm>", encoding="utf-8")
    return path


def demand(net: Path, count: int = 3, end_s: int = 150) -> Path:
    """A flow from every way in to every way out."""
    root = ElementTree.parse(net).getroot()
    ends = {node.get("id") for node in root.iter("junction") if node.get("type") == "dead_end"}
    streets = [
        edge
        for edge in root.iter("edge")
        if edge.get("function") is None
        and not any("rail" in lane.get("allow", "") or "tram" in lane.get("allow", "")
                    for lane in edge.iter("lane"))
    ]  # fmt: skip
    ways_in = [edge.get("id") for edge in streets if edge.get("from") in ends]
    ways_out = [edge.get("id") for edge in streets if edge.get("to") in ends]
    ways_in = ways_in or [edge.get("id") for edge in streets]
    ways_out = ways_out or [edge.get("id") for edge in streets]
    flows = [
        f'<flow id="f{number}" begin="0" end="{end_s}" number="{count}" from={quoteattr(start)} '
        f'to={quoteattr(end)} departLane="best"/>'
        for number, (start, end) in enumerate(itertools.product(ways_in, ways_out))
        if start != end and start.lstrip("-") != end.lstrip("-")
    ]
    path = net.with_name("demand.rou.xml")
    path.write_text(f"<routes>{''.join(flows)}</routes>", encoding="utf-8")
    return path

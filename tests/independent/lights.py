"""An independent judge of traffic lights.

It reads what the lights showed, second by second, and the geometry of the SUMO net, and says what
was unlawful. It shares no code with the product: it parses the net itself, finds conflicts by
intersecting the paths (never from the net's right-of-way matrix), and computes every required time
with formulas of its own.

What it takes for law:

* yellow: ``ceil(1 + V/10 + (W + 5)/V - 1.5)`` seconds, of which 3 to 5 are yellow and what is left,
  at least 1 and at most 2, is all-red. V is the speed of the link's own lane, W the longest path
  through the junction of the links that share its light, right turns left out;
* links that share a light: links of one incoming lane; on one incoming edge also left and U-turns,
  and through and right turns (when there is one such stream to join); bus-only lanes only among
  themselves. A product that shares more has the longer W, which is never less than required here;
* a crosswalk is ``G`` while walking may start, 7 s at least, and ``r`` while flashing; a
  conflicting vehicle turns green ``ceil(length / walking speed)`` plus the buffer after that;
* turns to the kerb side (right, or left in a left-hand net) yield, so a pair with one conflicts
  only when both show ``G``; the same holds for a pair of which the net's own program shows both
  green, one of them as ``g`` (an unprotected turn), when the rule ``unprotected`` allows it;
* positions of the state string that several connections share are one light; where ways that
  cross cannot be told apart by their lights (one position, or a lane that both leave from), one of
  them must be ``g``. A crosswalk that shares a position with vehicles is shown as a vehicle light,
  green for a walk at least, and red for its clearance before a conflicting green;
* ways of different nodes of one light do not meet, nor do those of one street into one street;
* vehicles that leave one edge for the same exit lane merge as they do without lights;
* red counts from the end of yellow, for a crosswalk from the end of flashing, and at the beginning
  of a record from its first second.

Run it on a record::

    python -m tests.independent.lights --net N --tls ID --lights FILE [--timing JSON]
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

KINDS = (
    "conflict",
    "short_yellow",
    "short_all_red",
    "short_green",
    "short_walk",
    "short_clearance",
    "max_red",
    "unknown_character",
    "gap",
)
DEFAULTS: dict[str, Any] = {
    "min_green_s": 7,
    "max_red_s": 200,
    "pedestrian_max_red_s": 200,
    "walking_speed_mps": 1.0,
    "pedestrian_buffer_s": 1,
    "right_turn_on_red": True,
    "pedestrians": True,
    "recall": "always",
    "yellow_s": None,
    "all_red_s": None,
    "unprotected": False,
}
WALK_S = 7

Point = tuple[float, float]


@dataclass(frozen=True)
class Violation:
    kind: str
    second: int
    link: int
    detail: str


@dataclass(frozen=True)
class Way:
    """One connection of a vehicle light."""

    node: str
    edge: str
    lane: str
    exit: str
    near_turn: bool
    path: tuple[Point, ...]


@dataclass
class Link:
    """One position of the state string."""

    index: int
    crossing: bool
    near: frozenset[str] = frozenset("rR")
    turns: set[str] = field(default_factory=set)
    ways: list[Way] = field(default_factory=list)
    crossings: list[tuple[str, list[Point], float, float]] = field(default_factory=list)
    length_m: float = 0.0
    speed_mps: float = 0.0
    uses: str = ""

    @property
    def right(self) -> bool:
        """Turns to the kerb side only."""
        return not self.crossing and not self.crossings and self.turns <= self.near

    @property
    def walk_m(self) -> float:
        return max((length for _, _, length, _ in self.crossings), default=0.0)

    @property
    def lanes(self) -> set[str]:
        return {way.lane for way in self.ways}

    @property
    def edges(self) -> frozenset[str]:
        return frozenset(way.edge for way in self.ways)

    @property
    def exits(self) -> set[str]:
        return {way.exit for way in self.ways}


@dataclass(frozen=True)
class Need:
    """Required seconds of one link; for a crosswalk min_green is walk, clear is flashing."""

    min_green: int
    yellow: int
    all_red: int
    max_red: int


def change_interval(speed_mps: float, width_m: float) -> tuple[int, int]:
    total = 1.0 + speed_mps / (2.0 * 5.0) + (width_m + 5.0) / speed_mps - 1.5
    whole = math.ceil(round(total, 6))
    yellow = sorted((3, whole, 5))[1]
    return yellow, sorted((1, whole - yellow, 2))[1]


def _points(text: str) -> list[Point]:
    return [(float(x), float(y)) for x, y, *_ in (item.split(",") for item in text.split())]


def _carries(lane: Mapping[str, str], vehicle: str) -> bool:
    if "allow" in lane:
        return lane["allow"] == "all" or vehicle in lane["allow"].split()
    return vehicle not in lane.get("disallow", "").split() and lane.get("disallow") != "all"


def _user(lane: Mapping[str, str]) -> str:
    if _carries(lane, "passenger"):
        return "car"
    if _carries(lane, "bus"):
        return "bus"
    rails = ("tram", "rail_urban", "rail", "rail_electric", "rail_fast", "subway")
    if any(_carries(lane, kind) for kind in rails):
        return "tram"
    return "bicycle" if _carries(lane, "bicycle") else "car"


def read_links(net_file: Path, tls_id: str) -> dict[int, Link]:
    root = ET.parse(net_file).getroot()
    near = frozenset("lL" if root.get("lefthand") in ("true", "1") else "rR")
    lanes: dict[str, dict[str, str]] = {}
    edges: dict[str, dict[str, str]] = {}
    for edge in root.iter("edge"):
        edges[edge.get("id", "")] = dict(edge.attrib)
        for lane in edge.iter("lane"):
            lanes[lane.get("id", "")] = dict(lane.attrib)
    function = {name: edge.get("function", "normal") for name, edge in edges.items()}
    onward: dict[str, str] = {}
    controlled = []
    for item in root.findall("connection"):
        if function.get(item.get("from", "")) == "internal" and item.get("via"):
            onward[f"{item.get('from')}_{item.get('fromLane')}"] = item.get("via", "")
        if item.get("tl") == tls_id:
            controlled.append(item)
    if not controlled:
        raise ValueError(f"{net_file} has no traffic light '{tls_id}'")
    found: dict[int, Link] = {}
    for item in controlled:
        index = int(item.get("linkIndex", "-1"))
        if index < 0:
            continue
        link = found.setdefault(index, Link(index, True, near))
        crossing = next(
            (end for end in ("to", "from") if function[item.get(end, "")] == "crossing"), None
        )
        if crossing:
            shape = lanes[f"{item.get(crossing)}_0"]
            place = item.get(crossing, "")[1:].rpartition("_")[0]
            length_m, width_m = float(shape["length"]), float(shape.get("width", "4"))
            link.crossings.append((place, _points(shape["shape"]), length_m, width_m))
            if link.crossing:
                link.length_m = max(link.length_m, length_m)
            continue
        source = f"{item.get('from')}_{item.get('fromLane')}"
        target = f"{item.get('to')}_{item.get('toLane')}"
        path: list[Point] = []
        length_m = 0.0
        via = item.get("via", "")
        while via:
            path += _points(lanes[via]["shape"])
            length_m += float(lanes[via]["length"])
            via = onward.get(via, "")
        if not path:
            path = [_points(lanes[source]["shape"])[-1], _points(lanes[target]["shape"])[0]]
            length_m = math.dist(*path)
        if link.crossing:
            link.crossing, link.length_m = False, 0.0
        inner = item.get("via", "").rsplit("_", 2)[0].lstrip(":")
        node = inner or edges[item.get("from", "")].get("to", "")
        link.turns.add(item.get("dir", "s"))
        link.ways.append(
            Way(node, item.get("from", ""), source, target, item.get("dir") in near, tuple(path))
        )
        link.length_m = max(link.length_m, length_m)
        link.speed_mps = float(lanes[source]["speed"])
        link.uses = _user(lanes[source])
    return found


def read_states(net_file: Path, tls_id: str) -> list[str]:
    """The states of all programs of a light."""
    root = ET.parse(net_file).getroot()
    return [
        phase.get("state", "")
        for program in root.iter("tlLogic")
        if program.get("id") == tls_id
        for phase in program.iter("phase")
    ]


def _side(a: Point, b: Point, c: Point) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _between(a: Point, b: Point, c: Point) -> bool:
    return min(a[0], b[0]) <= c[0] <= max(a[0], b[0]) and min(a[1], b[1]) <= c[1] <= max(a[1], b[1])


def _segments_meet(a: Point, b: Point, c: Point, d: Point) -> bool:
    abc, abd, cda, cdb = _side(a, b, c), _side(a, b, d), _side(c, d, a), _side(c, d, b)
    if abc * abd < 0 and cda * cdb < 0:
        return True
    return any(
        side == 0 and _between(one, two, point)
        for side, one, two, point in (
            (abc, a, b, c),
            (abd, a, b, d),
            (cda, c, d, a),
            (cdb, c, d, b),
        )
    )


def _paths_meet(first: Sequence[Point], second: Sequence[Point]) -> bool:
    return any(_segments_meet(a, b, c, d) for a, b in pairwise(first) for c, d in pairwise(second))


def _stripes(path: Sequence[Point], width_m: float) -> list[list[Point]]:
    """The painted area, one closed rectangle per straight piece, 10 cm off its long sides."""
    areas = []
    half = width_m / 2 - 0.1
    for (ax, ay), (bx, by) in pairwise(path):
        size = math.hypot(bx - ax, by - ay) or 1.0
        nx, ny = -(by - ay) / size * half, (bx - ax) / size * half
        corners = [(ax + nx, ay + ny), (bx + nx, by + ny), (bx - nx, by - ny)]
        areas.append([*corners, (ax - nx, ay - ny), corners[0]])
    return areas


def _ways_meet(first: Way, second: Way) -> bool:
    if first.node != second.node or first.lane == second.lane:
        return False
    if first.exit == second.exit:
        return first.edge != second.edge
    streets = [way.exit.rpartition("_")[0] for way in (first, second)]
    if first.edge == second.edge and streets[0] == streets[1]:
        return False
    return _paths_meet(first.path, second.path)


def _meetings(first: Link, second: Link) -> list[bool]:
    """For all ways of two positions that meet, whether a turn to the kerb side is one of them."""
    found = [
        one.near_turn or two.near_turn
        for one in first.ways
        for two in second.ways
        if _ways_meet(one, two)
    ]
    for walkers, drivers in ((first, second), (second, first)):
        found += [
            way.near_turn
            for place, path, _, width_m in walkers.crossings
            for way in drivers.ways
            if way.node == place
            and any(_paths_meet(way.path, area) for area in _stripes(path, width_m))
        ]
    return found


def conflicting_pairs(links: Mapping[int, Link]) -> set[tuple[int, int]]:
    """Pairs of link indices whose ways cross or merge, the lower index first."""
    return {
        (one, two)
        for one, two in combinations(sorted(links), 2)
        if _meetings(links[one], links[two])
    }


def yielding_pairs(
    pairs: Iterable[tuple[int, int]], links: Mapping[int, Link], states: Sequence[str]
) -> set[tuple[int, int]]:
    """Pairs that may be green together as long as one of them yields (``g``)."""
    together = _shared_lights(links)
    found = set()
    for one, two in pairs:
        in_program = any(
            {state[one : one + 1], state[two : two + 1]} in ({"g"}, {"g", "G"}, {"o", "G"}, {"o"})
            for state in states
        )
        one_light = two in together.get(one, ())
        if in_program or one_light or all(_meetings(links[one], links[two])):
            found.add((one, two))
    return found


def _shared_lights(links: Mapping[int, Link]) -> dict[int, set[int]]:
    vehicles = [link for link in links.values() if not link.crossing]
    together = {link.index: {link.index} for link in vehicles}

    def join(one: int, two: int) -> None:
        merged = together[one] | together[two]
        for index in merged:
            together[index] = merged

    def stream(link: Link) -> tuple[frozenset[str], str, frozenset[str], str]:
        turns = frozenset(turn.lower() for turn in link.turns)
        return link.edges, link.uses, turns, min(link.exits).rpartition("_")[0]

    for first, second in combinations(vehicles, 2):
        if first.lanes & second.lanes or stream(first) == stream(second):
            join(first.index, second.index)
    for link in vehicles:
        near, far = (
            ({"r", "R"}, {"l", "L"}) if link.near == {"r", "R"} else ({"l", "L"}, {"r", "R"})
        )
        host = {"s"} if link.turns <= near else far if link.turns == {"t"} else set()
        homes = {
            frozenset(together[other.index])
            for other in vehicles
            if other.edges == link.edges and other.uses == link.uses and other.turns <= host
        }
        if link.uses == "car" and len(homes) == 1:
            join(link.index, min(homes.pop()))
    return together


def requirements(links: Mapping[int, Link], timing: Mapping[str, Any]) -> dict[int, Need]:
    rules = {**DEFAULTS, **timing}
    lights = _shared_lights(links)
    needs = {}
    for index, link in links.items():
        if link.crossing:
            flashing = math.ceil(round(link.length_m / rules["walking_speed_mps"], 6))
            needs[index] = Need(
                WALK_S, flashing, rules["pedestrian_buffer_s"], rules["pedestrian_max_red_s"]
            )
            continue
        members = [links[other] for other in lights[index]]
        bound = [member for member in members if not member.right] or members
        width_m = max(member.length_m for member in bound)
        yellow, all_red = change_interval(max(link.speed_mps, 1.0), width_m)
        yellow = yellow if rules["yellow_s"] is None else rules["yellow_s"]
        all_red = all_red if rules["all_red_s"] is None else rules["all_red_s"]
        min_green = rules["min_green_s"]
        if link.crossings and rules["pedestrians"]:
            leaving = math.ceil(round(link.walk_m / rules["walking_speed_mps"], 6))
            min_green = max(min_green, WALK_S)
            all_red = max(all_red, leaving + rules["pedestrian_buffer_s"] - yellow)
        needs[index] = Need(min_green, yellow, all_red, rules["max_red_s"])
    return needs


@dataclass
class _Track:
    """What a link has shown lately."""

    shown: str = ""  # green, yellow, red, or nothing yet
    since: int = 0
    begun: bool = False  # the beginning was seen, not cut off by the record
    last_on: int | None = None
    owed_since: int | None = None
    late: bool = False


class LightChecker:
    """Judges records of one traffic light."""

    def __init__(
        self, net_file: Path, tls_id: str, timing: Mapping[str, Any] | None = None
    ) -> None:
        self.rules = {**DEFAULTS, **(timing or {})}
        self.links = read_links(net_file, tls_id)
        self.needs = requirements(self.links, self.rules)
        self.pairs = conflicting_pairs(self.links)
        if not self.rules["pedestrians"]:
            self.pairs = {
                (one, two)
                for one, two in self.pairs
                if any(_ways_meet(a, b) for a in self.links[one].ways for b in self.links[two].ways)
            }
        states = read_states(net_file, tls_id) if self.rules["unprotected"] else []
        self.yielding = yielding_pairs(self.pairs, self.links, states)
        self.foes: dict[int, list[int]] = {index: [] for index in self.links}
        for one, two in self.pairs:
            if (one, two) not in self.yielding:
                self.foes[one].append(two)
                self.foes[two].append(one)

    def check(
        self, lights: Iterable[tuple[int, str]], calls: Iterable[tuple[int, int]] = ()
    ) -> list[Violation]:
        """Every violation in the record.

        Args:
            lights: ``(second, state string)`` of successive seconds.
            calls: ``(second, crosswalk link)`` of push buttons, for the recall mode ``call``.
        """
        found: list[Violation] = []
        called = set(calls)
        tracks = {index: _Track() for index in self.links}
        clashing: set[tuple[int, int]] = set()
        before: tuple[int, str] | None = None
        for second, state in lights:
            if before is not None and second != before[0] + 1:
                found.append(Violation("gap", second, -1, f"follows second {before[0]}"))
                tracks = {index: _Track() for index in self.links}
                before = None
            if before is None or state != before[1]:
                self._characters(second, state, found)
                clashing = self._clashes(second, state, clashing, found)
                changed = self._change(second, state, tracks, found)
                self._starts(second, changed, tracks, found)
            self._reds(second, tracks, called, found)
            before = (second, state)
        return found

    def _characters(self, second: int, state: str, found: list[Violation]) -> None:
        if len(state) <= max(self.links):
            found.append(
                Violation("unknown_character", second, -1, f"only {len(state)} characters")
            )
        for index, link in self.links.items():
            char = state[index : index + 1]
            allowed = "Gr" if link.crossing else "Ggyr"
            if link.right and self.rules["right_turn_on_red"]:
                allowed += "s"
            if char and char not in allowed:
                found.append(
                    Violation("unknown_character", second, index, f"'{char}', not in {allowed}")
                )

    def _clashes(
        self, second: int, state: str, before: set[tuple[int, int]], found: list[Violation]
    ) -> set[tuple[int, int]]:
        now = set()
        for one, two in self.pairs:
            a, b = state[one : one + 1], state[two : two + 1]
            if (one, two) in self.yielding:
                meet = a == b == "G"
            else:
                meet = bool(a and b) and a in "Ggy" and b in "Ggy"
            if meet:
                now.add((one, two))
                if (one, two) not in before:
                    detail = f"shows '{a}' while link {two} shows '{b}'"
                    found.append(Violation("conflict", second, one, detail))
        return now

    def _change(
        self, second: int, state: str, tracks: dict[int, _Track], found: list[Violation]
    ) -> list[int]:
        """Judge the runs that ended; return the links that turned green."""
        started = []
        for index, link in self.links.items():
            track, need = tracks[index], self.needs[index]
            char = state[index : index + 1]
            now = "green" if char in {"G", "g"} else "yellow" if char == "y" else "red"
            if now == track.shown:
                continue
            was, ran = track.shown, second - track.since

            def report(kind: str, detail: str, index: int = index) -> None:
                found.append(Violation(kind, second, index, detail))

            if was == "green":
                if track.begun and ran < need.min_green:
                    kind = "short_walk" if link.crossing else "short_green"
                    report(kind, f"green for {ran} s, needs {need.min_green}")
                if now == "red" and not link.crossing:
                    report("short_yellow", "from green to red without yellow")
            elif was == "yellow":
                if track.begun and ran < need.yellow:
                    report("short_yellow", f"yellow for {ran} s, needs {need.yellow}")
                if now == "green":
                    report("short_all_red", "from yellow back to green")
            elif was == "red" and now == "yellow":
                report("short_green", "yellow without a green before it")
            if was in ("green", "yellow"):
                track.last_on = second - 1
            if now == "green":
                started.append(index)
                track.owed_since, track.late = None, False
            elif now == "red":
                flashing = need.yellow if link.crossing and was == "green" else 0
                track.owed_since = None if self._on_call(link) else second + flashing
            track.shown, track.since, track.begun = now, second, was != ""
        return started

    def _starts(
        self,
        second: int,
        started: Sequence[int],
        tracks: dict[int, _Track],
        found: list[Violation],
    ) -> None:
        """A link that turns green does so long enough after every conflicting one."""
        for index in started:
            if not tracks[index].begun:
                continue
            for foe in self.foes[index]:
                track, need = tracks[foe], self.needs[foe]
                if track.last_on is None or track.shown != "red":
                    continue
                gap = second - track.last_on - 1
                crossing = self.links[foe].crossing
                least = need.all_red + (need.yellow if crossing else 0)
                if gap < least:
                    kind = "short_clearance" if crossing else "short_all_red"
                    detail = f"green {gap} s after link {foe}, needs {least}"
                    found.append(Violation(kind, second, index, detail))

    def _on_call(self, link: Link) -> bool:
        return link.crossing and self.rules["recall"] == "call"

    def _reds(
        self,
        second: int,
        tracks: dict[int, _Track],
        called: set[tuple[int, int]],
        found: list[Violation],
    ) -> None:
        for index, track in tracks.items():
            link, need = self.links[index], self.needs[index]
            if track.shown != "red" or (link.crossing and not self.rules["pedestrians"]):
                continue
            if track.owed_since is None and self._on_call(link) and (second, index) in called:
                flashing_ends = (track.last_on or -need.yellow - 1) + 1 + need.yellow
                track.owed_since = max(second, flashing_ends)
            if track.owed_since is None or track.late:
                continue
            if second - track.owed_since + 1 > need.max_red:
                track.late = True
                detail = f"red since second {track.owed_since}, at most {need.max_red} s"
                found.append(Violation("max_red", second, index, detail))


def summary(violations: Iterable[Violation]) -> dict[str, int]:
    """Count per kind, kinds without a violation included."""
    counted = Counter(violation.kind for violation in violations)
    return {kind: counted[kind] for kind in KINDS}


def check_lights(
    lights: Iterable[tuple[int, str]],
    net_file: Path,
    tls_id: str,
    timing: Mapping[str, Any] | None = None,
    calls: Iterable[tuple[int, int]] = (),
) -> list[Violation]:
    return LightChecker(net_file, tls_id, timing).check(lights, calls)


def read_lights(path: Path) -> list[tuple[int, str]]:
    """Columns ``second`` and ``state`` of a CSV or parquet file."""
    if path.suffix == ".parquet":
        import polars

        table = polars.read_parquet(path, columns=["second", "state"])
        return [(int(second), str(state)) for second, state in table.iter_rows()]
    with path.open(newline="", encoding="utf-8") as file:
        return [(int(float(row["second"])), row["state"]) for row in csv.DictReader(file)]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.independent.lights")
    parser.add_argument("--net", type=Path, required=True)
    parser.add_argument("--tls", required=True)
    parser.add_argument("--lights", type=Path, required=True, help="csv or parquet: second, state")
    parser.add_argument("--timing", default="{}", help="a JSON object, or a file that holds one")
    given = parser.parse_args(arguments)
    text = given.timing.strip()
    timing = json.loads(text if text.startswith("{") else Path(text).read_text(encoding="utf-8"))
    violations = check_lights(read_lights(given.lights), given.net, given.tls, timing)
    for item in violations:
        print(f"{item.second}\tlink {item.link}\t{item.kind}\t{item.detail}")
    print(json.dumps({"violations": len(violations), **summary(violations)}))
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())

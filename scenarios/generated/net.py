"""The SUMO net of a generated street: plain XML, then netconvert."""

from __future__ import annotations

from pathlib import Path

from scenarios.cache import cache_folder, cached_file, digest
from scenarios.generated.streets import STREET_WIDTH_M, Drawing, Street
from scenarios.network import document, sumo_version, write_text
from scenarios.sumo_tools import run_program

SIDEWALK_M = 2.0
_SHARP_DEG = 40.0
"""A turn of less than this is straight on."""
_OPTIONS = (
    "--no-turnarounds", "true",
    "--no-internal-links", "false",
    "--junctions.corner-detail", "5",
    "--tls.default-type", "static",
    "--geometry.max-angle", "180",
    "--no-warnings", "true",
    "--xml-validation", "never",
)  # fmt: skip


def kind_of(turn_deg: float) -> int:
    """0 right, 1 through, 2 left."""
    return 0 if turn_deg < -_SHARP_DEG else 2 if turn_deg > _SHARP_DEG else 1


def turn_shares(drawing: Drawing, street: Street) -> list[tuple[Street, float]]:
    """Streets that follow and the share of the traffic that takes them."""
    ahead = drawing.onward(street)
    kinds = [kind_of(turn) for _, turn in ahead]
    weights = [street.turns[kind] / kinds.count(kind) for kind in kinds]
    total = sum(weights)
    return [(after, weight / total) for (after, _), weight in zip(ahead, weights, strict=True)]


def plain_xml(drawing: Drawing) -> dict[str, str]:
    """Plain XML for netconvert, file suffix (``nod``, ``edg``, ``con``) to text."""
    nodes = []
    for name, (x, y) in drawing.places.items():
        light = f' type="traffic_light" tl="{name}" radius="8"' if name in drawing.lights else ""
        nodes.append(f'<node id="{name}" x="{x:g}" y="{y:g}"{light}/>')
    walk = f' sidewalkWidth="{SIDEWALK_M:g}"' if drawing.walkers_h else ""
    edges = [
        f'<edge id="{street.id}" from="{street.start}" to="{street.end}"'
        f' numLanes="{street.lanes + street.bus_lane}" speed="{street.speed_mps:g}"'
        f' width="{STREET_WIDTH_M:g}"{walk} disallow="pedestrian tram rail rail_urban"'
        + (f'><lane index="{street.lanes}" allow="bus"/></edge>' if street.bus_lane else "/>")
        for street in drawing.streets
    ]
    links = []
    for street in drawing.continued:
        links += _widening(drawing, street)
    for light in drawing.lights:
        for street in drawing.into(light):
            links += _connections(drawing, street)
        if drawing.walkers_h:
            links += _crossings(drawing, light)
    return {
        "nod": document("nodes", nodes),
        "edg": document("edges", edges),
        "con": document("connections", links),
    }


def _connections(drawing: Drawing, street: Street) -> list[str]:
    """Which lane leads where: left turns from the inside, right turns from the kerb."""
    first = 1 if drawing.walkers_h else 0
    ahead = drawing.onward(street)
    kinds = {kind: [after for after, turn in ahead if kind_of(turn) == kind] for kind in range(3)}
    lanes = list(range(street.lanes))
    count = len(lanes)
    own: dict[int, list[int]] = {0: lanes[:1], 1: lanes, 2: lanes[-1:]}
    if not kinds[1]:
        half = max(1, count // 2)
        own = {0: lanes[:half], 1: [], 2: lanes[half:] or lanes[-1:]}
        own = {
            0: lanes if not kinds[2] else own[0],
            1: [],
            2: lanes if not kinds[0] else own[2],
        }
    elif kinds[2] and (count >= 3 or (count == 2 and not drawing.shared_left)):
        left = 2 if count >= 5 else 1
        own = {0: lanes[:1], 1: lanes[:-left], 2: lanes[-left:]}
    rows: list[str] = []
    for kind, targets in kinds.items():
        for after in targets:
            seen: set[tuple[int, int]] = set()
            mine = own[kind]
            for place, lane in enumerate(mine):
                # Left turns end in the inner lanes, the others in the outer ones.
                to = after.lanes - len(mine) + place if kind == 2 else place
                pair = (lane, min(max(to, 0), after.lanes - 1))
                if pair in seen:
                    continue
                seen.add(pair)
                rows.append(_connection(street, after, pair[0] + first, pair[1] + first))
    for after in kinds[1]:
        if street.bus_lane and after.bus_lane:
            rows.append(_connection(street, after, street.lanes + first, after.lanes + first))
    return rows


def _connection(street: Street, after: Street, lane: int, to: int) -> str:
    return f'<connection from="{street.id}" to="{after.id}" fromLane="{lane}" toLane="{to}"/>'


def _widening(drawing: Drawing, after: Street) -> list[str]:
    """Straight on; a lane more begins on the inside."""
    first = 1 if drawing.walkers_h else 0
    rows = []
    for street in drawing.into(after.start):
        if street.start == after.end:
            continue
        common = min(street.lanes, after.lanes)
        pairs = [(lane, lane) for lane in range(common)]
        pairs += [(street.lanes - 1, lane) for lane in range(common, after.lanes)]
        if street.bus_lane and after.bus_lane:
            pairs.append((street.lanes, after.lanes))
        rows += [_connection(street, after, lane + first, to + first) for lane, to in pairs]
    return rows


def _crossings(drawing: Drawing, light: str) -> list[str]:
    rows = []
    for street in drawing.into(light):
        twin = f"{street.end}_{street.start}"
        rows.append(
            f'<crossing node="{light}" edges="{street.id} {twin}" priority="true" width="4"/>'
        )
    return rows


def build_net(drawing: Drawing) -> Path:
    """The net, from the cache or freshly built.

    Raises:
        MissingDependencyError: netconvert is not installed.
        SimulationError: netconvert refused the net.
    """
    plain = plain_xml(drawing)
    key = digest(*plain.values(), *_OPTIONS, sumo_version())[:20]
    name = f"generated-{drawing.name.kind}-{drawing.name.seed}-{key}.net.xml"

    def build(target: Path) -> None:
        files = []
        for suffix, text in plain.items():
            file = target.with_name(f"plain.{suffix}.xml")
            write_text(file, text)
            option = {"nod": "--node-files", "edg": "--edge-files", "con": "--connection-files"}
            files += [option[suffix], str(file)]
        walking = ("--walkingareas", "true") if drawing.walkers_h else ()
        run_program(
            "netconvert",
            (*files, *_OPTIONS, *walking, "--output-file", str(target)),
            f"building {drawing.name}",
        )

    return cached_file(cache_folder() / "networks" / name, build)

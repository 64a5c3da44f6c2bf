"""Turning counts: read from a CSV, and turned into vehicles by SUMO's routeSampler."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from scenarios.importing.tools import run_tool
from scenarios.sumo_tools import run_program
from signals.errors import ScenarioError
from signals.junction import Junction
from signals.netreading.net import SumoNet


@dataclass(frozen=True)
class TurnCount:
    """Vehicles that turned from edges to edges within an interval (s)."""

    from_edges: tuple[str, ...]
    to_edges: tuple[str, ...]
    begin_s: int
    end_s: int
    count: int


def read_counts(file: Path, net: SumoNet, junctions: Sequence[Junction]) -> list[TurnCount]:
    """Read turning counts.

    Columns: junction, from, to, begin, end, count; from and to are legs of the junction (``N``) or
    edges of the net; times in seconds.

    Raises:
        ScenarioError: A column is missing, or a row is wrong; the message gives its line.
    """
    wanted = ("junction", "from", "to", "begin", "end", "count")
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            missing = [name for name in wanted if name not in (reader.fieldnames or [])]
            if missing:
                raise ScenarioError(
                    f"{file}: lacks the column {', '.join(missing)}; give {', '.join(wanted)}"
                )
            rows = [(reader.line_num, row) for row in reader]
    except OSError as error:
        raise ScenarioError(f"{file}: cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise ScenarioError(f"{file}: is no UTF-8 CSV: {error}") from error
    by_id = {junction.id: junction for junction in junctions}
    found = []
    for line, row in rows:
        where = f"{file}:{line}"
        junction = by_id.get(row["junction"] or "")
        if junction is None:
            raise ScenarioError(
                f"{where}: no light '{row['junction']}'; allowed: {', '.join(sorted(by_id))}"
            )
        numbers = []
        for name in ("begin", "end", "count"):
            try:
                number = float(row[name] or "")
                if not math.isfinite(number) or number < 0:
                    raise ValueError
            except ValueError:
                raise ScenarioError(
                    f"{where}: {name} is '{row[name]}'; give a number of 0 or more"
                ) from None
            numbers.append(round(number))
        if numbers[1] <= numbers[0]:
            raise ScenarioError(f"{where}: end {numbers[1]} is not after begin {numbers[0]}")
        sources = _edges(junction, row["from"] or "", net, where, incoming=True)
        targets = _edges(junction, row["to"] or "", net, where, incoming=False)
        found.append(TurnCount(sources, targets, *numbers))
    if not found:
        raise ScenarioError(f"{file}: holds no row")
    return found


def _edges(
    junction: Junction, name: str, net: SumoNet, where: str, *, incoming: bool
) -> tuple[str, ...]:
    if name in net.edges:
        return (name,)
    vehicles = [movement for movement in junction.movements if movement.kind != "pedestrian"]
    legs: dict[str, set[str]] = {}
    for movement in vehicles:
        leg = movement.leg if incoming else movement.exit_leg
        lanes = movement.lanes if incoming else tuple(piece.lane for piece in movement.exits)
        legs.setdefault(leg, set()).update(lane.rpartition("_")[0] for lane in lanes)
    if name not in legs:
        raise ScenarioError(
            f"{where}: '{name}' is neither an edge of the net nor a leg of '{junction.id}'; "
            f"its legs: {', '.join(sorted(legs))}"
        )
    return tuple(sorted(legs[name]))


def counted_routes(
    net: SumoNet, counts: Sequence[TurnCount], candidates: Path, target: Path, seed: int
) -> None:
    """Write vehicles that reproduce turning counts, by SUMO's routeSampler.

    Args:
        net: The net.
        counts: The counts.
        candidates: Vehicles, trips or flows whose routes are to choose from.
        target: Route file to write.
        seed: Seed of the sampling.

    Raises:
        SimulationError: The tool failed.
    """
    root = ElementTree.Element("data")
    for begin_s, end_s in sorted({(item.begin_s, item.end_s) for item in counts}):
        interval = ElementTree.SubElement(
            root, "interval", id="counts", begin=str(begin_s), end=str(end_s)
        )
        for item in counts:
            if (item.begin_s, item.end_s) == (begin_s, end_s):
                # A leg of several edges shares its count among them.
                pairs = [(a, b) for a in item.from_edges for b in item.to_edges]
                for number, (start, end) in enumerate(pairs):
                    part = item.count // len(pairs) + (number < item.count % len(pairs))
                    attributes = {"from": start, "to": end, "count": str(part)}
                    ElementTree.SubElement(interval, "edgeRelation", attributes)
    turns, routed = target.with_name("turns.xml"), target.with_name("routed.rou.xml")
    ElementTree.ElementTree(root).write(turns, encoding="utf-8", xml_declaration=True)
    try:
        run_program(
            "duarouter",
            (
                "-n", str(net.file), "-r", str(candidates), "-o", str(routed), "--ignore-errors",
                "--no-warnings", "--no-step-log", "--xml-validation", "never",
            ),
            "finding routes for the counts",
        )  # fmt: skip
        run_tool(
            "routeSampler.py",
            (
                "-r", str(routed), "-t", str(turns), "-o", str(target),
                "-b", str(min(item.begin_s for item in counts)),
                "-e", str(max(item.end_s for item in counts)),
                "-i", str(min(item.end_s - item.begin_s for item in counts)),
                "-s", str(seed), "--prefix", "count", "--optimize", "full",
            ),
            "sampling routes that match the counts",
        )  # fmt: skip
    finally:
        for file in (turns, routed, target.with_name("routed.rou.alt.xml")):
            file.unlink(missing_ok=True)
    if not target.is_file():
        raise ScenarioError("no route of the given routes passes the counted turns; give others")

"""From files at hand to a scenario folder."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree

from scenarios.importing.counts import counted_routes, read_counts
from scenarios.importing.inputs import DEFINITIONS, Element, Inputs, read_inputs, start_s, window_s
from scenarios.importing.periods import periods_and_plans, police_phases, ring_phases
from scenarios.importing.police import read_police_plans
from scenarios.importing.schema import (
    SCENARIO_FILE,
    ImportedFile,
    ImportedTiming,
    write_scenario,
)
from scenarios.importing.tools import net_from_osm, random_routes
from scenarios.sumo_tools import run_program
from signals.errors import (
    InputError,
    JunctionError,
    OutputError,
    ScenarioError,
    SimulationError,
)
from signals.netreader import Finding, NetReading, read_junctions
from signals.netreading.net import SumoNet, read_net

Progress = Callable[[str], None]

_NET, _ROUTES, _ADDITIONAL = "net.net.xml", "demand.rou.xml", "street.add.xml"
_PROGRAMS, _PLANS = "programs.add.xml", "plans.json"
_DEFAULT_BEGIN_S, _DEFAULT_LENGTH_S = 0, 3600
_TRIAL_S = 5


@dataclass(frozen=True)
class Order:
    """What to import.

    Attributes:
        out: Folder to make.
        net: SUMO net; this or `osm`.
        osm: OSM extract.
        routes: Route files; none draws random trips.
        additional: Additional files.
        counts: Turning counts (CSV).
        plans: Police plans (JSON).
        begin_s: Begin of the run; None takes the first departure.
        end_s: End of the run; None takes 5 min after the last departure.
        timing: Overrides.
        seed: Seed of random trips and of the sampling.
        jitter_s: Largest shift of a departure from day to day.
        force: Replace an existing folder.
    """

    out: Path
    net: Path | None = None
    osm: Path | None = None
    routes: tuple[Path, ...] = ()
    additional: tuple[Path, ...] = ()
    counts: Path | None = None
    plans: Path | None = None
    begin_s: float | None = None
    end_s: float | None = None
    timing: ImportedTiming = field(default_factory=ImportedTiming)
    seed: int = 1
    jitter_s: float = 60.0
    force: bool = False


@dataclass(frozen=True)
class Outcome:
    """What an import made."""

    folder: Path
    file: ImportedFile
    reading: NetReading
    findings: tuple[Finding, ...]


def import_scenario(order: Order, progress: Progress = lambda line: None) -> Outcome:
    """Make a scenario folder; it appears complete or not at all.

    Args:
        order: What to import.
        progress: Takes a line for each step.

    Raises:
        ScenarioError: A file is broken or does not fit the others.
        OutputError: The folder exists or cannot be written.
        MissingDependencyError: SUMO is not installed.
    """
    if (order.net is None) == (order.osm is None):
        raise InputError("give either --net or --osm, the street to import")
    for name in (order.net, order.osm, *order.routes, *order.additional, order.counts, order.plans):
        if name is not None and not name.is_file():
            raise ScenarioError(f"file {name} does not exist; check the path")
    with _published(order.out, order.force) as folder:
        try:
            return _fill(order, folder, progress)
        except (JunctionError, ScenarioError) as error:
            raise ScenarioError(_without(folder, str(error), order)) from error


def _without(folder: Path, text: str, order: Order) -> str:
    """A message that names the file that was given, not our copy of it."""
    return text.replace(str(folder / _NET), str(order.net or order.osm))


@contextmanager
def _published(out: Path, force: bool) -> Iterator[Path]:
    """A folder beside `out` that becomes `out` when all went well."""
    if out.exists() and not force:
        raise OutputError(f"{out} exists already; give another --out, or --force to replace it")
    if out.exists() and not (out / SCENARIO_FILE).is_file():
        raise OutputError(
            f"{out} is no imported scenario, so that --force does not replace it; "
            "give another --out"
        )
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        holder = TemporaryDirectory(prefix=".importing-", dir=out.parent)
    except OSError as error:
        raise OutputError(
            f"cannot write to {out.parent} ({error.strerror}); give --out a writable place"
        ) from error
    with holder as name:
        folder = Path(name) / "scenario"
        folder.mkdir()
        yield folder
        try:
            if out.exists():
                os.replace(out, Path(name) / "replaced")
            os.replace(folder, out)
        except OSError as error:
            raise OutputError(f"cannot write {out} ({error.strerror})") from error


def _fill(order: Order, folder: Path, progress: Progress) -> Outcome:
    findings: list[Finding] = []
    notes: list[str] = []
    net = _street(order, folder, findings, progress)
    timing = _timing(order, net)
    progress(f"street: {len(net.edges)} edges, {len(net.lights)} lights")
    inputs = read_inputs(order.routes, order.additional, net)
    findings += inputs.findings
    if inputs.programs:
        _write(folder / _PROGRAMS, "additional", inputs.programs)
    programs_files = (folder / _PROGRAMS,) if inputs.programs else ()
    reading = read_junctions(folder / _NET, timing.rules(), programs_files)
    progress(f"lights: {len(reading.junctions)} junctions")
    demand_note = _demand(order, folder, net, reading, inputs, progress)
    begin_s, end_s = window_s(inputs.movers, order.begin_s, order.end_s)
    if demand_note:
        notes.append(demand_note)
    _write(folder / _ROUTES, "routes", [*inputs.definitions, *inputs.movers])
    if inputs.furniture:
        _write(folder / _ADDITIONAL, "additional", inputs.furniture)
    declared, police = ring_phases(reading), {}
    if order.plans is not None:
        police = read_police_plans(order.plans)
        declared |= police_phases(order.plans, reading, police)
    reading = read_junctions(folder / _NET, timing.rules(), programs_files, declared)
    findings += reading.findings
    periods, plans = periods_and_plans(reading, police, begin_s, end_s, findings)
    _still(folder / _NET)
    progress(f"plans: {len(periods)} periods, {begin_s} to {end_s} s")
    (folder / _PLANS).write_text(
        json.dumps(
            {
                period: {light: plan.to_dict() for light, plan in table.items()}
                for period, table in plans.items()
            },
            indent=1,
        ),
        encoding="utf-8",
    )
    source = order.net or order.osm
    assert source is not None
    file = ImportedFile(
        kind="imported",
        title=f"{source.name.partition('.')[0]}, imported",
        net=_NET,
        routes=_ROUTES,
        additional=(_ADDITIONAL,) if inputs.furniture else (),
        programs=(_PROGRAMS,) if inputs.programs else (),
        plans=_PLANS,
        periods=periods,
        timing=timing,
        jitter_s=order.jitter_s,
        phases=declared,
        notes=(*notes, *_override_notes(timing)),
    )
    write_scenario(folder / SCENARIO_FILE, file)
    progress("trial run")
    _trial(folder, file, begin_s)
    return Outcome(order.out, file, reading, tuple(dict.fromkeys(findings)))


def _street(order: Order, folder: Path, findings: list[Finding], progress: Progress) -> SumoNet:
    target = folder / _NET
    if order.osm is not None:
        progress(f"netconvert: {order.osm}")
        warnings = net_from_osm(order.osm, target)
        findings += [Finding("", "netconvert", line) for line in warnings[:20]]
        if len(warnings) > 20:
            findings.append(Finding("", "netconvert", f"{len(warnings) - 20} more warnings"))
    else:
        assert order.net is not None
        read_net(order.net)  # named in messages by the path that was given
        if order.net.suffix == ".gz":
            import gzip

            with gzip.open(order.net) as packed, target.open("wb") as plain:
                shutil.copyfileobj(packed, plain)
        else:
            shutil.copyfile(order.net, target)
    return read_net(target)


def _timing(order: Order, net: SumoNet) -> ImportedTiming:
    """The overrides; on red a right turn goes where the law or the net's own programs let it."""
    if order.timing.right_turn_on_red is not None:
        return order.timing
    on_red = order.osm is not None or any(
        "s" in state
        for programs in net.programs.values()
        for program in programs
        for _, state in program.phases
    )
    return order.timing.model_copy(update={"right_turn_on_red": on_red})


def _demand(
    order: Order,
    folder: Path,
    net: SumoNet,
    reading: NetReading,
    inputs: Inputs,
    progress: Progress,
) -> str:
    """Fill in demand that the files do not bring; returns what results must say of it."""
    if order.counts is None and inputs.movers:
        return ""
    if order.counts is None and order.routes:
        raise ScenarioError(
            f"nobody travels in {', '.join(file.name for file in order.routes)}; give routes with "
            "vehicles, trips, flows or persons, or leave --routes out for random demand"
        )
    begin_s = int(order.begin_s if order.begin_s is not None else _DEFAULT_BEGIN_S)
    end_s = int(order.end_s if order.end_s is not None else begin_s + _DEFAULT_LENGTH_S)
    if end_s <= begin_s:
        raise ScenarioError(f"--end is {end_s}, --begin {begin_s} s; give an end after the begin")
    made = folder / "made.rou.xml"
    try:
        if order.counts is not None:
            counts = read_counts(order.counts, net, reading.junctions)
            progress(f"turning counts: {len(counts)} rows, by SUMO's routeSampler")
            candidates = folder / "candidates.rou.xml"
            if inputs.movers:
                _write(candidates, "routes", [*inputs.definitions, *inputs.movers])
            else:
                random_routes(net, candidates, 0, _DEFAULT_LENGTH_S, order.seed)
            counted_routes(net, counts, candidates, made, order.seed)
            candidates.unlink()
            note = f"demand: {order.counts.name} by SUMO's routeSampler, seed {order.seed}"
            inputs.movers.clear()
        else:
            progress("random trips, by SUMO's randomTrips")
            per_h = random_routes(net, made, begin_s, end_s, order.seed)
            note = f"demand: random, {per_h:.0f} trips/h by SUMO's randomTrips, seed {order.seed}"
        drawn = read_inputs((made,), (), net)
    finally:
        made.unlink(missing_ok=True)
    if not drawn.movers:
        raise ScenarioError(
            f"SUMO's tools found no way through {order.net or order.osm} for any vehicle; "
            "give --routes, or a net whose streets join"
        )
    inputs.definitions += drawn.definitions
    inputs.movers += drawn.movers
    return note


def _write(path: Path, root: str, elements: Sequence[Element]) -> None:
    tree = ElementTree.Element(root)
    tree.extend(item for item in elements if item.tag in DEFINITIONS)
    tree.extend(
        sorted(
            (item for item in elements if item.tag not in DEFINITIONS),
            key=lambda item: (start_s(item) or 0.0) if root == "routes" else 0.0,
        )
    )
    ElementTree.indent(tree)
    ElementTree.ElementTree(tree).write(path, encoding="utf-8", xml_declaration=True)


def _still(net_file: Path) -> None:
    """Make the programs of our copy static: they never run, and detectors of theirs are not kept.

    Rail signals and level crossings stay as they are.
    """
    moving = re.compile(r'(<tlLogic\b[^>]*\btype=")(?!static"|rail_)[^"]*(")')
    net_file.write_text(
        moving.sub(r"\1static\2", net_file.read_text(encoding="utf-8")), encoding="utf-8"
    )


def _override_notes(timing: ImportedTiming) -> list[str]:
    words = {
        "yellow_s": "yellow {} s",
        "all_red_s": "all-red {} s",
        "min_green_s": "minimum green {} s",
        "max_green_s": "maximum green {} s",
        "max_red_s": "maximum red {} s",
    }
    given = timing.model_dump(exclude_none=True)
    notes = [
        "timing override: " + text.format(given[name])
        for name, text in words.items()
        if name in given
    ]
    if timing.pedestrians is False:
        notes.append("timing override: pedestrians off")
    return notes


def _trial(folder: Path, file: ImportedFile, begin_s: int) -> None:
    """Let SUMO read everything and take the first steps, so that no later run meets a surprise."""
    additional = [str(folder / name) for name in file.additional]
    options = [
        "--net-file", str(folder / file.net), "--route-files", str(folder / file.routes),
        "--begin", str(begin_s), "--end", str(begin_s + _TRIAL_S), "--route-steps", "0",
        "--ignore-route-errors", "true", "--no-step-log", "true", "--no-warnings", "true",
        "--duration-log.disable", "true", "--xml-validation", "never",
    ]  # fmt: skip
    if additional:
        options += ["--additional-files", ",".join(additional)]
    try:
        run_program("sumo", options, "a trial of what was imported")
    except SimulationError as error:
        raise ScenarioError(
            f"SUMO refuses what was given: {str(error).partition('imported: ')[2]}"
        ) from error

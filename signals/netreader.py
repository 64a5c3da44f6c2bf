"""Reads junctions from a SUMO net: lanes, movements, conflicts, phases and timing.

`read_junction` reads one light as an engineer declares it: every conflict is protected, and phases
are given or are all maximal compatible sets. `read_junctions` reads all lights of a net as the net
itself runs them: phases and unprotected turns come from its programs, repaired where those are
unlawful, and every oddity is a `Finding`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from signals.errors import JunctionError
from signals.guard import Guard
from signals.junction import Junction, check_phases, maximal_phases
from signals.netreading.conflicts import Conflicts, Finding, conflicts_of, cross_node_pattern
from signals.netreading.links import Link, legs_of, links_of, nodes_of
from signals.netreading.movements import movements_and_groups
from signals.netreading.net import NetNode, NetProgram, SumoNet, programs_of, read_net, read_xml
from signals.netreading.programs import (
    complete,
    green_sets,
    named,
    parts,
    without_walk_variants,
)
from signals.netreading.timing import timing_of
from signals.netreading.zones import EXIT_REACH_M, ZONE_REACH_M, lanes_of
from signals.timing import TimingRules

__all__ = [
    "EXIT_REACH_M",
    "ZONE_REACH_M",
    "Finding",
    "NetReading",
    "read_junction",
    "read_junctions",
]

Phases = Sequence[tuple[str, Sequence[str]]]

_RAIL_NODES = ("rail_signal", "rail_crossing")
_MAX_RED_STEP_S = 10
_MAX_RED_LIMIT_S = 3600


@dataclass(frozen=True)
class NetReading:
    """All lights of a net.

    Attributes:
        junctions: One for each light that road traffic obeys, by id.
        findings: What was odd, repaired or left out.
        programs: Light id to its programs, further files included.
        links: Light id to its links.
    """

    junctions: tuple[Junction, ...]
    findings: tuple[Finding, ...]
    programs: Mapping[str, tuple[NetProgram, ...]]
    links: Mapping[str, tuple[Link, ...]]


def read_junction(
    net_file: Path,
    tls_id: str,
    rules: TimingRules,
    phases: Phases | None = None,
) -> Junction:
    """Build the junction that one traffic light of a net controls.

    The net is parsed once and kept, so that reading many lights of one file is cheap.

    Args:
        net_file: SUMO net.
        tls_id: Traffic light id; the light may control several nodes.
        rules: What the engineer sets about timing.
        phases: Name and groups of each phase; None takes every maximal compatible set.

    Returns:
        The junction with phases checked against the conflicts of the net.

    Raises:
        JunctionError: The light does not exist, or a phase is unlawful.
    """
    net = read_net(net_file)
    nodes = nodes_of(net, tls_id)
    if not nodes:
        known = [light for light in net.lights if _controllable(nodes_of(net, light))]
        raise JunctionError(
            f"{net_file} has no traffic light '{tls_id}' that controls a connection; "
            f"allowed: {', '.join(known) or 'none'}"
        )
    junction, _, _, links = _bare(net, tls_id, nodes, rules, ())
    if phases is None:
        pattern: set[frozenset[str]] = set()
        if len(nodes) > 1:
            pattern = cross_node_pattern(links, junction.groups, net.programs[tls_id])
        barred = {frozenset(pair) for pair in junction.conflicts} | pattern
        phases = maximal_phases(junction.groups, barred)
    return replace(junction, phases=check_phases(junction.groups, junction.conflicts, phases))


def read_junctions(
    net_file: Path,
    rules: TimingRules,
    programs_files: Sequence[Path] = (),
    declared: Mapping[str, Sequence[Sequence[str]]] | None = None,
) -> NetReading:
    """Build the junctions of every light of a net, with the phases of the net's own programs.

    A phase is a set of groups that some program has green together. Greens that conflict are
    taken apart, and a group that no program serves gets a phase of its own; each is a finding. A
    light with one phase keeps it. On a light of several nodes nothing conflicts across nodes, but
    phases follow its programs (see `cross_node_pattern`). A maximum red that is too short for the
    number of phases is lengthened, with a finding. Rail signals and crossings are not ours.

    Args:
        net_file: SUMO net.
        rules: What the engineer sets about timing.
        programs_files: Additional files with further programs (tlLogic) for the same lights.
        declared: Light to sets of groups that take the place of its program's greens.

    Returns:
        Junctions sorted by id, and what was found.

    Raises:
        JunctionError: A file is broken, a declared set names an unknown group, or the net holds no
            light for road traffic.
    """
    net = read_net(net_file)
    programs = {light: list(found) for light, found in net.programs.items()}
    for file in programs_files:
        try:
            for program in programs_of(read_xml(file, "additional", "a SUMO additional file")):
                programs.setdefault(program.tls, []).append(program)
        except (KeyError, ValueError) as error:
            raise JunctionError(f"{file}: a tlLogic is wrong: {error!r}; mend the file") from error
    junctions: list[Junction] = []
    findings: list[Finding] = []
    links: dict[str, tuple[Link, ...]] = {}
    for light in sorted(net.lights):
        nodes = nodes_of(net, light)
        if not _controllable(nodes):
            kind, why = _why_not(nodes, programs.get(light, []))
            findings.append(Finding(light, kind, why))
            continue
        try:
            junction, links[light] = _as_programmed(
                net,
                light,
                nodes,
                rules,
                programs.get(light, []),
                (declared or {}).get(light),
                findings,
            )
        except JunctionError as error:
            raise JunctionError(f"{net_file}: light '{light}': {error}") from error
        junctions.append(junction)
    if not junctions:
        raise JunctionError(
            f"{net_file} has no traffic light for road traffic; nothing to control. "
            "netconvert sets lights with --tls.guess or --tls.set"
        )
    return NetReading(
        tuple(junctions),
        tuple(findings),
        {light: tuple(found) for light, found in programs.items()},
        links,
    )


def _controllable(nodes: Sequence[NetNode]) -> bool:
    return bool(nodes) and not all(node.type in _RAIL_NODES for node in nodes)


def _why_not(nodes: Sequence[NetNode], programs: Sequence[NetProgram]) -> tuple[str, str]:
    if nodes or any(program.type in _RAIL_NODES for program in programs):
        return "rail", "a rail signal or level crossing, left to SUMO"
    return "empty", "controls no connection, left alone"


def _bare(
    net: SumoNet,
    tls_id: str,
    nodes: tuple[NetNode, ...],
    rules: TimingRules,
    programs: Sequence[NetProgram],
) -> tuple[Junction, Conflicts, tuple[Finding, ...], tuple[Link, ...]]:
    """The junction without phases."""
    legs = legs_of(net, nodes)
    links = links_of(net, tls_id, nodes, legs)
    findings = []
    if not rules.pedestrians and not any(link.lane for link in links):
        raise JunctionError("it controls crosswalks only, and those are left out; turn them on")
    if not links:
        raise JunctionError(f"traffic light '{tls_id}' controls no connection; nothing to control")
    movements, groups = movements_and_groups(net, links, legs, rules)
    conflicts = conflicts_of(nodes, links, movements, groups, rules, net.left_hand, programs)
    for first, second in conflicts.inside:
        findings.append(
            Finding(
                tls_id,
                "inside",
                f"{first} and {second} collide and share one light; they yield by right of way",
            )
        )
    junction = Junction(
        id=tls_id,
        lanes=lanes_of(net, links, legs),
        movements=movements,
        groups=groups,
        phases=(),
        conflicts=conflicts.pairs,
        link_green=conflicts.link_green,
        link_red=conflicts.link_red,
        timing=timing_of(links, groups, rules),
    )
    return junction, conflicts, tuple(findings), links


def _as_programmed(
    net: SumoNet,
    tls_id: str,
    nodes: tuple[NetNode, ...],
    rules: TimingRules,
    programs: Sequence[NetProgram],
    declared: Sequence[Sequence[str]] | None,
    findings: list[Finding],
) -> tuple[Junction, tuple[Link, ...]]:
    junction, conflicts, odd, links = _bare(net, tls_id, nodes, rules, programs)
    findings += odd
    if len(nodes) > 1:
        findings.append(
            Finding(
                tls_id, "joined", f"one light for {len(nodes)} nodes; phases follow its program"
            )
        )
    served: list[frozenset[str]] = []
    sets = green_sets(programs, junction.groups, links)
    if declared is not None:
        sets = [frozenset(members) for members in declared]
    for members in sets:
        for pair in junction.conflicts:
            if set(pair) <= members:
                first, second = conflicts.reasons[pair]
                text = (
                    f"the net's program has {first} and {second} green together, which collide; "
                    "the phase is taken apart"
                )
                if Finding(tls_id, "conflict", text) not in findings:
                    findings.append(Finding(tls_id, "conflict", text))
        for part in parts(members, junction.groups, junction.conflicts):
            if part not in served:
                served.append(part)
    barred = {frozenset(pair) for pair in junction.conflicts}
    if len(nodes) > 1:
        barred |= cross_node_pattern(links, junction.groups, programs)
    reached = frozenset(group for members in served for group in members)
    for group in junction.groups:
        if served and group.id not in reached:
            findings.append(
                Finding(tls_id, "unserved", f"no program serves {group.id}; a phase is added")
            )
    served = without_walk_variants(served, junction.groups)
    if served:
        served += complete(served, junction.groups, barred)
        phases = named(served, junction.groups)
    else:
        phases = maximal_phases(junction.groups, barred)
    if len(phases) == 1:
        findings.append(Finding(tls_id, "one_phase", "has one phase, which stays green"))
    table = check_phases(junction.groups, junction.conflicts, phases)
    return _in_time(replace(junction, phases=table), findings), links


def _in_time(junction: Junction, findings: list[Finding]) -> Junction:
    """The junction, its maximum reds lengthened until the guard can keep them."""
    table = junction.timing
    longest_s = 0
    while True:
        groups = {
            name: replace(row, max_red_s=max(row.max_red_s, longest_s))
            for name, row in table.groups.items()
        }
        lengthened = replace(junction, timing=replace(table, groups=groups))
        try:
            Guard(lengthened)
        except JunctionError:
            least_s = min(row.max_red_s for row in groups.values())
            longest_s = least_s + max(_MAX_RED_STEP_S, least_s // 10)
            if longest_s > _MAX_RED_LIMIT_S:
                raise
            continue
        if longest_s:
            findings.append(
                Finding(
                    junction.id,
                    "max_red",
                    f"the longest red is {longest_s} s, because serving its {len(table.groups)} "
                    "signal groups takes so long",
                )
            )
        return lengthened

"""One junction: lanes, movements, signal groups, phases and what conflicts with what.

Nothing here needs SUMO: `signals.netreader` builds a `Junction` from a net, and a deployed
controller loads the same object from a policy bundle.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal

from signals.errors import JunctionError
from signals.timing import TimingTable

MovementKind = Literal["through", "left", "right", "uturn", "pedestrian"]
GroupKind = Literal["vehicle", "bus", "pedestrian"]


@dataclass(frozen=True, slots=True)
class LanePiece:
    """A stretch of one lane, metres from the lane's beginning."""

    lane: str
    start_m: float
    end_m: float


@dataclass(frozen=True, slots=True)
class Lane:
    """An approach lane at the stop line.

    Attributes:
        id: Lane id of the net.
        leg: Arm of the junction it comes from (``N``, ``NE``, ...).
        length_m: Length of the last edge's lane (m).
        width_m: Lane width (m).
        speed_mps: Posted limit (m/s).
        bus_only: Reserved for buses (버스전용차로).
        zone: The video zone, stop line first, up to 150 m upstream across edges.
    """

    id: str
    leg: str
    length_m: float
    width_m: float
    speed_mps: float
    bus_only: bool
    zone: tuple[LanePiece, ...]


@dataclass(frozen=True, slots=True)
class Movement:
    """One stream through the junction (이동류).

    Attributes:
        id: Leg and kind, e.g. ``S.through``, ``S.bus``, ``E.ped``.
        code: Seoul movement code: S/L/R/U/P, entry and exit arm bearing in degrees.
        kind: What the stream does.
        leg: Arm it comes from; for pedestrians the arm that is crossed.
        exit_leg: Arm it leaves by.
        lanes: Approach lanes; for pedestrians the waiting areas at both kerbs.
        exits: First 100 m of the lanes it leaves on; empty for pedestrians.
        links: Indices into the signal state string.
        group: Signal group that shows its light.
        bus: Carried by bus-only lanes.
        crossing: Crossing edge of the net, empty for vehicles.
        crossing_m: Crossing length (m), 0 for vehicles.
    """

    id: str
    code: str
    kind: MovementKind
    leg: str
    exit_leg: str
    lanes: tuple[str, ...]
    exits: tuple[LanePiece, ...]
    links: tuple[int, ...]
    group: str
    bus: bool = False
    crossing: str = ""
    crossing_m: float = 0.0


@dataclass(frozen=True, slots=True)
class SignalGroup:
    """Links that always show the same indication (신호등군)."""

    id: str
    kind: GroupKind
    links: tuple[int, ...]
    movements: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Phase:
    """Signal groups that are green together (현시)."""

    index: int
    name: str
    groups: tuple[str, ...]


@dataclass(frozen=True)
class Junction:
    """A signalised junction with its law.

    Attributes:
        id: Traffic light id in the net.
        lanes: Approach lanes.
        movements: Vehicle movements first, then pedestrian ones.
        groups: Signal groups, in the order that every array of groups uses.
        phases: Phase table, in the order that every wish refers to.
        conflicts: Pairs of group ids that must never be green together.
        link_green: Per link ``G`` (protected) or ``g`` (yields) while its group is green.
        link_red: Per link ``r``, or ``s`` where a right turn may proceed after a full stop.
        timing: Timing of each group.
    """

    id: str
    lanes: tuple[Lane, ...]
    movements: tuple[Movement, ...]
    groups: tuple[SignalGroup, ...]
    phases: tuple[Phase, ...]
    conflicts: tuple[tuple[str, str], ...]
    link_green: str
    link_red: str
    timing: TimingTable

    @cached_property
    def group_index(self) -> dict[str, int]:
        """Group id to its position in `groups`."""
        return {group.id: index for index, group in enumerate(self.groups)}

    @cached_property
    def conflict_sets(self) -> dict[str, frozenset[str]]:
        """Group id to every group it conflicts with."""
        found: dict[str, set[str]] = {group.id: set() for group in self.groups}
        for first, second in self.conflicts:
            found[first].add(second)
            found[second].add(first)
        return {key: frozenset(value) for key, value in found.items()}

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the canonical JSON form: geometry, phases and timing alike."""
        text = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def phase_named(self, name: str) -> Phase:
        """The phase of that name.

        Raises:
            JunctionError: No phase has it.
        """
        for phase in self.phases:
            if phase.name == name:
                return phase
        raise JunctionError(
            f"junction {self.id} has no phase '{name}'; "
            f"allowed: {', '.join(phase.name for phase in self.phases)}"
        )

    def phase_of(self, groups: Iterable[str]) -> Phase | None:
        """The phase that serves exactly these groups, or None."""
        wanted = frozenset(groups)
        for phase in self.phases:
            if frozenset(phase.groups) == wanted:
                return phase
        return None

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        return {
            "id": self.id,
            "lanes": [asdict(lane) for lane in self.lanes],
            "movements": [asdict(movement) for movement in self.movements],
            "groups": [asdict(group) for group in self.groups],
            "phases": [asdict(phase) for phase in self.phases],
            "conflicts": [list(pair) for pair in self.conflicts],
            "link_green": self.link_green,
            "link_red": self.link_red,
            "timing": self.timing.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Junction:
        """Inverse of `to_dict`; the result has the same hash.

        Raises:
            JunctionError: The data is not a junction.
        """
        try:
            return cls(
                id=data["id"],
                lanes=tuple(
                    Lane(**{**lane, "zone": _pieces(lane["zone"])}) for lane in data["lanes"]
                ),
                movements=tuple(
                    Movement(
                        **{
                            **movement,
                            "lanes": tuple(movement["lanes"]),
                            "exits": _pieces(movement["exits"]),
                            "links": tuple(movement["links"]),
                        }
                    )
                    for movement in data["movements"]
                ),
                groups=tuple(
                    SignalGroup(
                        group["id"],
                        group["kind"],
                        tuple(group["links"]),
                        tuple(group["movements"]),
                    )
                    for group in data["groups"]
                ),
                phases=tuple(
                    Phase(phase["index"], phase["name"], tuple(phase["groups"]))
                    for phase in data["phases"]
                ),
                conflicts=tuple((first, second) for first, second in data["conflicts"]),
                link_green=data["link_green"],
                link_red=data["link_red"],
                timing=TimingTable.from_dict(data["timing"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise JunctionError(f"not a junction description: {error!r}; build it anew") from error


def _pieces(data: Sequence[Mapping[str, Any]]) -> tuple[LanePiece, ...]:
    return tuple(LanePiece(**piece) for piece in data)


def check_phases(
    groups: Sequence[SignalGroup],
    conflicts: Sequence[tuple[str, str]],
    phases: Sequence[tuple[str, Sequence[str]]],
) -> tuple[Phase, ...]:
    """Number the given phases and refuse unlawful ones.

    Args:
        groups: All signal groups.
        conflicts: Conflicting pairs of group ids.
        phases: Name and group ids of each phase.

    Returns:
        The phase table.

    Raises:
        JunctionError: A phase names an unknown group, joins conflicting groups, doubles another
            phase, or a group is served by no phase.
    """
    known = {group.id for group in groups}
    barred = {frozenset(pair) for pair in conflicts}
    table: list[Phase] = []
    for index, (name, members) in enumerate(phases):
        for member in members:
            if member not in known:
                raise JunctionError(
                    f"phase '{name}' names unknown signal group '{member}'; "
                    f"allowed: {', '.join(sorted(known))}"
                )
        for first in members:
            for second in members:
                if frozenset((first, second)) in barred:
                    raise JunctionError(
                        f"phase '{name}' joins conflicting groups {first} and {second}; "
                        "put them into different phases"
                    )
        ordered = tuple(group.id for group in groups if group.id in set(members))
        if any(set(ordered) == set(other.groups) for other in table):
            raise JunctionError(f"phase '{name}' serves the same groups as an earlier phase")
        table.append(Phase(index, name, ordered))
    served = {member for phase in table for member in phase.groups}
    if known - served:
        raise JunctionError(
            f"no phase serves {', '.join(sorted(known - served))}; add a phase that does"
        )
    return tuple(table)


def compatible_sets(
    members: Sequence[str], barred: Iterable[frozenset[str]]
) -> list[tuple[str, ...]]:
    """Every maximal set of members of which no two are barred, each sorted, in sorted order.

    Source: the maximal cliques of the compatibility graph, by C. Bron and J. Kerbosch, Algorithm
    457, Communications of the ACM 16 (1973), with a pivot.

    Args:
        members: What to choose from.
        barred: Pairs that must not be together.
    """
    foes: dict[str, set[str]] = {member: set() for member in members}
    for pair in barred:
        if len(pair) == 2 and pair <= foes.keys():
            first, second = sorted(pair)
            foes[first].add(second)
            foes[second].add(first)
    fits = {member: foes.keys() - foes[member] - {member} for member in members}
    found: list[tuple[str, ...]] = []

    def grow(chosen: set[str], open_: set[str], closed: set[str]) -> None:
        if not open_ and not closed:
            found.append(tuple(sorted(chosen)))
            return
        pivot = max(sorted(open_ | closed), key=lambda member: len(open_ & fits[member]))
        for member in sorted(open_ - fits[pivot]):
            grow(chosen | {member}, open_ & fits[member], closed & fits[member])
            open_ = open_ - {member}
            closed = closed | {member}

    if members:
        grow(set(), set(members), set())
    return sorted(found)


def maximal_phases(
    groups: Sequence[SignalGroup], conflicts: Iterable[tuple[str, str] | frozenset[str]]
) -> list[tuple[str, tuple[str, ...]]]:
    """Every maximal set of compatible groups, named after its vehicle groups.

    Pedestrian groups only complete a set (they never make one of their own unless nothing else
    goes), so that a junction with crosswalks keeps a phase table of readable size.

    Args:
        groups: All signal groups.
        conflicts: Conflicting pairs of group ids.

    Returns:
        ``(name, group ids)`` in a stable order.
    """
    barred = {frozenset(pair) for pair in conflicts}
    vehicles = [group.id for group in groups if group.kind != "pedestrian"]
    walkers = [group.id for group in groups if group.kind == "pedestrian"]
    table: list[tuple[str, tuple[str, ...]]] = []
    for members in compatible_sets(vehicles, barred):
        with_walkers = list(members)
        for walker in walkers:
            if not any(frozenset((walker, member)) in barred for member in with_walkers):
                with_walkers.append(walker)
        table.append(("+".join(members), tuple(with_walkers)))
    served = {member for _, members in table for member in members}
    for walker in walkers:
        if walker not in served:
            together = [walker]
            for other in walkers:
                if other != walker and not any(
                    frozenset((other, member)) in barred for member in together
                ):
                    together.append(other)
            table.append(("+".join(together), tuple(together)))
            served.update(together)
    return table

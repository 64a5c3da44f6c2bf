"""What must not be green together, and which links yield."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from signals.junction import Movement, SignalGroup
from signals.netreading.links import Link
from signals.netreading.net import NetNode, NetProgram
from signals.netreading.programs import green, shows, yielding
from signals.netreading.ways import meet
from signals.timing import TimingRules


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about a light that its engineer should know.

    Attributes:
        junction: The light, empty for the net as a whole.
        kind: ``conflict``, ``inside``, ``unserved``, ``one_phase``, ``rail``, ``empty``,
            ``max_red``, ``crossing``, ``joined``, ...
        text: One sentence.
    """

    junction: str
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Conflicts:
    """Conflicting group pairs, the characters of every link, and what was odd.

    Attributes:
        pairs: Pairs of group ids, sorted.
        link_green: Per link ``G`` or ``g``.
        link_red: Per link ``r`` or ``s``.
        reasons: Group pair to two movements that collide.
        inside: Movements of one group that collide: they share a light that cannot part them.
    """

    pairs: tuple[tuple[str, str], ...]
    link_green: str
    link_red: str
    reasons: dict[tuple[str, str], tuple[str, str]]
    inside: tuple[tuple[str, str], ...]


def conflicts_of(
    nodes: Sequence[NetNode],
    links: Sequence[Link],
    movements: Sequence[Movement],
    groups: Sequence[SignalGroup],
    rules: TimingRules,
    left_hand: bool,
    programs: Sequence[NetProgram] = (),
) -> Conflicts:
    """Find the conflicts of a light in the right-of-way matrices of its nodes, and on the ground.

    Two links that cross or merge conflict, unless one of them yields to the other: turns to the
    kerb side always may, and every link that a program of the net shows as ``g`` beside the green
    of the other (an unprotected left turn, 비보호 좌회전). Links of different nodes never meet.

    Args:
        nodes: Nodes of the light.
        links: Its links.
        movements: Its movements.
        groups: Its signal groups.
        rules: Right turn on red, crosswalks.
        left_hand: Traffic drives on the left.
        programs: Programs whose yielding greens are allowed; none allows kerb-side turns only.
    """
    by_node = {node.id: node for node in nodes}
    size = max(link.index for link in links) + 1
    size = max([size, *(len(state) for program in programs for _, state in program.phases)])
    group_of = {index: group.id for group in groups for index in group.links}
    movement_of = _movement_of(movements, links)
    gives: dict[int, list[bool]] = {}
    green_chars = ["G"] * size
    pairs: dict[tuple[str, str], tuple[str, str]] = {}
    inside: dict[tuple[str, str], None] = {}
    foes_of: dict[int, list[tuple[int, bool]]] = {}
    for one, two, first, second in _foes(links, by_node):
        one_gives = second.row in by_node[first.node].yields.get(first.row, frozenset())
        two_gives = first.row in by_node[first.node].yields.get(second.row, frozenset())
        foes_of.setdefault(one, []).append((two, one_gives))
        foes_of.setdefault(two, []).append((one, two_gives))
        if first.index not in group_of or second.index not in group_of:
            continue
        names = (group_of[first.index], group_of[second.index])
        same = names[0] == names[1]
        if _settled_by_turn(first, second, one_gives, two_gives, bool(programs)):
            continue
        if first.index != second.index:
            together = _shown_together(programs, first.index, second.index)
            if one_gives and any(a for a, _ in together):
                green_chars[first.index] = "g"
                continue
            if two_gives and any(b for _, b in together):
                green_chars[second.index] = "g"
                continue
        met = (movement_of[one], movement_of[two])
        if same:
            # One light for both: whoever gives way by the matrix does so under green as well.
            inside.setdefault((min(met), max(met)))
            for link, yields in ((first, one_gives), (second, two_gives)):
                if yields and not link.crossing:
                    green_chars[link.index] = "g"
            continue
        pairs.setdefault((min(names), max(names)), met if names[0] < names[1] else met[::-1])
    for position, link in enumerate(links):
        foes = foes_of.get(position, [])
        if (link.near_turn or link.kind == "uturn") and foes:
            green_chars[link.index] = "g"
        gives.setdefault(link.index, []).append(
            # On red only where the net makes the turn yield to everything it meets.
            link.near_turn
            and not left_hand
            and link.uses != "bus"
            and rules.right_turn_on_red
            and all(yields for _, yields in foes)
        )
    red_chars = ["s" if index in gives and all(gives[index]) else "r" for index in range(size)]
    return Conflicts(
        tuple(sorted(pairs)), "".join(green_chars), "".join(red_chars), pairs, tuple(inside)
    )


def cross_node_pattern(
    links: Sequence[Link], groups: Sequence[SignalGroup], programs: Sequence[NetProgram]
) -> set[frozenset[str]]:
    """Group pairs of different nodes that the net's programs never show green together.

    They do not collide. But who lets one node of a joined light run against its program strands
    traffic between the nodes, so that found phases follow the pattern of the programs.
    """
    where = {link.index: link.node for link in links}
    states = [state for program in programs for _, state in program.phases]
    at = {group.id: {where[index] for index in group.links} for group in groups}
    on = {
        group.id: {
            number
            for number, state in enumerate(states)
            if any(green(shows(state, index)) for index in group.links)
        }
        for group in groups
    }
    return {
        frozenset((first.id, second.id))
        for first, second in combinations(groups, 2)
        if not at[first.id] & at[second.id] and not on[first.id] & on[second.id]
    }


def _foes(
    links: Sequence[Link], nodes: dict[str, NetNode]
) -> Iterator[tuple[int, int, Link, Link]]:
    """Pairs that cross or merge by the matrix of their node, or cross on the ground."""
    places: dict[str, list[tuple[int, Link]]] = {}
    for position, link in enumerate(links):
        places.setdefault(link.node, []).append((position, link))
    for node_id in sorted(places):
        node = nodes[node_id]
        for (one, first), (two, second) in combinations(places[node_id], 2):
            if first.row == second.row and first.row >= 0:
                continue
            by_matrix = second.row in node.foes.get(first.row, ()) or first.row in node.foes.get(
                second.row, ()
            )
            if by_matrix or meet(first, second):
                yield one, two, first, second


def _settled_by_turn(
    first: Link, second: Link, one_gives: bool, two_gives: bool, as_the_net_says: bool
) -> bool:
    """Whether a turn to the kerb side yields to the other link.

    By law it does. A net that is taken as it is may rank it above other vehicles all the same, and
    then its drivers would not yield.
    """
    if not (first.near_turn or second.near_turn):
        return False
    if first.crossing or second.crossing or not as_the_net_says:
        return True
    return (first.near_turn and one_gives) or (second.near_turn and two_gives)


def _shown_together(programs: Sequence[NetProgram], one: int, two: int) -> set[tuple[bool, bool]]:
    """Whether each of two links yields, in every state that has both green."""
    return {
        (yielding(shows(state, one)), yielding(shows(state, two)))
        for program in programs
        for _, state in program.phases
        if green(shows(state, one)) and green(shows(state, two))
    }


def _movement_of(movements: Sequence[Movement], links: Sequence[Link]) -> list[str]:
    """The movement of each link, empty where crosswalks are left out."""
    named = []
    for link in links:
        named.append(
            next(
                (
                    item.id
                    for item in movements
                    if link.index in item.links
                    and (link.crossing == item.crossing)
                    and (bool(link.crossing) or link.lane in item.lanes)
                    and (bool(link.crossing) or link.kind == item.kind or item.bus)
                ),
                "",
            )
        )
    return named

"""Phases of a light from the net's own signal programs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from signals.junction import SignalGroup, compatible_sets
from signals.netreading.links import Link
from signals.netreading.net import NetProgram

_NAMED_GROUPS = 4


def shows(state: str, index: int) -> str:
    """Character of a link; a state that is too short shows red."""
    return state[index] if index < len(state) else "r"


def green(char: str) -> bool:
    """Whether traffic may go; off (``O``) and blinking (``o``) lights let it go as well."""
    return char in "GgOo"


def yielding(char: str) -> bool:
    """Whether traffic goes only when nobody with priority comes."""
    return char in "go"


def changing(state: str) -> bool:
    """Whether some link is yellow or red-and-yellow."""
    return any(char in "yYu" for char in state)


def green_groups(
    state: str, groups: Sequence[SignalGroup], links: Sequence[Link]
) -> frozenset[str]:
    """Groups that a state serves: all their links are green, kerb-side turns not counted."""
    served = set()
    counted = {link.index for link in links if not link.near_turn}
    for group in groups:
        main = counted.intersection(group.links) or set(group.links)
        if all(green(shows(state, index)) for index in main):
            served.add(group.id)
    return frozenset(served)


def green_sets(
    programs: Iterable[NetProgram], groups: Sequence[SignalGroup], links: Sequence[Link]
) -> list[frozenset[str]]:
    """The different sets of groups that the programs have green together, in their order.

    States in which some light changes are passed over, unless there are no others. A program of
    type NEMA lists the phases of each ring singly and combines them itself: it says nothing of
    sets.
    """
    states = [
        state for program in programs if program.type != "NEMA" for _, state in program.phases
    ]
    settled = [state for state in states if not changing(state)]
    found: dict[frozenset[str], None] = {}
    for pool in (settled, states):
        for state in pool:
            served = green_groups(state, groups, links)
            if served:
                found.setdefault(served)
        if found:
            break
    return list(found)


def parts(
    served: Collection[str], groups: Sequence[SignalGroup], conflicts: Collection[tuple[str, str]]
) -> list[frozenset[str]]:
    """A set of groups, or its largest lawful parts when some of them conflict."""
    barred = {frozenset(pair) for pair in conflicts}
    members = [group for group in groups if group.id in served]
    inside = {pair for pair in barred if pair <= set(served)}
    if not inside:
        return [frozenset(served)]
    return [frozenset(part) for part in compatible_sets([g.id for g in members], inside)]


def without_walk_variants(
    sets: Sequence[frozenset[str]], groups: Sequence[SignalGroup]
) -> list[frozenset[str]]:
    """Sets of groups, less those that are another one with some crosswalks red.

    A program ends a walk with a state of its own; the guard ends it while the vehicles' green goes
    on, so that such a state is no phase.
    """
    walkers = {group.id for group in groups if group.kind == "pedestrian"}
    return [
        members
        for members in sets
        if not any(
            members < other and other - members <= walkers and members - walkers for other in sets
        )
    ]


def named(
    served: Iterable[Collection[str]], groups: Sequence[SignalGroup]
) -> list[tuple[str, tuple[str, ...]]]:
    """Names for phases: their vehicle groups, or their crosswalks where there are none."""
    result: list[tuple[str, tuple[str, ...]]] = []
    taken: set[str] = set()
    for members in served:
        ordered = [group for group in groups if group.id in members]
        shown = [group.id for group in ordered if group.kind != "pedestrian"]
        shown = shown or [group.id for group in ordered]
        name = "+".join(shown[:_NAMED_GROUPS])
        if len(shown) > _NAMED_GROUPS:
            name += f"+{len(shown) - _NAMED_GROUPS} more"
        unique, number = name, 2
        while unique in taken:
            unique = f"{name} #{number}"
            number += 1
        taken.add(unique)
        result.append((unique, tuple(group.id for group in ordered)))
    return result


def complete(
    served: Sequence[frozenset[str]],
    groups: Sequence[SignalGroup],
    barred: Collection[frozenset[str]],
) -> list[frozenset[str]]:
    """Add a phase for every group that none serves, together with what is compatible with it.

    Args:
        served: The phases so far.
        groups: All groups.
        barred: Pairs that must not be together.

    Returns:
        The added phases.
    """
    added: list[frozenset[str]] = []
    reached = {group for members in served for group in members}
    for group in groups:
        if group.id in reached:
            continue
        members = [group.id]
        # Those that wait for a phase themselves come first.
        for other in sorted(groups, key=lambda item: item.id in reached):
            if other.id not in members and not any(
                frozenset((other.id, member)) in barred for member in members
            ):
                members.append(other.id)
        added.append(frozenset(members))
        reached |= set(members)
    return added

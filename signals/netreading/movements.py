"""Links to movements, and movements to the signal groups that light them."""

from __future__ import annotations

from collections.abc import Sequence

from signals.junction import GroupKind, Movement, SignalGroup
from signals.netreading.links import Legs, Link
from signals.netreading.net import SumoNet
from signals.netreading.zones import exits_of
from signals.timing import TimingRules

Key = tuple[str, str, str]
"""Leg, stream (``through``, ``left``, ``bus``, ``ped``, ...) and exit."""

_CODES = {"through": "S", "left": "L", "right": "R", "uturn": "U", "pedestrian": "P"}
_RANK = {"through": 0, "bus": 1, "tram": 2, "path": 3, "left": 4, "right": 5, "uturn": 6, "ped": 7}


def movements_and_groups(
    net: SumoNet, links: Sequence[Link], legs: Legs, rules: TimingRules
) -> tuple[tuple[Movement, ...], tuple[SignalGroup, ...]]:
    """Name the streams of a light and join those that must share a light.

    Args:
        net: The net.
        links: The links of the light.
        legs: Its legs.
        rules: With ``pedestrians`` off, crosswalks are left out.

    Returns:
        Movements and groups, vehicles first.
    """
    bearing = dict(legs.values())
    streams: dict[Key, list[Link]] = {}
    for link in links:
        if link.crossing and not rules.pedestrians:
            continue
        streams.setdefault(_stream(link), []).append(link)
    names: dict[Key, str] = {}
    for key in streams:
        twins = [other for other in streams if other[:2] == key[:2]]
        suffix = f"-{twins.index(key) + 1}" if len(twins) > 1 else ""
        names[key] = f"{key[0]}.{key[1]}{suffix}"
    group_of = _group_names(streams, names, net.left_hand)
    movements: list[Movement] = []
    for key, members in streams.items():
        first = members[0]
        movements.append(
            Movement(
                id=names[key],
                code=f"{_CODES[first.kind]}{bearing[key[0]]:03d}{bearing[first.exit_leg]:03d}",
                kind=first.kind,
                leg=key[0],
                exit_leg=first.exit_leg,
                lanes=tuple(
                    sorted(
                        {link.lane for link in members if link.lane}
                        | {area for link in members for area in link.areas}
                    )
                ),
                exits=exits_of(net, {link.exit_lane for link in members if link.exit_lane}),
                links=tuple(dict.fromkeys(link.index for link in members)),
                group=group_of[names[key]],
                bus=key[1] == "bus",
                crossing=first.crossing,
                crossing_m=round(first.path_m, 3) if first.crossing else 0.0,
            )
        )
    movements.sort(key=lambda item: (item.kind == "pedestrian", item.id))
    return tuple(movements), _groups(movements)


def _stream(link: Link) -> Key:
    if link.crossing:
        return link.leg, "ped", link.crossing
    # Two exits of one kind (a fork) are two movements.
    return link.leg, link.uses if link.uses != "vehicle" else link.kind, link.exit_leg


def _groups(movements: Sequence[Movement]) -> tuple[SignalGroup, ...]:
    inside: dict[str, list[Movement]] = {}
    for movement in movements:
        inside.setdefault(movement.group, []).append(movement)
    groups = []
    for group_id, members in inside.items():
        kind: GroupKind = "vehicle"
        if all(movement.kind == "pedestrian" for movement in members):
            kind = "pedestrian"
        elif all(movement.bus for movement in members):
            kind = "bus"
        groups.append(
            SignalGroup(
                id=group_id,
                kind=kind,
                links=tuple(sorted({index for item in members for index in item.links})),
                movements=tuple(movement.id for movement in members),
            )
        )
    groups.sort(key=lambda group: (group.kind == "pedestrian", group.id))
    return tuple(groups)


def _group_names(
    streams: dict[Key, list[Link]], names: dict[Key, str], left_hand: bool
) -> dict[str, str]:
    """Movement name to group name.

    Turns to the kerb side follow the through group and U-turns the group of the other turn;
    movements that share a lane share a light, because a driver at its head cannot obey two; and
    movements that share an index of the state string cannot differ.
    """
    parent = {name: name for name in names.values()}

    def root(name: str) -> str:
        while parent[name] != name:
            name = parent[name]
        return name

    def join(keep: str, other: str) -> None:
        if root(other) != root(keep):
            parent[root(other)] = root(keep)

    by_leg: dict[str, dict[str, list[str]]] = {}
    for (leg, kind, _), name in names.items():
        by_leg.setdefault(leg, {}).setdefault(kind, []).append(name)
    shared: dict[str | int, set[tuple[int, str]]] = {}
    for key, members in streams.items():
        for link in members:
            place = (_RANK[key[1]], names[key])
            if link.lane:
                shared.setdefault(link.lane, set()).add(place)
            shared.setdefault(link.index, set()).add(place)
    near, far = ("left", "right") if left_hand else ("right", "left")
    for leg_streams in by_leg.values():
        for kind, home in ((near, "through"), ("uturn", far)):
            for name in leg_streams.get(kind, []):
                if home in leg_streams:
                    join(leg_streams[home][0], name)
    for members_of in shared.values():
        ordered = sorted(members_of)
        for _, name in ordered[1:]:
            join(ordered[0][1], name)
    return {name: root(name) for name in names.values()}

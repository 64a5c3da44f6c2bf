"""Outside peers: SUMO's own traffic-light programs, over the same phases and intergreens.

``sumo:actuated`` ends a green on a time gap, ``sumo:delay_based`` when no vehicle in its range has
lost time any more (SUMO's tlLogic types). The states they step through are those that the guard
shows for the plan's order of phases, with the same yellows, all-reds, walks and clearances; only
the last state of each green is theirs to extend, to the plan's split times ``max_share``. SUMO
runs them by itself: **they do not pass through the guard**, no maximum red binds them, they see
with SUMO's own detectors, and detector faults do not reach them. Every result says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.sax.saxutils import quoteattr

from agents.classical.stages import Stage, stages
from signals.errors import InputError, PlanError, UnknownNameError
from signals.guard import Guard
from signals.junction import Junction
from signals.lights import CLEARANCE, GREEN, RED
from signals.plan import Plan
from signals.world import World

PREFIX: Final = "sumo"
PEERS: Final[Mapping[str, str]] = {
    "sumo:actuated": "SUMO's own gap-based program on the plan's order; not under the guard",
    "sumo:delay_based": "SUMO's own delay-based program on the plan's order; not under the guard",
}
"""Name to one line about it."""

_SHARE: Final = (1.0, 0.1, 10.0)
_PARAMETERS: Final[Mapping[str, Mapping[str, tuple[float, float, float]]]] = {
    "actuated": {
        "max_share": _SHARE,
        "max_gap_s": (3.0, 0.1, 30.0),
        "detector_gap_s": (2.0, 0.1, 30.0),
    },
    "delay_based": {
        "max_share": _SHARE,
        "min_time_loss_s": (1.0, 0.0, 60.0),
        "detector_range_m": (100.0, 10.0, 1000.0),
    },
}
"""Default, least and greatest value of what may follow a name; those of SUMO are SUMO's."""
_KEYS: Final = {
    "max_gap_s": "max-gap",
    "detector_gap_s": "detector-gap",
    "min_time_loss_s": "minTimeLoss",
    "detector_range_m": "detectorRange",
}
_PATIENCE_S: Final = 600
PROGRAM: Final = "outside-peer"


@dataclass(frozen=True)
class Program:
    """SUMO's program of one junction.

    Attributes:
        junction: Traffic light id.
        lights: State string of each of its steps.
        seconds: Shortest duration of each (s).
        most_s: Longest duration of each (s); equal to the shortest where SUMO may not extend.
        phases: Phase of the junction that each step belongs to.
    """

    junction: str
    lights: tuple[str, ...]
    seconds: tuple[int, ...]
    most_s: tuple[int, ...]
    phases: tuple[int, ...]


def is_peer(spec: str) -> bool:
    """Whether an agent is an outside peer."""
    return spec.partition(":")[0] == PREFIX


def parse_peer(spec: str) -> tuple[str, dict[str, float]]:
    """Split a peer's name from its parameters, e.g. ``sumo:actuated:max_gap_s=2``.

    Returns:
        SUMO's type and all parameters.

    Raises:
        UnknownNameError: There is no such peer or parameter.
        InputError: A parameter has no number for a value, one out of range, or two values.
    """
    _, _, rest = spec.partition(":")
    kind, _, text = rest.partition(":")
    if kind not in _PARAMETERS:
        raise UnknownNameError("agent", spec, PEERS)
    known = _PARAMETERS[kind]
    found: dict[str, float] = {}
    for part in filter(None, text.split(",")):
        key, _, value = part.partition("=")
        if key not in known:
            raise UnknownNameError(f"parameter of {PREFIX}:{kind}", key, known)
        if key in found:
            raise InputError(f"agent '{spec}': {key} is given twice; keep one")
        default, low, high = known[key]
        try:
            found[key] = float(value)
        except ValueError as error:
            raise InputError(
                f"agent '{spec}': {key} is '{value}'; give a number like {default:g}"
            ) from error
        if not low <= found[key] <= high:
            raise InputError(
                f"agent '{spec}': {key} is {value}; allowed: {low:g} to {high:g}, "
                f"default {default:g}"
            )
    return kind, {name: found.get(name, row[0]) for name, row in known.items()}


def peer_parameters(spec: str) -> Mapping[str, tuple[float, float, float]]:
    """What may follow a peer's name: default, least and greatest value by parameter."""
    return _PARAMETERS[parse_peer(spec)[0]]


def program_of(junction: Junction, plan: Plan, max_share: float = 1.0) -> Program:
    """The steps of SUMO's program: what the guard shows when every phase is left at once.

    Args:
        junction: The junction.
        plan: Gives the order of phases, and the longest durations.
        max_share: Longest duration of a phase as a multiple of the plan's split.

    Raises:
        PlanError: The guard never grants one of the plan's changes.
    """
    turns = stages(junction, plan)
    seconds = _one_cycle(Guard(junction), turns)
    runs: list[list[object]] = []
    for turn, lights in seconds:
        if runs and runs[-1][0] == turn and runs[-1][1] == lights:
            runs[-1][2] = int(str(runs[-1][2])) + 1
        else:
            runs.append([turn, lights, 1])
    steps = [(int(str(turn)), str(lights), int(str(length))) for turn, lights, length in runs]
    vehicles = {
        link for group in junction.groups if group.kind != "pedestrian" for link in group.links
    }
    most = []
    for index, (turn, lights, length) in enumerate(steps):
        last = index + 1 == len(steps) or steps[index + 1][0] != turn
        green = any(lights[link] in "Gg" for link in vehicles)
        spare_s = 0
        if last and green:
            ran_s = sum(other[2] for other in steps if other[0] == turn)
            spare_s = max(round(max_share * turns[turn].split_s) - ran_s, 0)
        most.append(length + spare_s)
    return Program(
        junction.id,
        tuple(step[1] for step in steps),
        tuple(step[2] for step in steps),
        tuple(most),
        tuple(turns[step[0]].phase for step in steps),
    )


def _one_cycle(guard: Guard, turns: Sequence[Stage]) -> list[tuple[int, str]]:
    """Turn and lights of each second of a cycle in which every phase is left as soon as it may."""
    state = guard.start(turns[0].phase)
    size, found = len(turns), list[tuple[int, str]]()
    for number in range(2 * size):
        turn, after = number % size, turns[(number + 1) % size].phase
        for waited_s in range(_PATIENCE_S + 1):
            if waited_s == _PATIENCE_S:
                raise PlanError(
                    f"junction {guard.junction.id}: the guard never grants the change from "
                    f"{guard.junction.phases[turns[turn].phase].name} to "
                    f"{guard.junction.phases[after].name}; no program can be made of this plan"
                )
            ready = state.phase == turns[turn].phase and guard.options(state).mask[after]
            if ready and (waited_s or size == 1):
                break
            state, _ = guard.tick(state, turns[turn].phase)
            if number >= size:
                found.append((turn, guard.lights(state)))
    return found


def write_programs(world: World, spec: str, folder: Path) -> tuple[Path, dict[str, Program]]:
    """Write the peer's programs as a SUMO additional file.

    Args:
        world: Whose junctions.
        spec: The peer.
        folder: Where.

    Returns:
        The file, and the programs by junction.

    Raises:
        InputError: There is no such peer, or no program can be made of a plan.
    """
    kind, values = parse_peer(spec)
    programs = {
        junction.id: program_of(junction, plan, values["max_share"])
        for junction, plan in zip(world.junctions, world.plans, strict=True)
    }
    rows = ["<additional>"]
    for program in programs.values():
        rows.append(
            f"<tlLogic id={quoteattr(program.junction)} type={quoteattr(kind)} "
            f'programID="{PROGRAM}" offset="0">'
        )
        rows += [
            f'<param key="{_KEYS[name]}" value="{value:g}"/>'
            for name, value in values.items()
            if name in _KEYS
        ]
        for lights, least_s, most_s in zip(
            program.lights, program.seconds, program.most_s, strict=True
        ):
            bounds = f' minDur="{least_s}" maxDur="{most_s}"' if most_s > least_s else ""
            rows.append(f'<phase duration="{least_s}"{bounds} state="{lights}"/>')
        rows.append("</tlLogic>")
    rows.append("</additional>")
    file = folder / "programs.add.xml"
    file.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return file, programs


def shown(junction: Junction, lights: str) -> str:
    """Indications of the groups as recordings have them, read off the lights.

    A crosswalk's flashing green is red in SUMO's lights, and stays so here.
    """
    codes = {"G": GREEN, "g": GREEN, "y": CLEARANCE}
    return "".join(
        str(codes.get(lights[group.links[0]], RED) if group.links else RED)
        for group in junction.groups
    )


def peer_notes(spec: str, faults: bool) -> tuple[str, ...]:
    """What every result of a peer must say."""
    kind, _ = parse_peer(spec)
    note = (
        f"{PREFIX}:{kind} is SUMO's own program: it does not pass through the guard, and no "
        "maximum red binds it"
    )
    if faults:
        note += "; detector faults do not reach it"
    return (note,)

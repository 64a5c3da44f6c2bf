"""Saved answers of the police plan services (신호계획) into time-of-day plans.

The file is one JSON object::

    {"junctions": {"LIGHT": {
        "ring_a": ["S079260", "L260351", ["S160340", "P160160"], "L335082"],
        "ring_b": ["S259080", "L080171", "S340161", "L156259"],
        "answer": <the saved answer of getPlanCROPInfo>}}}

``ring_a`` and ``ring_b`` say which movement codes the phases 1 to 8 of a ring serve. In the answer,
every object with OPER_PLAN_HH counts as one row, however deep the service wrapped it:
OPER_PLAN_HH and OPER_PLAN_MI (when the plan begins), INT_OPER_CYCLE_VAL and INT_OPER_OFFSET_VAL
(s), and the splits A_RING_1_PHASE_VAL to A_RING_8_PHASE_VAL, likewise B (s, 0 when not used).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from signals.errors import PlanError, ScenarioError
from signals.junction import Junction
from signals.plan import Plan, RingStep

BEARING_TOLERANCE_DEG = 30.0
"""How far a code's bearing may be from the junction's, for entry and exit each."""

_RING_PHASES = 8
_DAY_S = 86400


@dataclass(frozen=True)
class PoliceRow:
    """One row of a time-of-day table: when it begins (s since midnight) and what it says."""

    begin_s: int
    cycle_s: int
    offset_s: int
    ring_a: tuple[int, ...]
    ring_b: tuple[int, ...]


@dataclass(frozen=True)
class PolicePlans:
    """The table of one light.

    Attributes:
        codes_a: Movement codes of each phase of ring A.
        codes_b: The same of ring B.
        rows: Sorted by begin.
    """

    codes_a: tuple[tuple[str, ...], ...]
    codes_b: tuple[tuple[str, ...], ...]
    rows: tuple[PoliceRow, ...]

    def row_at(self, clock_s: float) -> PoliceRow:
        """The row in force; before the first of the day the last of the day before."""
        earlier = [row for row in self.rows if row.begin_s <= clock_s % _DAY_S]
        return earlier[-1] if earlier else self.rows[-1]


def read_police_plans(file: Path) -> dict[str, PolicePlans]:
    """Tables by light.

    Raises:
        ScenarioError: The file is missing, no JSON, or lacks a field; the message names it.
    """
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ScenarioError(f"{file}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise ScenarioError(f"{file}: is no UTF-8 JSON: {error}") from error
    junctions = data.get("junctions") if isinstance(data, dict) else None
    if not isinstance(junctions, dict) or not junctions:
        raise ScenarioError(
            f'{file}: give {{"junctions": {{"LIGHT": {{"ring_a": [codes], "ring_b": [codes], '
            '"answer": ...}}}}'
        )
    found = {}
    for light, table in junctions.items():
        where = f"{file}: junctions.{light}"
        if not isinstance(table, dict):
            raise ScenarioError(f"{where} is no object; give ring_a, ring_b and answer")
        rows = sorted(_rows(table.get("answer"), where), key=lambda row: row.begin_s)
        if not rows:
            raise ScenarioError(f"{where}.answer: holds no row with OPER_PLAN_HH; save it anew")
        found[light] = PolicePlans(
            _codes(table.get("ring_a"), f"{where}.ring_a"),
            _codes(table.get("ring_b"), f"{where}.ring_b"),
            tuple(rows),
        )
    return found


def _codes(value: Any, where: str) -> tuple[tuple[str, ...], ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= _RING_PHASES:
        raise ScenarioError(f"{where}: give a list of 1 to {_RING_PHASES} movement codes")
    result = []
    for item in value:
        codes = item if isinstance(item, list) else [item]
        for code in codes:
            if not (
                isinstance(code, str)
                and len(code) == 7
                and code[0] in "SLRUP"
                and code[1:].isdecimal()
            ):
                raise ScenarioError(
                    f"{where}: '{code}' is no movement code; give S, L, R, U or P and two bearings "
                    "of three digits, for example S079260"
                )
        result.append(tuple(codes))
    return tuple(result)


def _rows(value: Any, where: str) -> Iterator[PoliceRow]:
    if isinstance(value, list):
        for item in value:
            yield from _rows(item, where)
    elif isinstance(value, dict):
        if "OPER_PLAN_HH" not in value:
            for item in value.values():
                yield from _rows(item, where)
            return
        cycle_s = _number(value, "INT_OPER_CYCLE_VAL", where)
        if cycle_s <= 0:
            return
        yield PoliceRow(
            3600 * _number(value, "OPER_PLAN_HH", where)
            + 60 * _number(value, "OPER_PLAN_MI", where),
            cycle_s,
            _number(value, "INT_OPER_OFFSET_VAL", where),
            *(
                tuple(
                    _number(value, f"{ring}_RING_{phase}_PHASE_VAL", where, 0)
                    for phase in range(1, _RING_PHASES + 1)
                )
                for ring in "AB"
            ),
        )


def _number(row: dict[str, Any], name: str, where: str, default: int | None = None) -> int:
    value = row.get(name, default)
    if value in (None, "") and default is not None:
        return default
    try:
        number = int(str(value))
        if number < 0:
            raise ValueError
        return number
    except ValueError:
        raise ScenarioError(
            f"{where}.answer: {name} is {value!r}; give a whole number of 0 or more"
        ) from None


def ring_plan(name: str, junction: Junction, table: PolicePlans, row: PoliceRow) -> Plan:
    """The row as a plan of vehicle groups, not held against the junction's phases yet.

    Raises:
        PlanError: A code fits no movement, or a ring does not fill the cycle.
    """
    rings = []
    for letter, codes, splits in (
        ("A", table.codes_a, row.ring_a),
        ("B", table.codes_b, row.ring_b),
    ):
        steps = []
        for number, split_s in enumerate(splits, start=1):
            if not split_s:
                continue
            if number > len(codes):
                raise PlanError(
                    f"light '{junction.id}': ring {letter} has {split_s} s in phase {number}, but "
                    f"codes for {len(codes)} phases; name the movements of phase {number}"
                )
            groups = {group_of(junction, code) for code in codes[number - 1]}
            steps.append(RingStep(tuple(sorted(groups)), split_s))
        total_s = sum(step.split_s for step in steps)
        if total_s != row.cycle_s:
            raise PlanError(
                f"light '{junction.id}', plan of {_clock(row.begin_s)}: the splits of ring "
                f"{letter} sum to {total_s} s, the cycle is {row.cycle_s} s; mend the answer"
            )
        rings.append(tuple(steps))
    return Plan(name, row.cycle_s, row.offset_s % row.cycle_s, rings[0], rings[1])


def group_of(junction: Junction, code: str) -> str:
    """The signal group of the movement whose kind and bearings are nearest to a code's.

    Raises:
        PlanError: None is within the tolerance.
    """
    letters = {"through": "S", "left": "L", "right": "R", "uturn": "U", "pedestrian": "P"}
    best: tuple[float, str] | None = None
    for movement in junction.movements:
        if letters[movement.kind] != code[0]:
            continue
        off = [
            abs((int(code[part]) - int(movement.code[part]) + 180) % 360 - 180)
            for part in (slice(1, 4), slice(4, 7))
        ]
        if code[0] == "P":  # walked both ways
            off = [min(off)]
        if max(off) <= BEARING_TOLERANCE_DEG and (best is None or sum(off) < best[0]):
            best = (sum(off), movement.group)
    if best is None:
        codes = sorted(movement.code for movement in junction.movements)
        raise PlanError(
            f"light '{junction.id}': no movement fits code {code} within "
            f"{BEARING_TOLERANCE_DEG:g} degrees; it has {', '.join(codes)}"
        )
    return best[1]


def phases_of(junction: Junction, plans: Sequence[Plan]) -> list[tuple[str, ...]]:
    """The sets of groups that plans serve together, crosswalks added that conflict with none.

    Raises:
        PlanError: A plan has conflicting groups green together.
    """
    found: dict[tuple[str, ...], None] = {}
    for plan in plans:
        for groups, _ in plan.steps:
            found.setdefault(with_walkers(junction, groups))
    return list(found)


def with_walkers(junction: Junction, groups: frozenset[str]) -> tuple[str, ...]:
    """A set of groups and every crosswalk that conflicts with none of them.

    Raises:
        PlanError: The set itself has a conflict.
    """
    for group in sorted(groups):
        clash = junction.conflict_sets[group] & groups
        if clash:
            raise PlanError(
                f"light '{junction.id}': the plan has {group} and {min(clash)} green together, "
                "which conflict; check the movement codes of its rings"
            )
    members = set(groups)
    for item in junction.groups:
        if item.kind == "pedestrian" and not junction.conflict_sets[item.id] & members:
            members.add(item.id)
    return tuple(group.id for group in junction.groups if group.id in members)


def boundaries_s(tables: Sequence[PolicePlans], begin_s: int, end_s: int) -> list[int]:
    """Times at which some plan changes within a window, its ends included."""
    edges = {begin_s, end_s}
    for table in tables:
        for row in table.rows:
            for day in range(begin_s // _DAY_S, end_s // _DAY_S + 1):
                moment = row.begin_s + day * _DAY_S
                if begin_s < moment < end_s:
                    edges.add(moment)
    return sorted(edges)


def _clock(seconds: int) -> str:
    return f"{seconds // 3600:02d}:{seconds % 3600 // 60:02d}"

"""How a junction is wired to a controller: numbers of phases, channels and detectors.

One signal group is one NTCIP phase and one channel, in the junction's order, so that phase and
channel p drive group p. A crosswalk is a phase of its own that has walk and pedestrian clearance
only. Groups that conflict with each other share a ring: at a junction of four legs the eight
vehicle groups fall into two rings; bus and pedestrian groups join where they fit, or get rings of
their own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from controllers.ntcip.objects import (
    DETECTOR_FAULTS,
    MAX_DETECTORS,
    MAX_PHASES,
    OCCUPANCY_STEPS,
    mask_of,
)
from signals.detectors import FIELDS, DetectorSpec, layout
from signals.errors import InputError
from signals.junction import Junction

_ORDER = {"vehicle": 0, "bus": 1, "pedestrian": 2}
_COUNT, _STOPPED, _QUEUE, _SPEED, _OCCUPIED, _GAP = range(len(FIELDS))
_BYTE = 255
_SPEED_STEP_MPS = 0.25
_GAP_STEP_S = 0.1


@dataclass(frozen=True)
class Assignment:
    """Numbers of one junction.

    Attributes:
        junction: The junction.
        rings: Ring of each phase, in the order of ``junction.groups``.
        sides: Barrier side of each phase: groups on two sides are never green together.
        conflicts: For each phase the mask of the phases that must not be on with it.
        walkers: Mask of the phases of crosswalks.
    """

    junction: Junction
    rings: tuple[int, ...]
    sides: tuple[int, ...]
    conflicts: tuple[int, ...]
    walkers: int

    @classmethod
    def of(cls, junction: Junction) -> Assignment:
        """Number a junction.

        Raises:
            InputError: More than 16 groups, or more detectors than the tables hold.
        """
        groups = junction.groups
        if len(groups) > MAX_PHASES:
            raise InputError(
                f"junction {junction.id} has {len(groups)} signal groups, an NTCIP controller has "
                f"{MAX_PHASES} phases; join groups that are always green together"
            )
        index = junction.group_index
        conflicts = tuple(
            mask_of(index[foe] + 1 for foe in junction.conflict_sets[group.id]) for group in groups
        )
        found = cls(
            junction,
            _rings(junction, conflicts),
            _sides(junction),
            conflicts,
            mask_of(i + 1 for i, group in enumerate(groups) if group.kind == "pedestrian"),
        )
        if found.detector_count > MAX_DETECTORS:
            raise InputError(
                f"junction {junction.id} needs {found.detector_count} detector numbers, the "
                f"controller's tables hold {MAX_DETECTORS}"
            )
        return found

    @property
    def phases(self) -> range:
        """Phase numbers."""
        return range(1, len(self.junction.groups) + 1)

    @property
    def all(self) -> int:
        """Mask of all phases."""
        return (1 << len(self.junction.groups)) - 1

    def concurrency(self, number: int) -> tuple[int, ...]:
        """Phases of other rings that may be on together with a phase."""
        return tuple(
            other
            for other in self.phases
            if self.rings[other - 1] != self.rings[number - 1]
            and not self.conflicts[number - 1] >> (other - 1) & 1
        )

    @cached_property
    def detectors(self) -> tuple[DetectorSpec, ...]:
        """The junction's detectors, in the order of its readings."""
        return layout(self.junction)

    @cached_property
    def numbers(self) -> tuple[tuple[int, ...], ...]:
        """Detector numbers of each detector: loops first, so that one request reads them all.

        Vehicle detectors have two, crosswalks one:

        * loop: volume and occupancy of the last second; volume of the second number is the time
          since the last vehicle left it, 0.1 s;
        * zone and exit: vehicles on it, occupancy 100 % for a mean speed of 50 m/s (faults from
          210 up as everywhere, 0 when empty); then stopped vehicles, and the share of its length
          that the queue takes;
        * crosswalk: people who wait, and people on it as steps of occupancy.
        """
        found: list[tuple[int, ...]] = [()] * len(self.detectors)
        loops = [i for i, spec in enumerate(self.detectors) if "occupied" in spec.fields]
        others = [i for i, spec in enumerate(self.detectors) if "occupied" not in spec.fields]
        following = len(loops) + 1
        for number, row in enumerate(loops, 1):
            found[row] = (number, following)
            following += 1
        for row in others:
            size = 1 if self.detectors[row].kind == "pedestrian" else 2
            found[row] = tuple(range(following, following + size))
            following += size
        return tuple(found)

    @cached_property
    def detector_count(self) -> int:
        """Detector numbers in use."""
        return max((number for own in self.numbers for number in own), default=0)

    @property
    def loop_numbers(self) -> range:
        """Numbers whose volume and occupancy are a loop's."""
        return range(1, 1 + sum("occupied" in spec.fields for spec in self.detectors))

    def calls(self, number: int) -> tuple[int, ...]:
        """Detector rows whose presence calls a phase: its lanes' stop lines and near zones."""
        group = self.junction.groups[number - 1]
        lanes = {
            lane
            for movement in self.junction.movements
            if movement.group == group.id
            for lane in movement.lanes
        }
        wanted = {f"{kind}/{lane}" for lane in lanes for kind in ("stop_loop", "near_zone")}
        wanted |= {f"pedestrian/{name}" for name in group.movements if group.kind == "pedestrian"}
        return tuple(row for row, spec in enumerate(self.detectors) if spec.id in wanted)

    def to_table(
        self, values: NDArray[np.float64], before: NDArray[np.float64] | None
    ) -> dict[int, tuple[int, int]]:
        """Readings as detector numbers to (volume, occupancy).

        Args:
            values: (detectors, fields) readings of this second.
            before: Those of the second before, None in the first.
        """
        table: dict[int, tuple[int, int]] = {}
        for row, spec in enumerate(self.detectors):
            value, own = values[row], self.numbers[row]
            first = value[FIELDS.index(spec.fields[0])]
            if math.isnan(first):
                for number in own:
                    table[number] = (0, 211)
            elif spec.kind == "pedestrian":
                waiting = _byte(value[_STOPPED])
                table[own[0]] = (waiting, min(_byte(value[_COUNT]), OCCUPANCY_STEPS))
            elif len(own) == 2 and "occupied" in spec.fields:
                count = value[_COUNT] - (before[row, _COUNT] if before is not None else 0.0)
                if math.isnan(count):
                    # It only tells presence: who comes onto it is one vehicle.
                    was = before is not None and before[row, _OCCUPIED] > 0
                    count = float(value[_OCCUPIED] > 0 and not was)
                occupied = OCCUPANCY_STEPS if value[_OCCUPIED] else 0
                table[own[0]] = (_byte(count), occupied)
                table[own[1]] = (_byte(value[_GAP] / _GAP_STEP_S), occupied)
            else:
                speed = 0.0 if math.isnan(value[_SPEED]) else value[_SPEED]
                share = value[_QUEUE] / max(spec.length_m, 1.0) if "queue_m" in spec.fields else 0.0
                table[own[0]] = (
                    _byte(value[_COUNT]),
                    min(round(speed / _SPEED_STEP_MPS), OCCUPANCY_STEPS),
                )
                table[own[1]] = (
                    _byte(value[_STOPPED]),
                    min(round(share * OCCUPANCY_STEPS), OCCUPANCY_STEPS),
                )
        return table

    def from_table(
        self, table: Mapping[int, tuple[int, int]], counters: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Inverse of `to_table`: (detectors, fields) readings, NaN where a detector is at fault.

        Args:
            table: Detector numbers to (volume, occupancy); left out is missing.
            counters: (detectors,) vehicles counted by each loop up to now.

        Raises:
            InputError: A value that no detector reports.
        """
        values = np.full((len(self.detectors), len(FIELDS)), np.nan)
        for row, spec in enumerate(self.detectors):
            own = [table.get(number) for number in self.numbers[row]]
            if any(
                item is None or not _sound(number, *item)
                for number, item in zip(self.numbers[row], own, strict=True)
            ):
                continue
            volume, occupancy = own[0] or (0, 0)
            if spec.kind == "pedestrian":
                values[row, _STOPPED], values[row, _COUNT] = volume, occupancy
            elif "occupied" in spec.fields:
                if "count" in spec.fields:
                    values[row, _COUNT] = counters[row]
                values[row, _OCCUPIED] = float(occupancy > 0)
                values[row, _GAP] = (own[1] or (0, 0))[0] * _GAP_STEP_S
            else:
                stopped, queue = own[1] or (0, 0)
                values[row, _COUNT], values[row, _STOPPED] = volume, stopped
                if volume:
                    values[row, _SPEED] = occupancy * _SPEED_STEP_MPS
                if "queue_m" in spec.fields:
                    values[row, _QUEUE] = queue / OCCUPANCY_STEPS * spec.length_m
        return values


def _sound(number: int, volume: int, occupancy: int) -> bool:
    """Whether a detector answers.

    Raises:
        InputError: It answers what no detector reports.
    """
    if not 0 <= volume <= _BYTE or not (
        0 <= occupancy <= OCCUPANCY_STEPS or occupancy in DETECTOR_FAULTS
    ):
        raise InputError(
            f"detector {number} reports volume {volume} and occupancy {occupancy}; allowed are "
            f"0-{_BYTE} and 0-{OCCUPANCY_STEPS} or a fault"
        )
    return occupancy <= OCCUPANCY_STEPS


def _byte(value: float) -> int:
    return min(max(round(value), 0), _BYTE)


def _rings(junction: Junction, conflicts: Sequence[int]) -> tuple[int, ...]:
    """Cars first, each into the first ring all of whose phases it conflicts with."""
    groups = junction.groups
    rings: list[list[int]] = []
    found = [0] * len(groups)
    for group in sorted(range(len(groups)), key=lambda g: (_ORDER[groups[g].kind], g)):
        fitting = (
            number
            for number, members in enumerate(rings, 1)
            if all(conflicts[group] >> member & 1 for member in members)
        )
        number = next(fitting, len(rings) + 1)
        if number > len(rings):
            rings.append([])
        rings[number - 1].append(group)
        found[group] = number
    return tuple(found)


def _sides(junction: Junction) -> tuple[int, ...]:
    """Vehicle groups that some phase joins are on one side; a crosswalk goes with the first."""
    index = junction.group_index
    walkers = {group.id for group in junction.groups if group.kind == "pedestrian"}
    side = list(range(len(junction.groups)))
    for item in junction.phases:
        merged = {side[index[group]] for group in item.groups if group not in walkers}
        least = min(merged, default=0)
        side = [least if own in merged else own for own in side]
    for walker in walkers:
        company = (item for item in junction.phases if walker in item.groups)
        drivers = [index[g] for item in company for g in item.groups if g not in walkers]
        side[index[walker]] = side[drivers[0]] if drivers else index[walker]
    order = sorted(set(side))
    return tuple(order.index(own) + 1 for own in side)

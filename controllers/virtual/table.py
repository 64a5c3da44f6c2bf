"""The object table of a unit: what may be read and written, and within which range.

A SET of several objects is checked whole before any of it is applied.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from controllers.ntcip import objects as o
from controllers.ntcip.objects import Oid, PhaseColumn, PhaseControl, PhaseStatus
from controllers.virtual.coordinator import Pattern
from controllers.virtual.unit import Unit

_DAY_S = 86_400
_EPOCH_DAY_S = 20_454 * _DAY_S
"""Monday 2026-01-05: the day on which a unit's clock starts."""
_SILENT = (0, 211)
_LEAST_YELLOW_TENTHS = 30
_SPLIT_NORMAL, _SPLIT_OMITTED = 2, 7
Value = int | bytes


@dataclass(frozen=True, slots=True)
class Entry:
    """One object.

    Attributes:
        read: Gives its value.
        write: Takes a new one; None is read-only.
        least: Smallest value that may be written.
        most: Largest.
        command: A system control object: writing it resets the backup timer.
    """

    read: Callable[[], Value]
    write: Callable[[int], None] | None = None
    least: int = 0
    most: int = 255
    command: bool = False


class ObjectError(Exception):
    """A request that the table refuses.

    Args:
        status: Name of the SNMP error status.
        index: Which of the objects, from 0.
    """

    def __init__(self, status: str, index: int) -> None:
        super().__init__(f"{status} at {index}")
        self.status = status
        self.index = index


class ObjectTable:
    """All objects of one unit.

    Args:
        unit: The unit.
    """

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self._entries: dict[Oid, Entry] = {}
        self._phases()
        self._groups()
        self._detectors()
        self._unit_objects()
        self._coordination()
        self._order = sorted(self._entries)

    def get(self, oid: Oid) -> Value | None:
        """Value of an object, None where there is none."""
        entry = self._entries.get(oid)
        return None if entry is None else entry.read()

    def after(self, oid: Oid) -> tuple[Oid, Value] | None:
        """The object that follows, None at the end."""
        place = bisect_right(self._order, oid)
        if place == len(self._order):
            return None
        found = self._order[place]
        return found, self._entries[found].read()

    def set_all(self, changes: Sequence[tuple[Oid, int | None]]) -> None:
        """Write several objects, all or none.

        Args:
            changes: Objects and values; None is a value of another type.

        Raises:
            ObjectError: One of them may not be written; nothing was.
        """
        for index, (oid, value) in enumerate(changes):
            entry = self._entries.get(oid)
            if entry is None:
                raise ObjectError("noCreation", index)
            if entry.write is None:
                raise ObjectError("notWritable", index)
            if value is None:
                raise ObjectError("wrongType", index)
            if not entry.least <= value <= entry.most:
                raise ObjectError("wrongValue", index)
        for oid, value in changes:
            entry = self._entries[oid]
            assert entry.write is not None and value is not None
            entry.write(value)
        if any(self._entries[oid].command for oid, _ in changes):
            self._unit.commanded_now()

    def _add(
        self,
        oid: Oid,
        read: Callable[[], Value],
        write: Callable[[int], None] | None = None,
        least: int = 0,
        most: int = 255,
        command: bool = False,
    ) -> None:
        self._entries[oid] = Entry(read, write, least, most, command)

    def _attribute(
        self, oid: Oid, holder: Callable[[], object], name: str, least: int = 0, most: int = 255
    ) -> None:
        """An object that is an attribute, read and written."""
        self._add(
            oid,
            lambda: int(getattr(holder(), name)),
            lambda value: setattr(holder(), name, value),
            least,
            most,
        )

    def _phases(self) -> None:
        for number in self._unit.assignment.phases:
            self._phase(number)

    def _phase(self, number: int) -> None:
        unit, found = self._unit, self._unit.assignment
        # A crosswalk has no yellow; no vehicle's is shorter than 3 s.
        walker = found.walkers >> (number - 1) & 1
        yellow = (0, 0) if walker else (_LEAST_YELLOW_TENTHS, 255)
        ranges = {
            PhaseColumn.WALK: ("walk_s", 0, 255),
            PhaseColumn.PEDESTRIAN_CLEAR: ("pedestrian_clear_s", 0, 255),
            PhaseColumn.MINIMUM_GREEN: ("minimum_green_s", 0, 255),
            PhaseColumn.PASSAGE_TENTHS: ("passage_tenths", 0, 255),
            PhaseColumn.MAXIMUM_1: ("maximum_1_s", 1, 255),
            PhaseColumn.MAXIMUM_2: ("maximum_2_s", 1, 255),
            PhaseColumn.YELLOW_TENTHS: ("yellow_tenths", *yellow),
            PhaseColumn.RED_CLEAR_TENTHS: ("red_clear_tenths", 0, 255),
            PhaseColumn.RED_REVERT_TENTHS: ("red_revert_tenths", 10, 255),
        }
        self._add(o.phase(PhaseColumn.NUMBER, number), lambda: number)
        for column, (name, least, most) in ranges.items():
            self._attribute(
                o.phase(column, number), lambda: unit.timing[number - 1], name, least, most
            )
        self._add(o.phase(PhaseColumn.RING, number), lambda: found.rings[number - 1])
        self._add(
            o.phase(PhaseColumn.CONCURRENCY, number), lambda: bytes(found.concurrency(number))
        )

    def _groups(self) -> None:
        unit, walkers = self._unit, self._unit.assignment.walkers
        status: dict[PhaseStatus, Callable[[], int]] = {
            PhaseStatus.REDS: lambda: unit.outputs[0] & ~walkers,
            PhaseStatus.YELLOWS: lambda: unit.outputs[1] & ~walkers,
            PhaseStatus.GREENS: lambda: unit.outputs[2] & ~walkers,
            PhaseStatus.DONT_WALKS: lambda: unit.outputs[0] & walkers,
            PhaseStatus.PED_CLEARS: lambda: unit.outputs[1] & walkers,
            PhaseStatus.WALKS: lambda: unit.outputs[2] & walkers,
            PhaseStatus.VEH_CALLS: lambda: unit.presence,
            PhaseStatus.PED_CALLS: lambda: unit.walk_calls,
            PhaseStatus.PHASE_ONS: lambda: unit.rings.on,
            PhaseStatus.PHASE_NEXTS: lambda: unit.nexts,
        }
        for group in range(1, o.PHASE_GROUPS + 1):
            for column, mask in status.items():
                self._mask(o.phase_status(column, group), mask, group)
            for light, channel in enumerate(o.ChannelStatus):
                self._output(o.channel_status(channel, group), light, group)
            for control in PhaseControl:
                self._control(control, group)
        for ring in sorted(set(unit.assignment.rings)):
            self._ring(ring)

    def _mask(self, oid: Oid, mask: Callable[[], int], group: int) -> None:
        self._add(oid, lambda: o.octet(mask(), group))

    def _output(self, oid: Oid, light: int, group: int) -> None:
        self._add(oid, lambda: o.octet(self._unit.outputs[light], group))

    def _ring(self, ring: int) -> None:
        self._add(o.ring_status(ring), lambda: self._unit.rings.ring_bits[ring])

    def _control(self, column: PhaseControl, group: int) -> None:
        unit, shift = self._unit, (group - 1) * o.GROUP_SIZE

        def write(value: int) -> None:
            masks = unit.control.masks
            masks[column] = masks[column] & ~(0xFF << shift) | value << shift

        self._add(
            o.phase_control(column, group),
            lambda: o.octet(unit.control.masks[column], group),
            write,
            # Phases that do not exist cannot be commanded.
            most=o.octet(unit.assignment.all, group),
            command=True,
        )

    def _detectors(self) -> None:
        unit = self._unit
        self._add(o.VOLUME_OCCUPANCY_SEQUENCE, lambda: unit.sequence)
        # Every second, as the crosswalks' and queues' readings are of a moment.
        self._attribute(o.VOLUME_OCCUPANCY_PERIOD, lambda: unit, "period_s", 1, 1)
        for number in range(1, unit.assignment.detector_count + 1):
            self._detector(number)

    def _detector(self, number: int) -> None:
        unit = self._unit
        self._add(o.detector_volume(number), lambda: unit.detectors.get(number, _SILENT)[0])
        self._add(o.detector_occupancy(number), lambda: unit.detectors.get(number, _SILENT)[1])

    def _unit_objects(self) -> None:
        unit = self._unit
        self._add(
            o.GLOBAL_TIME,
            lambda: _EPOCH_DAY_S + int(unit.clock_s),
            lambda value: unit.set_clock(float(value - _EPOCH_DAY_S)),
            _EPOCH_DAY_S,
            _EPOCH_DAY_S + 7 * _DAY_S,
        )
        self._attribute(o.BACKUP_TIME, lambda: unit, "backup_time_s", most=65_535)
        self._add(o.CONTROL_STATUS, lambda: int(unit.control_status))
        self._add(o.FLASH_STATUS, lambda: int(unit.flash_status))
        for number in unit.control.preempts:
            self._preempt(number)

    def _preempt(self, number: int) -> None:
        unit = self._unit

        def write(value: int) -> None:
            unit.control.preempts[number] = value

        self._add(
            o.preempt_control(number),
            lambda: unit.control.preempts[number],
            write,
            most=1,
            command=True,
        )

    def _coordination(self) -> None:
        unit = self._unit
        self._attribute(o.COORD_MODE, lambda: unit, "coord_mode")
        self._add(o.COORD_PATTERN_STATUS, lambda: unit.pattern)
        self._add(o.LOCAL_FREE_STATUS, lambda: int(unit.free_status))
        self._add(o.COORD_CYCLE_STATUS, lambda: unit.cycle_status_s)
        self._add(o.COORD_SYNC_STATUS, lambda: unit.sync_status_s)
        self._command(o.SYSTEM_PATTERN, "pattern")
        self._command(o.SYSTEM_SYNC, "sync")
        for number in range(1, len(unit.coordinator.patterns) + 1):
            self._pattern(number)

    def _command(self, oid: Oid, name: str) -> None:
        unit = self._unit
        self._add(
            oid,
            lambda: int(getattr(unit.control, name)),
            lambda value: setattr(unit.control, name, value),
            command=True,
        )

    def _pattern(self, number: int) -> None:
        unit = self._unit

        def row() -> Pattern:
            return unit.coordinator.patterns[number - 1]

        self._attribute(o.pattern(2, number), row, "cycle_s", least=1)
        self._attribute(o.pattern(3, number), row, "offset_s")
        for column in (4, 5):
            self._add(o.pattern(column, number), lambda: number)
        for of_phase in unit.assignment.phases:
            self._split(row, number, of_phase)

    def _split(self, row: Callable[[], Pattern], number: int, of_phase: int) -> None:
        place = of_phase - 1

        def write(value: int) -> None:
            row().splits_s[place] = value

        self._add(o.split(3, number, of_phase), lambda: min(row().splits_s[place], 255), write)
        self._add(
            o.split(4, number, of_phase),
            lambda: _SPLIT_NORMAL if row().splits_s[place] else _SPLIT_OMITTED,
        )
        self._add(o.split(5, number, of_phase), lambda: int(of_phase == 1))

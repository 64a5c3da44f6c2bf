"""NTCIP 1202 over SNMP: reads detectors, lights and status; commands by phaseControlGroup only.

It writes immediate objects and nothing of the data base: holds, force-offs, calls and omits, and
systemPatternControl, which sets the controller free of its plan (254) and gives it back (0). All of
an order travels in one request, which the controller carries out whole or not at all. Every write
is read back with the next state.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from controllers.adapters.base import (
    MAX_WRITES_A_SECOND,
    ControllerState,
    Details,
    LineError,
    Order,
    RefusedError,
    Terms,
)
from controllers.adapters.snmp import SnmpLine
from controllers.ntcip import objects as o
from controllers.ntcip.assignment import Assignment
from controllers.ntcip.objects import (
    ChannelStatus,
    ControlStatus,
    FlashStatus,
    Oid,
    PhaseColumn,
    PhaseControl,
)
from signals.detectors import Readings
from signals.errors import InputError, ReadingError
from signals.hires import Event
from signals.junction import Junction
from signals.lights import CLEARANCE, GREEN, RED

_DAY_S = 86_400
_CHECKED = (
    PhaseColumn.WALK,
    PhaseColumn.PEDESTRIAN_CLEAR,
    PhaseColumn.MINIMUM_GREEN,
    PhaseColumn.YELLOW_TENTHS,
    PhaseColumn.RED_CLEAR_TENTHS,
)
_STATE: tuple[Oid, ...] = (
    o.GLOBAL_TIME,
    o.CONTROL_STATUS,
    o.FLASH_STATUS,
    o.VOLUME_OCCUPANCY_SEQUENCE,
    o.SYSTEM_PATTERN,
    o.COORD_MODE,
    o.preempt_control(1),
    o.preempt_control(2),
    *(o.channel_status(column, g) for column in ChannelStatus for g in (1, 2)),
)
_CONTROLS = tuple(
    (column, group) for column in PhaseControl for group in range(1, o.PHASE_GROUPS + 1)
)
_KEPT = tuple((c, g) for c, g in _CONTROLS if c is not PhaseControl.FORCE_OFF)
_MOST = o.OCCUPANCY_STEPS


class NtcipAdapter:
    """One NTCIP controller.

    Args:
        junction: The validated junction: its timing is what the controller must have.
        line: The SNMP line to it.
    """

    def __init__(self, junction: Junction, line: SnmpLine) -> None:
        self._junction = junction
        self._assignment = Assignment.of(junction)
        self._line = line
        self._counters = np.zeros(len(self._assignment.detectors))
        self._counted: int | None = None
        self._masks: dict[PhaseControl, int] = {}
        self._pattern = 0
        self._unread = False
        self._clock_s = 0.0
        self._writes = 0
        self._next_check = 0

    async def connect(self) -> None:
        """See `Adapter.connect`."""
        await self._line.open()
        self._masks = {}
        self._unread = False
        try:
            for number in self._assignment.phases:
                await self._check_timing(number)
        except (LineError, RefusedError):
            self._line.close()
            raise

    async def _check_timing(self, number: int) -> None:
        values = await self._line.get([o.phase(column, number) for column in _CHECKED])
        self._compare(number, values)

    def _compare(self, number: int, values: list[int]) -> None:
        """Refuse a phase that is timed otherwise than the junction's file says."""
        group = self._junction.groups[number - 1]
        row = self._junction.timing.groups[group.id]
        if group.kind == "pedestrian":
            wanted = [row.min_green_s, row.clearance_s, 0, 0, 10 * row.all_red_s]
        else:
            wanted = [0, 0, row.min_green_s, 10 * row.clearance_s, 10 * row.all_red_s]
        for column, found, promised in zip(_CHECKED, values, wanted, strict=True):
            if found != promised:
                name = column.name.lower().replace("_", " ")
                raise RefusedError(
                    f"phase {number} ({group.id}) of the controller has {name} {found}, the "
                    f"junction's file says {promised}; make them agree before it is commanded"
                )

    async def state(self) -> ControllerState:
        """See `Adapter.state`; one phase's timing is checked each time, and the last write."""
        number = self._assignment.phases[self._next_check % len(self._assignment.phases)]
        timing = [o.phase(column, number) for column in _CHECKED]
        # All that was written is read back once, then two masks a second: somebody may write, too.
        turn = 2 * self._next_check % len(_KEPT)
        back = _KEPT if self._unread else _KEPT[turn : turn + 2]
        kept = [o.phase_control(c, g) for c, g in back]
        values = await self._line.get([*_STATE, *timing, *kept])
        self._next_check += 1
        clock, control, flash, sequence, pattern, mode, *rest = values[: len(_STATE)]
        lit = [o.joined(rest[2 + 2 * i : 4 + 2 * i]) for i in range(3)]
        if clock % _DAY_S != self._clock_s:
            self._writes = 0
        self._clock_s = float(clock % _DAY_S)
        foreign = ""
        commanded = control == ControlStatus.SYSTEM_CONTROL
        self._unread = False
        if commanded:
            foreign = self._foreign(back, values[len(_STATE) + len(timing) :])
        if commanded and pattern != self._pattern:
            foreign = f"system pattern {pattern}, written was {self._pattern}"
        try:
            self._compare(number, values[len(_STATE) : len(_STATE) + len(timing)])
            trouble = _trouble(control, flash, mode, rest[:2])
        except RefusedError as error:
            trouble = str(error)
        return ControllerState(
            clock_s=self._clock_s,
            indications=self._indications(*lit),
            trouble=trouble,
            commanded=commanded,
            foreign=foreign,
            sequence=sequence,
        )

    def _foreign(self, back: Sequence[tuple[PhaseControl, int]], found: list[int]) -> str:
        for (column, group), value in zip(back, found, strict=True):
            written = o.octet(self._masks.get(column, 0), group)
            if value != written:
                return (
                    f"{column.name.lower()} {value:#x} of group {group}, written was {written:#x}"
                )
        return ""

    def _indications(self, reds: int, yellows: int, greens: int) -> tuple[int, ...]:
        found = []
        for bit in range(len(self._junction.groups)):
            lit = (reds >> bit & 1, yellows >> bit & 1, greens >> bit & 1)
            if sum(lit) != 1:
                raise LineError(
                    f"channel {bit + 1} of the controller shows red, yellow, green = {lit}"
                )
            found.append((RED, CLEARANCE, GREEN)[lit.index(1)])
        return tuple(found)

    async def readings(self) -> Readings:
        """See `Adapter.readings`."""
        count = self._assignment.detector_count
        volumes = await self._line.rows(o.DETECTOR_VOLUMES, count)
        occupancies = await self._line.rows(o.DETECTOR_OCCUPANCIES, count)
        sequence, clock = await self._line.get([o.VOLUME_OCCUPANCY_SEQUENCE, o.GLOBAL_TIME])
        pairs = zip(volumes, occupancies, strict=True)
        table = {number: pair for number, pair in enumerate(pairs, 1)}
        self._count(table, sequence)
        try:
            values: NDArray[np.float64] = self._assignment.from_table(table, self._counters)
        except InputError as error:
            raise ReadingError(str(error)) from error
        return Readings(float(clock % _DAY_S), values)

    async def details(self) -> Details:
        """See `Adapter.details`."""
        found = self._assignment
        loops = found.loop_numbers
        volumes = await self._line.rows(o.DETECTOR_VOLUMES, len(loops))
        occupancies = await self._line.rows(o.DETECTOR_OCCUPANCIES, len(loops))
        rings = sorted(set(found.rings))
        calls = [o.phase_status(o.PhaseStatus.PED_CALLS, g) for g in (1, 2)]
        called, more, *ended = await self._line.get([*calls, *(o.ring_status(r) for r in rings)])
        why = dict(zip(rings, ended, strict=True))
        broken = frozenset(n for n, v in zip(loops, occupancies, strict=True) if v > _MOST)
        return Details(
            loops={
                number: (volume, occupancy > 0)
                for number, volume, occupancy in zip(loops, volumes, occupancies, strict=True)
                if number not in broken
            },
            faulty=broken,
            waiting=frozenset(n - 1 for n in o.numbers_in(o.joined((called, more)))),
            ended={p: _ended(why[ring]) for p, ring in enumerate(found.rings)},
        )

    def _count(self, table: dict[int, tuple[int, int]], sequence: int) -> None:
        """Loops count vehicles of a second; what passed in a second nobody read is not counted."""
        if sequence != self._counted:
            self._counted = sequence
            for row, numbers in enumerate(self._assignment.numbers):
                volume, occupancy = table.get(numbers[0], (0, 0))
                if numbers[0] in self._assignment.loop_numbers and occupancy <= o.OCCUPANCY_STEPS:
                    self._counters[row] += max(volume, 0)

    async def take(self) -> Terms:
        """See `Adapter.take`."""
        backup, mode, flash = await self._line.get([o.BACKUP_TIME, o.COORD_MODE, o.FLASH_STATUS])
        if not backup:
            raise RefusedError(
                "the controller's backup timer is off: it would keep the last command for ever; "
                "set unitBackupTime"
            )
        if mode:
            raise RefusedError(
                f"the controller's own pattern is fixed by coordOperationalMode {mode}; "
                "set it to 0 (automatic)"
            )
        if flash != FlashStatus.NOT_FLASH:
            raise RefusedError("the controller is in flash")
        for number in self._assignment.phases:
            await self._check_timing(number)
        return Terms(float(backup), {"control": "free pattern, phase control"})

    async def order(self, order: Order) -> None:
        """See `Adapter.order`.

        Raises:
            RefusedError: Too many writes, or the controller refuses.
        """
        every, walkers = self._assignment.all, self._assignment.walkers
        start, hold, end = (
            o.mask_of(group + 1 for group in part) for part in (order.start, order.hold, order.end)
        )
        omit = every & ~(start | hold)
        masks = {
            PhaseControl.PHASE_OMIT: omit,
            PhaseControl.PED_OMIT: omit & walkers,
            PhaseControl.HOLD: hold & ~walkers,
            PhaseControl.FORCE_OFF: end & ~walkers,
            PhaseControl.VEH_CALL: start & ~walkers,
            PhaseControl.PED_CALL: start & walkers,
        }
        self._rate()
        if masks == self._masks and not masks[PhaseControl.FORCE_OFF]:
            await self._line.set([(o.SYSTEM_PATTERN, o.FREE_PATTERN)])
            return
        self._masks, self._pattern, self._unread = masks, o.FREE_PATTERN, True
        await self._line.set([(o.SYSTEM_PATTERN, o.FREE_PATTERN), *_written(masks)])

    async def release(self) -> None:
        """See `Adapter.release`."""
        self._masks, self._pattern, self._unread = {}, 0, False
        await self._line.set([(o.SYSTEM_PATTERN, 0), *_written({})])

    async def close(self) -> None:
        """See `Adapter.close`."""
        self._line.close()

    def _rate(self) -> None:
        self._writes += 1
        if self._writes > MAX_WRITES_A_SECOND:
            raise RefusedError(
                f"{self._writes} writes in one second of the controller, allowed are "
                f"{MAX_WRITES_A_SECOND}"
            )


def _written(masks: dict[PhaseControl, int]) -> list[tuple[Oid, int]]:
    return [(o.phase_control(c, g), o.octet(masks.get(c, 0), g)) for c, g in _CONTROLS]


def _ended(bits: int) -> Event:
    if bits & o.RING_MAX_OUT:
        return Event.MAX_OUT
    return Event.GAP_OUT if bits & o.RING_GAP_OUT else Event.FORCE_OFF


def _trouble(control: int, flash: int, mode: int, preempts: list[int]) -> str:
    if flash != FlashStatus.NOT_FLASH:
        name = FlashStatus(flash).name.lower() if flash in set(FlashStatus) else str(flash)
        return f"the controller flashes ({name.replace('_', ' ')})"
    if control == ControlStatus.MANUAL:
        return "the controller is under manual control"
    if mode:
        return f"the controller's pattern is fixed by hand ({mode})"
    if any(preempts):
        return "a preemption runs"
    return ""

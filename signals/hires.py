"""Hi-res event log in the Indiana format, from a simulation and from a controller alike.

Columns ``TimeStamp``, ``DeviceId``, ``EventId``, ``Parameter``; both edges of every pair. Phase and
channel p is signal group p of the junction, counted from 1; detector channels are the loops in the
order of `signals.detectors.layout`. The package ``atspm`` reads it,
with `EventLog.detector_config`.

Source: Indiana Traffic Signal Hi Resolution Data Logger Enumerations (Purdue University, 2012).
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from pathlib import Path
from typing import Any

from signals.detectors import layout
from signals.errors import MissingDependencyError, OutputError
from signals.junction import Junction
from signals.lights import CLEARANCE, GREEN, RED

COLUMNS = ("TimeStamp", "DeviceId", "EventId", "Parameter")
DAY = datetime(2026, 1, 5)
"""A Monday: the day of every simulated log."""


class Event(IntEnum):
    """Event codes, the ones that are written."""

    PHASE_ON = 0
    BEGIN_GREEN = 1
    MINIMUM_COMPLETE = 3
    GAP_OUT = 4
    MAX_OUT = 5
    FORCE_OFF = 6
    GREEN_END = 7
    BEGIN_YELLOW = 8
    END_YELLOW = 9
    BEGIN_RED_CLEAR = 10
    END_RED_CLEAR = 11
    INACTIVE = 12
    WALK = 21
    PED_CLEAR = 22
    DONT_WALK = 23
    HOLD_ON = 41
    HOLD_OFF = 42
    PED_CALL = 45
    DETECTOR_OFF = 81
    DETECTOR_ON = 82
    DETECTOR_RESTORED = 83
    DETECTOR_FAULT = 84
    PED_DETECTOR_OFF = 89
    PED_DETECTOR_ON = 90
    PATTERN = 131
    CYCLE = 132
    OFFSET = 133
    FLASH = 173


@dataclass(frozen=True, slots=True)
class Passage:
    """A vehicle on a loop.

    Attributes:
        channel: Number of the loop, from 1.
        on_s: When its front came onto it (s since midnight).
        off_s: When its rear left, None while it is on it.
    """

    channel: int
    on_s: float
    off_s: float | None


class EventLog:
    """The log of one junction.

    Args:
        junction: The junction.
        device: DeviceId.
        day: Midnight that the clock counts from.
    """

    def __init__(self, junction: Junction, device: int = 1, day: datetime = DAY) -> None:
        self.junction = junction
        self.device = device
        self._day = day
        self.events: list[tuple[float, int, int]] = []
        groups = junction.groups
        self._walker = [group.kind == "pedestrian" for group in groups]
        self._timing = [junction.timing.groups[group.id] for group in groups]
        self._shown: list[int | None] = [None] * len(groups)
        self._since = [0.0] * len(groups)
        self._told: list[set[Event]] = [set() for _ in groups]
        self._on: dict[int, bool] = {}
        self._last_off: dict[int, float] = {}
        self._held: frozenset[int] = frozenset()
        self._waiting: frozenset[int] = frozenset()
        self._faulty: frozenset[int] = frozenset()
        self._pattern: tuple[int, int, int] | None = None
        self._flashing = False

    def second(
        self, clock_s: float, indications: Sequence[int], why: Mapping[int, Event] | None = None
    ) -> None:
        """The lights of the second that begins at ``clock_s``.

        Args:
            clock_s: Seconds since midnight.
            indications: Of each group.
            why: For groups whose green ends: gap-out, max-out or force-off (the default).
        """
        for group, shown in enumerate(indications):
            before = self._shown[group]
            if before is not None and before == shown:
                self._within(group, clock_s)
            elif before is not None or shown != RED:
                self._change(group, before, shown, clock_s, (why or {}).get(group))
            self._shown[group] = shown

    def _change(
        self, group: int, before: int | None, shown: int, at_s: float, why: Event | None
    ) -> None:
        add, walker = self._add, self._walker[group]
        self._within(group, at_s)
        self._since[group] = at_s
        self._told[group] = set()
        if before == GREEN and not walker:
            add(at_s, why or Event.FORCE_OFF, group + 1)
            add(at_s, Event.GREEN_END, group + 1)
        if before == CLEARANCE and not walker:
            add(at_s, Event.END_YELLOW, group + 1)
        if shown == GREEN:
            if walker:
                add(at_s, Event.WALK, group + 1)
            else:
                add(at_s, Event.PHASE_ON, group + 1)
                add(at_s, Event.BEGIN_GREEN, group + 1)
        elif shown == CLEARANCE:
            add(at_s, Event.PED_CLEAR if walker else Event.BEGIN_YELLOW, group + 1)
        elif walker:
            add(at_s, Event.DONT_WALK, group + 1)
        else:
            add(at_s, Event.BEGIN_RED_CLEAR, group + 1)

    def _within(self, group: int, at_s: float) -> None:
        """What happens while an indication lasts: the minimum, the end of red clearance."""
        if self._walker[group]:
            return
        shown, timing, since_s = self._shown[group], self._timing[group], self._since[group]
        if shown == GREEN:
            self._once(group, Event.MINIMUM_COMPLETE, since_s + timing.min_green_s, at_s)
        elif shown == RED and since_s:
            done_s = since_s + timing.all_red_s
            self._once(group, Event.END_RED_CLEAR, done_s, at_s)
            self._once(group, Event.INACTIVE, done_s, at_s)

    def _once(self, group: int, event: Event, due_s: float, now_s: float) -> None:
        if now_s >= due_s and event not in self._told[group]:
            self._told[group].add(event)
            self._add(due_s, event, group + 1)

    def passages(self, passed: Iterable[Passage]) -> None:
        """Vehicles that were on loops in the second that has passed, to the tenth of a second."""
        for item in sorted(passed, key=lambda p: (p.channel, p.on_s)):
            if item.on_s >= self._last_off.get(item.channel, 0.0) and not self._on.get(
                item.channel, False
            ):
                self._on[item.channel] = True
                self._add(item.on_s, Event.DETECTOR_ON, item.channel)
            if item.off_s is not None and self._on.get(item.channel, False):
                self._on[item.channel] = False
                self._last_off[item.channel] = item.off_s
                self._add(item.off_s, Event.DETECTOR_OFF, item.channel)

    def loops(self, clock_s: float, seconds: Mapping[int, tuple[int, bool]]) -> None:
        """What controllers report of loops: a count and a presence for the second before.

        Args:
            clock_s: The second's end.
            seconds: Channel to (vehicles, occupied).
        """
        begin_s = clock_s - 1.0
        for channel, (vehicles, occupied) in seconds.items():
            was = self._on.get(channel, False)
            edges = [] if was == occupied and vehicles == 0 else [occupied]
            if was and occupied and vehicles:
                edges = [False, True] * vehicles
            elif not was and vehicles > 1:
                edges = [True] + [False, True] * (vehicles - 1)
            if not occupied and not was and vehicles:
                edges = [True, False] * vehicles
            for number, on in enumerate(edges):
                if on != self._on.get(channel, False):
                    self._on[channel] = on
                    at_s = begin_s + 0.1 * round(10 * number / len(edges))
                    event = Event.DETECTOR_ON if on else Event.DETECTOR_OFF
                    self._add(at_s, event, channel)

    def pedestrians(self, clock_s: float, waiting: frozenset[int]) -> None:
        """Crosswalks (group positions) at which somebody waits now."""
        for group in sorted(waiting - self._waiting):
            self._add(clock_s, Event.PED_DETECTOR_ON, group + 1)
            self._add(clock_s, Event.PED_CALL, group + 1)
        for group in sorted(self._waiting - waiting):
            self._add(clock_s, Event.PED_DETECTOR_OFF, group + 1)
        self._waiting = waiting

    def holds(self, clock_s: float, held: frozenset[int]) -> None:
        """Groups (positions) that somebody holds green."""
        for groups, event in (
            (held - self._held, Event.HOLD_ON),
            (self._held - held, Event.HOLD_OFF),
        ):
            for group in sorted(groups):
                self._add(clock_s, event, group + 1)
        self._held = held

    def faults(self, clock_s: float, faulty: frozenset[int]) -> None:
        """Channels that do not answer."""
        for channel in sorted(faulty - self._faulty):
            self._add(clock_s, Event.DETECTOR_FAULT, channel)
        for channel in sorted(self._faulty - faulty):
            self._add(clock_s, Event.DETECTOR_RESTORED, channel)
        self._faulty = faulty

    def pattern(self, clock_s: float, number: int, cycle_s: int, offset_s: int) -> None:
        """The plan in force."""
        found = (number, cycle_s, offset_s)
        if found != self._pattern:
            self._pattern = found
            for event, value in zip((Event.PATTERN, Event.CYCLE, Event.OFFSET), found, strict=True):
                self._add(clock_s, event, value)

    def flash(self, clock_s: float, flashing: bool) -> None:
        """Whether the controller flashes: parameter 1 when it begins, 0 when it ends."""
        if flashing != self._flashing:
            self._flashing = flashing
            self._add(clock_s, Event.FLASH, int(flashing))

    def _add(self, at_s: float, event: Event, parameter: int) -> None:
        # Cut off, not rounded: a tenth must not carry an event over the change of a light.
        self.events.append((math.floor(10 * at_s + 1e-6) / 10, int(event), parameter))

    @property
    def detector_config(self) -> list[dict[str, Any]]:
        """Rows for ``atspm``: the phase of each channel and what it is for.

        Advance loops count arrivals, stop-line loops tell the presence at the stop line. A lane
        that several groups leave from belongs to its through movement.
        """
        rank = {"through": 0, "left": 1, "right": 2, "uturn": 3}
        index = self.junction.group_index
        owner: dict[str, int] = {}
        for movement in sorted(self.junction.movements, key=lambda m: rank.get(m.kind, 9)):
            for lane in movement.lanes:
                owner.setdefault(lane, index[movement.group] + 1)
        loops = [spec for spec in layout(self.junction) if "occupied" in spec.fields]
        return [
            {
                "DeviceId": self.device,
                "Phase": owner[spec.id.partition("/")[2]],
                "Parameter": channel,
                "Function": "Advance" if spec.kind == "advance_loop" else "Presence",
            }
            for channel, spec in enumerate(loops, 1)
            if spec.id.partition("/")[2] in owner
        ]

    def rows(self) -> list[tuple[datetime, int, int, int]]:
        """All events in order of time."""
        return [
            (self._day + timedelta(seconds=at_s), self.device, event, parameter)
            for at_s, event, parameter in sorted(self.events, key=lambda row: row[0])
        ]

    def write(self, file: Path) -> None:
        """Write a CSV or, by its name, parquet file.

        Raises:
            OutputError: It cannot be written.
            MissingDependencyError: polars is not installed, for parquet.
        """
        try:
            if file.suffix == ".parquet":
                self._write_parquet(file)
                return
            with file.open("w", newline="", encoding="utf-8") as stream:
                writer = csv.writer(stream)
                writer.writerow(COLUMNS)
                for at, *rest in self.rows():
                    writer.writerow([at.isoformat(sep=" ", timespec="milliseconds"), *rest])
        except OSError as error:
            raise OutputError(f"cannot write {file}: {error.strerror or error}") from error

    def _write_parquet(self, file: Path) -> None:
        try:
            import polars
        except ImportError as error:
            raise MissingDependencyError("polars", "sim", "a parquet file") from error
        schema: dict[str, Any] = {
            "TimeStamp": polars.Datetime("ms"),
            "DeviceId": polars.Int32,
            "EventId": polars.Int16,
            "Parameter": polars.Int16,
        }
        polars.DataFrame(self.rows(), schema=schema, orient="row").write_parquet(file)

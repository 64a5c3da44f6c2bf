"""One controller unit: rings, coordination, backup timer, monitor, and the state they share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from controllers.ntcip.assignment import Assignment
from controllers.ntcip.objects import (
    FLASH_PATTERN,
    FREE_PATTERN,
    ControlStatus,
    FlashStatus,
    LocalFree,
    PhaseControl,
)
from controllers.virtual.coordinator import Coordinator, Pattern
from controllers.virtual.monitor import ConflictMonitor
from controllers.virtual.rings import TICKS_PER_S, Inputs, PhaseTiming, RingDiagram, Rings
from signals.errors import InputError
from signals.junction import Junction
from signals.plan import Plan

BACKUP_TIME_S = 10
START_RED_S = 6
"""All red after a restart, before anything moves (s)."""
DARK_S = 5
"""How long a restart takes: outputs flash, nobody answers (s)."""
_RED_REVERT_TENTHS = 10
_PASSAGE_TENTHS = 30
_GREENS_IN_A_RED = 5
"""In free operation four stages have their turn within the longest red."""


@dataclass
class Control:
    """What a central system has written; zeroed when it falls silent.

    Attributes:
        masks: phaseControlGroup, one mask of phases for each column.
        pattern: systemPatternControl.
        sync: systemSyncControl.
        preempts: preemptControlState by number.
    """

    masks: dict[PhaseControl, int] = field(default_factory=lambda: dict.fromkeys(PhaseControl, 0))
    pattern: int = 0
    sync: int = 0
    preempts: dict[int, int] = field(default_factory=lambda: {1: 0, 2: 0})

    @property
    def steering(self) -> bool:
        """Whether phases are omitted or held, so that the order of the rings is not theirs."""
        return bool(self.masks[PhaseControl.PHASE_OMIT] or self.masks[PhaseControl.HOLD])


class Unit:
    """A controller at one junction.

    Args:
        junction: Its phases and timing.
        plans: Time-of-day plans with the clock second from which each holds, in order.
        clock_s: Seconds since midnight.
        log: Gets one line for every trip of the monitor, backup and restart.

    Raises:
        InputError: No plan, or the junction needs more phases than a controller has.
    """

    def __init__(
        self,
        junction: Junction,
        plans: Sequence[tuple[int, Plan]],
        clock_s: float,
        log: Callable[[str], None] = lambda line: None,
    ) -> None:
        if not plans:
            raise InputError(f"junction {junction.id} has no time-of-day plan to run; give one")
        self.assignment = Assignment.of(junction)
        self._plans = tuple(plans)
        self._log = log
        self._ticks = 0
        self._clock_s = clock_s
        self.monitor = ConflictMonitor(self.assignment.conflicts, self.assignment.walkers)
        self.backups = 0
        self.commands = 0
        self.longest_silence_s = 0.0
        self.detectors: dict[int, tuple[int, int]] = {}
        self._readings: NDArray[np.float64] | None = None
        self._called_by = [self.assignment.calls(number) for number in self.assignment.phases]
        self.sequence = 0
        self._dark_ticks = 0
        self._boot()

    def _boot(self) -> None:
        """Everything that a power cut forgets."""
        junction = self.assignment.junction
        timing = []
        for group in junction.groups:
            row = junction.timing.groups[group.id]
            longest_s = min(junction.timing.max_green_s, row.max_red_s // _GREENS_IN_A_RED, 255)
            walker = group.kind == "pedestrian"
            timing.append(
                PhaseTiming(
                    walk_s=row.min_green_s if walker else 0,
                    pedestrian_clear_s=row.clearance_s if walker else 0,
                    minimum_green_s=0 if walker else row.min_green_s,
                    passage_tenths=0 if walker else _PASSAGE_TENTHS,
                    maximum_1_s=longest_s,
                    maximum_2_s=longest_s,
                    yellow_tenths=0 if walker else row.clearance_s * 10,
                    red_clear_tenths=row.all_red_s * 10,
                    red_revert_tenths=_RED_REVERT_TENTHS,
                )
            )
        self.timing = timing
        found = self.assignment
        diagram = RingDiagram(found.rings, found.sides, found.conflicts, found.walkers)
        self.rings = Rings(diagram, timing)
        self.coordinator = Coordinator(
            found, [Pattern.of(plan, begin_s, found) for begin_s, plan in self._plans]
        )
        self.control = Control()
        self.backup_time_s = BACKUP_TIME_S
        self.coord_mode = 0
        self._silent_ticks = 0
        self.commanded = False
        self._backup = False
        self._presence = 0
        self._walk_calls = 0
        self._red_ticks = 0
        self._flashing = False
        self._next = 0
        self.period_s = 1
        if not self.monitor.fault:
            self.monitor.reset()

    # Time.

    @property
    def clock_s(self) -> float:
        """Its own clock, seconds since midnight; somebody may have set it wrong."""
        return self._clock_s

    def set_clock(self, clock_s: float) -> None:
        """Set the clock, as a technician or a time server does."""
        self._clock_s = clock_s

    def tick(self) -> None:
        """A tenth of a second."""
        self._ticks += 1
        if self._dark_ticks:
            self._dark_ticks -= 1
            if not self._dark_ticks:
                self._boot()
                self._red_ticks = START_RED_S * TICKS_PER_S
                self._log("started again, all red before the plan")
        elif self.monitor.fault:
            pass
        else:
            self._run()
        self._clock_s += 1 / TICKS_PER_S
        if self._ticks % TICKS_PER_S == 0:
            self._clock_s = round(self._clock_s)

    def second(self) -> None:
        """Ten ticks."""
        for _ in range(TICKS_PER_S):
            self.tick()

    def _run(self) -> None:
        if self.commanded and self.backup_time_s:
            self._silent_ticks += 1
            self.longest_silence_s = max(self.longest_silence_s, self._silent_ticks / TICKS_PER_S)
            if self._silent_ticks > self.backup_time_s * TICKS_PER_S:
                self._back_up()
        if self._flashing and not self._flash_wanted:
            self._flashing = False
            self._red_ticks = START_RED_S * TICKS_PER_S
        if self._red_ticks:
            self._red_ticks -= 1
            self.rings.tick(Inputs(omit=self.assignment.all))
        else:
            self.rings.tick(self._inputs())
            self.control.masks[PhaseControl.FORCE_OFF] &= ~self.rings.ended
        if self._flash_wanted and not self.rings.on:
            self._flashing = True
        if not self._flashing:
            self.monitor.look(*self.outputs)
            if self.monitor.fault:
                self._log(f"the conflict monitor tripped: {self.monitor.fault}")
                self.rings.dark()

    def _inputs(self) -> Inputs:
        masks = self.control.masks
        omit = masks[PhaseControl.PHASE_OMIT] | (
            masks[PhaseControl.PED_OMIT] & self.assignment.walkers
        )
        called = (masks[PhaseControl.VEH_CALL] & ~self.assignment.walkers) | (
            masks[PhaseControl.PED_CALL] & self.assignment.walkers
        )
        if self._flash_wanted:
            return Inputs(omit=self.assignment.all, force_off=self.assignment.all)
        walk_calls = self._walk_calls
        if self.assignment.junction.timing.recall == "always":
            walk_calls |= self.assignment.walkers
        if self.pattern == FREE_PATTERN:
            self.coordinator.leave()
            recall = self.assignment.all & ~self.assignment.walkers
            steering = self.control.steering
            own = 0 if steering else recall | walk_calls
            inputs = Inputs(
                calls=own | called,
                presence=self._presence,
                actuated=not steering,
            )
        else:
            inputs = self.coordinator.inputs(self.pattern, self.clock_s, self.rings, walk_calls)
            inputs.calls |= called
        inputs.omit |= omit
        inputs.hold |= masks[PhaseControl.HOLD]
        inputs.force_off |= masks[PhaseControl.FORCE_OFF]
        self._walk_calls &= ~self.rings.greens
        self._next = inputs.calls & ~inputs.omit & ~self.rings.on
        return inputs

    # Central control.

    @property
    def pattern(self) -> int:
        """Pattern in force: 1 and up, 254 free, 255 flash."""
        for wanted in (self.coord_mode, self.control.pattern if self.coord_mode == 0 else 0):
            if wanted in (FREE_PATTERN, FLASH_PATTERN) or (
                1 <= wanted <= len(self.coordinator.patterns)
            ):
                return wanted
        return self.coordinator.by_time_of_day(self.clock_s)

    @property
    def _flash_wanted(self) -> bool:
        return self.pattern == FLASH_PATTERN

    def commanded_now(self) -> None:
        """A central system wrote to a control object: the backup timer begins anew."""
        self.commanded = True
        self._backup = False
        self._silent_ticks = 0
        self.commands += 1

    def _back_up(self) -> None:
        self.control = Control()
        self.commanded = False
        self._backup = True
        self.backups += 1
        self._log(f"no command for {self.backup_time_s} s, back to the own plan")

    def restart(self) -> None:
        """Lose power: outputs flash, nobody answers, and everything volatile is forgotten."""
        self._log("restarting")
        self.rings.dark()
        self._dark_ticks = DARK_S * TICKS_PER_S

    @property
    def answers(self) -> bool:
        """Whether the unit is awake."""
        return not self._dark_ticks

    @property
    def control_status(self) -> ControlStatus:
        """The object unitControlStatus."""
        if self._backup:
            return ControlStatus.BACKUP_MODE
        return ControlStatus.SYSTEM_CONTROL if self.commanded else ControlStatus.TIMEBASE

    @property
    def flash_status(self) -> FlashStatus:
        """The object unitFlashStatus."""
        if self.monitor.fault:
            return FlashStatus.MMU
        if self._dark_ticks:
            return FlashStatus.STARTUP
        return FlashStatus.AUTOMATIC if self._flashing else FlashStatus.NOT_FLASH

    @property
    def free_status(self) -> LocalFree:
        """The object localFreeStatus."""
        if self.pattern != FREE_PATTERN:
            return LocalFree.NOT_FREE
        return LocalFree.COMMAND_FREE

    @property
    def presence(self) -> int:
        """Phases whose detectors see somebody."""
        return self._presence

    @property
    def walk_calls(self) -> int:
        """Crosswalks that have been called."""
        return self._walk_calls

    @property
    def cycle_status_s(self) -> int:
        """The object coordCycleStatus: seconds until the cycle ends, 0 outside coordination."""
        pattern = self._in_force
        return 0 if pattern is None else int(pattern.cycle_s - pattern.place_s(self.clock_s))

    @property
    def sync_status_s(self) -> int:
        """The object coordSyncStatus: seconds since the cycle began, 0 outside coordination."""
        pattern = self._in_force
        return 0 if pattern is None else int(pattern.place_s(self.clock_s))

    @property
    def _in_force(self) -> Pattern | None:
        number = self.pattern
        patterns = self.coordinator.patterns
        return patterns[number - 1] if number <= len(patterns) else None

    @property
    def nexts(self) -> int:
        """Phases that will start when they may."""
        return self._next

    # Outputs and inputs.

    @property
    def flashing(self) -> bool:
        """Whether the lights flash instead of showing phases."""
        return self.flash_status is not FlashStatus.NOT_FLASH

    @property
    def outputs(self) -> tuple[int, int, int]:
        """Channels with red, yellow and green lit."""
        rings = self.rings
        lit = rings.greens | rings.yellows
        return self.assignment.all & ~lit, rings.yellows, rings.greens

    def lights(self) -> str:
        """SUMO's state string: what the links of each channel show now."""
        junction = self.assignment.junction
        if self.flashing:
            return "o" * len(junction.link_red)
        _, yellows, greens = self.outputs
        shown = list(junction.link_red)
        for channel, group in enumerate(junction.groups):
            for link in group.links:
                if greens >> channel & 1:
                    shown[link] = junction.link_green[link]
                elif yellows >> channel & 1 and group.kind != "pedestrian":
                    shown[link] = "y"
        return "".join(shown)

    def sense(self, values: NDArray[np.float64]) -> None:
        """Take the detector readings of the second that has passed.

        Args:
            values: (detectors, fields) in the order of `signals.detectors.layout`.
        """
        self.detectors = self.assignment.to_table(values, self._readings)
        self._readings = values
        self.sequence = (self.sequence + 1) % 256
        presence = 0
        for p, rows in enumerate(self._called_by):
            seen = values[list(rows)]
            walker = self.assignment.walkers >> p & 1
            # People who wait; vehicles that stand in the zone or are on the loop.
            if (seen[:, (1,) if walker else (1, 4)] > 0).any():
                presence |= 1 << p
        self._presence = presence & ~self.assignment.walkers
        self._walk_calls |= presence & self.assignment.walkers

"""The conflict monitor (MMU): looks at the load-switch outputs only, and latches to flash.

It has its own programming card (which channels conflict), counts on its own, and trusts nobody.

Source: NEMA TS 2, malfunction management unit: conflict 200 to 500 ms, no indication on a channel
700 to 1000 ms, two indications on a channel 350 to 500 ms, yellow shorter than 2.7 s, and yellow
plus red clearance before a conflicting green shorter than 2.7 s.
"""

from __future__ import annotations

from collections.abc import Sequence

CONFLICT_TICKS = 3
ABSENT_TICKS = 8
DUAL_TICKS = 4
YELLOW_TICKS = 27
"""Tenths of a second."""


class ConflictMonitor:
    """One cabinet's monitor.

    Args:
        conflicts: For each channel the mask of channels that must not be active with it.
        walkers: Channels of crosswalks: their middle light is the clearance, not a yellow.

    Attributes:
        fault: What tripped it, empty while all is well; it stays until somebody resets it.
        trips: How often it has tripped.
    """

    def __init__(self, conflicts: Sequence[int], walkers: int) -> None:
        self._conflicts = tuple(conflicts)
        self._walkers = walkers
        self._size = len(self._conflicts)
        self._all = (1 << self._size) - 1
        self.trips = 0
        self.fault = ""
        self.reset()

    def reset(self) -> None:
        """What a technician does at the cabinet."""
        self.fault = ""
        self._conflict = [0] * self._size
        self._absent = [0] * self._size
        self._dual = [0] * self._size
        self._yellow = [0] * self._size
        self._since_green = [YELLOW_TICKS] * self._size
        self._before = (0, 0, 0)

    def look(self, reds: int, yellows: int, greens: int) -> None:
        """One tenth of a second of the outputs.

        Args:
            reds: Channels whose red is lit; don't walk of a crosswalk.
            yellows: Channels whose yellow is lit; pedestrian clearance of a crosswalk.
            greens: Channels whose green is lit; walk of a crosswalk.
        """
        if self.fault:
            return
        active = yellows | greens
        none = self._all & ~(reds | active)
        double = (reds & active) | (yellows & greens)
        before_yellow, before_green = self._before[1], self._before[2]
        same = (reds, yellows, greens) == self._before and not none and not double
        for c in range(self._size):
            bit = 1 << c
            clash = bool(active & bit and active & self._conflicts[c])
            self._conflict[c] = self._conflict[c] + 1 if clash else 0
            if self._conflict[c] >= CONFLICT_TICKS:
                foe = (active & self._conflicts[c]).bit_length()
                self._trip(f"conflict: channels {c + 1} and {foe}")
            self._since_green[c] = 0 if greens & bit else self._since_green[c] + 1
            if same:
                self._yellow[c] += bool(yellows & bit)
                continue
            self._absent[c] = self._absent[c] + 1 if none & bit else 0
            if self._absent[c] >= ABSENT_TICKS:
                self._trip(f"no indication on channel {c + 1}")
            self._dual[c] = self._dual[c] + 1 if double & bit else 0
            if self._dual[c] >= DUAL_TICKS:
                self._trip(f"two indications on channel {c + 1}")
            if yellows & bit:
                self._yellow[c] = self._yellow[c] + 1 if before_yellow & bit else 1
            elif not self._walkers & bit:
                if before_yellow & bit and self._yellow[c] < YELLOW_TICKS:
                    self._trip(f"yellow of channel {c + 1} for {self._yellow[c] / 10:.1f} s")
                if before_green & bit and not greens & bit:
                    self._trip(f"channel {c + 1} from green to red without yellow")
            if greens & bit and not before_green & bit:
                self._clearance(c)
        self._before = (reds, yellows, greens)

    def _clearance(self, channel: int) -> None:
        for foe in range(self._size):
            if self._conflicts[channel] >> foe & 1 and self._since_green[foe] < YELLOW_TICKS:
                self._trip(
                    f"channel {channel + 1} green {self._since_green[foe] / 10:.1f} s after the "
                    f"green of channel {foe + 1}"
                )

    def _trip(self, fault: str) -> None:
        if not self.fault:
            self.fault = fault
            self.trips += 1

"""The objects of NTCIP 1202 that this product speaks: identifiers, states, bit groups.

Source: NTCIP 1202 (Actuated Traffic Signal Controller Units, sections of the phase, detector,
unit, coordination, ring and channel parameters) and NTCIP 1201 (global time).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import IntEnum

Oid = tuple[int, ...]

DEVICES: Oid = (1, 3, 6, 1, 4, 1, 1206, 4, 2)
"""Subtree of NTCIP devices: nothing outside it is served or asked for."""
ASC: Oid = (*DEVICES, 1)
"""Subtree of the actuated signal controller."""
GROUP_SIZE = 8
MAX_PHASES = 16
MAX_DETECTORS = 255
PHASE_GROUPS = MAX_PHASES // GROUP_SIZE


class PhaseColumn(IntEnum):
    """Columns of phaseTable; times in s, or 0.1 s where the name says tenths."""

    NUMBER = 1
    WALK = 2
    PEDESTRIAN_CLEAR = 3
    MINIMUM_GREEN = 4
    PASSAGE_TENTHS = 5
    MAXIMUM_1 = 6
    MAXIMUM_2 = 7
    YELLOW_TENTHS = 8
    RED_CLEAR_TENTHS = 9
    RED_REVERT_TENTHS = 10
    RING = 22
    CONCURRENCY = 23


class PhaseStatus(IntEnum):
    """Columns of phaseStatusGroupTable."""

    REDS = 2
    YELLOWS = 3
    GREENS = 4
    DONT_WALKS = 5
    PED_CLEARS = 6
    WALKS = 7
    VEH_CALLS = 8
    PED_CALLS = 9
    PHASE_ONS = 10
    PHASE_NEXTS = 11


class PhaseControl(IntEnum):
    """Columns of phaseControlGroupTable."""

    PHASE_OMIT = 2
    PED_OMIT = 3
    HOLD = 4
    FORCE_OFF = 5
    VEH_CALL = 6
    PED_CALL = 7


class ControlStatus(IntEnum):
    """Values of unitControlStatus: who has the say."""

    SYSTEM_CONTROL = 2
    SYSTEM_STANDBY = 3
    BACKUP_MODE = 4
    MANUAL = 5
    TIMEBASE = 6


class FlashStatus(IntEnum):
    """Values of unitFlashStatus."""

    NOT_FLASH = 2
    AUTOMATIC = 3
    LOCAL_MANUAL = 4
    FAULT_MONITOR = 5
    MMU = 6
    STARTUP = 7
    PREEMPT = 8


class LocalFree(IntEnum):
    """Values of localFreeStatus."""

    NOT_FREE = 2
    COMMAND_FREE = 3
    TRANSITION_FREE = 4
    COORD_FREE = 6


class ChannelStatus(IntEnum):
    """Columns of channelStatusGroupTable: the load-switch outputs."""

    REDS = 2
    YELLOWS = 3
    GREENS = 4


FREE_PATTERN = 254
FLASH_PATTERN = 255
RING_GAP_OUT, RING_MAX_OUT, RING_FORCE_OFF = 1 << 3, 1 << 4, 1 << 5

GLOBAL_TIME: Oid = (*DEVICES, 6, 3, 1, 0)
"""globalTime of NTCIP 1201: seconds since 1970, on the controller's own local clock."""
VOLUME_OCCUPANCY_SEQUENCE: Oid = (*ASC, 2, 5, 1, 0)
VOLUME_OCCUPANCY_PERIOD: Oid = (*ASC, 2, 5, 2, 0)
BACKUP_TIME: Oid = (*ASC, 3, 3, 0)
CONTROL_STATUS: Oid = (*ASC, 3, 5, 0)
FLASH_STATUS: Oid = (*ASC, 3, 6, 0)
COORD_MODE: Oid = (*ASC, 4, 1, 0)
COORD_PATTERN_STATUS: Oid = (*ASC, 4, 10, 0)
LOCAL_FREE_STATUS: Oid = (*ASC, 4, 11, 0)
COORD_CYCLE_STATUS: Oid = (*ASC, 4, 12, 0)
COORD_SYNC_STATUS: Oid = (*ASC, 4, 13, 0)
SYSTEM_PATTERN: Oid = (*ASC, 4, 14, 0)
SYSTEM_SYNC: Oid = (*ASC, 4, 15, 0)


def phase(column: PhaseColumn, number: int) -> Oid:
    """One cell of phaseTable."""
    return (*ASC, 1, 2, 1, int(column), number)


def phase_status(column: PhaseStatus, group: int) -> Oid:
    """One cell of phaseStatusGroupTable."""
    return (*ASC, 1, 4, 1, int(column), group)


def phase_control(column: PhaseControl, group: int) -> Oid:
    """One cell of phaseControlGroupTable."""
    return (*ASC, 1, 5, 1, int(column), group)


DETECTOR_VOLUMES: Oid = (*ASC, 2, 5, 4, 1, 1)
DETECTOR_OCCUPANCIES: Oid = (*ASC, 2, 5, 4, 1, 2)


def detector_volume(number: int) -> Oid:
    """The object detectorVolume: vehicles of the last period."""
    return (*DETECTOR_VOLUMES, number)


def detector_occupancy(number: int) -> Oid:
    """The object detectorOccupancy: in steps of 0.5 %, or a fault from 210 up."""
    return (*DETECTOR_OCCUPANCIES, number)


def pattern(column: int, number: int) -> Oid:
    """One cell of patternTable: 2 cycle, 3 offset, 4 split, 5 sequence."""
    return (*ASC, 4, 7, 1, column, number)


def split(column: int, number: int, of_phase: int) -> Oid:
    """One cell of splitTable: 3 time, 4 mode, 5 coordinated phase."""
    return (*ASC, 4, 9, 1, column, number, of_phase)


def preempt_control(number: int) -> Oid:
    """The object preemptControlState."""
    return (*ASC, 6, 3, 1, 2, number)


def ring_status(ring: int) -> Oid:
    """The object ringStatus: bit 3 gap-out, 4 max-out, 5 force-off."""
    return (*ASC, 7, 6, 1, 1, ring)


def channel_status(column: ChannelStatus, group: int) -> Oid:
    """One cell of channelStatusGroupTable."""
    return (*ASC, 8, 4, 1, int(column), group)


OCCUPANCY_STEPS = 200
"""detectorOccupancy of a detector that was occupied all the time."""
DETECTOR_FAULTS = {
    210: "maximum presence",
    211: "no activity",
    212: "open loop",
    213: "shorted loop",
    214: "excessive change",
    216: "watchdog",
    217: "erratic",
}


def mask_of(numbers: Iterable[int]) -> int:
    """Bits of phase (or channel) numbers counted from 1: bit 0 is number 1."""
    mask = 0
    for number in numbers:
        mask |= 1 << (number - 1)
    return mask


def numbers_in(mask: int) -> tuple[int, ...]:
    """Inverse of `mask_of`."""
    return tuple(bit + 1 for bit in range(mask.bit_length()) if mask >> bit & 1)


def octet(mask: int, group: int) -> int:
    """The eight bits of one group (counted from 1) of a mask."""
    return mask >> (group - 1) * GROUP_SIZE & 0xFF


def joined(octets: Sequence[int]) -> int:
    """The mask whose groups, from 1 up, are these octets."""
    mask = 0
    for index, value in enumerate(octets):
        mask |= (value & 0xFF) << index * GROUP_SIZE
    return mask

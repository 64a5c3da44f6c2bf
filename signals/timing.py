"""Signal timing formulas (신호시간 산정) and the timing table of one junction.

Every light that the guard shows is bounded by numbers computed here, and nowhere else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

REACTION_S = 1.0
"""Driver reaction time Tb (s)."""
DECELERATION_MPS2 = 5.0
"""Braking deceleration d (m/s2)."""
START_DELAY_S = 1.5
"""Start-up delay Ts of the traffic released next (s)."""
VEHICLE_LENGTH_M = 5.0
"""Design vehicle length L (m)."""
YELLOW_BOUNDS_S = (3, 5)
ALL_RED_BOUNDS_S = (1, 2)
WALK_S = 7
"""Solid pedestrian green (s)."""
WALKING_SPEED_MPS = 1.0
WALKING_SPEED_SCHOOL_ZONE_MPS = 0.8

Recall = Literal["always", "call"]


def change_interval_s(speed_mps: float, width_m: float) -> float:
    """Unrounded change interval, ``Y = Tb + V/2d + (W+L)/V - Ts``.

    Args:
        speed_mps: Approach speed V (m/s), the posted limit.
        width_m: Clearing distance W from the stop line to the far side of the conflict (m).

    Returns:
        The interval in seconds, before rounding and clamping.

    Source: Korean practice for the yellow interval (황색신호시간), Tb 1.0 s, d 5.0 m/s2,
    Ts 1.5 s, as published in two Korean traffic engineering texts.
    """
    return (
        REACTION_S
        + speed_mps / (2 * DECELERATION_MPS2)
        + (width_m + VEHICLE_LENGTH_M) / speed_mps
        - START_DELAY_S
    )


def yellow_and_all_red_s(speed_mps: float, width_m: float) -> tuple[int, int]:
    """Yellow and all-red in whole seconds.

    The change interval is rounded up, yellow takes 3 to 5 s of it, and what is left over is
    all-red, 1 to 2 s. An all-red of at least 1 s is kept even when nothing is left over
    (assumed: the source gives 1-2 s without saying when none is allowed).

    Args:
        speed_mps: Approach speed (m/s).
        width_m: Clearing distance (m).

    Returns:
        ``(yellow_s, all_red_s)``.
    """
    interval_s = math.ceil(round(change_interval_s(speed_mps, width_m), 6))
    yellow_s = min(max(interval_s, YELLOW_BOUNDS_S[0]), YELLOW_BOUNDS_S[1])
    all_red_s = min(max(interval_s - yellow_s, ALL_RED_BOUNDS_S[0]), ALL_RED_BOUNDS_S[1])
    return yellow_s, all_red_s


def pedestrian_times_s(
    length_m: float, walking_speed_mps: float = WALKING_SPEED_MPS
) -> tuple[int, int]:
    """Walk and flashing clearance of a crosswalk (보행 녹색, 녹색점멸).

    Pedestrian green is 7 s + length / walking speed: the 7 s are solid green, the rest flashes.
    32 m gives 39 s; 15 m in a school zone (0.8 m/s) gives 26 s.

    Args:
        length_m: Crossing length (m).
        walking_speed_mps: 1.0, or 0.8 in school and silver zones (m/s).

    Returns:
        ``(walk_s, clearance_s)``.

    Source: Seoul pedestrian signal rule as reported by etoday (2013) and socialfocus (2021).
    """
    return WALK_S, math.ceil(round(length_m / walking_speed_mps, 6))


@dataclass(frozen=True, slots=True)
class TimingRules:
    """What the engineer sets; everything else follows from geometry.

    Attributes:
        min_green_s: Minimum vehicle green (s).
        max_green_s: A phase that somebody else waits for is held no longer than this (s).
        max_red_s: No vehicle group stays red longer than this (s).
        pedestrian_max_red_s: No crosswalk stays red longer than this (s).
        walking_speed_mps: 1.0, or 0.8 in school and silver zones (m/s).
        pedestrian_buffer_s: Red between the end of flashing green and a conflicting green (s).
        right_turn_on_red: Right turns may proceed on red after a full stop.
        pedestrians: False leaves the crosswalks out, for comparison with papers.
        recall: ``always`` serves a crosswalk whenever its phase runs, ``call`` on a call only.
        yellow_s: Override of the yellow formula (s), named in every result that used it.
        all_red_s: Override of the all-red formula (s), named in every result that used it.
    """

    min_green_s: int = 7
    max_green_s: int = 120
    max_red_s: int = 200
    pedestrian_max_red_s: int = 200
    walking_speed_mps: float = WALKING_SPEED_MPS
    pedestrian_buffer_s: int = 1
    right_turn_on_red: bool = True
    pedestrians: bool = True
    recall: Recall = "always"
    yellow_s: int | None = None
    all_red_s: int | None = None


@dataclass(frozen=True, slots=True)
class GroupTiming:
    """Timing of one signal group, whole seconds.

    For a pedestrian group ``min_green_s`` is the walk, ``clearance_s`` the flashing green and
    ``all_red_s`` the buffer before a conflicting green; for vehicles ``clearance_s`` is the yellow.
    """

    min_green_s: int
    clearance_s: int
    all_red_s: int
    max_red_s: int


@dataclass(frozen=True, slots=True)
class TimingTable:
    """Timing of all signal groups of a junction.

    Attributes:
        groups: Group id to its timing.
        max_green_s: Longest hold of a phase while another group waits (s).
        recall: Pedestrian recall.
    """

    groups: Mapping[str, GroupTiming]
    max_green_s: int
    recall: Recall

    def intergreen_s(self, leaving: str) -> int:
        """Seconds from the end of green of ``leaving`` to a conflicting green."""
        timing = self.groups[leaving]
        return timing.clearance_s + timing.all_red_s

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        return {
            "groups": {key: asdict(value) for key, value in sorted(self.groups.items())},
            "max_green_s": self.max_green_s,
            "recall": self.recall,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TimingTable:
        """Inverse of `to_dict`."""
        return cls(
            groups={key: GroupTiming(**value) for key, value in data["groups"].items()},
            max_green_s=int(data["max_green_s"]),
            recall=data["recall"],
        )

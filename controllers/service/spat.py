"""What the lights show, in the words that vehicles and the city's feed use.

States are those of SAE J2735 (MovementPhaseState). The city's V2X feed (T-Data) is one flat object
for each junction: ``{leg}{light}StatNm`` and ``{leg}{light}RmdrCs``, the latter in 0.1 s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from controllers.registry.tables import Decision
from signals.junction import Junction, Movement
from signals.lights import CLEARANCE, GREEN, RED

STATES = (
    "unavailable",
    "dark",
    "stop-Then-Proceed",
    "stop-And-Remain",
    "pre-Movement",
    "permissive-Movement-Allowed",
    "protected-Movement-Allowed",
    "permissive-clearance",
    "protected-clearance",
    "caution-Conflicting-Traffic",
)
"""MovementPhaseState 0 to 9."""
FRESH_MS = 10_000
"""Lights that were reported longer ago are unavailable (ms)."""
UNKNOWN_CS = 36_001
"""Remaining time that nobody knows, as the feed writes it."""
_LIGHTS = {"through": "Stsg", "left": "Ltsg", "uturn": "Utsg", "pedestrian": "Pdsg"}
_LEGS = {"N": "nt", "NE": "ne", "E": "et", "SE": "se", "S": "st", "SW": "sw", "W": "wt", "NW": "nw"}


@dataclass(frozen=True, slots=True)
class Lights:
    """The lights of one junction as its controller last reported them.

    Attributes:
        at_ms: When they were reported.
        phase: Phase being served or changed to.
        held_s: Seconds since all its vehicle groups are green.
        indications: Of each group.
        elapsed_s: Seconds each group has shown it.
    """

    at_ms: int
    phase: int
    held_s: int
    indications: tuple[int, ...]
    elapsed_s: tuple[int, ...]

    @classmethod
    def of(cls, row: Decision) -> Lights:
        """The lights that a decision was made from."""
        phase, held_s, shown, elapsed_s = row.state.split("/")
        return cls(
            row.at_ms,
            int(phase),
            int(held_s),
            tuple(map(int, shown)),
            tuple(map(int, elapsed_s.split(","))),
        )


def spat(junction: Junction, lights: Lights | None, now_ms: int) -> dict[str, Any]:
    """Signal phase and timing of one junction.

    Args:
        junction: The junction.
        lights: Last report, None when there was none.
        now_ms: Older reports than `FRESH_MS` make every light unavailable.
    """
    fresh = lights is not None and now_ms - lights.at_ms <= FRESH_MS
    return {
        "id": junction.id,
        "timestamp": None if lights is None else _iso(lights.at_ms),
        "status": "ok" if fresh else "no recent report",
        "phase": junction.phases[lights.phase].name if lights is not None and fresh else None,
        "states": [
            {
                "signalGroup": number + 1,
                "name": group.id,
                "kind": group.kind,
                "movements": list(group.movements),
                "eventState": STATES[lights.indications[number]]
                if lights is not None and fresh
                else STATES[0],
                "value": lights.indications[number] if lights is not None and fresh else 0,
                "timing": _timing(junction, lights, number)
                if lights is not None and fresh
                else None,
            }
            for number, group in enumerate(junction.groups)
        ],
    }


def city_feed(found: Sequence[tuple[Junction, Lights | None]], now_ms: int) -> list[dict[str, Any]]:
    """The city's V2X shape: one object a junction, lights that nobody reports left out.

    A leg is the side of the junction that a stream comes from, or the one that is crossed.

    Args:
        found: Junctions and their last reports.
        now_ms: Junctions without a fresh report are left out.
    """
    feed: list[dict[str, Any]] = []
    for junction, lights in found:
        if lights is None or now_ms - lights.at_ms > FRESH_MS:
            continue
        item: dict[str, Any] = {
            "itstId": junction.id,
            "eqmnId": junction.id,
            "trsmUtcTime": lights.at_ms,
        }
        for movement in junction.movements:
            name = _light(movement)
            if name is None:
                continue
            number = junction.group_index[movement.group]
            item[f"{name}StatNm"] = STATES[lights.indications[number]]
            end_s = _end_s(junction, lights, number)
            left_cs = UNKNOWN_CS if end_s is None else 10 * end_s
            item[f"{name}RmdrCs"] = left_cs
        feed.append(item)
    return feed


def _light(movement: Movement) -> str | None:
    leg = _LEGS.get(movement.leg)
    light = "Bssg" if movement.bus else _LIGHTS.get(movement.kind)
    return None if leg is None or light is None else leg + light


def _timing(junction: Junction, lights: Lights, number: int) -> dict[str, Any]:
    group = junction.groups[number].id
    row = junction.timing.groups[group]
    shown, elapsed_s = lights.indications[number], lights.elapsed_s[number]
    end_s = _end_s(junction, lights, number)
    least_s = end_s if end_s is not None else 0
    if shown == GREEN and end_s is None:
        least_s = max(0, row.min_green_s - elapsed_s)
    return {"elapsed_s": elapsed_s, "min_end_s": least_s, "max_end_s": end_s}


def _end_s(junction: Junction, lights: Lights, number: int) -> int | None:
    """Seconds until the light changes for certain, None when that is open."""
    group = junction.groups[number]
    row = junction.timing.groups[group.id]
    shown, elapsed_s = lights.indications[number], lights.elapsed_s[number]
    if shown == CLEARANCE:
        return max(0, row.clearance_s - elapsed_s)
    if shown == GREEN and group.kind == "pedestrian":
        return max(0, row.min_green_s - elapsed_s)
    assert shown in (RED, GREEN)
    return None


def _iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")

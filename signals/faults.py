"""Detector faults as they are written: the kind, the detectors a fault may hit, and when.

`signals.fault_model` applies them to readings.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final, Literal, get_args

from signals.detectors import DetectorKind, DetectorSpec
from signals.errors import InputError, UnknownNameError

FaultKind = Literal["rain", "miscount", "latency", "stuck", "loss"]
KINDS: Final[tuple[FaultKind, ...]] = get_args(FaultKind)
"""Kinds of faults, in the order in which they act on a measurement."""

RAIN_MISSES: Final[Mapping[DetectorKind, tuple[float, float]]] = {
    "near_zone": (0.05, 0.02),
    "exit": (0.10, 0.05),
    "far_zone": (0.40, 0.25),
}
"""In rain of intensity 1, for each video zone: the share of vehicles that the camera does not see,
and the share of time without a reading. Assumed: rain takes more the farther a zone reaches."""
_AMOUNT: Final[Mapping[FaultKind, str]] = {
    "rain": "intensity",
    "miscount": "rate",
    "latency": "delay_s",
    "stuck": "share",
    "loss": "share",
}
"""The attribute that the number of a short form sets."""
_WINDOW = re.compile(r"^(?P<rest>.*)@(?P<begin>\d\d:\d\d)-(?P<end>\d\d:\d\d)$")
SHORT_FORM: Final = "KIND[:DETECTORS][:NUMBER][@HH:MM-HH:MM]"


@dataclass(frozen=True, slots=True)
class FaultSpec:
    """One fault.

    Attributes:
        kind: ``loss`` (no reading), ``stuck`` (the last value stays), ``miscount`` (vehicles are
            overlooked or counted twice), ``latency`` (readings of some seconds ago), ``rain``
            (video zones and exits count less, the far zone least, and go blind for a while).
        detectors: Patterns of detector ids, such as ``near_zone/*``; in a network a pattern may
            begin with the junction's id, such as ``B1/stop_loop/*``.
        share: Share of these detectors that the fault hits, drawn anew each day.
        spell_s: When given, it is drawn anew each so many seconds: detectors fail and recover.
        begin_s: Clock time from which it holds (s since midnight).
        end_s: Clock time at which it ends.
        rate: Of a miscount, the share of vehicles overlooked, and as many counted twice.
        delay_s: Of a latency, the age of readings (s).
        intensity: Of rain, from 0 to 1 (a downpour).

    Raises:
        InputError: A value is out of range.
    """

    kind: FaultKind
    detectors: tuple[str, ...] = ("*",)
    share: float = 1.0
    spell_s: int | None = None
    begin_s: int = 0
    end_s: int = 86_400
    rate: float = 0.1
    delay_s: int = 2
    intensity: float = 0.5

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UnknownNameError("fault", self.kind, KINDS)
        for name in ("share", "rate", "intensity"):
            value = getattr(self, name)
            if not 0.0 <= value <= 1.0:
                raise InputError(f"fault {self.kind}: {name} is {value}; allowed: 0 to 1")
        for name, top in (("delay_s", 3600), ("spell_s", 86_400)):
            value = getattr(self, name)
            if value is not None and not (1 <= value <= top and value == int(value)):
                raise InputError(
                    f"fault {self.kind}: {name} is {value}; allowed: whole seconds from 1 to {top}"
                )
        if not self.detectors:
            raise InputError(f"fault {self.kind} names no detectors; give '*' for all of them")
        if not 0 <= self.begin_s < self.end_s <= 86_400:
            raise InputError(
                f"fault {self.kind}: its window is {_clock(self.begin_s)} to {_clock(self.end_s)}; "
                "give an end after the begin, from 00:00 to 24:00"
            )

    @property
    def text(self) -> str:
        """The fault in one line, as results name it; a short form where that can say it."""
        amount = getattr(self, _AMOUNT[self.kind])
        parts = [f"{self.kind}:{','.join(self.detectors)}:{amount:g}"]
        if (self.begin_s, self.end_s) != (0, 86_400):
            parts.append(f"@{_clock(self.begin_s)}-{_clock(self.end_s)}")
        if _AMOUNT[self.kind] != "share" and self.share < 1.0:
            parts.append(f" share {self.share:g}")
        if self.spell_s is not None:
            parts.append(f" spells of {self.spell_s} s")
        return "".join(parts)

    @classmethod
    def parse(cls, text: str) -> FaultSpec:
        """Read a short form: ``KIND[:DETECTORS][:NUMBER][@HH:MM-HH:MM]``.

        The number is the share of detectors (loss, stuck), the rate (miscount), the seconds
        (latency) or the intensity (rain); patterns of detectors are separated by commas.

        Raises:
            InputError: It is none.
        """
        window = _WINDOW.match(text)
        rest = window["rest"] if window else text
        kind, _, tail = rest.partition(":")
        if kind not in KINDS:
            raise UnknownNameError("fault", kind, KINDS)
        given: dict[str, object] = {}
        patterns, _, last = tail.rpartition(":")
        number = _number(last)
        if number is None:
            patterns = tail
        if "@" in tail or ":" in patterns:
            raise InputError(
                f"fault '{text}' cannot be read; write {SHORT_FORM}, for example "
                "loss:near_zone/*:0.2 or latency:*:3@07:30-08:00"
            )
        if number is not None:
            name = _AMOUNT[kind]
            given[name] = int(number) if number == number // 1 and name == "delay_s" else number
        if patterns:
            given["detectors"] = tuple(filter(None, patterns.split(",")))
        if window:
            given["begin_s"] = clock_seconds(window["begin"])
            given["end_s"] = clock_seconds(window["end"])
        return cls(kind, **given)  # type: ignore[arg-type]

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> FaultSpec:
        """Inverse of `dataclasses.asdict`, after JSON too."""
        return cls(**{**data, "detectors": tuple(data["detectors"])})

    def matches(self, detector: DetectorSpec, junction: str = "") -> bool:
        """Whether the fault may hit a detector of a junction."""
        if self.kind == "rain" and detector.kind not in RAIN_MISSES:
            return False
        names = (detector.id, f"{junction}/{detector.id}")
        return any(fnmatchcase(name, pattern) for pattern in self.detectors for name in names)


def as_faults(items: Iterable[FaultSpec | str]) -> tuple[FaultSpec, ...]:
    """Faults of which some are short forms, see `FaultSpec.parse`.

    Raises:
        InputError: One of them is no fault.
    """
    return tuple(FaultSpec.parse(item) if isinstance(item, str) else item for item in items)


def check_faults(
    specs: Iterable[FaultSpec], detectors: Mapping[str, Sequence[DetectorSpec]]
) -> None:
    """Refuse faults that would hit nothing.

    Args:
        specs: The faults.
        detectors: Junction id to its detectors.

    Raises:
        InputError: A pattern matches no detector of any junction.
    """
    for spec in specs:
        for pattern in spec.detectors:
            alone = FaultSpec(spec.kind, (pattern,))
            if not any(
                alone.matches(detector, junction)
                for junction, members in detectors.items()
                for detector in members
            ):
                junction, members = next(iter(detectors.items()))
                examples = ", ".join(dict.fromkeys(f"{item.kind}/*" for item in members))
                raise InputError(
                    f"fault {spec.text}: '{pattern}' matches no detector"
                    f"{' that rain can hit' if spec.kind == 'rain' else ''}; "
                    f"allowed: {examples}, an id such as {members[0].id}, "
                    f"or {junction}/ before it"
                )


def check_windows(specs: Iterable[FaultSpec], spans: Mapping[str, tuple[float, float]]) -> None:
    """Refuse faults that no run would meet.

    Args:
        specs: The faults.
        spans: Period to the clock times of its begin and end (s since midnight).

    Raises:
        InputError: The window of a fault lies outside all of them.
    """
    for spec in specs:
        if not any(spec.begin_s < end and begin < spec.end_s for begin, end in spans.values()):
            when = ", ".join(
                f"{name} {_clock(int(begin))}-{_clock(int(end))}"
                for name, (begin, end) in spans.items()
            )
            raise InputError(f"fault {spec.text} never holds in what is run: {when}")


def clock_seconds(text: str) -> int:
    """Seconds since midnight of ``HH:MM``, ``24:00`` included.

    Raises:
        InputError: It is no such time.
    """
    match = re.fullmatch(r"(\d\d):(\d\d)", text)
    seconds = int(match[1]) * 3600 + int(match[2]) * 60 if match else -1
    if not match or int(match[2]) > 59 or seconds > 86_400:
        raise InputError(f"'{text}' is no clock time; give HH:MM from 00:00 to 24:00")
    return seconds


def _clock(seconds: int) -> str:
    return f"{seconds // 3600:02d}:{seconds % 3600 // 60:02d}"


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None

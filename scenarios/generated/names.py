"""Names of generated scenarios: ``generated:KIND:SEED``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

from scenarios.demand import HELD_OUT_SEEDS, TRAINING_SEEDS, VALIDATION_SEEDS
from signals.errors import InputError, UnknownNameError

Kind = Literal["junction", "corridor", "grid", "avenue"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
PREFIX: Final = "generated:"
_NAME = re.compile(r"^generated:(?P<kind>[a-z]+):(?P<first>\d+)(?:-(?P<last>\d+))?$")
FORM: Final = "generated:junction:7"


@dataclass(frozen=True, slots=True)
class GeneratedName:
    """What a name says.

    Attributes:
        kind: ``junction``, ``corridor`` (3 to 5 lights), ``grid`` (2 x 2 or 3 x 3) or ``avenue``
            (one wide junction with crosswalks, left-turn pockets and sometimes bus lanes).
        seed: Everything about the street follows from it.
    """

    kind: Kind
    seed: int

    def __str__(self) -> str:
        return f"{PREFIX}{self.kind}:{self.seed}"


def is_generated(name: str) -> bool:
    """Whether a name asks for a generated scenario."""
    return name.startswith(PREFIX)


def parse(name: str) -> GeneratedName:
    """Read one name.

    Raises:
        InputError: It has another form.
        UnknownNameError: There is no such kind.
    """
    found = parse_all(name)
    if len(found) != 1:
        raise InputError(
            f"'{name}' names {len(found)} scenarios, and this takes one; give one like '{FORM}'"
        )
    return found[0]


def parse_all(name: str) -> tuple[GeneratedName, ...]:
    """Read a name that may stand for a range of seeds, such as ``generated:grid:0-5``.

    Raises:
        InputError: It has another form, or a seed of no use.
        UnknownNameError: There is no such kind.
    """
    match = _NAME.match(name)
    if match is None:
        raise InputError(
            f"'{name}' is no generated scenario; give a name like '{FORM}' or "
            f"'generated:grid:0-5', with a kind of: {', '.join(KINDS)}"
        )
    kind = match["kind"]
    if kind not in KINDS:
        raise UnknownNameError("kind of generated scenario", kind, KINDS)
    first = int(match["first"])
    last = int(match["last"] or first)
    if not first <= last < HELD_OUT_SEEDS.stop:
        raise InputError(
            f"'{name}': seeds from {first} to {last}; allowed: in order and below "
            f"{HELD_OUT_SEEDS.stop}"
        )
    return tuple(GeneratedName(kind, seed) for seed in range(first, last + 1))


def expand(names: Sequence[str]) -> tuple[str, ...]:
    """Names with every range of generated seeds written out; other names stay as they are."""
    found: list[str] = []
    for name in names:
        found += map(str, parse_all(name)) if is_generated(name) else [name]
    return tuple(dict.fromkeys(found))


def check_use(name: str, seeds: range, what: str) -> None:
    """Refuse a generated street that is kept for another use.

    Like demand days, streets are kept apart by seed: `TRAINING_SEEDS` are learned on,
    `VALIDATION_SEEDS` choose weights, `HELD_OUT_SEEDS` judge.

    Args:
        name: Any scenario name; those that are not generated may be used for anything.
        seeds: Seeds of this use.
        what: The use, for the message.

    Raises:
        InputError: The seed is kept for another use.
    """
    if not is_generated(name):
        return
    for found in parse_all(name):
        if found.seed not in seeds:
            raise InputError(
                f"'{found}': {what} takes seeds {seeds.start} to {seeds.stop - 1}; "
                f"{TRAINING_SEEDS.start} to {TRAINING_SEEDS.stop - 1} are for training, "
                f"{VALIDATION_SEEDS.start} to {VALIDATION_SEEDS.stop - 1} for choosing, "
                f"{HELD_OUT_SEEDS.start} to {HELD_OUT_SEEDS.stop - 1} for judging"
            )

"""What is wrong with a site file: where, and what to do about it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

Problem = tuple[tuple[str | int, ...], str]
"""Place in the file, and a message that follows it."""


def unknown(what: str, given: str, allowed: Iterable[str]) -> str:
    """A name that is not there, with the nearest one that is."""
    names = list(allowed)
    near = difflib.get_close_matches(given, names, n=1, cutoff=0.4)
    hint = f"did you mean '{near[0]}'? " if near else ""
    return (
        f"names {what} '{given}', which does not exist; {hint}allowed: {', '.join(names) or 'none'}"
    )

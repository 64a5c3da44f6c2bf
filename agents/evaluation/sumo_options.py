"""SUMO options of the user: which are refused, and how the others are fitted into a run."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from agents.evaluation.jobs import Job
from signals.errors import InputError
from signals.world import World

_OURS: Final = {
    "net-file": "n",
    "route-files": "r",
    "begin": "b",
    "end": "e",
    "step-length": "",
    "seed": "",
    "tripinfo-output": "tripinfo",
    "tripinfo-output.write-unfinished": "",
    "tripinfo-output.write-undeparted": "",
    "no-step-log": "",
    "no-warnings": "W",
    "duration-log.disable": "",
    "xml-validation": "",
    "configuration-file": "c",
}
"""SUMO options (and their short names) that the run sets itself."""
_ADDITIONAL: Final = ("--additional-files", "--additional", "-a")


def check_options(options: Sequence[str]) -> None:
    """Refuse SUMO options that would take the run out of our hands.

    Raises:
        InputError: One of them is set by the run itself.
    """
    taken = {f"--{name}" for name in _OURS} | {
        f"--{short}" if len(short) > 1 else f"-{short}" for short in _OURS.values() if short
    }
    for option in options:
        name = option.partition("=")[0]
        if name in taken:
            raise InputError(
                f"SUMO option {name} is set by the run itself; "
                "give further outputs and additional files with --sumo, nothing else"
            )


def with_options(world: World, job: Job) -> tuple[World, tuple[str, ...]]:
    """Fit the job's SUMO options into a world: SUMO takes no option twice.

    Returns:
        The world with further additional files and without options that the job replaces, and the
        options left over.
    """
    check_options(job.sumo)
    name = re.sub(r"[^\w.-]+", "_", job.name)
    given = _pairs(tuple(option.replace("{run}", name) for option in job.sumo))
    more = [
        Path(file)
        for name, *values in given
        if name in _ADDITIONAL
        for value in values
        for file in value.split(",")
    ]
    names = {pair[0] for pair in given}
    kept = tuple(
        part for pair in _pairs(world.sumo_options) if pair[0] not in names for part in pair
    )
    extra = tuple(part for pair in given if pair[0] not in _ADDITIONAL for part in pair)
    changed = replace(world, additional_files=(*world.additional_files, *more), sumo_options=kept)
    return changed, extra


def _pairs(options: Sequence[str]) -> list[tuple[str, ...]]:
    """Options with their values: ``--name value``, ``--name=value`` or a bare ``--name``."""
    found: list[tuple[str, ...]] = []
    for part in options:
        name, _, value = part.partition("=")
        if part.startswith("--") and value:
            found.append((name, value))
        elif part.startswith("-") and not _is_number(part):
            found.append((part,))
        elif found:
            found[-1] = (*found[-1], part)
        else:
            raise InputError(f"'{part}' is no SUMO option; options begin with --")
    return found


def _is_number(text: str) -> bool:
    with contextlib.suppress(ValueError):
        float(text)
        return True
    return False

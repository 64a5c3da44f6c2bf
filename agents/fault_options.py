"""The options ``--fault`` and ``--faults``, which several verbs share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from signals.faults import KINDS, SHORT_FORM, FaultSpec

Command = TypeVar("Command", bound=Callable[..., Any])


def fault_options(command: Command) -> Command:
    """Add ``--fault`` (as ``faults``) and ``--faults`` (as ``faults_file``) to a command."""
    file = click.option(
        "--faults",
        "faults_file",
        type=click.Path(path_type=Path),
        help="YAML file with detector faults under the key 'faults'.",
    )
    short = click.option(
        "--fault",
        "faults",
        multiple=True,
        metavar=SHORT_FORM,
        help=f"Detector fault ({', '.join(KINDS)}), such as loss:near_zone/*:0.2; repeat it.",
    )
    return short(file(command))


def gather_faults(file: Path | None, short: Sequence[str]) -> tuple[FaultSpec, ...]:
    """The faults of both options, each once.

    Raises:
        InputError: One of them is no fault.
    """
    from scenarios.faultfile import read_faults

    found = read_faults(file) if file is not None else ()
    return tuple(dict.fromkeys((*found, *(FaultSpec.parse(text) for text in short))))

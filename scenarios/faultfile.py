"""Reads a file of detector faults."""

from __future__ import annotations

from pathlib import Path

from scenarios.faults import FaultFile
from scenarios.sitefile import fitted, parse_yaml, read_text
from signals.faults import FaultSpec


def read_faults(path: Path) -> tuple[FaultSpec, ...]:
    """The faults of a file with the single key ``faults``, a list of `FaultEntry`.

    Args:
        path: The file, YAML.

    Raises:
        ScenarioError: It cannot be read or holds no faults; the message gives the line.
    """
    data, root = parse_yaml(FaultFile, read_text(path, "fault"), path)
    return tuple(entry.spec() for entry in fitted(FaultFile, data, root, path).faults)

"""Folders for results."""

from __future__ import annotations

from pathlib import Path

from signals.errors import OutputError


def output_folder(folder: Path) -> Path:
    """Make a folder for the results.

    Raises:
        OutputError: It cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OutputError(f"cannot write to {folder}: {error.strerror or error}") from error
    return folder

"""Files that hold secrets."""

from __future__ import annotations

from pathlib import Path

from signals.errors import InputError


def read_private(file: Path, what: str, encoding: str = "utf-8") -> str:
    """The text of a file that nobody else may read.

    Args:
        file: The file.
        what: What it is, for messages.
        encoding: Of the text.

    Raises:
        InputError: It is missing, is no text, or others may read it.
    """
    try:
        text = file.read_text(encoding=encoding)
        mode = file.stat().st_mode
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise InputError(f"cannot read {what} {file}: {reason}") from error
    if mode & 0o077:
        raise InputError(f"{what} {file} can be read by others; run 'chmod 600 {file}'")
    return text

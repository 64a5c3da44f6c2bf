"""Generated files, kept in the user's cache folder and named after their content's inputs."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import platformdirs

from signals.errors import OutputError

CACHE_VARIABLE = "SEOUL_SIGNALS_CACHE"


def cache_folder() -> Path:
    """``$SEOUL_SIGNALS_CACHE``, else the user's cache folder for this product."""
    given = os.environ.get(CACHE_VARIABLE)
    return Path(given) if given else Path(platformdirs.user_cache_dir("seoul-signals"))


def digest(*parts: str) -> str:
    """SHA-256 over the parts, 64 hexadecimal digits."""
    found = hashlib.sha256()
    for part in parts:
        data = part.encode()
        found.update(len(data).to_bytes(8, "big"))
        found.update(data)
    return found.hexdigest()


@contextlib.contextmanager
def scratch_folder(beside: Path) -> Iterator[Path]:
    """A temporary folder on the same disk as `beside`, so that files can be renamed into place.

    Raises:
        OutputError: the folder cannot be written.
    """
    try:
        beside.mkdir(parents=True, exist_ok=True)
        holder = tempfile.TemporaryDirectory(prefix=".building-", dir=beside)
    except OSError as error:
        raise OutputError(
            f"cannot write to {beside} ({error.strerror}); "
            f"allowed: a writable folder, set {CACHE_VARIABLE} to choose another"
        ) from error
    with holder as name:
        yield Path(name)


def cached_file(path: Path, build: Callable[[Path], None]) -> Path:
    """`path`, built once: `build(temporary)` writes, a rename publishes.

    Several processes may build the same file at once: each writes its own copy, the last rename
    wins, and nobody ever reads half a file.
    """
    if path.is_file():
        return path
    with scratch_folder(path.parent) as folder:
        temporary = folder / path.name
        build(temporary)
        os.replace(temporary, path)
    return path

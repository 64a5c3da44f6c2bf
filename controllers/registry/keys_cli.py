"""``signals registry keys``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TextIO

import click

from controllers.registry.commands import (
    author,
    by_options,
    json_option,
    opened_registry,
    registry_option,
    say,
    shown,
    time_text,
)
from signals.errors import OutputError


@click.group()
def keys() -> None:
    """Keys of controllers and people."""


@keys.command(name="add")
@click.argument("holder")
@click.option(
    "--role",
    type=click.Choice(("controller", "viewer", "operator", "admin")),
    required=True,
    help="What it may do.",
)
@click.option(
    "--junction",
    "junctions",
    multiple=True,
    metavar="ID",
    help="Controller: speaks for this junction, '*' for all; repeat it.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the key to this new file, which only its owner can read, instead of printing it.",
)
@registry_option
@by_options
@json_option
def add_key(
    holder: str,
    role: str,
    junctions: tuple[str, ...],
    out: Path | None,
    address: str | None,
    who: str | None,
    why: str,
    as_json: bool,
) -> None:
    """Make a key for HOLDER. It is told this once; the registry keeps a hash only."""
    found, by = opened_registry(address), author(who, why)
    with ExitStack() as stack:
        stream = stack.enter_context(_private(out)) if out is not None else None
        key, key_id = found.add_key(holder, role, by, junctions)
        document = {"id": key_id, "holder": holder, "role": role}
        if stream is None:
            say({**document, "key": key}, key, as_json)
        else:
            stream.write(f"{key}\n")
            say({**document, "file": str(out)}, f"key {key_id} of {holder} is in {out}", as_json)


@keys.command(name="list")
@registry_option
@json_option
def list_keys(address: str | None, as_json: bool) -> None:
    """List keys, without their secrets."""
    rows, revoked = opened_registry(address).key_rows()
    lines = [
        f"{row.id} {row.role} {row.holder}{', revoked' if row.id in revoked else ''}, "
        f"{time_text(row.at_ms)} by {row.who}: {row.why}"
        for row in rows
    ]
    document = [{**shown(row, "salt", "digest"), "revoked": row.id in revoked} for row in rows]
    say(document, "\n".join(lines) or "no keys", as_json)


@keys.command()
@click.argument("key_id")
@registry_option
@by_options
@json_option
def revoke(key_id: str, address: str | None, who: str | None, why: str, as_json: bool) -> None:
    """End the key KEY_ID; services refuse it within a second."""
    opened_registry(address).revoke_key(key_id, author(who, why))
    say({"id": key_id, "revoked": True}, f"key {key_id} is revoked", as_json)


@contextmanager
def _private(file: Path) -> Iterator[TextIO]:
    """A new file for a key; nothing is left of it when there is none."""
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise OutputError(f"cannot write {file}: {error.strerror or error}") from error
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            yield stream
    except BaseException:
        file.unlink(missing_ok=True)
        raise

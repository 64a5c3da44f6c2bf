"""What the commands of ``signals registry`` share: options, opening, telling."""

from __future__ import annotations

import getpass
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

from signals.errors import InputError, MissingDependencyError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from controllers.registry.change import Author
    from controllers.registry.store import Registry

_F = TypeVar("_F", bound=Callable[..., Any])

registry_option = click.option(
    "--registry",
    "address",
    envvar="SEOUL_SIGNALS_REGISTRY",
    show_envvar=True,
    metavar="ADDRESS",
    help="A file, or postgresql://USER@HOST/NAME; the user's own file when not given.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
trust_option = click.option(
    "--trust",
    multiple=True,
    metavar="KEY",
    help="Public key (64 hex digits, or a file) whose bundles count, beside the key folder's.",
)


def by_options(command: _F) -> _F:
    """Who and why, which every change asks for."""
    command = click.option("--why", required=True, help="Why; kept for good.")(command)
    return click.option("--as", "who", help="Who; the user of this machine when not given.")(
        command
    )


def engine_at(address: str | None) -> Engine:
    """The database of a registry; the user's own file when no address is given.

    Raises:
        MissingDependencyError: The extra ``serve`` is not installed.
        InputError: The address is none.
    """
    try:
        from controllers.registry.database import default_address, open_engine
    except ImportError as error:
        raise MissingDependencyError(error.name or "sqlalchemy", "serve", "the registry") from error
    return open_engine(address or default_address())


def opened_registry(address: str | None) -> Registry:
    """A registry of the present revision.

    Raises:
        MissingDependencyError: The extra ``serve`` is not installed.
        InputError: There is no registry, or one of another revision.
    """
    engine = engine_at(address)
    from controllers.registry.database import check
    from controllers.registry.store import Registry

    check(engine)
    return Registry(engine)


def author(who: str | None, why: str) -> Author:
    """Who changes something, the user of this machine when nobody is named, and why.

    Raises:
        InputError: This machine's user has no name.
    """
    from controllers.registry.change import Author

    try:
        return Author(who or getpass.getuser(), why)
    except (KeyError, OSError) as error:
        raise InputError("this machine's user has no name; say who with --as NAME") from error


def shown(row: Any, *without: str) -> dict[str, Any]:
    """A row of a table by column, without some of them."""
    hidden: Sequence[str] = without
    return {
        column.name: getattr(row, column.name)
        for column in row.__table__.columns
        if column.name not in hidden
    }


def time_text(at_ms: int) -> str:
    """A moment (ms since 1970) in UTC, to be read by people."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def say(document: Any, text: str, as_json: bool) -> None:
    """Print a document, or the text that says the same."""
    click.echo(json.dumps(document, ensure_ascii=False) if as_json else text)

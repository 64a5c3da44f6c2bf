"""``signals serve``."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TextIO

import click

from signals.errors import MissingDependencyError, OutputError


@click.command()
@click.option(
    "--bundle",
    "bundles",
    type=click.Path(path_type=Path),
    multiple=True,
    required=True,
    help="Policy bundle; repeat it for more junctions.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8080,
    show_default=True,
    help="Port to listen on; 0 takes a free one.",
)
@click.option(
    "--trust",
    multiple=True,
    metavar="KEY",
    help="Public key (64 hex digits, or a file) whose bundles are served, beside the key folder's.",
)
@click.option(
    "--record",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Append every poll and its command to this file, one JSON document a line.",
)
def serve(
    bundles: tuple[Path, ...], host: str, port: int, trust: tuple[str, ...], record: Path | None
) -> None:
    """Answer decision polls of controllers over HTTP.

    Bundles are verified and the address is taken before anything is answered. Ends on ^C or
    SIGTERM.
    """
    from controllers.bundle import load_trusted, trusted_keys

    try:
        from controllers.service.app import Service, create_app
        from controllers.service.server import address_of, listen, make_logger, run
    except ImportError as error:
        raise MissingDependencyError(
            error.name or "fastapi", "serve", "the decision service"
        ) from error
    keys = trusted_keys(trust)
    loaded = [load_trusted(path, keys) for path in bundles]
    logger = make_logger()
    with ExitStack() as stack:
        sock = stack.enter_context(listen(host, port))
        stream = stack.enter_context(_open(record)) if record else None
        service = Service(loaded, logger, stream)
        address = address_of(sock)

        def started() -> None:
            for name, bundle in service.bundles.items():
                logger.info("serving", junction=name, bundle=bundle.hash[:12], address=address)
            click.echo(f"serving {', '.join(service.bundles)} on {address}; stop with ^C")

        run(create_app(service), sock, logger, started)


def _open(file: Path) -> TextIO:
    try:
        return file.open("a", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write {file}: {error.strerror or error}") from error

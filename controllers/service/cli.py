"""``signals serve``."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from controllers.loopback import is_loopback
from signals.errors import InputError, MissingDependencyError

if TYPE_CHECKING:
    import socket

    from structlog.typing import FilteringBoundLogger

    from controllers.service.assembly import Settings
    from controllers.service.server import Tls

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.option(
    "--bundle",
    "bundles",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Serve this policy bundle at once, to this machine only; repeat it for more junctions.",
)
@click.option(
    "--registry",
    "address",
    envvar="SEOUL_SIGNALS_REGISTRY",
    show_envvar=True,
    metavar="ADDRESS",
    help="Serve what is deployed in this registry, to whoever has a key from it.",
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
    "--workers",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Processes that share the work.",
)
@click.option(
    "--trust",
    multiple=True,
    metavar="KEY",
    help="Public key (64 hex digits, or a file) whose bundles are served, beside the key folder's.",
)
@click.option(
    "--record",
    type=_FILE,
    help="Append every poll and its command to this file, one JSON document a line.",
)
@click.option("--tls-cert", type=_FILE, help="Certificate (PEM): serve HTTPS.")
@click.option("--tls-key", type=_FILE, help="Its key (PEM).")
@click.option("--client-ca", type=_FILE, help="Take only clients with a certificate signed by it.")
@click.option(
    "--spool",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder in which rows wait for the registry; one for each registry when not given.",
)
@click.option(
    "--keep-days",
    type=click.IntRange(1, 36_500),
    default=90,
    show_default=True,
    help="Retention of decisions and events.",
)
@click.option(
    "--calls",
    type=click.FloatRange(1, 1e6),
    default=50,
    show_default=True,
    help="Calls a second with one key; controllers so many for every ten junctions.",
)
@click.option(
    "--log-format", type=click.Choice(("logfmt", "json")), default="logfmt", show_default=True
)
@click.option("--log-level", type=click.Choice(("debug", "info", "warning")), default="info")
def serve(
    bundles: tuple[Path, ...],
    address: str | None,
    host: str,
    port: int,
    workers: int,
    trust: tuple[str, ...],
    record: Path | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    client_ca: Path | None,
    spool: Path | None,
    keep_days: int,
    calls: float,
    log_format: str,
    log_level: str,
) -> None:
    """Answer decision polls of controllers over HTTP.

    With --registry, bundles, stages, overrides and keys come from there and are followed as they
    change. With --bundle, the bundles are served at once, without keys, to this machine only.
    Bundles are verified and the address is taken before anything is answered. Ends on ^C or
    SIGTERM.
    """
    from controllers.bundle import trusted_keys

    source = click.get_current_context().get_parameter_source("address")
    if bundles and source is click.core.ParameterSource.COMMANDLINE:
        raise InputError("give --bundle or --registry, not both; 'signals registry add' keeps one")
    _check_source(bundles, address, host)
    if (tls_cert is None) != (tls_key is None) or (client_ca and tls_cert is None):
        raise InputError("--tls-cert and --tls-key go together, and --client-ca with them")
    with ExitStack() as stack:
        if workers > 1:
            # Before the counters are imported, which look for it then.
            shared = stack.enter_context(tempfile.TemporaryDirectory(prefix="seoul-signals-"))
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = shared
        try:
            from controllers.service.assembly import Settings
            from controllers.service.server import Tls, listen, make_logger
        except ImportError as error:
            raise MissingDependencyError(
                error.name or "fastapi", "serve", "the decision service"
            ) from error
        tls = Tls(tls_cert, tls_key, client_ca) if tls_cert and tls_key else None
        if tls is not None:
            tls.check()
        keys = trusted_keys(trust)
        logger = make_logger(as_json=log_format == "json", level=log_level)
        sock = stack.enter_context(listen(host, port))
        if bundles:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="seoul-signals-"))
            address, spool = f"{folder}/registry.db", Path(folder) / "spool"
            _fill(address, bundles, keys)
        assert address is not None
        settings = Settings(
            registry=address,
            spool=str(spool or _spool_of(address)),
            trusted=tuple(sorted(keys)),
            open_to_all=bool(bundles),
            record=str(record or ""),
            keep_days=keep_days,
            calls_a_second=calls,
            log_format=log_format,
            log_level=log_level,
        )
        if workers > 1:
            _run_many(workers, settings, sock, logger, tls)
        else:
            _run_one(settings, sock, logger, tls)


def _check_source(bundles: tuple[Path, ...], address: str | None, host: str) -> None:
    if not bundles and not address:
        raise InputError("nothing to serve; give --bundle FILE, or --registry ADDRESS")
    if bundles and not is_loopback(host):
        raise InputError(
            f"--bundle asks for no key and serves this machine only, not {host}; make a registry "
            "with keys ('signals registry --help') and give --registry"
        )


def _run_one(
    settings: Settings, sock: socket.socket, logger: FilteringBoundLogger, tls: Tls | None
) -> None:
    """Serve from this process."""
    from controllers.service.assembly import assembled
    from controllers.service.server import address_of, run

    url = address_of(sock, "https" if tls else "http")
    with assembled(settings, logger) as (service, app):

        def started() -> None:
            for name, served in service.city.served.items():
                logger.info(
                    "serving",
                    junction=name,
                    bundle=served.bundle.hash[:12],
                    stage=served.stage,
                    address=url,
                )
            _tell(f"serving {_names(service.city.served)} on {url}; stop with ^C", settings)

        run(app, sock, logger, started, tls)


def _run_many(
    workers: int,
    settings: Settings,
    sock: socket.socket,
    logger: FilteringBoundLogger,
    tls: Tls | None,
) -> None:
    """Serve from several processes."""
    from controllers.service.server import address_of, run_workers

    url = address_of(sock, "https" if tls else "http")
    _check(settings)
    settings.to_environment()

    def started() -> None:
        logger.info("serving", address=url, workers=workers)
        _tell(f"serving with {workers} workers on {url}; stop with ^C", settings)

    run_workers(workers, sock, logger, started, tls)


def _tell(line: str, settings: Settings) -> None:
    click.echo(line)
    if settings.open_to_all:
        click.echo(
            "NO KEY IS ASKED: open to every program on this machine, and to nobody else; for a "
            "street, keep the bundle in a registry and use --registry"
        )


def _names(names: Iterable[str]) -> str:
    found = sorted(names)
    more = f" and {len(found) - 10} more" if len(found) > 10 else ""
    return (", ".join(found[:10]) + more) if found else "no junction yet"


def _fill(address: str, bundles: tuple[Path, ...], keys: frozenset[str]) -> None:
    """A registry for the time of this command, in which the bundles act at once."""
    from controllers.bundle import load_trusted
    from controllers.registry.change import Author
    from controllers.registry.database import migrate, open_engine
    from controllers.registry.store import Registry

    loaded = [load_trusted(path, keys) for path in bundles]
    seen: dict[str, str] = {}
    for bundle in loaded:
        junction, name = bundle.contract.junction.id, bundle.contract.name
        if junction in seen:
            raise InputError(
                f"bundles '{seen[junction]}' and '{name}' are both for junction {junction}; give "
                "one"
            )
        seen[junction] = name
    engine = open_engine(address)
    migrate(engine)
    registry, by = Registry(engine), Author("local", "signals serve --bundle")
    for path, bundle in zip(bundles, loaded, strict=True):
        registry.add_bundle(path, keys, by)
        # Nothing limits a trial on one's own machine.
        registry.deploy(bundle, "deploy", by, {"vetoes": 1.0, "stale": 1.0, "drift": 1.0})
    engine.dispose()


def _check(settings: Settings) -> None:
    """Refuse what every worker would refuse, before there are any."""
    from controllers.registry.database import check, open_engine

    engine = open_engine(settings.registry)
    check(engine)
    engine.dispose()


def _spool_of(address: str) -> Path:
    """One folder for each registry: rows must never reach another one."""
    from platformdirs import user_state_dir

    from controllers.registry.database import open_engine, where

    engine = open_engine(address)
    if engine.url.get_backend_name() == "sqlite":
        return Path(f"{engine.url.database}-spool")
    name = hashlib.sha256(where(engine).encode()).hexdigest()[:16]
    return Path(user_state_dir("seoul-signals")) / "spool" / name

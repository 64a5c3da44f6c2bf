"""``signals gateway``."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from controllers.gateway import Gateway, Rhythm, ask
from controllers.gateway_text import counted, link_line, status_line
from controllers.poller import Credentials
from signals.errors import InputError
from signals.options import FiniteRange

if TYPE_CHECKING:
    from controllers.adapters.http_inbox import Inbox
    from controllers.link import JunctionLink
    from signals.hires import EventLog


@click.group(invoke_without_command=True)
@click.option(
    "--controllers",
    "controllers_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="List of controllers: junction, adapter, address, credentials of each.",
)
@click.option(
    "--bundle",
    "bundles",
    type=click.Path(path_type=Path),
    multiple=True,
    help="With --controllers: bundle of a junction (timing, plan, phases); repeat it.",
)
@click.option(
    "--simulate", "scenario", metavar="SCENARIO", help="Instead: catalogue name or folder."
)
@click.option("--service", "url", metavar="URL", help="The decision service.")
@click.option("--period", help="Period of the day; the scenario's first when not given.")
@click.option("--seed", type=int, default=0, show_default=True, help="Demand day.")
@click.option(
    "--minutes",
    type=FiniteRange(0, 525_600, min_open=True),
    help="End after this many minutes, simulated ones with --simulate.",
)
@click.option("--realtime", is_flag=True, help="With --simulate: one simulated second a second.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep the lights and SUMO's tripinfo, or the hi-res event log, in this folder.",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=float,
    default=0.5,
    show_default=True,
    help="Seconds that one poll may take; with --lockstep also an answer of a controller.",
)
@click.option(
    "--key",
    metavar="KEY",
    help="Key for the service, or the file that holds it; $SEOUL_SIGNALS_SERVICE_KEY if not given.",
)
@click.option(
    "--ca",
    "authority",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Certificates (PEM) that an https service's must be signed by; the system's without it.",
)
@click.option(
    "--client-cert",
    "certificate",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Our own certificate with its key (PEM), where the service asks for one (--client-ca).",
)
@click.option(
    "--arm",
    "arm_minutes",
    type=FiniteRange(0, 1440, min_open=True),
    help="Arm at once for this many minutes; without it nothing is commanded until somebody arms.",
)
@click.option(
    "--socket",
    "socket_file",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("gateway.sock"),
    show_default=True,
    help="Where 'signals gateway arm | disarm | status' reach this gateway.",
)
@click.option(
    "--trust",
    multiple=True,
    metavar="KEY",
    help="Public key (64 hex digits, or a file) of a bundle's signer, beside the key folder's.",
)
@click.option(
    "--speed",
    type=FiniteRange(0, 1000, min_open=True),
    default=1.0,
    show_default=True,
    help="Seconds of the controllers in one second, as 'signals virtual-controller' has it.",
)
@click.option(
    "--lockstep", is_flag=True, help="Drive the clock of controllers that run in lockstep."
)
@click.pass_context
def gateway(
    ctx: click.Context,
    controllers_file: Path | None,
    bundles: tuple[Path, ...],
    scenario: str | None,
    url: str | None,
    period: str | None,
    seed: int,
    minutes: float | None,
    realtime: bool,
    out: Path | None,
    timeout_s: float,
    arm_minutes: float | None,
    socket_file: Path,
    key: str | None,
    authority: Path | None,
    certificate: Path | None,
    trust: tuple[str, ...],
    speed: float,
    lockstep: bool,
) -> None:
    """Connect signal controllers, or a simulated one, to a decision service.

    With --controllers it watches them and asks the service, and commands nothing until it is armed,
    for a limited time: --arm, or 'signals gateway arm'. Silence, doubt or a change at a controller
    gives control back to the controller's own plan. With --simulate a SUMO junction is the
    controller, which follows its own plan whenever the service is silent, late or refuses.
    """
    if ctx.invoked_subcommand is not None:
        return
    if bool(controllers_file) == bool(scenario):
        raise InputError("say what to connect: either --controllers FILE or --simulate SCENARIO")
    if not url:
        raise InputError("no service is given; give --service URL")
    if (authority or certificate) and not url.lower().startswith("https://"):
        raise InputError(f"--ca and --client-cert are for an https service, not {url}")
    known = Credentials.given(key, authority, certificate)
    if scenario:
        from controllers.gateway_simulation import simulate

        simulate(scenario, url, period, seed, minutes, realtime, out, timeout_s, known)
        return
    assert controllers_file is not None
    links, folder = _links(
        controllers_file, bundles, url, timeout_s, known, trust, Rhythm(speed, lockstep), out
    )
    asyncio.run(_run(links, Rhythm(speed, lockstep), socket_file, arm_minutes, minutes))
    for link, log in links:
        click.echo(link_line(link.junction.id, link.report))
        if folder is not None and log is not None:
            log.write(folder / f"events-{link.junction.id}.csv")


_junctions = click.argument("junctions", nargs=-1)
_socket = click.option(
    "--socket",
    "socket_file",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("gateway.sock"),
    show_default=True,
    help="The running gateway's socket.",
)


@gateway.command()
@_junctions
@click.option(
    "--minutes",
    type=FiniteRange(0, 1440, min_open=True),
    required=True,
    help="How long, in the controllers' time.",
)
@_socket
def arm(junctions: tuple[str, ...], minutes: float, socket_file: Path) -> None:
    """Allow a running gateway to command JUNCTIONS (all when none is named) for a time."""
    _ask(socket_file, {"verb": "arm", "junctions": list(junctions), "minutes": minutes})


@gateway.command()
@_junctions
@_socket
def disarm(junctions: tuple[str, ...], socket_file: Path) -> None:
    """Give JUNCTIONS (all when none is named) back to their own plans at once."""
    _ask(socket_file, {"verb": "disarm", "junctions": list(junctions)})


@gateway.command()
@_junctions
@_socket
def status(junctions: tuple[str, ...], socket_file: Path) -> None:
    """Say what a running gateway does at JUNCTIONS (all when none is named)."""
    _ask(socket_file, {"verb": "status", "junctions": list(junctions)})


def _ask(socket_file: Path, request: dict[str, Any]) -> None:
    found = asyncio.run(ask(socket_file, request))
    for row in found["junctions"]:
        click.echo(status_line(row))


def _links(
    controllers_file: Path,
    bundles: tuple[Path, ...],
    url: str,
    timeout_s: float,
    known: Credentials,
    trust: tuple[str, ...],
    rhythm: Rhythm,
    out: Path | None,
) -> tuple[list[tuple[JunctionLink, EventLog | None]], Path | None]:
    from controllers.adapters import adapter_for
    from controllers.bundle import load_trusted, trusted_keys
    from controllers.gateway_file import read_list
    from controllers.link import JunctionLink
    from controllers.outputs import output_folder
    from controllers.poller import AsyncPoller
    from signals.hires import EventLog
    from signals.observation import ObservationSpec

    folder = output_folder(out) if out is not None else None
    keys = trusted_keys(trust)
    loaded = {
        bundle.contract.junction.id: bundle
        for bundle in (load_trusted(path, keys) for path in bundles)
    }
    found: list[tuple[JunctionLink, EventLog | None]] = []
    inboxes: dict[str, Inbox] = {}
    for entry in read_list(controllers_file):
        bundle = loaded.get(entry.junction)
        if bundle is None:
            raise InputError(
                f"no bundle is for junction {entry.junction} of {controllers_file}; give it with "
                f"--bundle (given: {', '.join(loaded) or 'none'})"
            )
        contract = bundle.contract
        log = EventLog(contract.junction) if folder is not None else None
        link = JunctionLink(
            contract,
            adapter_for(entry, contract.junction, timeout_s if rhythm.lockstep else None, inboxes),
            AsyncPoller(url, ObservationSpec(contract.junction), timeout_s, credentials=known),
            lambda line: click.echo(line, err=True),
            rhythm.wall(),
            log,
        )
        found.append((link, log))
    return found, folder


async def _run(
    links: list[tuple[JunctionLink, EventLog | None]],
    rhythm: Rhythm,
    socket_file: Path,
    arm_minutes: float | None,
    minutes: float | None,
) -> None:
    gateway = Gateway([link for link, _ in links], rhythm, lambda line: click.echo(line, err=True))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, gateway.stop)
    server = await gateway.listen(socket_file)
    try:
        if arm_minutes is not None:
            for link, _ in links:
                link.arm(60 * arm_minutes)
        click.echo(f"watching {counted(len(links), 'controller')}; stop with ^C")
        await gateway.run(None if minutes is None else 60 * minutes)
    finally:
        server.close()
        socket_file.unlink(missing_ok=True)

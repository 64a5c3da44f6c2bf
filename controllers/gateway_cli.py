"""``signals gateway``."""

from __future__ import annotations

import asyncio
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from controllers.gateway import Gateway, Rhythm, ask
from controllers.poller import Credentials
from signals.errors import InputError, ServiceError
from signals.options import FiniteRange

if TYPE_CHECKING:
    from controllers.adapters.http_inbox import Inbox
    from controllers.link import JunctionLink
    from controllers.simulated import GatewayReport, SimulatedController
    from signals.hires import EventLog
    from signals.world import World


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
        _simulate(scenario, url, period, seed, minutes, realtime, out, timeout_s, known)
        return
    assert controllers_file is not None
    links, folder = _links(
        controllers_file, bundles, url, timeout_s, known, trust, Rhythm(speed, lockstep), out
    )
    asyncio.run(_run(links, Rhythm(speed, lockstep), socket_file, arm_minutes, minutes))
    for link, log in links:
        report = link.report
        click.echo(
            f"{link.junction.id}: {report.seconds} s seen, {report.commanded} s commanded, "
            f"{_counted(report.decisions, 'decision')}, {report.withheld} left to the plan by "
            f"stage or override, lost {_counted(report.losses, 'time')}, back "
            f"{_counted(report.recoveries, 'time')}, released {_counted(report.releases, 'time')}"
        )
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
        if not row["connected"]:
            state = "not connected"
        elif row["in_control"]:
            state = f"in control, armed for another {row['armed_left_s'] / 60:.1f} minutes"
        else:
            state = "armed" if row["armed"] else "disarmed"
        waiting, trouble = row["waiting"], row["trouble"]
        why = f"; waiting: {waiting}" if waiting else f"; {trouble}" if trouble else ""
        click.echo(f"{row['junction']}: {state}, {_counted(row['decisions'], 'decision')}{why}")


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


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
        click.echo(f"watching {_counted(len(links), 'controller')}; stop with ^C")
        await gateway.run(None if minutes is None else 60 * minutes)
    finally:
        server.close()
        socket_file.unlink(missing_ok=True)


def _simulate(
    scenario: str,
    url: str,
    period: str | None,
    seed: int,
    minutes: float | None,
    realtime: bool,
    out: Path | None,
    timeout_s: float,
    known: Credentials,
) -> None:
    """Let a decision service control a simulated junction over HTTP."""
    from controllers.outputs import output_folder
    from controllers.simulated import SimulatedController, shortened
    from signals.hires import EventLog
    from signals.metrics import summarise
    from signals.recording import Recorder
    from signals.schedule import Schedule
    from signals.simulation.backend import RunOptions
    from signals.simulation.sumo_backend import SumoBackend
    from signals.world import resolve

    with ExitStack() as stack:
        if out is not None:
            folder = output_folder(out)
        else:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        world = shortened(resolve(scenario, period), minutes)
        recorder = Recorder() if out is not None else None
        events = EventLog(world.junction) if out is not None else None
        controller = SimulatedController(
            world,
            SumoBackend(),
            url,
            timeout_s,
            log=lambda line: click.echo(line, err=True),
            recorder=recorder,
            realtime=realtime,
            credentials=known,
            events=events,
        )
        trips_file = folder / "tripinfo.xml"
        report = controller.run(
            seed, RunOptions(trips_file=trips_file), stack.enter_context(_progress(world))
        )
        if recorder is not None:
            recorder.write(folder)
        if events is not None:
            events.write(folder / "events.csv")
        schedule = Schedule.read(world.routes(seed), world.junction, world.additional_files)
        metrics = summarise(trips_file, world.junction, schedule, world.begin_s, world.end_s)
        delay = "none" if metrics.delay_s is None else f"{metrics.delay_s:.1f} s/veh"
        click.echo(
            f"{world.scenario} {world.period} day {seed}, {report.seconds} s simulated: delay "
            f"{delay}, {metrics.vehicles} vehicles, {metrics.arrived} arrived"
        )
        for flag in metrics.flags:
            click.echo(f"note: {flag}")
        click.echo(
            f"decisions: {report.from_service} by the service, {report.from_plan} by the local "
            f"plan; {_counted(report.refusals, 'poll')} refused, {report.local_plan_answers} sent "
            "to the plan"
        )
        if report.from_service:
            mean_ms = 1000 * report.polls_s / report.from_service
            click.echo(
                f"polls: {mean_ms:.1f} ms on average, {1000 * report.slowest_poll_s:.1f} ms the "
                f"slowest; service lost {_counted(report.losses, 'time')}, back "
                f"{_counted(report.recoveries, 'time')}"
            )
        if out is not None:
            click.echo(f"kept in {out}")
        check_answered(report, url, world.junction.id)


def check_answered(report: GatewayReport, url: str, junction: str) -> None:
    """Refuse to call a run done in which the service had no part.

    Args:
        report: Of the run.
        url: The service.
        junction: What was simulated.

    Raises:
        ServiceError: It answered no poll with a command.
    """
    if report.from_service or report.local_plan_answers or not report.polls:
        return
    if report.refusals == report.polls:
        what = "refused all"
        hint = "give a --key that it knows, and a service with a bundle for this junction"
    else:
        what = "decided none"
        hint = "start one with 'signals serve', or see --service and, for https, its certificates"
    raise ServiceError(
        f"the service at {url} {what} of {report.polls} polls ({report.problem}); {junction} ran "
        f"on its own plan all the time; {hint}"
    )


@contextmanager
def _progress(world: World) -> Iterator[Callable[[SimulatedController], None]]:
    """Show the run on standard error: a bar on a terminal, else a line every ten minutes."""
    from rich.console import Console
    from rich.progress import Progress

    from controllers.simulated import clock

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(f"{world.scenario} {world.period}", total=world.end_s - world.begin_s)

        def each_second(controller: SimulatedController) -> None:
            done_s = controller.report.seconds
            bar.update(task, completed=done_s)
            if done_s and done_s % 600 == 0 and not console.is_terminal:
                report = controller.report
                click.echo(
                    f"{clock(controller.episode.clock_s)} {report.from_service} decisions by the "
                    f"service, {report.from_plan} by the local plan",
                    err=True,
                )

        yield each_second

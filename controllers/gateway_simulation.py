"""``signals gateway --simulate``: a junction in SUMO as the service's controller."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click

from controllers.gateway_text import simulation_lines
from controllers.outputs import output_folder
from controllers.poller import Credentials
from controllers.simulated import GatewayReport, SimulatedController, clock, shortened
from signals.errors import ServiceError
from signals.hires import EventLog
from signals.metrics import summarise
from signals.recording import Recorder
from signals.schedule import Schedule
from signals.simulation.backend import RunOptions
from signals.simulation.sumo_backend import SumoBackend
from signals.world import World, resolve


def simulate(
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
    """Let a decision service control a simulated junction over HTTP, and say what came of it.

    Args:
        scenario: Catalogue name or folder.
        url: The service.
        period: Period of the day; None takes the scenario's first.
        seed: Demand day.
        minutes: Ends the run early (simulated min); None simulates the whole period.
        realtime: One simulated second a second.
        out: Keeps lights, SUMO's tripinfo and the hi-res event log; None keeps nothing.
        timeout_s: Of one poll (s).
        known: Credentials for the service.

    Raises:
        InputError: There is no such scenario or period, or the address is none.
        OutputError: The folder cannot be written to.
        MissingDependencyError: SUMO is not installed.
        SimulationError: SUMO failed.
        ServiceError: The service had no part in the run, see `check_answered`.
    """
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
        for line in simulation_lines(report):
            click.echo(line)
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
    # Rich comes with the simulator; the street side imports this module without either.
    from rich.console import Console
    from rich.progress import Progress

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

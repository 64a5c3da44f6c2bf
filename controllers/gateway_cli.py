"""``signals gateway``."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from signals.options import FiniteRange

if TYPE_CHECKING:
    from controllers.simulated import SimulatedController
    from signals.world import World


@click.command()
@click.option(
    "--simulate", "scenario", required=True, metavar="SCENARIO", help="Catalogue name or folder."
)
@click.option("--service", "url", required=True, metavar="URL", help="The decision service.")
@click.option("--period", help="Period of the day; the scenario's first when not given.")
@click.option("--seed", type=int, default=0, show_default=True, help="Demand day.")
@click.option(
    "--minutes",
    type=FiniteRange(0, 1440, min_open=True),
    help="End after this many simulated minutes.",
)
@click.option("--realtime", is_flag=True, help="One simulated second a second.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep the lights and SUMO's tripinfo in this folder.",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=float,
    default=0.5,
    show_default=True,
    help="Seconds that one poll may take.",
)
@click.option(
    "--key",
    metavar="KEY",
    help="Key for the service, or the file that holds it; $SEOUL_SIGNALS_SERVICE_KEY if not given.",
)
def gateway(
    scenario: str,
    url: str,
    period: str | None,
    seed: int,
    minutes: float | None,
    realtime: bool,
    out: Path | None,
    timeout_s: float,
    key: str | None,
) -> None:
    """Let a decision service control a simulated junction over HTTP.

    The controller follows its own plan whenever the service is silent, late, refuses or says so.
    """
    from controllers.outputs import output_folder
    from controllers.poller import Credentials
    from controllers.simulated import SimulatedController, shortened
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
        controller = SimulatedController(
            world,
            SumoBackend(),
            url,
            timeout_s,
            log=lambda line: click.echo(line, err=True),
            recorder=recorder,
            realtime=realtime,
            credentials=Credentials.given(key),
        )
        trips_file = folder / "tripinfo.xml"
        report = controller.run(
            seed, RunOptions(trips_file=trips_file), stack.enter_context(_progress(world))
        )
        if recorder is not None:
            recorder.write(folder)
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
            f"plan; {report.refusals} polls refused, {report.local_plan_answers} sent to the plan"
        )
        if report.from_service:
            mean_ms = 1000 * report.polls_s / report.from_service
            click.echo(
                f"polls: {mean_ms:.1f} ms on average, {1000 * report.slowest_poll_s:.1f} ms the "
                f"slowest; service lost {report.losses} times, back {report.recoveries} times"
            )
        if out is not None:
            click.echo(f"kept in {out}")


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

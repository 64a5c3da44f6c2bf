"""``signals virtual-controller``."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from signals.errors import InputError, MissingDependencyError
from signals.options import FiniteRange

if TYPE_CHECKING:
    from controllers.virtual.process import Cabinets
    from controllers.virtual.street import Street
    from controllers.virtual.unit import Unit


@click.command("virtual-controller")
@click.option(
    "--simulate",
    "scenario",
    metavar="SCENARIO",
    help="Catalogue name or folder: lights and detectors are those of a SUMO run (extra: sim).",
)
@click.option(
    "--bundle",
    "bundles",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Instead: the junction of a policy bundle, with a pattern of load, without SUMO.",
)
@click.option("--period", help="Period of the day; the scenario's first when not given.")
@click.option("--seed", type=int, default=0, show_default=True, help="Demand day.")
@click.option(
    "--minutes", type=FiniteRange(0, 525_600, min_open=True), help="End after this many minutes."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=10_161,
    show_default=True,
    help="UDP port of the first controller; the others take the following ones. 0: free ones.",
)
@click.option(
    "--credentials",
    "credentials_file",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("controller.secrets"),
    show_default=True,
    help="Communities (v2c) and users (v3); made with fresh secrets when the file is not there.",
)
@click.option(
    "--speed",
    type=FiniteRange(0, 1000),
    help="Seconds of the controllers in one second; 0 without a limit. [default: 1]",
)
@click.option(
    "--lockstep",
    is_flag=True,
    help="Let the commands of the gateway drive the clock, one second each (--speed: the most).",
)
@click.option(
    "--patience",
    "patience_s",
    type=FiniteRange(0.01, 60),
    default=2.0,
    show_default=True,
    help="In lockstep: seconds of ours that a second waits for its command.",
)
@click.option(
    "--fault", "faults", multiple=True, metavar="FAULT", help="Detector fault, e.g. loss:0.1."
)
@click.option(
    "--gateway-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the list of these controllers for 'signals gateway' here.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep every second's lights, SUMO's tripinfo and what the monitors saw in this folder.",
)
def virtual_controller(
    scenario: str | None,
    bundles: tuple[Path, ...],
    period: str | None,
    seed: int,
    minutes: float | None,
    host: str,
    port: int,
    credentials_file: Path,
    speed: float | None,
    lockstep: bool,
    patience_s: float,
    faults: tuple[str, ...],
    gateway_file: Path | None,
    out: Path | None,
) -> None:
    """Run signal controllers in software, with NTCIP 1202 over SNMP.

    Each has a timing law, time-of-day plans, a backup timer and a conflict monitor of its own. A
    network runs one controller a junction in this process, on successive ports, all wired to one
    SUMO run. SIGHUP restarts the controllers as a power cut does; ^C or SIGTERM ends the run.
    """
    if bool(scenario) == bool(bundles):
        raise InputError("say what to control: either --simulate SCENARIO or --bundle FILE")
    try:
        from controllers.ntcip.credentials import read_or_make
        from controllers.virtual.process import Cabinets, Pace
    except ImportError as error:
        name = error.name or "pysnmp"
        raise MissingDependencyError(name, "serve", "a virtual controller") from error
    from controllers.gateway_file import write_list
    from controllers.outputs import output_folder

    folder = output_folder(out) if out is not None else None
    units, street = (
        _simulated(scenario, period, seed, minutes, folder, faults)
        if scenario
        else _from_bundles(bundles, minutes)
    )
    secrets = read_or_make(credentials_file)
    pace = Pace(speed if speed is not None else 0.0 if lockstep else 1.0, lockstep, patience_s)

    async def main() -> Cabinets:
        cabinets = Cabinets(units, street, pace, _progress)
        ports = await cabinets.listen([secrets] * len(units), host, port)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, cabinets.stop)
        loop.add_signal_handler(signal.SIGHUP, cabinets.restart)
        if gateway_file is not None:
            places = [
                (unit.assignment.junction.id, f"{host}:{own}")
                for unit, own in zip(units, ports, strict=True)
            ]
            write_list(gateway_file, places, credentials_file)
        for unit, own in zip(units, ports, strict=True):
            click.echo(f"controller {unit.assignment.junction.id} on UDP {host}:{own}")
        click.echo("ready; stop with ^C")
        await cabinets.run()
        return cabinets

    cabinets = asyncio.run(main())
    if folder is not None:
        cabinets.write(folder)
    trips = sum(unit.monitor.trips for unit in units)
    backups = sum(unit.backups for unit in units)
    click.echo(
        f"{cabinets.seconds} s, {len(units)} controllers: {trips} monitor trips, "
        f"{backups} times back to the own plan"
    )
    if out is not None:
        click.echo(f"kept in {out}")


def _simulated(
    scenario: str,
    period: str | None,
    seed: int,
    minutes: float | None,
    folder: Path | None,
    faults: tuple[str, ...],
) -> tuple[list[Unit], Street]:
    from controllers.virtual.street import SumoStreet
    from controllers.virtual.unit import Unit
    from signals.faults import as_faults
    from signals.world import resolve

    world = resolve(scenario, period)
    if minutes is not None:
        world = replace(world, end_s=min(world.end_s, world.begin_s + round(60 * minutes)))
    trips_file = None if folder is None else folder / "tripinfo.xml"
    street = SumoStreet(world, seed, trips_file, as_faults(faults))
    units = [
        Unit(
            junction,
            [(0, plan), *plan.later],
            float(world.begin_s),
            partial(_tell, junction.id),
        )
        for junction, plan in zip(world.junctions, world.plans, strict=True)
    ]
    return units, street


def _from_bundles(bundles: tuple[Path, ...], minutes: float | None) -> tuple[list[Unit], Street]:
    from controllers.virtual.street import LoadPattern
    from controllers.virtual.unit import Unit
    from signals.bundle import read_bundle

    contracts = [read_bundle(path).contract for path in bundles]
    units = [
        Unit(
            contract.junction,
            sorted(((timed.begin_s, timed.plan) for timed in contract.plans), key=lambda p: p[0]),
            float(min((timed.begin_s for timed in contract.plans), default=0)),
            partial(_tell, contract.junction.id),
        )
        for contract in contracts
    ]
    seconds = None if minutes is None else 60 * minutes
    return units, LoadPattern([contract.junction for contract in contracts], seconds)


def _tell(name: str, line: str) -> None:
    click.echo(f"{name}: {line}", err=True)


def _progress(second: int) -> None:
    if second % 600 == 0:
        click.echo(f"{second} s", err=True)

"""The closed loop against the same policy inside the environment.

    python -m benchmarks.closed_loop --scenario gangnam [--minutes 60] [--registry ADDRESS]

SUMO and the virtual controllers, the gateway and the service with its registry are processes of
their own: SNMP between the first two, HTTP between the last. The commands of the gateway drive the
clock, so that an hour takes minutes. Then the same bundles run in a plain episode on the same day,
with readings in the steps of the controller's detector table, and with exact ones.
Prints the delay of both and their ratio, what the conflict monitors and the independent checker of
lights found, and how many decisions were asked for and kept. The policy is one made by hand that
compares the vehicles and people of the phases. Exit status 1 when a figure is not as it should be.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import click

from tests.controllers.loop import Loop, inside_the_environment, running, world_of
from tests.controllers.street import onnx_policy

TOLERANCE = 0.02


@click.command()
@click.option("--scenario", default="gangnam", show_default=True)
@click.option("--period", help="The scenario's first when not given.")
@click.option("--minutes", type=click.FloatRange(1, 1440), default=60, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True, help="Demand day.")
@click.option("--registry", help="Address; a file of its own when not given.")
@click.option("--snmp", "version", type=click.Choice(["v2c", "v3"]), default="v2c")
def main(
    scenario: str, period: str | None, minutes: float, seed: int, registry: str | None, version: str
) -> None:
    """Run both."""
    world = world_of(scenario, period, minutes)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        address = registry or str(folder / "registry.db")
        loop = Loop(folder, world, onnx_policy(), address, version, seed)
        with running(loop):
            before = loop.recorded() if registry else 0
            began = time.perf_counter()
            loop.start_service()
            loop.start_controllers()
            loop.start_gateway()
            found = loop.finish(24 * 3600)
            took_s = time.perf_counter() - began
            click.echo(loop.processes["gateway"].text().strip())
            junctions = found["junctions"].values()
            trips = sum(row["monitor_trips"] for row in junctions)
            violations = loop.violations()
            kept = loop.recorded() - before
            from tests.controllers.loop import delay_s

            outside_s = delay_s(world, seed, folder / "street" / "tripinfo.xml")
            bundles, place = loop.bundles, folder / "inside"
            inside_s, lights = inside_the_environment(world, bundles, seed, place, steps=True)
            exact_s, _ = inside_the_environment(world, bundles, seed, place)
        ratio = outside_s / inside_s
        seconds = found["seconds"]
        asked = loop.asked()
        same, total = loop.agreement(lights)
        click.echo(
            f"{scenario} {world.period} day {seed}: {seconds} s, {len(world.junctions)} "
            f"controllers over SNMP {version}, {took_s:.0f} s of wall time"
        )
        click.echo(f"delay: {outside_s:.2f} s/veh in the loop, {inside_s:.2f} inside: {ratio:.4f}")
        click.echo(f"inside with readings finer than a detector table's: {exact_s:.2f} s/veh")
        click.echo(f"lights: {same} of {total} seconds alike")
        click.echo(f"monitor trips: {trips}; light violations: {len(violations)}")
        for line in violations[:10]:
            click.echo(f"  {line}")
        click.echo(f"decisions: {asked} asked for, {kept} kept")
    good = abs(ratio - 1) <= TOLERANCE and not trips and not violations and kept >= asked > 0
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()

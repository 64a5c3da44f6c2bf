"""One gateway process and a hundred junctions, in real time.

    python -m benchmarks.gateway_load [--junctions 100] [--scenario school_zone] [--seconds 120]

As many virtual controllers share two processes, each with an SNMP agent of its own; one gateway
reads every one of them each second, asks one service, and commands. Once all are under control, the
run is measured: the processor time of each process, the longest silence of the gateway towards any
controller, and whether one was lost or saw an unlawful light. A heartbeat is in time when it comes
within a third of the controller's backup time.
Exit status 1 when one was late, a controller was lost, or a monitor tripped.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import yaml

from controllers.gateway import ask
from controllers.ntcip.assignment import Assignment
from controllers.virtual.unit import BACKUP_TIME_S
from signals.bundle import write_bundle
from signals.contract import Contract, TimedPlan
from signals.signing import signing_key
from tests.controllers.loop import Loop, running, world_of
from tests.controllers.street import onnx_policy

WARM_UP_S = 600.0
"""Longest time until every controller is under control (s)."""


def bundles(loop: Loop, count: int, interval_s: int) -> list[Path]:
    """The scenario's first junction under so many names."""
    world, found = loop.world, []
    timed = TimedPlan(world.period, 0, 86_400, world.plans[0])
    for number in range(1, count + 1):
        junction = replace(world.junctions[0], id=f"{world.junctions[0].id}-{number:03d}")
        contract = Contract.promise("load", junction, (timed,), loop.policy, interval_s)
        found.append(loop.folder / f"{junction.id}.bundle")
        write_bundle(found[-1], contract, loop.policy, signing_key())
    return found


def cpu_s(pid: int) -> float:
    """Processor time that a process has taken (s)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def status(loop: Loop) -> list[dict[str, Any]]:
    found = asyncio.run(ask(loop.folder / "gateway.sock", {"verb": "status"}))
    rows: list[dict[str, Any]] = found["junctions"]
    return rows


def arm(loop: Loop) -> None:
    """Arm who is connected and disarmed: a lost line has to be armed anew."""
    names = [row["junction"] for row in status(loop) if row["connected"] and not row["armed"]]
    if names:
        request = {"verb": "arm", "minutes": 1440, "junctions": names}
        asyncio.run(ask(loop.folder / "gateway.sock", request))


def start_controllers(loop: Loop, processes: int, version: str) -> None:
    """The virtual controllers, and one list of them for the gateway."""
    rows: list[dict[str, Any]] = []
    for number in range(processes):
        listed = loop.folder / f"controllers{number}.yaml"
        controllers = loop.start(
            f"controllers {number + 1}",
            *("virtual-controller", "--port", 0, "--speed", 1),
            *(part for file in loop.bundles[number::processes] for part in ("--bundle", file)),
            *("--gateway-file", listed, "--out", f"street{number}"),
        )
        controllers.wait_for("ready;", 300)
        click.echo(f"{controllers.name} ready", err=True)
        rows += yaml.safe_load(listed.read_text(encoding="utf-8"))["controllers"]
    text = yaml.safe_dump({"controllers": [{**row, "version": version} for row in rows]})
    (loop.folder / "controllers.yaml").write_text(text, encoding="utf-8")


@click.command()
@click.option("--junctions", type=click.IntRange(1, 500), default=100, show_default=True)
@click.option("--scenario", default="school_zone", show_default=True, help="Its first junction.")
@click.option("--seconds", type=click.IntRange(10, 86_400), default=120, show_default=True)
@click.option("--interval", "interval_s", type=click.IntRange(1, 60), default=5, show_default=True)
@click.option(
    "--processes",
    type=click.IntRange(1, 8),
    default=2,
    show_default=True,
    help="That the virtual controllers share.",
)
@click.option("--snmp", "version", type=click.Choice(["v2c", "v3"]), default="v3")
def main(
    junctions: int, scenario: str, seconds: int, interval_s: int, processes: int, version: str
) -> None:
    """Run it."""
    world = world_of(scenario, None, None)
    with tempfile.TemporaryDirectory() as name:
        loop = Loop(Path(name), world, onnx_policy(), "", version, speed=1.0, lockstep=False)
        with running(loop):
            loop.bundles = bundles(loop, junctions, interval_s)
            loop.start_service()
            start_controllers(loop, processes, version)
            loop.start_gateway(arm=False)
            began = time.monotonic()
            while (ready := sum(row["in_control"] for row in status(loop))) < junctions:
                told = Counter(row["trouble"] or "no trouble" for row in status(loop))
                click.echo(f"{ready} of {junctions} under control; {told.most_common(2)}", err=True)
                arm(loop)
                if time.monotonic() - began > WARM_UP_S:
                    lost = [row for row in status(loop) if not row["in_control"]]
                    click.echo(f"never under control: {lost[:3]}")
                    sys.exit(1)
                time.sleep(10)
            took_s = time.monotonic() - began
            before = {name: cpu_s(item.running.pid) for name, item in loop.processes.items()}
            rows = status(loop)
            began = time.monotonic()
            time.sleep(seconds)
            measured_s = time.monotonic() - began
            after = {name: cpu_s(item.running.pid) for name, item in loop.processes.items()}
            again = status(loop)
            for name in sorted(loop.processes):  # the controllers first
                loop.processes[name].stop()
            files = loop.folder.glob("street*/controllers.json")
            found = [json.loads(file.read_text(encoding="utf-8"))["junctions"] for file in files]
            seen = [row for part in found for row in part.values()]
    commanded = sum(b["commanded"] - a["commanded"] for a, b in zip(rows, again, strict=True))
    decisions = sum(b["decisions"] - a["decisions"] for a, b in zip(rows, again, strict=True))
    losses = sum(b["losses"] - a["losses"] for a, b in zip(rows, again, strict=True))
    silence_s = max(row["longest_silence_s"] for row in seen)
    trips = sum(row["monitor_trips"] for row in seen)
    detectors = Assignment.of(world.junctions[0]).detector_count
    click.echo(
        f"{junctions} junctions like {world.junctions[0].id} of {scenario} ({detectors} detector "
        f"numbers), SNMP {version}, decisions every {interval_s} s; all under control after "
        f"{took_s:.0f} s"
    )
    for name in after:
        part = (after[name] - before[name]) / measured_s
        click.echo(f"{name}: {part:.2f} processors, {1000 * part / junctions:.1f} ms a junction")
    click.echo(
        f"{measured_s:.0f} s: {commanded} of {junctions * round(measured_s)} junction seconds "
        f"commanded, {decisions} decisions"
    )
    click.echo(
        f"longest silence towards a controller {silence_s:.1f} s, heartbeats due within "
        f"{BACKUP_TIME_S / 3:.1f} s; something lost {losses} times; {trips} monitor trips"
    )
    good = silence_s <= BACKUP_TIME_S / 3 and not losses and not trips and decisions > 0
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()

"""A unit of the small test junction, and an agent for it on loopback."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from controllers.ntcip.credentials import Credentials
from controllers.virtual.agent import Agent
from controllers.virtual.street import LoadPattern
from controllers.virtual.table import ObjectTable
from controllers.virtual.unit import Unit
from signals.junction import Junction
from signals.plan import Plan, RingStep
from tests.controllers.street import BEGIN_S, plan_of

A = "1.3.6.1.4.1.1206.4.2.1"
HAS_NET_SNMP = shutil.which("snmpget") is not None


STEP_S = 25


def short_plan(junction: Junction) -> Plan:
    """Every group has its turn within the longest red."""
    steps = tuple(RingStep(step.groups, STEP_S) for step in plan_of(junction).ring_a)
    plan = Plan("am_peak", STEP_S * len(steps), 0, steps, steps)
    plan.validate(junction)
    return plan


def unit_of(junction: Junction, log: list[str] | None = None) -> Unit:
    lines = [] if log is None else log
    return Unit(junction, [(0, short_plan(junction))], float(BEGIN_S), lines.append)


def run(unit: Unit, seconds: int, rows: list[tuple[int, str]] | None = None) -> None:
    """Let seconds pass without any traffic but a pattern of load."""
    street = LoadPattern([unit.assignment.junction], None)
    for _ in range(seconds):
        unit.sense(street.values()[0])
        street.advance()
        second = int(unit.clock_s)
        unit.tick()
        if rows is not None:
            rows.append((second, unit.lights()))
        for _ in range(9):
            unit.tick()


def empty(unit: Unit) -> np.ndarray:
    return np.zeros((len(unit.assignment.detectors), 6))


@dataclass
class Line:
    """An agent that answers, and net-snmp to ask it."""

    unit: Unit
    credentials: Credentials
    port: int
    loop: asyncio.AbstractEventLoop

    def v2c(self, program: str, *objects: str, write: bool = True) -> tuple[int, str]:
        secret = self.credentials
        community = secret.write_community if write else secret.read_community
        return self.call(program, ["-v2c", "-c", community], objects)

    def v3(self, program: str, *objects: str, priv: str = "") -> tuple[int, str]:
        user = self.credentials.users[0]
        flags = ["-v3", "-u", user.name, "-l", "authPriv", "-a", "SHA-256", "-A", user.auth_key]
        return self.call(program, [*flags, "-x", "AES", "-X", priv or user.priv_key], objects)

    def call(self, program: str, flags: list[str], objects: tuple[str, ...]) -> tuple[int, str]:
        done = subprocess.run(
            [program, "-t", "1", "-r", "1", "-Onq", *flags, f"127.0.0.1:{self.port}", *objects],
            capture_output=True,
            text=True,
            env={**os.environ, "MIBS": ""},
            timeout=20,
            check=False,
        )
        # net-snmp says so when it is used for the first time on a machine.
        told = [row for row in done.stderr.splitlines() if "Created directory" not in row]
        return done.returncode, "\n".join([done.stdout.strip(), *told]).strip()


@contextmanager
def answering(unit: Unit, credentials: Credentials | None = None) -> Iterator[Line]:
    """Serve a unit's objects from a thread; its clock stands still but for the test's ticks."""
    found = credentials or Credentials.fresh()
    loop = asyncio.new_event_loop()
    ready = threading.Event()
    ports: list[int] = []

    async def serve() -> None:
        agent = Agent(ObjectTable(unit), found, "127.0.0.1", 0, awake=lambda: unit.answers)
        ports.append((await agent.open())[1])
        ready.set()
        try:
            await stopped.wait()
        finally:
            agent.close()

    stopped = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    try:
        assert ready.wait(20)
        yield Line(unit, found, ports[0], loop)
    finally:
        loop.call_soon_threadsafe(stopped.set)
        thread.join(10)
        loop.close()
        assert not thread.is_alive()


def lawful_seconds(net: Path, junction: Junction, rows: list[tuple[int, str]]) -> list[object]:
    from tests.independent.lights import check_lights

    return list(check_lights(rows, net, junction.id))

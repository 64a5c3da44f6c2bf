"""Units, their agents and their street in one process, second by second.

In real time a second takes a second (or a part of it, by ``speed``), and its ten ticks are spread
over it. In lockstep, for tests that want an hour in minutes with every process real, a second
begins when every unit under system control has had a command since the last one, and that command
is answered when the second is over: the central system's own heartbeat drives the clock.
"""

from __future__ import annotations

import asyncio
import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from controllers.ntcip.credentials import Credentials
from controllers.virtual.agent import Agent
from controllers.virtual.rings import TICKS_PER_S
from controllers.virtual.street import Street
from controllers.virtual.table import ObjectTable
from controllers.virtual.unit import Unit
from signals.errors import OutputError

FIRST_COMMAND_S = 120.0
"""How long a run in lockstep waits for the first command of its central system (s)."""
PATIENCE_S = 2.0
"""How long a second in lockstep waits for the command of a unit under system control (s)."""


@dataclass(frozen=True)
class Pace:
    """How fast seconds pass.

    Attributes:
        speed: Seconds of the controllers in a second; in lockstep the most, 0 without a limit.
        lockstep: The commands of the central system drive the clock.
        patience_s: How long a second in lockstep waits for a command (s).
    """

    speed: float = 1.0
    lockstep: bool = False
    patience_s: float = PATIENCE_S


class Cabinets:
    """All units of one process.

    Args:
        units: The units.
        street: What they are wired to, in the same order.
        pace: How fast.
        log: Gets a line when something happens.
        each_second: Called after every second.
    """

    def __init__(
        self,
        units: Sequence[Unit],
        street: Street,
        pace: Pace,
        each_second: Callable[[int], None] = lambda second: None,
    ) -> None:
        self.units = tuple(units)
        self.street = street
        self.lights: list[list[tuple[int, str]]] = [[] for _ in units]
        self.out_of_service_s = [0] * len(self.units)
        self.seconds = 0
        self._pace = pace
        self._each_second = each_second
        self._agents: list[Agent] = []
        self._heard = asyncio.Event()
        self._stop = False

    async def listen(self, credentials: Sequence[Credentials], host: str, port: int) -> list[int]:
        """Open one agent for each unit, on successive ports.

        Args:
            credentials: For each unit.
            host: Address.
            port: Of the first one; 0 takes free ones.

        Returns:
            The ports.

        Raises:
            PortError: One of them is busy.
        """
        ports = []
        for index, (unit, own) in enumerate(zip(self.units, credentials, strict=True)):
            self._agents.append(self._agent(unit, own, host, port + index if port else 0))
            ports.append((await self._agents[-1].open())[1])
        return ports

    def _agent(self, unit: Unit, credentials: Credentials, host: str, port: int) -> Agent:
        return Agent(
            ObjectTable(unit),
            credentials,
            host,
            port,
            awake=lambda: unit.answers,
            heard=self._heard.set,
            later=self._pace.lockstep,
        )

    def stop(self) -> None:
        """End the run after the present second."""
        self._stop = True
        self._heard.set()

    def restart(self) -> None:
        """Cut the power of every unit for a moment."""
        for unit in self.units:
            unit.restart()

    async def run(self) -> None:
        """Run until the street's period is over or somebody stops it."""
        loop = asyncio.get_running_loop()
        self.street.open()
        try:
            for unit, values in zip(self.units, self.street.values(), strict=True):
                unit.sense(values)
            began = loop.time()
            if self._pace.lockstep:
                await self._wait(self._all_commanded, FIRST_COMMAND_S)
                began = loop.time()
            while not self._stop and not self.street.finished():
                heard = [unit.commands for unit in self.units]
                await self._second(began)
                for agent in self._agents:
                    agent.answer()
                self._each_second(self.seconds)
                if self._pace.lockstep:
                    await asyncio.sleep(0)
                    await self._wait(partial(self._followed, heard), self._pace.patience_s)
        finally:
            for agent in self._agents:
                agent.answer()
                agent.close()
            self.street.close()

    def _all_commanded(self) -> bool:
        return all(unit.commanded for unit in self.units)

    def _followed(self, heard: Sequence[int]) -> bool:
        """Whether every unit under system control had a command since."""
        return all(
            not unit.commanded or unit.commands > before
            for unit, before in zip(self.units, heard, strict=True)
        )

    async def _wait(self, done: Callable[[], bool], most_s: float) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + most_s
        while not done() and not self._stop:
            self._heard.clear()
            left_s = deadline - loop.time()
            if left_s <= 0:
                return
            try:
                await asyncio.wait_for(self._heard.wait(), left_s)
            except TimeoutError:
                return

    async def _second(self, began: float) -> None:
        speed, spread = self._pace.speed, not self._pace.lockstep and self._pace.speed
        loop = asyncio.get_running_loop()
        for tick in range(TICKS_PER_S):
            for index, unit in enumerate(self.units):
                clock = int(unit.clock_s)
                unit.tick()
                if tick == 0:
                    self._show(index, unit, clock)
            if spread:
                due = began + (self.seconds + (tick + 1) / TICKS_PER_S) / speed
                await asyncio.sleep(max(0.0, due - loop.time()))
        self.street.advance()
        for unit, values in zip(self.units, self.street.values(), strict=True):
            unit.sense(values)
        self.seconds += 1
        if self._pace.lockstep and speed:
            await asyncio.sleep(max(0.0, began + self.seconds / speed - loop.time()))
        elif not spread:
            await asyncio.sleep(0)

    def _show(self, index: int, unit: Unit, clock: int) -> None:
        lights = unit.lights()
        self.street.show(index, lights)
        self.lights[index].append((self.seconds, lights))
        self.out_of_service_s[index] += unit.flashing

    def summary(self) -> dict[str, object]:
        """What the run came to, for each unit."""
        return {
            "seconds": self.seconds,
            "junctions": {
                unit.assignment.junction.id: {
                    "monitor_trips": unit.monitor.trips,
                    "monitor_fault": unit.monitor.fault,
                    "backups": unit.backups,
                    "commands": unit.commands,
                    "longest_silence_s": unit.longest_silence_s,
                    "out_of_service_s": self.out_of_service_s[index],
                }
                for index, unit in enumerate(self.units)
            },
        }

    def write(self, folder: Path) -> None:
        """Write ``lights-JUNCTION.csv`` and ``controllers.json``.

        Raises:
            OutputError: The folder cannot be written to.
        """
        try:
            for unit, rows in zip(self.units, self.lights, strict=True):
                file = folder / f"lights-{unit.assignment.junction.id}.csv"
                with file.open("w", newline="", encoding="utf-8") as stream:
                    writer = csv.writer(stream)
                    writer.writerow(["second", "state"])
                    writer.writerows(rows)
            text = json.dumps(self.summary(), indent=2)
            (folder / "controllers.json").write_text(text + "\n", encoding="utf-8")
        except OSError as error:
            raise OutputError(f"cannot write to {folder}: {error.strerror or error}") from error

"""The gateway's part at one junction, second by second, without a network in between."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import pytest

pytest.importorskip("pysnmp", reason="pysnmp is not installed (extra: serve)")
pytest.importorskip("libsumo", reason="libsumo is not installed (extra: sim)")

from controllers.adapters.ntcip import NtcipAdapter
from controllers.link import JunctionLink
from controllers.poller import Answer
from controllers.runtime import Command, DecisionRequest
from controllers.virtual.street import LoadPattern
from controllers.virtual.table import ObjectTable
from controllers.virtual.unit import Unit
from signals.contract import Contract, TimedPlan
from signals.world import resolve
from tests.controllers.loop import SEOUL
from tests.independent.lights import check_lights
from tests.independent.runs import site_timing

SEED = 0


class Table:
    """A line that reaches the controller's objects at once."""

    def __init__(self, unit: Unit) -> None:
        self._table = ObjectTable(unit)

    async def open(self) -> None:
        pass

    def close(self) -> None:
        pass

    async def get(self, oids: Sequence[tuple[int, ...]]) -> list[Any]:
        return [self._table.get(tuple(oid)) for oid in oids]

    async def rows(self, column: tuple[int, ...], count: int) -> list[Any]:
        return await self.get([(*column, row) for row in range(1, count + 1)])

    async def set(self, changes: Sequence[tuple[tuple[int, ...], int]]) -> None:
        self._table.set_all([(tuple(oid), value) for oid, value in changes])


class Hostile:
    """A service that wishes for any phase, and falls silent again and again."""

    def __init__(self, phases: int, seed: int) -> None:
        self._phases = phases
        self._dice = random.Random(seed)
        self.silent = False

    async def ask(self, request: DecisionRequest) -> Answer:
        if self.silent:
            return Answer(None, "no answer from the service")
        phase = self._dice.randrange(self._phases)
        clock_s = request.clock_s
        return Answer(
            Command(
                phase=phase,
                phase_name=None,
                not_before_s=clock_s,
                expires_at_s=clock_s + 11,
                reason="changed",
                why="",
                granted=True,
                mask=(),
                sequence=request.sequence,
                bundle_hash="",
            )
        )

    async def close(self) -> None:
        pass


def test_control_begins_only_where_every_red_can_be_kept() -> None:
    """Taken over in the midst of the plan's own recovery, reds would last too long."""
    world = resolve("gangnam", None)
    junction, plan = world.junction, world.plan
    unit = Unit(junction, [(0, plan)], float(world.begin_s))
    service: Any = Hostile(len(junction.phases), SEED)
    contract = Contract.promise("hostile", junction, (TimedPlan("day", 0, 86_400, plan),), b"x", 5)
    line: Any = Table(unit)
    lines: list[str] = []
    link = JunctionLink(
        contract, NtcipAdapter(junction, line), service, lines.append, lambda: unit.clock_s
    )
    link.arm(86_400)
    street = LoadPattern([junction], None)
    dice, rows, commanded = random.Random(SEED), [], 0

    async def main() -> None:
        nonlocal commanded
        turn = 0
        for second in range(1300):
            if second >= turn:
                service.silent = not service.silent and second > 0
                turn = second + (dice.randint(6, 15) if service.silent else dice.randint(10, 150))
            unit.sense(street.values()[0])
            street.advance()
            unit.tick()
            rows.append((second, unit.lights()))
            for _ in range(9):
                unit.tick()
            await link.second()
            commanded += link.in_control

    asyncio.run(main())
    timing = site_timing(SEOUL / "gangnam" / "site.yaml")
    assert check_lights(rows, world.net_file, junction.id, timing) == []
    assert commanded > 650 and link.report.losses > 8 and unit.monitor.trips == 0

"""The gateway's part at one junction, second by second, without a network in between."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("pysnmp", reason="pysnmp is not installed (extra: serve)")
pytest.importorskip("libsumo", reason="libsumo is not installed (extra: sim)")

from controllers.adapters.ntcip import NtcipAdapter
from controllers.link import JunctionLink
from controllers.poller import Answer
from controllers.runtime import LOCAL_PLAN, Command, DecisionRequest
from controllers.virtual.street import LoadPattern
from controllers.virtual.table import ObjectTable
from controllers.virtual.unit import Unit
from signals.contract import Contract, TimedPlan
from signals.world import World, resolve
from tests.controllers.loop import SEOUL
from tests.independent.lights import check_lights
from tests.independent.runs import site_timing

SEED = 0
SHADOW = "stage shadow: the policy does not act now"


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


def wish(request: DecisionRequest, phase: int) -> Command:
    return Command(
        phase=phase,
        phase_name=None,
        not_before_s=request.clock_s,
        expires_at_s=request.clock_s + 11,
        reason="changed",
        why="",
        granted=True,
        mask=(),
        sequence=request.sequence,
        bundle_hash="",
    )


class Hostile:
    """A service that wishes for any phase, and falls silent again and again."""

    def __init__(self, phases: int, seed: int) -> None:
        self._phases = phases
        self._dice = random.Random(seed)
        self.silent = False

    async def ask(self, request: DecisionRequest) -> Answer:
        if self.silent:
            return Answer(None, "no answer from the service")
        return Answer(wish(request, self._dice.randrange(self._phases)))

    async def close(self) -> None:
        pass


class Timid:
    """A service that is well all the time, and wishes for phase 0 once its stage lets it act."""

    acts = False
    gone = False

    async def ask(self, request: DecisionRequest) -> Answer:
        if self.gone:
            return Answer(None, "no answer from the service")
        found = wish(request, 0)
        if self.acts:
            return Answer(found)
        return Answer(replace(found, phase=None, reason=LOCAL_PLAN, why=SHADOW), withheld=True)

    async def close(self) -> None:
        pass


def linked(world: World, service: Any) -> tuple[Unit, JunctionLink, list[str]]:
    """A controller, the gateway's part at it, and what that logs."""
    junction, plan = world.junction, world.plan
    unit = Unit(junction, [(0, plan)], float(world.begin_s))
    contract = Contract.promise("test", junction, (TimedPlan("day", 0, 86_400, plan),), b"x", 5)
    line: Any = Table(unit)
    lines: list[str] = []
    adapter = NtcipAdapter(junction, line)
    return unit, JunctionLink(contract, adapter, service, lines.append, lambda: unit.clock_s), lines


def test_control_begins_only_where_every_red_can_be_kept() -> None:
    """Taken over in the midst of the plan's own recovery, reds would last too long."""
    world = resolve("gangnam", None)
    service = Hostile(len(world.junction.phases), SEED)
    unit, link, _ = linked(world, service)
    link.arm(86_400)
    street = LoadPattern([world.junction], None)
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
    assert check_lights(rows, world.net_file, world.junction.id, timing) == []
    assert commanded > 650 and link.report.losses > 8 and unit.monitor.trips == 0


def test_it_says_what_it_waits_for() -> None:
    """In shadow nothing is lost; armed, it names what keeps it from taking control, once each."""
    world, service = resolve("gangnam", None), Timid()
    unit, link, lines = linked(world, service)
    street = LoadPattern([world.junction], None)

    async def pass_by(seconds: int) -> None:
        for _ in range(seconds):
            unit.sense(street.values()[0])
            street.advance()
            for _ in range(10):
                unit.tick()
            await link.second()

    async def main() -> None:
        await pass_by(20)
        assert link.report.withheld >= 3 and link.report.losses == link.report.refusals == 0
        assert len(lines) == 1 and f"leaves it to the local plan: {SHADOW}" in lines[0]
        service.gone = True
        await pass_by(20)
        assert link.report.losses == 1 and "on the local plan: no answer" in lines[1]
        service.gone = False
        await pass_by(40)
        assert link.report.recoveries == 1 and len(lines) == 3
        assert "all is well again: the service leaves" in lines[2]
        lines.clear()

        link.arm(3600)
        assert lines[0].endswith(f"armed for 60 minutes; waiting: {SHADOW}")
        assert link.status()["waiting"] == SHADOW
        service.acts = True
        await pass_by(8)
        assert "not seen lit yet" in lines[-1]
        assert "not seen lit yet" in str(link.status()["waiting"])
        for _ in range(30):
            if not link.in_control:
                await pass_by(10)
        assert link.in_control and link.status()["waiting"] == ""
        waits = [line.partition("waiting: ")[2] for line in lines[1:] if "waiting: " in line]
        assert len(waits) == len(set(waits)) and lines[-1].endswith("takes control")
        await link.disarm("the test ends")

    asyncio.run(main())

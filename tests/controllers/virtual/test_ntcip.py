"""The NTCIP adapter against the virtual controller, over v2c and v3."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("pysnmp", reason="pysnmp is not installed (extra: serve)")

from controllers.adapters.base import Adapter, LineError, Order, RefusedError
from controllers.adapters.conformance import AdapterConformance
from controllers.adapters.ntcip import NtcipAdapter
from controllers.adapters.snmp import SnmpLine
from controllers.ntcip.credentials import Credentials, User, read_or_make
from controllers.ntcip.objects import ControlStatus
from signals.errors import InputError, ReadingError
from signals.junction import Junction
from signals.lights import CLEARANCE, GREEN, RED
from tests.controllers.proxy import Proxy
from tests.controllers.virtual.place import Line, answering, run, unit_of


class Cabinet:
    """A virtual controller whose seconds the test lets pass."""

    def __init__(self, line: Line, version: str) -> None:
        self._line = line
        self._version = version
        self._cut = False

    @property
    def junction(self) -> Junction:
        return self._line.unit.assignment.junction

    @property
    def backup_s(self) -> float:
        return float(self._line.unit.backup_time_s)

    def adapter(self) -> Adapter:
        version, _, plainly = self._version.partition(" ")
        line = SnmpLine(
            "127.0.0.1",
            self._line.port,
            self._line.credentials,
            version,
            1.0,
            retries=1,
            quickly=not plainly,
        )
        return NtcipAdapter(self.junction, line)

    def pass_seconds(self, seconds: int) -> None:
        run(self._line.unit, seconds)

    def indications(self) -> tuple[int, ...]:
        _, yellows, greens = self._line.unit.outputs
        return tuple(
            GREEN if greens >> p & 1 else CLEARANCE if yellows >> p & 1 else RED
            for p in range(len(self.junction.groups))
        )

    def on_its_plan(self) -> bool:
        unit = self._line.unit
        masks = any(unit.control.masks.values())
        return not masks and unit.pattern <= len(unit.coordinator.patterns)

    def change_timing(self) -> None:
        self._line.unit.timing[2].minimum_green_s += 1

    def switch_backup_off(self) -> None:
        self._line.unit.backup_time_s = 0

    def flash(self) -> None:
        self._line.unit.coord_mode = 255

    def cut(self) -> None:
        self._line.unit._dark_ticks = 10**6


@pytest.fixture(params=["v2c", "v3", "v3 pysnmp"])
def far_end(junction: Junction, request: pytest.FixtureRequest) -> Iterator[Cabinet]:
    unit = unit_of(junction)
    run(unit, 2)
    with answering(unit) as line:
        yield Cabinet(line, request.param)


class TestNtcip(AdapterConformance):
    """The suite, over SNMPv2c and SNMPv3, read by gufo-snmp and by pysnmp."""


def test_who_has_no_right_to_write_is_no_line(junction: Junction) -> None:
    reader = Credentials("r" * 8, "", (User("viewer", "a" * 8, "b" * 8, writes=False),))
    for version in ("v2c", "v3"):
        with pytest.raises(InputError, match="may write"):
            SnmpLine("127.0.0.1", 161, reader, version)


def test_credentials_are_made_once_and_for_their_owner(tmp_path: Any) -> None:
    file = tmp_path / "c.secrets"
    made = read_or_make(file)
    assert read_or_make(file) == made != Credentials.fresh()
    assert file.stat().st_mode & 0o777 == 0o600
    assert made.write_community not in repr(made) and made.users[0].auth_key not in repr(made)
    file.chmod(0o644)
    with pytest.raises(InputError, match="chmod 600"):
        Credentials.read(file)
    for text in ("[]", "v2c: {read: short, write: x}", "v3: [{name: a}]", "{", "v4: 1"):
        bad = tmp_path / "bad.secrets"
        bad.write_text(text)
        bad.chmod(0o600)
        with pytest.raises(InputError, match="cannot be used"):
            Credentials.read(bad)


def test_somebody_elses_commands_are_seen(far_end: Cabinet) -> None:
    from controllers.ntcip.objects import PhaseControl

    async def main() -> None:
        adapter = far_end.adapter()
        await adapter.connect()
        await adapter.take()
        await adapter.order(Order())
        far_end.pass_seconds(1)
        assert not (await adapter.state()).foreign
        unit = far_end._line.unit
        unit.control.masks[PhaseControl.PHASE_OMIT] = 0
        await adapter.order(Order(hold=frozenset({0})))
        unit.control.masks[PhaseControl.HOLD] = 2
        state = await adapter.state()
        assert "hold 0x2" in state.foreign and unit.control_status == ControlStatus.SYSTEM_CONTROL
        unit.control.pattern = 1
        assert "system pattern 1" in (await adapter.state()).foreign
        await adapter.close()

    asyncio.run(main())


def test_mangled_answers_are_errors_of_the_line(far_end: Cabinet) -> None:
    """Never another exception, never a hang."""
    from tests.controllers.virtual.test_agent import mangled

    dice = random.Random(3)
    proxy = Proxy(far_end._line.port)
    version, _, plainly = far_end._version.partition(" ")
    line = SnmpLine(
        *("127.0.0.1", proxy.port, far_end._line.credentials, version, 0.05),
        retries=0,
        quickly=not plainly,
    )

    async def main() -> int:
        failed = 0
        adapter = NtcipAdapter(far_end.junction, line)
        for _ in range(12):
            proxy.change = None
            try:
                await adapter.connect()
                proxy.change = lambda data: mangled(data, dice)
                await adapter.state()
                await adapter.readings()
                await adapter.order(Order())
            except (LineError, RefusedError, ReadingError):
                failed += 1
            finally:
                await adapter.close()
        return failed

    try:
        assert asyncio.run(main()) > 5
    finally:
        proxy.close()

"""net-snmp's command line, a client of nobody's making here, reads and drives the controller."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import time
from collections.abc import Iterator

import pytest

pytest.importorskip("pysnmp", reason="pysnmp is not installed (extra: serve)")

from controllers.adapters.base import LineError
from controllers.adapters.snmp import SnmpLine
from controllers.ntcip import objects as o
from controllers.ntcip.objects import PhaseControl
from signals.junction import Junction
from tests.controllers.proxy import Proxy
from tests.controllers.virtual.place import HAS_NET_SNMP, A, Line, answering, run, unit_of

net_snmp = pytest.mark.skipif(not HAS_NET_SNMP, reason="net-snmp's snmpget is not installed")
PACKETS = int(os.environ.get("SEOUL_SIGNALS_MANGLED_PACKETS", "300"))


@pytest.fixture
def line(junction: Junction) -> Iterator[Line]:
    unit = unit_of(junction)
    run(unit, 3)
    with answering(unit) as found:
        yield found


@net_snmp
def test_it_is_read_over_v2c_and_v3(line: Line) -> None:
    unit = line.unit
    wanted = (f"{A}.3.3.0", f"{A}.3.5.0", f"{A}.3.6.0", f"{A}.1.4.1.4.1", f"{A}.1.2.1.8.1")
    yellow = unit.timing[0].yellow_tenths
    greens = unit.outputs[2] & ~unit.assignment.walkers & 0xFF
    for code, text in (line.v2c("snmpget", *wanted, write=False), line.v3("snmpget", *wanted)):
        assert code == 0, text
        values = [int(row.split()[-1]) for row in text.splitlines()]
        assert values == [10, 6, 2, greens, yellow]
    code, text = line.v3("snmpget", f"{A}.1.2.1.23.1")
    assert code == 0 and "No Such" not in text


@net_snmp
def test_a_walk_sees_every_object_and_nothing_else(line: Line) -> None:
    from controllers.virtual.table import ObjectTable

    code, text = line.v2c("snmpbulkwalk", "1.3.6.1", write=False)
    rows = [row for row in text.splitlines() if "No more variables" not in row]
    assert code == 0
    assert all(row.startswith(".1.3.6.1.4.1.1206.4.2.") for row in rows)
    assert len(rows) == len(ObjectTable(line.unit)._order)
    code, text = line.v2c("snmpget", "1.3.6.1.2.1.1.1.0", write=False)
    assert "No Such Object" in text


@net_snmp
def test_what_it_refuses(line: Line) -> None:
    assert "notWritable" in line.v2c("snmpset", f"{A}.3.5.0", "i", "2")[1]
    assert "notWritable" in line.v2c("snmpset", f"{A}.1.4.1.4.1", "i", "255")[1]
    assert "wrongValue" in line.v2c("snmpset", f"{A}.1.2.1.8.1", "i", "20")[1]
    assert "wrongValue" in line.v2c("snmpset", f"{A}.1.5.1.4.1", "i", "256")[1]
    assert "wrongValue" in line.v2c("snmpset", f"{A}.1.2.1.8.9", "i", "40")[1], "a crosswalk"
    assert "wrongType" in line.v2c("snmpset", f"{A}.3.3.0", "s", "ten")[1]
    assert "noCreation" in line.v2c("snmpset", f"{A}.99.0", "i", "1")[1]
    assert "noAccess" in line.v2c("snmpset", f"{A}.3.3.0", "i", "3", write=False)[1]
    assert line.unit.backup_time_s == 10 and line.unit.commands == 0


@net_snmp
def test_who_is_not_let_in(line: Line) -> None:
    code, text = line.call("snmpget", ["-v2c", "-c", "public", "-t", "0.3", "-r", "0"], (A,))
    assert code != 0 and "Timeout" in text
    code, text = line.call(
        "snmpget", ["-v1", "-c", line.credentials.read_community], (f"{A}.3.3.0",)
    )
    assert code != 0
    assert line.v3("snmpget", f"{A}.3.3.0", priv="x" * 20)[0] != 0
    user = line.credentials.users[0]
    flags = ["-v3", "-u", user.name, "-l", "authNoPriv", "-a", "SHA-256", "-A", user.auth_key]
    assert line.call("snmpget", flags, (f"{A}.3.3.0",))[0] != 0


@net_snmp
def test_a_set_is_whole_or_nothing(line: Line) -> None:
    unit = line.unit
    code, text = line.v2c(
        "snmpset", f"{A}.1.5.1.4.1", "i", "1", f"{A}.4.14.0", "i", "254", f"{A}.1.2.1.8.1", "i", "1"
    )
    assert code != 0 and "wrongValue" in text and f"Failed object: .{A}.1.2.1.8.1" in text
    assert unit.control.pattern == 0 and unit.control.masks[PhaseControl.HOLD] == 0
    code, _ = line.v3("snmpset", f"{A}.1.5.1.4.1", "i", "1", f"{A}.4.14.0", "i", "254")
    assert code == 0
    assert unit.control.pattern == 254 and unit.control.masks[PhaseControl.HOLD] == 1


@net_snmp
def test_it_is_driven_and_falls_back(line: Line) -> None:
    """Phases follow omits, calls and force-offs; silence ends in backup mode and the own plan."""
    unit = line.unit
    run(unit, 20)
    before = unit.outputs[2] & ~unit.assignment.walkers
    target = next(
        p
        for p in unit.assignment.phases
        if not before >> (p - 1) & 1 and not unit.assignment.walkers >> (p - 1) & 1
    )
    every, bit = unit.assignment.all, 1 << target - 1
    objects: list[str] = [f"{A}.4.14.0", "i", "254"]
    for column, mask in ((2, every & ~bit), (5, before & ~bit), (6, bit), (4, bit)):
        for group in (1, 2):
            objects += [f"{A}.1.5.1.{column}.{group}", "i", str(mask >> 8 * (group - 1) & 0xFF)]
    assert line.v2c("snmpset", *objects)[0] == 0
    assert line.v2c("snmpset", f"{A}.3.3.0", "i", "60")[0] == 0
    run(unit, 55)
    assert unit.outputs[2] == bit
    assert line.v3("snmpget", f"{A}.3.5.0")[1].split()[-1] == "2"
    assert line.v3("snmpget", f"{A}.1.5.1.5.1")[1].split()[-1] == "0", "a force-off clears itself"
    run(unit, 10)
    assert line.v3("snmpget", f"{A}.3.5.0")[1].split()[-1] == "4"
    assert line.v3("snmpget", f"{A}.4.14.0", f"{A}.1.5.1.2.1")[1].split()[1::2] == ["0", "0"]
    assert unit.backups == 1 and unit.monitor.trips == 0


def message(request: type, community: str, obj: str, value: object) -> bytes:
    from pyasn1.codec.ber import encoder
    from pysnmp.proto.api import v2c

    pdu = request()
    v2c.apiPDU.set_defaults(pdu)
    v2c.apiPDU.set_varbinds(pdu, [(tuple(int(part) for part in obj.split(".")), value)])
    found = v2c.Message()
    v2c.apiMessage.set_defaults(found)
    v2c.apiMessage.set_community(found, community)
    v2c.apiMessage.set_pdu(found, pdu)
    return bytes(encoder.encode(found))


def mangled(good: bytes, dice: random.Random) -> bytes:
    """Bytes changed, cut off, put in between and doubled."""
    data = bytearray(good)
    for _ in range(dice.randint(1, 6)):
        kind, place = dice.randrange(4), dice.randrange(len(data) + 1)
        if kind == 0 and place < len(data):
            data[place] = dice.randrange(256)
        elif kind == 1:
            del data[place:]
        elif kind == 2:
            data[place:place] = dice.randbytes(dice.randint(1, 9))
        else:
            data += data[:place]
    return bytes(data[:60_000])


def written_by_v3(line: Line) -> bytes:
    """A SET of somebody who may write, authenticated and encrypted, that never arrived."""

    async def main() -> bytes:
        proxy = Proxy(line.port)
        try:
            manager = SnmpLine(
                "127.0.0.1", proxy.port, line.credentials, "v3", 2.0, retries=0, quickly=False
            )
            await manager.open()
            assert await manager.get([o.BACKUP_TIME]) == [line.unit.backup_time_s]
            proxy.cut = True
            with pytest.raises(LineError):
                await manager.set([(o.phase_control(PhaseControl.FORCE_OFF, 1), 255)])
            manager.close()
            return proxy.sent
        finally:
            proxy.close()

    return asyncio.run(main())


@pytest.mark.parametrize("version", ["v2c", "v3"])
def test_mangled_packets_change_nothing(line: Line, version: str) -> None:
    """SETs, mangled: ten thousand with SEOUL_SIGNALS_MANGLED_PACKETS=10000.

    Of v2c those of a reader, as a mangled one of a writer may well be another good one; of v3 those
    of a writer.
    """
    from pysnmp.proto.api import v2c

    dice, unit, twin = random.Random(7), line.unit, unit_of(line.unit.assignment.junction)
    run(twin, 3)
    secret = line.credentials.read_community
    good = message(v2c.SetRequestPDU, secret, f"{A}.1.5.1.5.1", v2c.Integer(255))
    ping = message(v2c.GetRequestPDU, secret, f"{A}.3.3.0", v2c.Null(""))
    if version == "v3":
        good = written_by_v3(line)
    lights: list[list[tuple[int, str]]] = [[], []]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        sock.connect(("127.0.0.1", line.port))
        for number in range(PACKETS // 2):
            bad = good
            while bad == good:
                bad = mangled(good, dice)
            sock.send(bad)
            if number % 20 == 19:
                sock.send(ping)
                while sock.recv(65_535)[-1:] != bytes([unit.backup_time_s]):
                    pass  # answers to what was, after all, a message
                run(unit, 1, lights[0])
                run(twin, 1, lights[1])
        assert lights[0] == lights[1] and len(lights[0]) == PACKETS // 2 // 20
        assert unit.commands == 0 and unit.timing == twin.timing and unit.monitor.trips == 0
        if version == "v3":
            # The same packet, whole, is carried out: what was refused above was refused for cause.
            sock.send(good)
            deadline = time.monotonic() + 5
            while not unit.commands and time.monotonic() < deadline:
                time.sleep(0.01)
            assert unit.commands == 1

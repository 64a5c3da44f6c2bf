"""Field faults, one after the other, while SUMO's traffic runs: real processes on loopback.

Each ends on the controller's own plan within its backup time or goes on lawfully; the whole record
of lights is judged by the independent checker at the end.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("pysnmp", reason="pysnmp is not installed (extra: serve)")
pytest.importorskip("libsumo", reason="libsumo is not installed (extra: sim)")

from controllers.ntcip import objects as o
from controllers.ntcip.credentials import Credentials
from tests.controllers.loop import Loop, running, world_of
from tests.controllers.proxy import Proxy, rewriting

SPEED = 10.0
BACKUP_S = 10


class Street:
    """A loop with a bad network in it, and hands to do harm."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        loop.start_service()
        loop.start_controllers("--patience", 0.7)
        listed = loop.folder / "controllers.yaml"
        text = listed.read_text(encoding="utf-8")
        self.port = int(re.findall(r"127\.0\.0\.1:(\d+)", text)[0])
        self.proxy = Proxy(self.port)
        listed.write_text(text.replace(f":{self.port}", f":{self.proxy.port}"), encoding="utf-8")
        self.secrets = Credentials.read(loop.folder / "controller.secrets")
        loop.start_gateway("--timeout", 2)
        loop.until(lambda row: row["in_control"])

    def controlled(self, arm: bool = False) -> None:
        """The gateway decides again, after an operator armed it where it must be armed."""
        self.loop.until(lambda row: row["connected"] and not row["trouble"])
        if arm:
            assert not self.loop.status()[0]["armed"]
            self.loop.call("gateway", "arm", "--minutes", 1440)
        self.loop.until(lambda row: row["in_control"], 120)
        time.sleep(0.5)

    def told(self, what: str, losses: int) -> None:
        """One line for this loss, and no other."""
        lost, back = self.loop.lost_and_back()
        assert len(lost) == len(back) == losses, (lost, back)
        assert re.search(what, lost[-1]), lost[-1]

    def set(self, oid: tuple[int, ...], value: int) -> None:
        """A technician at the cabinet, past the gateway."""
        import asyncio

        from controllers.adapters.snmp import SnmpLine

        async def main() -> None:
            line = SnmpLine("127.0.0.1", self.port, self.secrets, "v2c", 5.0)
            await line.open()
            await line.set([(oid, value)])
            line.close()

        asyncio.run(main())


@pytest.fixture
def street(tmp_path: Path) -> Iterator[Street]:
    from tests.controllers.street import onnx_policy

    world = world_of("gangnam", "night", 240)
    loop = Loop(tmp_path, world, onnx_policy(), "", "v2c", seed=2, speed=SPEED)
    with running(loop):
        found = Street(loop)
        yield found
        found.proxy.close()


@pytest.mark.skipif(
    not os.environ.get("SEOUL_SIGNALS_FIELD_FAULTS"),
    reason="takes minutes of wall time: set SEOUL_SIGNALS_FIELD_FAULTS=1",
)
def test_faults_change_nothing_on_the_road(street: Street) -> None:
    loop, proxy = street.loop, street.proxy
    losses = 0

    # The service is killed, and comes back with a policy that always wishes the worst.
    port = int(loop.url.rpartition(":")[2])
    loop.processes["service"].stop(signal.SIGKILL)
    loop.until(lambda row: bool(row["trouble"]) and not row["in_control"])
    hostile(loop)
    loop.start_service(port)
    street.controlled()
    losses += 1
    street.told("no answer from the service", losses)

    # Slow, doubled and overtaking answers.
    proxy.delay_s, proxy.twice = 0.1, True
    before = loop.status()[0]["commanded"]
    loop.until(lambda row: row["commanded"] > before + 15)
    proxy.delay_s, proxy.twice = 0.0, False
    street.told("no answer from the service", losses)

    # Absurd, missing and stale readings.
    first, last = o.detector_volume(1), o.detector_occupancy(255)
    for change, line in (
        (lambda oid, value: 9999 if oid == first else None, "volume 9999"),
        (lambda oid, value: 211 if oid[:-1] == last[:-1] else None, "no detector answers"),
        (lambda oid, value: 7 if oid == o.VOLUME_OCCUPANCY_SEQUENCE else None, "not reported"),
    ):
        proxy.change = rewriting(change)
        loop.until(lambda row: bool(row["trouble"]) and not row["in_control"])
        proxy.change = None
        street.controlled()
        losses += 1
        street.told(line, losses)

    # The network is cut; whoever armed the gateway saw another situation.
    proxy.cut = True
    loop.until(lambda row: not row["connected"])
    time.sleep(BACKUP_S * 0.6)
    proxy.cut = False
    street.controlled(arm=True)
    losses += 1
    street.told("no answer within", losses)

    # Somebody sets the controller's clock.
    street.set(o.GLOBAL_TIME, 20_454 * 86_400 + 5 * 3600)
    street.controlled()
    losses += 1
    street.told("clock jumped to 05:00", losses)

    # Somebody changes the timing at the cabinet, and changes it back.
    street.set(o.phase(o.PhaseColumn.MINIMUM_GREEN, 2), 9)
    loop.until(lambda row: bool(row["trouble"]) and not row["in_control"])
    street.set(o.phase(o.PhaseColumn.MINIMUM_GREEN, 2), 7)
    street.controlled(arm=True)
    losses += 1
    street.told("minimum green 9", losses)

    # A command of before is sent once more.
    old = next(data for data in proxy.sets if len(data) > 200)
    loop.until(lambda row: row["in_control"])
    for _ in range(40):
        proxy.replay(old)
        time.sleep(0.05)
        if loop.status()[0]["trouble"]:
            break
    street.controlled(arm=not loop.status()[0]["armed"])
    lost, back = loop.lost_and_back()
    assert len(lost) == len(back) and len(lost) - losses <= 1
    losses = len(lost)

    # The controller loses power for a moment.
    loop.processes["controllers"].running.send_signal(signal.SIGHUP)
    loop.until(lambda row: not row["armed"])
    street.controlled(arm=True)
    lost, back = loop.lost_and_back()
    assert len(lost) == len(back) == losses + 1

    # The gateway is killed; a new one begins disarmed.
    loop.processes["gateway"].stop(signal.SIGKILL)
    time.sleep(BACKUP_S * 0.6)
    loop.start_gateway(arm=False)
    loop.until(lambda row: row["seconds"] > 5)
    assert not loop.status()[0]["armed"] and not loop.status()[0]["in_control"]

    loop.processes["controllers"].running.send_signal(signal.SIGTERM)
    found = loop.finish()["junctions"]["gangnam"]
    assert found["monitor_trips"] == 0
    assert found["backups"] >= 2, "cut and killed"
    assert loop.violations() == []
    assert loop.recorded() >= loop.asked()


def hostile(loop: Loop) -> None:
    """Put in the place of the bundle one whose policy wishes for the emptiest other phase."""
    from signals.contract import read_bundle, signing_key, write_bundle
    from tests.controllers.street import onnx_policy

    for file in loop.bundles:
        contract = read_bundle(file).contract
        worst = onnx_policy(sign=-1.0, stay=-9.0, masked=False)
        from signals.contract import Contract

        made = Contract.promise("hostile", contract.junction, contract.plans, worst, 5)
        file.unlink()
        write_bundle(file, made, worst, signing_key())


def test_a_forged_bundle_connects_nothing(tmp_path: Path) -> None:
    """One byte changed: gateway and service refuse before they speak to anybody."""
    from tests.controllers.street import onnx_policy

    loop = Loop(tmp_path, world_of("gangnam", "night", 1), onnx_policy())
    with running(loop):
        data = bytearray(loop.bundles[0].read_bytes())
        data[len(data) // 2] ^= 1
        loop.bundles[0].write_bytes(bytes(data))
        (tmp_path / "c.yaml").write_text(
            "controllers: [{junction: gangnam, address: '127.0.0.1:9', credentials: c.secrets}]"
        )
        from tests.controllers.loop import command

        done = subprocess.run(
            command(
                *("gateway", "--controllers", "c.yaml", "--service", "http://127.0.0.1:9"),
                *("--bundle", loop.bundles[0]),
            ),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env=dict(os.environ),
            timeout=60,
            check=False,
        )
    assert done.returncode == 2 and "bundle" in done.stderr and "Traceback" not in done.stderr

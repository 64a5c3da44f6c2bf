"""Field faults, one after the other, while SUMO's traffic runs: real processes on loopback.

Each ends on the controller's own plan within its backup time or goes on lawfully; the whole record
of lights is judged by the independent checker at the end, and every decision is in PostgreSQL.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pysnmp", reason="pysnmp is not installed (extra: serve)")
pytest.importorskip("libsumo", reason="libsumo is not installed (extra: sim)")
pytest.importorskip("onnx", reason="onnx is not installed (extra: train)")

from controllers.adapters.base import LineError
from controllers.adapters.snmp import SnmpLine
from controllers.gateway import ask
from controllers.ntcip import objects as o
from controllers.ntcip.credentials import Credentials
from signals.bundle import read_bundle, write_bundle
from signals.contract import Contract
from signals.signing import signing_key
from tests.controllers.loop import Loop, command, running, world_of
from tests.controllers.postgres import Cluster, binaries, cluster
from tests.controllers.proxy import Proxy, rewriting
from tests.controllers.street import onnx_policy

SPEED = 10.0
BACKUP_S = 10
PATIENCE_S = 0.7
"""How long the controller waits for a command before its second passes without one."""
DAY_S = 20_454 * 86_400


class Street:
    """A loop with a bad network in it, and hands to do harm."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        loop.start_service()
        loop.start_controllers("--patience", PATIENCE_S)
        listed = loop.folder / "controllers.yaml"
        text = listed.read_text(encoding="utf-8")
        self.port = int(re.findall(r"127\.0\.0\.1:(\d+)", text)[0])
        self.proxy = Proxy(self.port)
        listed.write_text(text.replace(f":{self.port}", f":{self.proxy.port}"), encoding="utf-8")
        self.secrets = Credentials.read(loop.folder / "controller.secrets")
        loop.start_gateway("--timeout", 2)
        self.controlled()

    def controlled(self) -> None:
        """The gateway decides again, after an operator armed it where it must be armed."""
        loop = self.loop
        loop.until(lambda row: row["connected"] and not row["trouble"], 120)
        if not loop.status()[0]["armed"]:
            asyncio.run(ask(loop.folder / "gateway.sock", {"verb": "arm", "minutes": 1440}))
        loop.until(lambda row: row["in_control"], 120)
        self.decided(3)

    def decided(self, decisions: int) -> None:
        """So many more decisions are followed."""
        before = self.loop.status()[0]["decisions"]
        self.loop.until(lambda row: row["decisions"] >= before + decisions and row["in_control"])

    def passes(self, seconds: int) -> None:
        """So many seconds under command."""
        before = self.loop.status()[0]["commanded"]
        self.loop.until(lambda row: row["commanded"] >= before + seconds, 120)

    def early(self) -> None:
        """No red is near its maximum: silence then would make it longer by the backup time."""
        self.loop.until(lambda row: row["in_control"] and row["longest_red_s"] < 120, 120)

    def fault(
        self,
        line: str,
        harm: Callable[[], Any],
        heal: Callable[[], Any] = lambda: None,
        within_s: float = BACKUP_S + 1,
        disarms: bool | None = False,
        noticed: bool = False,
    ) -> None:
        """Harm ends in the controller's own plan, and healing in control.

        Args:
            line: What the one line on the loss says.
            harm: Does it.
            heal: Ends it.
            within_s: The own plan runs after so many seconds of the controller.
            disarms: Whether somebody has to arm the gateway again; None for either.
            noticed: Harm goes on until the gateway notices it: seconds are counted from there.
        """
        before = self.loop.status()[0]["losses"]
        begun = self.count()
        harm()
        self.on_its_plan(self.count() if noticed else begun, within_s)
        self.loop.until(lambda row: row["losses"] > before and not row["in_control"])
        assert disarms is None or self.loop.status()[0]["armed"] is not disarms
        heal()
        self.controlled()
        lost, back = self.loop.lost_and_back()
        assert len(lost) == len(back) == before + 1, (lost, back)
        assert re.search(line, lost[-1]), lost[-1]

    def goes_on(self, harm: Callable[[], Any], heal: Callable[[], Any]) -> None:
        """Harm changes nothing: decisions are followed, and nobody is told of a loss."""
        before = self.loop.status()[0]["losses"]
        harm()
        self.decided(4)
        heal()
        self.decided(1)
        assert self.loop.status()[0]["losses"] == before, self.loop.lost_and_back()

    def count(self) -> int:
        """The controller's count of seconds, modulo 256."""
        (found,) = asyncio.run(self._line(lambda line: line.get([o.VOLUME_OCCUPANCY_SEQUENCE])))
        return int(found)

    def on_its_plan(self, begun: int, within_s: float) -> None:
        """The controller follows its own plan soon after a second; asked past the gateway."""

        async def watch(line: SnmpLine) -> int:
            last, deadline = begun, time.monotonic() + 60
            while time.monotonic() < deadline:
                try:
                    found = await line.get([o.VOLUME_OCCUPANCY_SEQUENCE, o.COORD_PATTERN_STATUS])
                except LineError:
                    continue  # it is starting
                if found[1] != o.FREE_PATTERN:
                    return (last - begun) % 256
                last = found[0]
                await asyncio.sleep(0.02)
            raise AssertionError("the controller stayed under command")

        assert asyncio.run(self._line(watch)) <= within_s

    def set(self, oid: tuple[int, ...], value: int) -> None:
        """A technician at the cabinet."""
        asyncio.run(self._line(lambda line: line.set([(oid, value)])))

    async def _line(self, work: Callable[[SnmpLine], Any]) -> Any:
        line = SnmpLine("127.0.0.1", self.port, self.secrets, "v2c", 1.0, retries=0)
        await line.open()
        try:
            return await work(line)
        finally:
            line.close()

    def changed(self, change: Callable[[tuple[int, ...], int], int | None]) -> None:
        """Answers of the controller arrive with other values."""
        self.proxy.change = rewriting(change)

    def signalled(self, name: str, number: int) -> None:
        self.loop.processes[name].running.send_signal(number)


@pytest.fixture
def database() -> Iterator[Cluster]:
    with cluster() as found:
        yield found


@pytest.fixture
def street(tmp_path: Path, database: Cluster) -> Iterator[Street]:
    world = world_of("gangnam", "night", 240)
    loop = Loop(tmp_path, world, onnx_policy(), database.address, "v2c", seed=2, speed=SPEED)
    with running(loop):
        found = Street(loop)
        yield found
        found.proxy.close()


@pytest.mark.skipif(binaries() is None, reason="PostgreSQL is not installed")
@pytest.mark.skipif(
    not os.environ.get("SEOUL_SIGNALS_FIELD_FAULTS"),
    reason="takes minutes: set SEOUL_SIGNALS_FIELD_FAULTS=1, as .ci/run does",
)
def test_faults_change_nothing_on_the_road(street: Street, database: Cluster) -> None:
    loop, proxy = street.loop, street.proxy

    # The service is killed, and comes back.
    port = int(loop.url.rpartition(":")[2])
    service = loop.processes["service"]
    street.fault(
        "no answer from the service",
        lambda: service.stop(signal.SIGKILL),
        lambda: loop.start_service(port),
    )

    # It stands still for a while, and answers late.
    street.fault(
        "no answer from the service within 2 s",
        lambda: street.signalled("service", signal.SIGSTOP),
        lambda: street.signalled("service", signal.SIGCONT),
    )

    # The database is killed: decisions go on and wait on disk.
    service = loop.processes["service"]

    def database_back() -> None:
        service.wait_for("registry lost")
        database.start()
        service.wait_for("registry back")

    street.goes_on(database.stop, database_back)
    assert service.text().count("registry lost") == service.text().count("registry back") == 1

    # The controller's answers are slow, doubled and overtake each other.
    def bad_network(delay_s: float) -> None:
        proxy.delay_s, proxy.twice = delay_s, delay_s > 0

    street.goes_on(lambda: bad_network(0.15), lambda: bad_network(0.0))

    # Absurd, missing (NaN from here on) and stale readings.
    absurd = {
        o.detector_volume(1): 9999,
        o.detector_volume(2): -1,
        o.detector_occupancy(3): 2**31 - 1,
    }
    occupancies = o.detector_occupancy(255)[:-1]
    for line, change in (
        ("reports volume", lambda oid, value: absurd.get(oid)),
        ("no detector answers", lambda oid, value: 211 if oid[:-1] == occupancies else None),
        ("not reported", lambda oid, value: 7 if oid == o.VOLUME_OCCUPANCY_SEQUENCE else None),
    ):

        def heal() -> None:
            proxy.change = None

        street.fault(line, lambda change=change: street.changed(change), heal)

    # The network is cut; whoever armed the gateway saw another situation.
    def cut(is_cut: bool) -> None:
        proxy.cut = is_cut

    street.early()
    street.fault("no answer within", lambda: cut(True), lambda: cut(False), disarms=True)

    # Somebody sets the controller's clock, forwards and back.
    for hour in (5, 3):
        street.fault(
            f"clock jumped to 0{hour}:00",
            lambda hour=hour: street.set(o.GLOBAL_TIME, DAY_S + hour * 3600),
        )

    # Somebody changes the timing at the cabinet, and changes it back. One phase a second is
    # compared; until its turn comes the controller's own law holds, with the longer minimum.
    minimum = o.phase(o.PhaseColumn.MINIMUM_GREEN, 2)
    street.fault(
        "minimum green 9",
        lambda: street.set(minimum, 9),
        lambda: street.set(minimum, 7),
        within_s=BACKUP_S + 15,
        disarms=True,
    )

    # Commands of before are sent once more: the gateway reads another mask than it wrote.
    written = [data for data in proxy.sets if len(data) > 200]

    def replayed() -> None:
        before = loop.status()[0]["losses"]
        for number in range(1500):
            proxy.replay(written[number % len(written)])
            if loop.status()[0]["losses"] > before:
                return
            time.sleep(0.02)  # the gateway reads ten times a second here
        raise AssertionError("nobody noticed the old commands")

    # Any number of seconds passes until one falls between a command and the reading after it.
    street.fault("somebody else commands the controller", replayed, disarms=True, noticed=True)

    # The controller loses power for a moment.
    street.early()
    street.fault(
        "no answer within|fell back",
        lambda: street.signalled("controllers", signal.SIGHUP),
        disarms=None,
    )

    # The gateway is killed; a new one begins disarmed.
    street.early()
    first = loop.status()[0]["decisions"]
    begun = street.count()
    loop.processes["gateway"].stop(signal.SIGKILL)
    street.on_its_plan(begun, BACKUP_S + 1)
    loop.start_gateway("--timeout", 2, arm=False)
    cycle_s = loop.world.plans[0].cycle_s
    loop.until(lambda row: row["seconds"] > cycle_s + 20)
    assert not loop.status()[0]["armed"] and not loop.status()[0]["in_control"]
    loop.call("gateway", "arm", "--minutes", 60)
    street.controlled()

    # The policy is exchanged for one that always wishes the worst: it goes on lawfully.
    street.goes_on(lambda: loop.deploy(hostile(loop.bundles[0])), lambda: street.passes(240))

    street.signalled("controllers", signal.SIGTERM)
    found = loop.finish()["junctions"]["gangnam"]
    assert found["monitor_trips"] == 0 and found["backups"] >= 2
    assert loop.violations() == []
    assert loop.recorded() >= first + loop.asked() > first
    kept = loop.audited()
    assert kept["bundle added"] == kept["deployed"] == 2 and kept["key added"] == 1, kept


def hostile(file: Path) -> Path:
    """A bundle in the place of another one; its policy wishes for the emptiest other phase."""
    contract = read_bundle(file).contract
    worst = onnx_policy(sign=-1.0, stay=-9.0, masked=False)
    made = Contract.promise(
        "hostile", contract.junction, contract.plans, worst, contract.decision_interval_s
    )
    found = file.with_suffix(".hostile")
    write_bundle(found, made, worst, signing_key())
    return found


def test_a_forged_bundle_connects_nothing(tmp_path: Path) -> None:
    """One byte changed: gateway and service refuse before they speak to anybody."""
    loop = Loop(tmp_path, world_of("gangnam", "night", 1), onnx_policy())
    with running(loop):
        data = bytearray(loop.bundles[0].read_bytes())
        data[len(data) // 2] ^= 1
        loop.bundles[0].write_bytes(bytes(data))
        (tmp_path / "c.yaml").write_text(
            "controllers: [{junction: gangnam, address: '127.0.0.1:9', credentials: c.secrets}]"
        )
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

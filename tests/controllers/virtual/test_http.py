"""The HTTP adapter against a virtual controller that calls by itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

pytest.importorskip("uvicorn", reason="uvicorn is not installed (extra: serve)")

from controllers.adapters import adapter_for
from controllers.adapters.base import Adapter
from controllers.adapters.conformance import AdapterConformance
from controllers.adapters.http import HttpAdapter
from controllers.adapters.http_inbox import Inbox, Mailbox
from controllers.gateway_file import ControllerEntry, read_list
from controllers.ntcip.objects import FREE_PATTERN, PhaseControl
from controllers.virtual.street import LoadPattern
from controllers.virtual.unit import Unit
from signals.detectors import Readings
from signals.errors import InputError
from signals.junction import Junction
from signals.lights import CLEARANCE, GREEN, RED
from tests.controllers.virtual.place import unit_of

KEY = "k" * 24
WORDS = {RED: "red", CLEARANCE: "clearance", GREEN: "green"}


class Caller:
    """A virtual controller behind a client that calls before and after each of its seconds."""

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self.skipped_s = 0.0
        self.inbox = Inbox("127.0.0.1", 0)
        self.inbox.start()
        self.box = Mailbox(
            frozenset(self.junction.group_index), KEY, lambda: time.monotonic() + self.skipped_s
        )
        self.inbox.add(self.junction.id, self.box)
        self.client = httpx2.Client(
            base_url=f"http://127.0.0.1:{self.inbox.port}",
            headers={"authorization": f"Bearer {KEY}"},
            trust_env=False,
        )
        self._street = LoadPattern([self.junction], None)
        self._values = self._street.values()[0]
        self._order = ""
        self.call()

    @property
    def junction(self) -> Junction:
        return self.unit.assignment.junction

    @property
    def backup_s(self) -> float:
        return float(self.unit.backup_time_s)

    @property
    def place(self) -> str:
        return f"/v1/controllers/{self.junction.id}"

    def report(self) -> dict[str, Any]:
        unit, groups = self.unit, self.junction.groups
        shown = self.indications()
        timing = {}
        for group, row in zip(groups, unit.timing, strict=True):
            walker = group.kind == "pedestrian"
            timing[group.id] = {
                "min_green_s": row.walk_s if walker else row.minimum_green_s,
                "clearance_s": row.pedestrian_clear_s if walker else row.yellow_tenths // 10,
                "all_red_s": row.red_clear_tenths // 10,
            }
        detectors = Readings(0.0, self._values).to_dict(unit.assignment.detectors)["detectors"]
        return {
            "clock_s": float(int(unit.clock_s)),
            "sequence": unit.sequence,
            "lights": {group.id: WORDS[shown[p]] for p, group in enumerate(groups)},
            "timing": timing,
            "backup_s": unit.backup_time_s,
            "commanded": unit.commanded and unit.pattern == FREE_PATTERN,
            "order": self._order,
            "trouble": "it flashes" if unit.flashing else "",
            "detectors": detectors,
        }

    def call(self) -> None:
        """Report, and begin to carry out what is answered."""
        answer = self.client.post(self.place, json=self.report())
        assert answer.status_code == 200, answer.text
        order = answer.json()["order"]
        if order is None:
            return
        index, found, control = self.junction.group_index, self.unit.assignment, self.unit.control
        start, hold, end = (
            sum(1 << index[group] for group in order[verb]) for verb in ("start", "hold", "end")
        )
        cars = ~found.walkers
        control.pattern = 0 if order["release"] else FREE_PATTERN
        control.masks = dict.fromkeys(PhaseControl, 0)
        if not order["release"]:
            control.masks[PhaseControl.PHASE_OMIT] = found.all & ~(start | hold)
            control.masks[PhaseControl.HOLD] = hold & cars
            control.masks[PhaseControl.FORCE_OFF] = end & cars
            control.masks[PhaseControl.VEH_CALL] = start & cars
            control.masks[PhaseControl.PED_CALL] = start & found.walkers
        self._order = order["name"]
        self.unit.commanded_now()

    def adapter(self) -> Adapter:
        return HttpAdapter(self.junction, self.inbox, self.box)

    def pass_seconds(self, seconds: int) -> None:
        for _ in range(seconds):
            self.call()
            self._values = self._street.values()[0]
            self._street.advance()
            self.unit.sense(self._values)
            self.unit.second()
        self.call()

    def indications(self) -> tuple[int, ...]:
        _, yellows, greens = self.unit.outputs
        return tuple(
            GREEN if greens >> p & 1 else CLEARANCE if yellows >> p & 1 else RED
            for p in range(len(self.junction.groups))
        )

    def on_its_plan(self) -> bool:
        masks = any(self.unit.control.masks.values())
        return not masks and self.unit.pattern <= len(self.unit.coordinator.patterns)

    def change_timing(self) -> None:
        self.unit.timing[2].minimum_green_s += 1
        self.call()

    def switch_backup_off(self) -> None:
        self.unit.backup_time_s = 0
        self.call()

    def flash(self) -> None:
        self.unit.coord_mode = 255

    def cut(self) -> None:
        self.skipped_s += 60

    def close(self) -> None:
        self.client.close()
        self.inbox.close()


@pytest.fixture
def far_end(junction: Junction) -> Iterator[Caller]:
    found = Caller(unit_of(junction))
    found.pass_seconds(2)
    yield found
    found.close()


class TestHttp(AdapterConformance):
    """The suite, over HTTP."""


def test_nobody_else_reports(far_end: Caller) -> None:
    good = far_end.report()
    own, other = far_end.place, "/v1/controllers/else"
    for place, key in ((own, "Bearer " + "x" * 24), (other, f"Bearer {KEY}"), (own, "Basic eDp5")):
        headers = {"authorization": key}
        assert far_end.client.post(place, json=good, headers=headers).status_code == 401
    for change, text in (
        ({"lights": {}}, "lights: give all of"),
        ({"lights": {**good["lights"], "else": "red"}}, "lights: give all of"),
        ({"clock_s": 86_400.0}, "clock_s"),
        ({"backup_s": "10"}, "backup_s"),
        ({"more": 1}, "more"),
    ):
        answer = far_end.client.post(far_end.place, json={**good, **change})
        assert answer.status_code == 422 and text in answer.json()["error"]
    for content in (b"", b"[]", b"nonsense", b'{"clock_s": NaN}'):
        assert far_end.client.post(far_end.place, content=content).status_code == 422


def test_a_camera_sees_what_the_controller_does_not(far_end: Caller) -> None:
    adapter = far_end.adapter()
    spec = far_end.unit.assignment.detectors[0]
    seen = {"detectors": {spec.id: {spec.fields[0]: 3.0}}}
    assert far_end.client.post(far_end.place + "/detectors", json=seen).status_code == 200
    first = asyncio.run(adapter.readings()).values[0]
    assert 3.0 in first and np.isnan(first).sum() == len(first) - 1
    far_end.skipped_s += 60
    far_end.call()
    assert np.isnan(asyncio.run(adapter.readings()).values[0]).sum() < len(first) - 1


def test_an_order_of_somebody_else_is_seen(far_end: Caller) -> None:
    async def main() -> str:
        adapter = far_end.adapter()
        await adapter.connect()
        far_end.unit.control.pattern = FREE_PATTERN
        far_end.unit.commanded_now()
        far_end.call()
        return (await adapter.state()).foreign

    assert "not ours" in asyncio.run(main())


def test_the_list_names_controllers_that_call(junction: Junction, tmp_path: Path) -> None:
    listed, key = tmp_path / "controllers.yaml", tmp_path / "b1.key"
    row = f"junction: {junction.id}, adapter: http, credentials: b1.key"
    listed.write_text(f"controllers: [{{{row}, address: '127.0.0.1:0'}}]")
    (entry,) = read_list(listed)
    inboxes: dict[str, Inbox] = {}

    def refused(given: ControllerEntry, text: str) -> None:
        with pytest.raises(InputError, match=text):
            adapter_for(given, junction, None, inboxes)

    refused(entry, "cannot read the key")
    key.write_text(KEY)
    key.chmod(0o644)
    refused(entry, "chmod 600")
    key.chmod(0o600)
    refused(entry.model_copy(update={"address": "0.0.0.0:0"}), "a certificate")
    for _ in range(2):
        assert isinstance(adapter_for(entry, junction, None, inboxes), HttpAdapter)
    assert len(inboxes) == 1
    inboxes[entry.address].close()
    key.write_text("short")
    refused(entry, "holds no key")

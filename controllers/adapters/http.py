"""Controllers that call the gateway by themselves; see `controllers.adapters.http_inbox`.

The controller reports once a second or oftener. What it answers to an order is its next report: the
name of the order that it carries out, and its lights.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from controllers.adapters.base import (
    MAX_WRITES_A_SECOND,
    ControllerState,
    Details,
    LineError,
    Order,
    RefusedError,
    Terms,
)
from controllers.adapters.http_inbox import Inbox, Mailbox, Report
from controllers.loopback import is_loopback
from controllers.private_file import read_private
from signals.detectors import FIELDS, Readings, ReadingsReader, layout
from signals.errors import InputError
from signals.hires import Event
from signals.junction import Junction
from signals.lights import CLEARANCE, GREEN, RED

if TYPE_CHECKING:
    from controllers.gateway_file import ControllerEntry

SILENCE_S = 3.0
"""A controller that has not called for so long is not there (s)."""
LEAST_KEY = 24
_LIT = {"red": RED, "clearance": CLEARANCE, "green": GREEN}
_NAMES_KEPT = 4


def over_http(entry: ControllerEntry, junction: Junction, inboxes: dict[str, Inbox]) -> HttpAdapter:
    """The adapter of an entry of the gateway's list.

    Args:
        entry: Where the controller calls, and the file with its key.
        junction: The validated junction.
        inboxes: Where others call, by address.

    Raises:
        InputError: No key, or open to others without a certificate.
        PortError: The address is busy or unknown.
    """
    host, _, port = entry.address.rpartition(":")
    if entry.certificate is None and not is_loopback(host):
        raise InputError(
            f"controllers would call {entry.address} in the open; give the entry of "
            f"{junction.id} a certificate"
        )
    key = _key(entry.credentials)
    inbox = inboxes.get(entry.address)
    if inbox is None:
        inbox = inboxes[entry.address] = Inbox(host.strip("[]"), int(port), entry.certificate)
    return HttpAdapter(junction, inbox, Mailbox(frozenset(junction.group_index), key))


def _key(file: Path) -> str:
    text = read_private(file, "the key", encoding="ascii").strip()
    if len(text) < LEAST_KEY or not text.isprintable() or " " in text:
        raise InputError(
            f"{file} holds no key; give one line of {LEAST_KEY} characters or more, for example "
            f"'openssl rand -hex 24 > {file}'"
        )
    return text


class HttpAdapter:
    """One controller that calls.

    Args:
        junction: The validated junction: its timing is what the controller must have.
        inbox: Where it calls.
        box: What it said last.
    """

    def __init__(self, junction: Junction, inbox: Inbox, box: Mailbox) -> None:
        self._junction = junction
        self._inbox = inbox
        self._box = box
        self._detectors = layout(junction)
        self._reader = ReadingsReader(self._detectors)
        self._loops = [row for row, spec in enumerate(self._detectors) if "occupied" in spec.fields]
        self._counted: dict[int, float] = {}
        self._session = secrets.token_hex(6)
        self._names: deque[str] = deque(maxlen=_NAMES_KEPT)
        self._number = 0
        self._clock_s = -1.0
        self._written = 0
        inbox.add(junction.id, box)

    async def connect(self) -> None:
        """See `Adapter.connect`: wait for the controller's first call."""
        self._inbox.start()
        deadline = time.monotonic() + SILENCE_S
        while self._box.last(SILENCE_S) is None and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        report, _ = self._last()
        problem = self._mistimed(report)
        if problem:
            raise RefusedError(problem)

    def _last(self) -> tuple[Report, Mapping[str, Any]]:
        found = self._box.last(SILENCE_S)
        if found is None:
            raise LineError(
                f"controller of {self._junction.id}: it has not called for {SILENCE_S:g} s"
            )
        return found

    def _mistimed(self, report: Report) -> str:
        """How the controller is timed otherwise than the junction's file says, or nothing."""
        for group in self._junction.groups:
            own, wanted = report.timing[group.id], self._junction.timing.groups[group.id]
            for name in ("min_green_s", "clearance_s", "all_red_s"):
                found, promised = getattr(own, name), getattr(wanted, name)
                if found != promised:
                    return (
                        f"{group.id} of the controller has {name} {found}, the junction's file "
                        f"says {promised}; make them agree before it is commanded"
                    )
        return ""

    async def state(self) -> ControllerState:
        """See `Adapter.state`."""
        report, _ = self._last()
        if report.clock_s != self._clock_s:
            self._clock_s, self._written = report.clock_s, 0
        foreign = ""
        if report.commanded and report.order not in self._names:
            foreign = f"it carries out order '{report.order}', which is not ours"
        return ControllerState(
            clock_s=report.clock_s,
            indications=tuple(_LIT[report.lights[group.id]] for group in self._junction.groups),
            trouble=report.trouble or self._mistimed(report),
            commanded=report.commanded,
            foreign=foreign,
            sequence=report.sequence,
        )

    async def readings(self) -> Readings:
        """See `Adapter.readings`."""
        report, detectors = self._last()
        return self._reader.read({"time_s": report.clock_s, "detectors": detectors})

    async def details(self) -> Details:
        """See `Adapter.details`; a controller that calls does not say why a green ended."""
        values = (await self.readings()).values
        count, occupied = FIELDS.index("count"), FIELDS.index("occupied")
        loops: dict[int, tuple[int, bool]] = {}
        faulty = set()
        for number, row in enumerate(self._loops, 1):
            total = values[row, count]
            if np.isnan(values[row, occupied]):
                faulty.add(number)
                continue
            passed = 0.0 if np.isnan(total) else total - self._counted.get(row, total)
            self._counted[row] = total
            loops[number] = (max(0, int(passed)), bool(values[row, occupied]))
        groups = {movement.id: movement.group for movement in self._junction.movements}
        index, stopped = self._junction.group_index, FIELDS.index("stopped")
        waiting = frozenset(
            index[groups[spec.movement]]
            for row, spec in enumerate(self._detectors)
            if spec.kind == "pedestrian" and values[row, stopped] > 0
        )
        ended = dict.fromkeys(range(len(self._junction.groups)), Event.FORCE_OFF)
        return Details(loops, frozenset(faulty), waiting, ended)

    async def take(self) -> Terms:
        """See `Adapter.take`."""
        report, _ = self._last()
        if not report.backup_s:
            raise RefusedError(
                "the controller has no backup timer: it would keep the last command for ever"
            )
        problem = report.trouble or self._mistimed(report)
        if problem:
            raise RefusedError(problem)
        return Terms(float(report.backup_s), {"control": "orders in the answers to its calls"})

    async def order(self, order: Order) -> None:
        """See `Adapter.order`.

        Raises:
            RefusedError: Too many in one second of the controller.
        """
        self._last()
        self._written += 1
        if self._written > MAX_WRITES_A_SECOND:
            raise RefusedError(
                f"{self._written} orders in one second of the controller, allowed are "
                f"{MAX_WRITES_A_SECOND}"
            )
        self._number += 1
        self._names.append(f"{self._session}-{self._number}")
        ids = [group.id for group in self._junction.groups]
        told: dict[str, Any] = {"name": self._names[-1], "release": False}
        for verb in ("start", "hold", "end"):
            told[verb] = [ids[group] for group in sorted(getattr(order, verb))]
        self._box.tell(told)

    async def release(self) -> None:
        """See `Adapter.release`."""
        self._last()
        nobody: list[str] = []
        self._box.tell(
            {"name": "", "release": True, "start": nobody, "hold": nobody, "end": nobody}
        )

    async def close(self) -> None:
        """See `Adapter.close`: it goes on listening, for whoever calls."""
        self._box.tell(None)

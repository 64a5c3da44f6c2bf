"""A bad network between gateway and controller: it cuts, delays, doubles, reorders, forges."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush


@dataclass
class Proxy:
    """Forwards UDP packets between whoever writes to its port and one controller.

    Attributes:
        target: The controller's port.
        cut: Nothing gets through.
        delay_s: Longest delay of an answer, drawn anew for each, so that answers overtake.
        twice: Answers are sent twice.
        change: Changes answers, None for none.
        sets: The last SETs of v2c that came.
        sent: The last packet that came, of any kind.
    """

    target: int
    cut: bool = False
    delay_s: float = 0.0
    twice: bool = False
    change: Callable[[bytes], bytes] | None = None
    sets: list[bytes] = field(default_factory=list)
    sent: bytes = b""

    def __post_init__(self) -> None:
        self._front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._front.bind(("127.0.0.1", 0))
        self._front.settimeout(0.01)
        self.port = self._front.getsockname()[1]
        self._back = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._back.bind(("127.0.0.1", 0))
        self._back.settimeout(0.01)
        self._client: tuple[str, int] | None = None
        self._waiting: list[tuple[float, int, bytes]] = []
        self._dice = random.Random(1)
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=work, daemon=True) for work in (self._forward, self._answer)
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(5)
        self._front.close()
        self._back.close()

    def _forward(self) -> None:
        while not self._stop.is_set():
            try:
                data, self._client = self._front.recvfrom(65_535)
            except (TimeoutError, OSError):
                continue
            self.sent = data
            if b"\xa3" in data[:64]:  # the tag of a SetRequest
                self.sets = [*self.sets[-50:], data]
            if not self.cut:
                self._back.sendto(data, ("127.0.0.1", self.target))

    def replay(self, data: bytes) -> None:
        """Send a packet of before once more."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as attacker:
            attacker.sendto(data, ("127.0.0.1", self.target))

    def _answer(self) -> None:
        number = 0
        while not self._stop.is_set():
            try:
                data = self._back.recv(65_535)
            except (TimeoutError, OSError):
                data = b""
            now = time.monotonic()
            if data and not self.cut:
                if self.change is not None:
                    data = self.change(data)
                for _ in range(1 + self.twice):
                    number += 1
                    due = now + self._dice.uniform(0, self.delay_s)
                    heappush(self._waiting, (due, number, data))
            while self._waiting and self._waiting[0][0] <= now:
                _, _, data = heappop(self._waiting)
                if self._client is not None and not self.cut:
                    self._front.sendto(data, self._client)


def rewriting(objects: Callable[[tuple[int, ...], int], int | None]) -> Callable[[bytes], bytes]:
    """A change of v2c answers: another value for some objects.

    Args:
        objects: Object and value to the new value, None to leave it.
    """
    from pyasn1.codec.ber import decoder, encoder
    from pysnmp.proto.api import v2c

    def change(data: bytes) -> bytes:
        message, _ = decoder.decode(data, asn1Spec=v2c.Message())
        pdu = v2c.apiMessage.get_pdu(message)
        rows = []
        for oid, value in v2c.apiPDU.get_varbinds(pdu):
            new = objects(tuple(oid), int(value)) if isinstance(value, v2c.Integer32) else None
            rows.append((oid, value if new is None else v2c.Integer32(new)))
        v2c.apiPDU.set_varbinds(pdu, rows)
        return bytes(encoder.encode(message))

    return change

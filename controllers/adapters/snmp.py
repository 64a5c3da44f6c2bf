"""An SNMP manager for the gateway, by pysnmp: GET and SET of integers, over v2c or v3 authPriv."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from controllers.adapters.base import LineError, RefusedError
from controllers.ntcip.credentials import Credentials
from controllers.ntcip.objects import DEVICES, Oid
from signals.errors import InputError, MissingDependencyError

TIMEOUT_S = 0.5
RETRIES = 1
CHUNK = 60
"""Objects in one request: an answer stays below the usual 1500 bytes of a datagram."""


class SnmpLine:
    """The line to one controller.

    Args:
        host: Its address.
        port: Its UDP port.
        credentials: The writing community, or the first user that may write.
        version: ``v2c`` or ``v3``.
        timeout_s: Of one try.
        retries: Further tries.

    Raises:
        InputError: The credentials have nothing for this version.
        MissingDependencyError: pysnmp is not installed.
    """

    def __init__(
        self,
        host: str,
        port: int,
        credentials: Credentials,
        version: str = "v3",
        timeout_s: float = TIMEOUT_S,
        retries: int = RETRIES,
    ) -> None:
        try:
            import pysnmp.hlapi.v1arch.asyncio as v1arch
            import pysnmp.hlapi.v3arch.asyncio as v3arch
        except ImportError as error:
            raise MissingDependencyError("pysnmp", "serve", "an NTCIP controller") from error
        self._where = f"{host}:{port}"
        self._address = (host, port)
        self._timeout_s = timeout_s
        self._retries = retries
        self._api: Any = v1arch if version == "v2c" else v3arch
        self._head: tuple[Any, ...] = ()
        self._engine: Any = None
        if version == "v2c":
            if not credentials.write_community:
                raise InputError(f"no v2c community may write to {self._where}; add one, or use v3")
            self._auth = v1arch.CommunityData(credentials.write_community, mpModel=1)
            self._dispatchers = v1arch.SnmpDispatcher
        else:
            users = [user for user in credentials.users if user.writes]
            if not users:
                raise InputError(
                    f"no v3 user may write to {self._where}; add one with writes: true"
                )
            self._auth = v3arch.UsmUserData(
                users[0].name,
                users[0].auth_key,
                users[0].priv_key,
                authProtocol=v3arch.USM_AUTH_HMAC192_SHA256,
                privProtocol=v3arch.USM_PRIV_CFB128_AES,
            )
            self._dispatchers = v3arch.SnmpEngine
        self._v3 = version != "v2c"

    async def open(self) -> None:
        """Resolve the address.

        Raises:
            LineError: It does not exist.
        """
        if self._engine is None:
            self._engine = self._dispatchers()
        try:
            target = await self._api.UdpTransportTarget.create(
                self._address, timeout=self._timeout_s, retries=0
            )
        except Exception as error:
            raise LineError(f"controller {self._where}: {_text(error)}") from error
        context = (self._api.ContextData(),) if self._v3 else ()
        self._head = (self._engine, self._auth, target, *context)

    def close(self) -> None:
        """Give the socket back."""
        if self._engine is not None:
            if self._v3:
                self._engine.close_dispatcher()
            else:
                # Its own close stumbles over requests that nobody waits for any more.
                self._engine.transport_dispatcher.close_dispatcher()
            self._engine = None
        self._head = ()

    async def get(self, oids: Sequence[Oid]) -> list[int]:
        """Values of integer objects.

        Raises:
            LineError: No answer, or another one than an integer for each.
        """
        found: list[int] = []
        for begin in range(0, len(oids), CHUNK):
            chunk = oids[begin : begin + CHUNK]
            found += self._integers(chunk, await self._ask("get_cmd", _asked(chunk)))
        return found

    async def column(self, first: Oid, count: int) -> list[int]:
        """Values of successive rows of a table column, with few requests.

        Args:
            first: The first row.
            count: How many rows.

        Raises:
            LineError: As `get`.
        """
        table, row = first[:-1], first[-1]
        found: list[int] = []
        while len(found) < count:
            size = min(CHUNK, count - len(found))
            begin = row + len(found)
            rows = await self._ask("bulk_cmd", _asked([(*table, begin - 1)]), (0, size))
            found += self._integers([(*table, begin + i) for i in range(size)], rows)
        return found

    def _integers(self, oids: Sequence[Oid], rows: Sequence[Any]) -> list[int]:
        if [tuple(name) for name, _ in rows] != list(oids):
            raise LineError(f"controller {self._where} answers other objects than asked for")
        found = []
        for oid, (_, value) in zip(oids, rows, strict=True):
            try:
                found.append(int(value))
            except (TypeError, ValueError):
                raise LineError(f"controller {self._where} has no object {_short(oid)}") from None
        return found

    async def set(self, changes: Sequence[tuple[Oid, int]]) -> None:
        """Write integers, all or none.

        Raises:
            LineError: No answer.
            RefusedError: The controller refuses one of them.
        """
        rows = await self._ask("set_cmd", list(changes))
        wrong = [
            oid
            for (oid, value), (_, kept) in zip(changes, rows, strict=False)
            if int(kept) != value
        ]
        if wrong or len(rows) != len(changes):
            raise RefusedError(f"controller {self._where} answers another value than was written")

    async def _ask(
        self,
        verb: str,
        objects: Sequence[tuple[Oid, int | None]],
        counts: tuple[int, ...] = (),
    ) -> list[Any]:
        from pysnmp.proto.rfc1902 import Integer32, Null, ObjectName

        if not self._head:
            raise LineError(f"controller {self._where} is not connected")
        if any(oid[: len(DEVICES)] != DEVICES for oid, _ in objects):
            raise InputError("only objects of NTCIP devices are asked for")
        varbinds = [
            (ObjectName(oid), Null("") if value is None else Integer32(value))
            for oid, value in objects
        ]
        command = getattr(self._api, verb)
        last = "no answer"
        for _ in range(self._retries + 1):
            try:
                problem, status, place, rows = await asyncio.wait_for(
                    command(*self._head, *counts, *varbinds, lookupMib=False), self._timeout_s
                )
            except TimeoutError:
                last = f"no answer within {self._timeout_s:g} s"
                continue
            except Exception as error:  # pysnmp has no common exception type
                raise LineError(f"controller {self._where}: {_text(error)}") from error
            if problem:
                last = _text(problem)
                continue
            if int(status):
                index = int(place) - 1
                which = _short(objects[index][0]) if 0 <= index < len(objects) else "?"
                raise RefusedError(
                    f"controller {self._where} refuses {which}: {status.prettyPrint()}"
                )
            return list(rows)
        raise LineError(f"controller {self._where}: {last}")


def _asked(oids: Sequence[Oid]) -> list[tuple[Oid, int | None]]:
    return [(oid, None) for oid in oids]


def _short(oid: Oid) -> str:
    return ".".join(str(part) for part in oid[len(DEVICES) :])


def _text(error: object) -> str:
    return " ".join(str(error).split())[:150] or type(error).__name__

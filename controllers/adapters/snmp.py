"""An SNMP manager for the gateway: GET and SET of integers, over v2c or v3 authPriv.

By pysnmp; where gufo-snmp is installed that reads, which takes a twentieth of the time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from controllers.adapters.base import LineError, RefusedError
from controllers.adapters.snmp_reader import SnmpReader
from controllers.ntcip.credentials import Credentials, User
from controllers.ntcip.objects import DEVICES, Oid
from signals.errors import InputError, MissingDependencyError

_T = TypeVar("_T")
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
        quickly: Read by gufo-snmp where it is installed.

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
        quickly: bool = True,
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
        secret: str | User
        if version == "v2c":
            if not credentials.write_community:
                raise InputError(f"no v2c community may write to {self._where}; add one, or use v3")
            self._auth = v1arch.CommunityData(credentials.write_community, mpModel=1)
            self._dispatchers = v1arch.SnmpDispatcher
            secret = credentials.write_community
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
            secret = users[0]
        self._v3 = version != "v2c"
        self._reader: SnmpReader | None = None
        if quickly:
            with suppress(ImportError):
                self._reader = SnmpReader(host, port, secret, timeout_s)

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
        if self._reader is not None:
            await self._again(self._reader.open)

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
        if self._reader is not None:
            self._reader.close()

    async def get(self, oids: Sequence[Oid]) -> list[int]:
        """Values of integer objects.

        Raises:
            LineError: No answer, or another one than an integer for each.
        """
        _own(oids)
        found: list[int] = []
        for begin in range(0, len(oids), CHUNK):
            chunk = oids[begin : begin + CHUNK]
            if self._reader is not None:
                values = await self._again(partial(self._reader.get, chunk))
            else:
                values = self._values(chunk, await self._ask("get_cmd", _asked(chunk)))
            found += self._integers(chunk, values)
        return found

    async def rows(self, column: Oid, count: int) -> list[int]:
        """Values of rows 1 to ``count`` of a table's column, with few requests.

        Args:
            column: The column.
            count: How many rows.

        Raises:
            LineError: As `get`.
        """
        names = [(*column, row) for row in range(1, count + 1)]
        _own(names)
        found: list[Any] = []
        if self._reader is not None:
            found = await self._again(partial(self._reader.rows, column, count, CHUNK))
        while len(found) < count:
            size = min(CHUNK, count - len(found))
            part = names[len(found) : len(found) + size]
            rows = await self._ask("bulk_cmd", _asked([(*column, len(found))]), (0, size))
            found += self._values(part, rows)
        return self._integers(names, found)

    async def _again(self, read: Callable[[], Awaitable[_T]]) -> _T:
        """Read, and once more when there was no answer."""
        for _ in range(self._retries):
            with suppress(LineError):
                return await read()
        return await read()

    def _values(self, oids: Sequence[Oid], rows: Sequence[Any]) -> list[Any]:
        if [tuple(name) for name, _ in rows] != list(oids):
            raise LineError(f"controller {self._where} answers other objects than asked for")
        return [value for _, value in rows]

    def _integers(self, oids: Sequence[Oid], values: Sequence[Any]) -> list[int]:
        found = []
        for oid, value in zip(oids, values, strict=True):
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
        _own([oid for oid, _ in objects])
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


def _own(oids: Sequence[Oid]) -> None:
    if any(oid[: len(DEVICES)] != DEVICES for oid in oids):
        raise InputError("only objects of NTCIP devices are asked for")


def _asked(oids: Sequence[Oid]) -> list[tuple[Oid, int | None]]:
    return [(oid, None) for oid in oids]


def _short(oid: Oid) -> str:
    return ".".join(str(part) for part in oid[len(DEVICES) :])


def _text(error: object) -> str:
    return " ".join(str(error).split())[:150] or type(error).__name__

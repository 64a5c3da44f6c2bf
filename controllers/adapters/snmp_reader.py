"""Reads many integers of an SNMP agent quickly, by gufo-snmp.

A gateway of a hundred junctions reads tens of thousands of objects a second, for which pysnmp takes
more than a processor. Gufo reads only; what is written goes by pysnmp.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from controllers.adapters.base import LineError
from controllers.ntcip.credentials import User
from controllers.ntcip.objects import Oid

if TYPE_CHECKING:
    from gufo.snmp.aio import SnmpSession


class SnmpReader:
    """A session with one agent.

    Args:
        host: Its address.
        port: Its UDP port.
        secret: The community (v2c), or the user (v3).
        timeout_s: Of one try.

    Raises:
        ImportError: Gufo is not installed.
    """

    def __init__(self, host: str, port: int, secret: str | User, timeout_s: float) -> None:
        import gufo.snmp.aio  # noqa: F401  refuse early

        self._where = f"{host}:{port}"
        self._address = (host, port)
        self._secret = secret
        self._timeout_s = timeout_s
        self._session: SnmpSession | None = None
        self._names: dict[Oid, str] = {}

    async def open(self) -> None:
        """Resolve the address; with v3, learn who answers and its time.

        Raises:
            LineError: The address does not exist, or nobody answers.
        """
        host, port = self._address
        try:
            loop = asyncio.get_running_loop()
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
        except OSError as error:
            raise LineError(f"controller {self._where}: {error.strerror or error}") from error
        self._session = self._made(str(found[0][4][0]), port)
        await self._answer(self._session.refresh())

    def _made(self, address: str, port: int) -> SnmpSession:
        from gufo.snmp import Aes128Key, Sha256Key, SnmpVersion
        from gufo.snmp import User as GufoUser
        from gufo.snmp.aio import SnmpSession

        # Its own timeout begins anew with every packet; ours, around it, does not.
        patience: dict[str, Any] = {"timeout": 2 * self._timeout_s}
        if isinstance(self._secret, str):
            return SnmpSession(address, port, self._secret, version=SnmpVersion.v2c, **patience)
        user = GufoUser(
            self._secret.name,
            auth_key=Sha256Key(self._secret.auth_key.encode()),
            priv_key=Aes128Key(self._secret.priv_key.encode()),
        )
        return SnmpSession(address, port, user=user, version=SnmpVersion.v3, **patience)

    def close(self) -> None:
        """Give the socket back."""
        self._session = None

    async def get(self, oids: Sequence[Oid]) -> list[Any]:
        """Values of objects, None for one that does not exist.

        Raises:
            LineError: No answer, or nonsense.
        """
        names = [self._name(oid) for oid in oids]
        found = await self._answer(self._live().get_many(names))
        return [found.get(name) for name in names]

    async def rows(self, column: Oid, count: int, at_once: int) -> list[Any]:
        """Values of rows 1 to ``count`` of a table's column, None for one that does not exist.

        Args:
            column: The column.
            count: How many rows.
            at_once: Rows in one answer.

        Raises:
            LineError: No answer, or nonsense.
        """
        name = self._name(column)
        found: dict[str, Any] = {}
        walk = self._live().getbulk(name, max_repetitions=min(at_once, count))
        while len(found) < count:
            try:
                place, value = await self._answer(anext(walk))
            except StopAsyncIteration:
                break
            found[place] = value
        return [found.get(f"{name}.{row}") for row in range(1, count + 1)]

    def _live(self) -> SnmpSession:
        if self._session is None:
            raise LineError(f"controller {self._where} is not connected")
        return self._session

    async def _answer(self, asked: Any) -> Any:
        from gufo.snmp import SnmpError

        try:
            async with asyncio.timeout(self._timeout_s):
                return await asked
        except TimeoutError as error:
            raise LineError(
                f"controller {self._where}: no answer within {self._timeout_s:g} s"
            ) from error
        except (SnmpError, OSError, ValueError, RuntimeError) as error:
            raise self._nonsense(error) from error
        except BaseException as error:
            # Gufo's Rust stumbles over some mangled packets, which Python hears of in this way.
            if type(error).__name__ == "PanicException":
                raise self._nonsense(error) from error
            raise

    def _nonsense(self, error: BaseException) -> LineError:
        text = " ".join(str(error).split())[:150] or type(error).__name__
        return LineError(f"controller {self._where}: {text}")

    def _name(self, oid: Oid) -> str:
        found = self._names.get(oid)
        if found is None:
            found = self._names[oid] = ".".join(map(str, oid))
        return found

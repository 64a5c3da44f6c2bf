"""The SNMP agent of a unit: v2c and v3 (authPriv) on one UDP port, by pysnmp.

Whatever arrives, the unit goes on: what is no SNMP, has no access or names no object changes
nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from pysnmp.carrier.asyncio.dgram import udp
from pysnmp.entity import config, engine
from pysnmp.entity.rfc3413 import cmdrsp, context
from pysnmp.proto import rfc1902, rfc1905
from pysnmp.proto.api import v2c
from pysnmp.smi import error as smi_error
from pysnmp.smi.instrum import AbstractMibInstrumController

from controllers.ntcip.credentials import Credentials
from controllers.ntcip.objects import DEVICES
from controllers.virtual.table import ObjectError, ObjectTable, Value
from signals.errors import PortError

_LARGEST_INTEGER = 2**31
_READER, _WRITER = "v2c reader", "v2c writer"
_REQUEST = "rfc3412.receiveMessage:request"


class Agent:
    """Serves one unit's objects.

    Args:
        table: The objects.
        credentials: Who may read and write.
        host: Address to listen on.
        port: 0 takes a free one.
        awake: Whether the unit answers at the moment.
        heard: Called after every SET that was applied.
        later: Answer SETs of control objects when `answer` is called, not at once.

    Raises:
        PortError: The address is busy or unknown.
    """

    def __init__(
        self,
        table: ObjectTable,
        credentials: Credentials,
        host: str,
        port: int,
        awake: Callable[[], bool] = lambda: True,
        heard: Callable[[], None] = lambda: None,
        later: bool = False,
    ) -> None:
        self._engine = engine.SnmpEngine()
        self._table = table
        self._transport = _Port(awake)
        self._address = (host, port)
        config.add_transport(self._engine, udp.DOMAIN_NAME, self._transport)
        writers = _let_in(self._engine, credentials)
        place = context.SnmpContext(self._engine)
        place.unregister_context_name(b"")
        place.register_context_name(b"", _Objects(table, writers, heard))
        cmdrsp.GetCommandResponder(self._engine, place)
        cmdrsp.NextCommandResponder(self._engine, place)
        cmdrsp.BulkCommandResponder(self._engine, place)
        self._responder = _SetResponder(self._engine, place)
        self._responder.later = later

    async def open(self) -> tuple[str, int]:
        """Listen.

        Returns:
            Address and port.
        """
        host, port = self._address
        loop = asyncio.get_running_loop()
        try:
            transport, _ = await loop.create_datagram_endpoint(
                lambda: self._transport, local_addr=(host, port)
            )
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise PortError(
                f"cannot listen on UDP {host}:{port}: {reason}; stop what listens there, or give "
                "another --host or --port"
            ) from error
        found = transport.get_extra_info("sockname")
        return str(found[0]), int(found[1])

    def answer(self) -> None:
        """Answer the SETs that were put off."""
        self._responder.flush(self._engine)

    def close(self) -> None:
        """Stop listening."""
        self._engine.close_dispatcher()


class _Port(udp.UdpAsyncioTransport):  # type: ignore[misc]
    """The socket; a packet that pysnmp stumbles over is dropped like any other nonsense."""

    def __init__(self, awake: Callable[[], bool]) -> None:
        super().__init__()
        self._awake = awake

    def datagram_received(self, datagram: bytes, transport_address: Any) -> None:
        if self._awake():
            try:
                # At once: what goes wrong in pysnmp must not end in the loop's own handler.
                self._callback_function(self, transport_address, datagram)
            except Exception:
                return


class _Objects(AbstractMibInstrumController):  # type: ignore[misc]
    """Reads and writes through the table, without pysnmp's own MIB tree."""

    def __init__(
        self, table: ObjectTable, writers: frozenset[str], heard: Callable[[], None]
    ) -> None:
        self._table = table
        self._writers = writers
        self._heard = heard

    def read_variables(self, *varbinds: Any, **ctx: Any) -> list[Any]:
        """GET: an object that is not listed does not exist."""
        _refuse_v1(ctx)
        return [(oid, _typed(self._table.get(tuple(oid)))) for oid, _ in varbinds]

    def read_next_variables(self, *varbinds: Any, **ctx: Any) -> list[Any]:
        """GETNEXT and GETBULK."""
        _refuse_v1(ctx)
        found = []
        for oid, _ in varbinds:
            following = self._table.after(tuple(oid))
            if following is None:
                found.append((oid, rfc1905.endOfMibView))
            else:
                found.append((rfc1902.ObjectName(following[0]), _typed(following[1])))
        return found

    def write_variables(self, *varbinds: Any, **ctx: Any) -> list[Any]:
        """SET: all of it or nothing, and only with the right to write."""
        # pysnmp's own access control lets a name without a write view write.
        request = ctx["snmpEngine"].observer.get_execution_context(_REQUEST)
        if str(request["securityName"]) not in self._writers:
            raise ObjectError("noAccess", 0)
        self._table.set_all([(tuple(oid), _integer(value)) for oid, value in varbinds])
        self._heard()
        return list(varbinds)


class _SetResponder(cmdrsp.SetCommandResponder):  # type: ignore[misc]
    """Answers a refused SET with the status and the place of the refusal, and what was asked."""

    later = False

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._waiting: dict[Any, Any] = {}

    def flush(self, snmp_engine: Any) -> None:
        """Send the answers that were put off."""
        waiting, self._waiting = self._waiting, {}
        for reference, varbinds in waiting.items():
            self.send_varbinds(snmp_engine, reference, "noError", 0, varbinds)
            super().release_state_information(reference)

    def release_state_information(self, stateReference: Any) -> None:
        if stateReference not in self._waiting:
            super().release_state_information(stateReference)

    def handle_management_operation(
        self, snmpEngine: Any, stateReference: Any, contextName: Any, PDU: Any
    ) -> None:
        varbinds = v2c.apiPDU.get_varbinds(PDU)
        objects = self.snmpContext.get_mib_instrum(contextName)
        status, place = "noError", 0
        try:
            objects.write_variables(*varbinds, snmpEngine=snmpEngine)
        except ObjectError as error:
            status, place = error.status, error.index + 1
        except smi_error.SmiError as error:
            status, place = self.SMI_ERROR_MAP.get(type(error), "genErr"), 1
        if self.later and not place:
            self._waiting[stateReference] = varbinds
            return
        self.send_varbinds(snmpEngine, stateReference, status, place, varbinds)
        self.release_state_information(stateReference)


def _let_in(snmp_engine: Any, credentials: Credentials) -> frozenset[str]:
    """Everybody with a secret may see the devices' subtree; the names of those who may write."""
    writers = {_WRITER}
    for name, secret in (
        (_READER, credentials.read_community),
        (_WRITER, credentials.write_community),
    ):
        if secret:
            config.add_v1_system(snmp_engine, name, secret)
            config.add_vacm_user(snmp_engine, 2, name, "noAuthNoPriv", DEVICES)
    for user in credentials.users:
        config.add_v3_user(
            snmp_engine,
            user.name,
            config.USM_AUTH_HMAC192_SHA256,
            user.auth_key,
            config.USM_PRIV_CFB128_AES,
            user.priv_key,
        )
        config.add_vacm_user(snmp_engine, 3, user.name, "authPriv", DEVICES)
        if user.writes:
            writers.add(user.name)
    return frozenset(writers)


def _refuse_v1(ctx: Any) -> None:
    """SNMPv1 has no error status for most refusals, and nobody needs it."""
    if ctx["snmpEngine"].observer.get_execution_context(_REQUEST)["securityModel"] == 1:
        raise smi_error.AuthorizationError(idx=0)


def _typed(value: Value | None) -> Any:
    if value is None:
        return rfc1905.noSuchObject
    if isinstance(value, bytes):
        return rfc1902.OctetString(value)
    return rfc1902.Integer32(value) if value < _LARGEST_INTEGER else rfc1902.Gauge32(value)


def _integer(value: Any) -> int | None:
    """The integer that was sent, None for any other type."""
    kinds = (rfc1902.Integer32, rfc1902.Integer, rfc1902.Unsigned32, rfc1902.Gauge32)
    return int(value) if isinstance(value, kinds) else None

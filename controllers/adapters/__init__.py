"""How the gateway speaks to controllers: one interface, one module a protocol.

`controllers.adapters.conformance` is the suite that every adapter's tests subclass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from controllers.adapters.base import Adapter

if TYPE_CHECKING:
    from controllers.adapters.http_inbox import Inbox
    from controllers.gateway_file import ControllerEntry
    from signals.junction import Junction


def adapter_for(
    entry: ControllerEntry,
    junction: Junction,
    timeout_s: float | None = None,
    inboxes: dict[str, Inbox] | None = None,
) -> Adapter:
    """The adapter of an entry of the gateway's list.

    Args:
        entry: Protocol, address, credentials.
        junction: The validated junction.
        timeout_s: Of one try, None for the protocol's own; in lockstep a controller answers a
            command only when its second is over.
        inboxes: Where controllers call, by address; filled here, so that they share one.

    Raises:
        InputError: The credentials cannot be used.
        PortError: Nothing can listen where controllers are to call.
        MissingDependencyError: The protocol's library is not installed.
    """
    if entry.adapter == "http":
        from controllers.adapters.http import over_http

        return over_http(entry, junction, {} if inboxes is None else inboxes)
    from controllers.adapters.ntcip import NtcipAdapter
    from controllers.adapters.snmp import TIMEOUT_S, SnmpLine
    from controllers.ntcip.credentials import Credentials

    host, _, port = entry.address.rpartition(":")
    line = SnmpLine(
        host,
        int(port),
        Credentials.read(entry.credentials),
        entry.version,
        TIMEOUT_S if timeout_s is None else timeout_s,
    )
    return NtcipAdapter(junction, line)


__all__ = ["Adapter", "adapter_for"]

"""Who may call what: keys, roles, and how often."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import Any

from fastapi import Depends
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from structlog.typing import FilteringBoundLogger

from controllers.registry.keys import ANY, Holder, find
from controllers.service.city import City

OPEN_PATHS = frozenset(("/healthz", "/readyz"))
"""What is answered without a key; neither tells anything about the city."""
LOCAL = Holder("local", "local", "admin", frozenset((ANY,)))
"""Everybody, where no key is asked."""
_RANKS = {"viewer": 1, "operator": 2, "admin": 3}
_MOST_CALLERS = 100_000
CALLS_A_SECOND = 50.0
"""A key may call so often; a controller's key so often for every ten of its junctions, too."""
FAILURES_A_SECOND = 2.0
"""An address may give wrong keys so often."""


class Limiter:
    """Token buckets, one a caller; the callers longest silent are forgotten."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str, rate: float, burst: float) -> bool:
        """Whether one more call is allowed.

        Args:
            caller: Who.
            rate: Calls a second in the long run.
            burst: Calls at once after a pause.
        """
        now = time.monotonic()
        left, then = self._buckets.pop(caller, (burst, now))
        left = min(burst, left + (now - then) * rate)
        allowed = left >= 1.0
        self._buckets[caller] = (left - 1.0 if allowed else left, now)
        if len(self._buckets) > _MOST_CALLERS:
            self._buckets.popitem(last=False)
        return allowed


class Gate:
    """ASGI middleware: finds the holder of the key, or answers 401 or 429 before a body is read.

    Args:
        app: The application behind it.
        city: Knows the keys.
        log: Gets refusals, never keys.
        calls_a_second: What one key may do.
    """

    def __init__(
        self,
        app: ASGIApp,
        city: City,
        log: FilteringBoundLogger,
        calls_a_second: float = CALLS_A_SECOND,
    ) -> None:
        self._app = app
        self._city = city
        self._log = log
        self._rate = calls_a_second
        self._limiter = Limiter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let through, or refuse."""
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        if self._city.open_to_all:
            scope["holder"] = LOCAL
            await self._app(scope, receive, send)
            return
        holder = self._holder(scope)
        client = (scope.get("client") or ("unknown",))[0]
        if holder is None:
            if self._limiter.take(f"from {client}", FAILURES_A_SECOND, 20.0):
                self._log.warning("refused", status=401, path=scope["path"], client=client)
                text, status = "give a valid key: 'Authorization: Bearer KEY'", 401
            else:
                text, status = "too many calls without a valid key; wait a second", 429
            headers = {"www-authenticate": "Bearer", "connection": "close"}
            await JSONResponse({"error": text}, status, headers)(scope, receive, send)
            return
        junctions = len(self._city.served) if ANY in holder.junctions else len(holder.junctions)
        rate = self._rate * max(1.0, junctions / 10)
        if not self._limiter.take(holder.key_id, rate, 2 * rate):
            text = f"more than {rate:g} calls a second with this key; send batches"
            headers = {"retry-after": "1", "connection": "close"}
            await JSONResponse({"error": text}, 429, headers)(scope, receive, send)
            return
        scope["holder"] = holder
        await self._app(scope, receive, send)

    def _holder(self, scope: Scope) -> Holder | None:
        for name, value in scope["headers"]:
            if name == b"authorization":
                scheme, _, key = value.decode("latin-1").partition(" ")
                return find(key.strip(), self._city.keys) if scheme.lower() == "bearer" else None
        return None


def holder_of(request: Request) -> Holder:
    """Who calls."""
    holder: Holder = request.scope["holder"]
    return holder


def person(request: Request, least: str) -> Holder:
    """The caller, if it is a person of at least this role.

    Raises:
        HTTPException: 403.
    """
    holder = holder_of(request)
    if _RANKS.get(holder.role, 0) < _RANKS[least]:
        raise HTTPException(403, f"a key of role {holder.role} may not; it takes {least}")
    return holder


def needs(least: str) -> Any:
    """A route's dependency: refuses before the body is judged.

    Args:
        least: Role that a person must have.
    """

    def check(request: Request) -> None:
        person(request, least)

    return Depends(check)


def check_speaker(holder: Holder, junction: str) -> None:
    """Refuse a caller that may not speak for the junction.

    Raises:
        HTTPException: 403.
    """
    if not holder.speaks_for(junction):
        raise HTTPException(403, f"this key may not speak for junction {junction[:200]}")


def speaker(request: Request, junction: str) -> Holder:
    """The caller, if it may speak for the junction.

    Raises:
        HTTPException: 403.
    """
    holder = holder_of(request)
    check_speaker(holder, junction)
    return holder


def reader(request: Request, junction: str) -> Holder:
    """The caller, if it may look at the junction: any person, or a controller that speaks for it.

    Raises:
        HTTPException: 403.
    """
    holder = holder_of(request)
    return holder if holder.role in _RANKS else speaker(request, junction)

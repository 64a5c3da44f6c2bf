"""Where controllers and cameras report that call by themselves: an HTTP server of the gateway's.

A controller posts what it shows and reads, and gets in the answer what it shall do; a camera posts
what it sees. Each junction has a key of its own. An order is handed over once: it is repeated as a
heartbeat only while the gateway gives it, so that the controller's own backup timer ends it.

::

    POST /v1/controllers/JUNCTION            a `Report`; answers {"order": null | {...}}
    POST /v1/controllers/JUNCTION/detectors  a `Sight`; answers {}
"""

from __future__ import annotations

import hmac
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import uvicorn
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from controllers.certificates import load_own
from controllers.service.limits import BodyLimit
from controllers.service.server import listen
from signals.errors import InputError

MAX_BODY_BYTES = 1 << 20
_Seconds = Annotated[int, Field(ge=0, le=100_000)]
_Detectors = Annotated[dict[str, Any], Field(max_length=2000)]
_START_S = 10.0


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class GroupTimes(_Strict):
    """What the controller keeps at one signal group (s)."""

    min_green_s: _Seconds
    clearance_s: _Seconds
    all_red_s: _Seconds


class Report(_Strict):
    """What a controller shows, at one of its seconds.

    Attributes:
        clock_s: Its clock (s since midnight).
        sequence: Counts its seconds of detector readings.
        lights: What each signal group shows.
        timing: What it keeps at each signal group.
        backup_s: It goes back to its own plan so long after the last order; 0 for never.
        commanded: It carries out an order.
        order: Which one, as it was named.
        trouble: Why it must not be commanded now: flash, preemption, manual control.
        detectors: Detector id to its fields, as a decision poll has them.
    """

    clock_s: Annotated[FiniteFloat, Field(ge=0, lt=86_400)]
    sequence: Annotated[int, Field(ge=0)]
    lights: Annotated[dict[str, Literal["red", "clearance", "green"]], Field(max_length=64)]
    timing: Annotated[dict[str, GroupTimes], Field(max_length=64)]
    backup_s: _Seconds
    commanded: bool
    order: Annotated[str, Field(max_length=64)] = ""
    trouble: Annotated[str, Field(max_length=300)] = ""
    detectors: _Detectors = Field(default_factory=dict)


class Sight(_Strict):
    """What a camera sees: detector id to its fields."""

    detectors: _Detectors


class Mailbox:
    """What one junction's controller and cameras said last, and what it is to be told.

    Args:
        groups: Signal groups of the junction.
        key: Key of its controller and cameras.
        clock: Seconds that pass.
    """

    def __init__(
        self, groups: frozenset[str], key: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.key = key
        self._groups = groups
        self._clock = clock
        self._lock = threading.Lock()
        self._report: tuple[float, Report] | None = None
        self._sights: dict[str, tuple[float, Any]] = {}
        self._order: dict[str, Any] | None = None

    def put(self, report: Report) -> dict[str, Any] | None:
        """Keep a report, and hand over the order that waits.

        Raises:
            InputError: It leaves a signal group out, or names one that the junction has not.
        """
        for what, given in (("lights", report.lights), ("timing", report.timing)):
            if frozenset(given) != self._groups:
                raise InputError(f"{what}: give all of {', '.join(sorted(self._groups))}")
        with self._lock:
            self._report = (self._clock(), report)
            order, self._order = self._order, None
        return order

    def see(self, sight: Sight) -> None:
        """Keep what a camera sees."""
        now = self._clock()
        with self._lock:
            self._sights.update({name: (now, row) for name, row in sight.detectors.items()})

    def last(self, most_s: float) -> tuple[Report, Mapping[str, Any]] | None:
        """The last report and all detectors, None when it is older than so many seconds."""
        with self._lock:
            now, found = self._clock(), self._report
            if found is None or now - found[0] > most_s:
                return None
            seen = {name: row for name, (at, row) in self._sights.items() if now - at <= most_s}
        return found[1], {**found[1].detectors, **seen}

    def tell(self, order: dict[str, Any] | None) -> None:
        """What the next report is answered with."""
        with self._lock:
            self._order = order


class Inbox:
    """The server, in a thread of its own.

    Args:
        host: Address to listen on; anything but loopback needs a certificate.
        port: 0 takes a free one.
        certificate: With its key (PEM): HTTPS.

    Raises:
        InputError: The certificate's file cannot be used.
        PortError: The address is busy or unknown.
    """

    def __init__(self, host: str, port: int, certificate: Path | None = None) -> None:
        if certificate is not None:
            load_own(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), certificate)
        self._boxes: dict[str, Mailbox] = {}
        self._sock = listen(host, port)
        self.port = int(self._sock.getsockname()[1])
        place = "/v1/controllers/{junction}"
        app = Starlette(
            routes=[
                Route(place, self._reported, methods=["POST"]),
                Route(f"{place}/detectors", self._seen, methods=["POST"]),
            ]
        )
        config = uvicorn.Config(
            BodyLimit(app, MAX_BODY_BYTES),
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
            ssl_certfile=certificate,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._sock]}, daemon=True
        )

    def add(self, junction: str, box: Mailbox) -> None:
        """Take reports of a junction."""
        self._boxes[junction] = box

    def start(self) -> None:
        """Answer, if it does not yet.

        Raises:
            InputError: It cannot.
        """
        if self._thread.is_alive() or self._server.started:
            return
        self._thread.start()
        deadline = time.monotonic() + _START_S
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise InputError("the gateway cannot listen for controllers that call")
            time.sleep(0.01)

    def close(self) -> None:
        """End."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(_START_S)
        self._sock.close()

    async def _reported(self, request: Request) -> Response:
        return await self._taken(
            request, lambda box, body: {"order": box.put(Report.model_validate_json(body))}
        )

    async def _seen(self, request: Request) -> Response:
        def keep(box: Mailbox, body: bytes) -> dict[str, Any]:
            box.see(Sight.model_validate_json(body))
            return {}

        return await self._taken(request, keep)

    async def _taken(
        self, request: Request, keep: Callable[[Mailbox, bytes], dict[str, Any]]
    ) -> Response:
        box = self._boxes.get(request.path_params["junction"])
        given = request.headers.get("authorization", "").removeprefix("Bearer ").encode()
        if box is None or not hmac.compare_digest(given, box.key.encode()):
            return JSONResponse({"error": "no junction with this key"}, 401)
        try:
            return JSONResponse(keep(box, await request.body()))
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "the body"
            return JSONResponse({"error": f"{where}: {first['msg']}"}, 422)
        except InputError as error:
            return JSONResponse({"error": str(error)}, 422)

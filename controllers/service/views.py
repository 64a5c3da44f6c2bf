"""What people and machines may look at: junctions, lights, events, changes, and the live stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse

from controllers.registry.change import now_ms
from controllers.registry.samples import evaluation
from controllers.registry.store import Registry
from controllers.registry.tables import Base
from controllers.service.deciding import Service
from controllers.service.errors import REFUSED
from controllers.service.gate import holder_of, person, reader
from controllers.service.spat import Lights, city_feed, spat
from signals.errors import RegistryError
from signals.junction import Junction

_STREAMS = 32
"""Live streams that one process keeps open."""
_MOST = 200
"""Junctions of one answer."""
_Name = Annotated[str | None, Query(max_length=200, description="Only this junction")]
_Since = Annotated[int, Query(ge=0, le=1 << 62, description="ms since 1970, UTC")]


def routes(service: Service) -> APIRouter:
    """The routes.

    Args:
        service: What they show.
    """
    api = APIRouter(responses=REFUSED)
    _junctions(api, service)
    _lights_and_events(api, service)
    _changes(api, service)
    _live(api, service)
    return api


def _junctions(api: APIRouter, service: Service) -> None:
    """What is served where, and how it does."""

    @api.get("/v1/junctions")
    async def junctions(request: Request) -> dict[str, list[str]]:
        """The junctions in service that the caller may look at."""
        holder = holder_of(request)
        names = sorted(service.city.served)
        if holder.role == "controller":
            names = [name for name in names if holder.speaks_for(name)]
        return {"junctions": names}

    @api.get("/v1/junctions/{junction}")
    async def summary(request: Request, junction: str) -> dict[str, Any]:
        """What a controller needs to know before it polls."""
        reader(request, junction)
        return service.summary(junction)

    @api.get("/v1/junctions/{junction}/state")
    def state(request: Request, junction: str) -> dict[str, Any]:
        """Deployment, override and last decision."""
        reader(request, junction)
        served = service.served(junction)
        override = service.city.override(junction, now_ms())
        last = _registry(service).decisions(junction, limit=1)
        return {
            "junction": junction,
            "bundle": served.bundle.hash,
            "stage": served.stage,
            "options": served.options.model_dump(mode="json"),
            "override": None if override is None else _row(override),
            "decision": _row(last[0]) if last else None,
        }

    @api.get("/v1/junctions/{junction}/evaluation")
    def judged(request: Request, junction: str, since_ms: _Since = 0) -> dict[str, Any]:
        """Delay under the policy against the plan's."""
        person(request, "viewer")
        service.served(junction)
        return evaluation(_registry(service), junction, since_ms=since_ms).to_dict()


def _lights_and_events(api: APIRouter, service: Service) -> None:
    """What the controllers have shown."""

    @api.get("/v1/junctions/{junction}/spat")
    def junction_spat(request: Request, junction: str) -> dict[str, Any]:
        """Lights and their times, in the movement phase states of SAE J2735."""
        reader(request, junction)
        found = service.served(junction).runtime.junction
        return spat(found, _lights(service, junction), now_ms())

    @api.get("/v1/spat")
    def all_spat(request: Request, junction: _Name = None) -> dict[str, Any]:
        """Lights of up to 200 junctions."""
        person(request, "viewer")
        now = now_ms()
        return {
            "intersections": [
                spat(found, _lights(service, found.id), now) for found in _chosen(service, junction)
            ]
        }

    @api.get("/v1/v2x")
    def v2x(request: Request, junction: _Name = None) -> list[dict[str, Any]]:
        """Lights in the shape of the city's V2X feed."""
        person(request, "viewer")
        found = [(item, _lights(service, item.id)) for item in _chosen(service, junction)]
        return city_feed(found, now_ms())

    @api.get("/v1/junctions/{junction}/events")
    def events(
        request: Request,
        junction: str,
        since_ms: _Since = 0,
        until_ms: _Since = 1 << 62,
        kind: Annotated[str, Query(pattern="^(hires|life)$")] = "hires",
    ) -> dict[str, Any]:
        """Hi-res events, in the columns of the Indiana log."""
        reader(request, junction)
        service.served(junction)
        rows = _registry(service).events(junction, since_ms, until_ms)
        return {
            "events": [
                {
                    "TimeStamp": _iso(row.at_ms),
                    "DeviceId": row.junction,
                    "EventId": row.event,
                    "Parameter": row.parameter,
                    **({"Note": row.note} if row.note else {}),
                }
                for row in rows
                if row.kind == kind
            ]
        }


def _changes(api: APIRouter, service: Service) -> None:
    """What people have kept, deployed and changed."""

    @api.get("/v1/junctions/{junction}/deployments")
    def history(request: Request, junction: str) -> dict[str, Any]:
        """Every deployment of a junction."""
        person(request, "viewer")
        rows = _registry(service).history(_text(junction))
        return {"deployments": [_row(row) for row in rows]}

    @api.get("/v1/deployments")
    def deployments(request: Request) -> dict[str, Any]:
        """What holds at every junction."""
        person(request, "viewer")
        rows = _registry(service).deployments()
        return {"deployments": [_row(row) for _, row in sorted(rows.items())]}

    @api.get("/v1/bundles")
    def bundles(request: Request) -> dict[str, Any]:
        """Bundles in the registry."""
        person(request, "viewer")
        return {"bundles": [_row(row, "content") for row in _registry(service).bundles()]}

    @api.get("/v1/audit")
    def audit(request: Request, after: _Since = 0) -> dict[str, Any]:
        """Who changed what, when and why: up to 1,000 changes after one of that number."""
        person(request, "viewer")
        return {"changes": [_row(row) for row in _registry(service).audit(after)]}


def _live(api: APIRouter, service: Service) -> None:
    """What goes on now."""
    streams = asyncio.Semaphore(_STREAMS)

    @api.get("/v1/stream", response_class=StreamingResponse)
    async def stream(request: Request, junction: _Name = None) -> Response:
        """Server-sent events: ``change`` for every audit row, ``decision`` for a junction's."""
        person(request, "viewer")
        if junction is not None:
            service.served(junction)
        registry = _registry(service)
        if streams.locked():
            raise HTTPException(503, f"{_STREAMS} streams are open already")
        began = (await run_in_threadpool(registry.version), now_ms())

        async def told() -> AsyncIterator[bytes]:
            async with streams:
                async for part in _told(request, registry, junction, *began):
                    yield part

        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(told(), media_type="text/event-stream", headers=headers)

    @api.get("/metrics", response_class=Response)
    async def metrics(request: Request) -> Response:
        """Counters for Prometheus."""
        person(request, "viewer")
        return Response(service.telemetry.text(), media_type="text/plain; version=0.0.4")


async def _told(
    request: Request, registry: Registry, junction: str | None, version: int, since_ms: int
) -> AsyncIterator[bytes]:
    seen: set[str] = set()
    yield b": open\n\n"
    while not await request.is_disconnected():
        try:
            for change in await run_in_threadpool(registry.audit, version):
                version = change.id
                yield _event("change", change.id, _row(change))
            if junction is not None:
                rows = await run_in_threadpool(
                    registry.decisions, junction, since_ms, 1000, newest=False
                )
                for row in rows:
                    if row.id not in seen:
                        yield _event("decision", row.id, _row(row))
                # Rows of the same time may still come: look a little behind, and tell once.
                if rows:
                    since_ms = max(since_ms, rows[-1].at_ms - 2000)
                    seen = {row.id for row in rows if row.at_ms >= since_ms}
            yield b": alive\n\n"
        except RegistryError:
            yield b": the registry does not answer\n\n"
        await asyncio.sleep(1.0)


def _event(kind: str, key: int | str, row: dict[str, Any]) -> bytes:
    return f"event: {kind}\nid: {key}\ndata: ".encode() + orjson.dumps(row) + b"\n\n"


def _registry(service: Service) -> Registry:
    if service.registry is None:
        raise HTTPException(404, "this service keeps no registry; start it with --registry")
    return service.registry


def _lights(service: Service, junction: str) -> Lights | None:
    found = _registry(service).decisions(junction, limit=1)
    return Lights.of(found[0]) if found else None


def _chosen(service: Service, junction: str | None) -> list[Junction]:
    if junction is not None:
        return [service.served(junction).runtime.junction]
    return [item.runtime.junction for _, item in sorted(service.city.served.items())[:_MOST]]


def _text(name: str) -> str:
    """A name that a database can look for."""
    if "\x00" in name or len(name) > 200:
        raise HTTPException(404, "there is no junction of that name")
    return name


def _row(row: Base, *without: str) -> dict[str, Any]:
    return {
        column.name: getattr(row, column.name)
        for column in row.__table__.columns
        if column.name not in without
    }


def _iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")

"""The HTTP service: polls in, commands out. All rules are the runtime's and the roll-out's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.utils import get_openapi
from pydantic import ValidationError
from pydantic.json_schema import models_json_schema
from starlette.responses import Response
from starlette.types import ASGIApp

from controllers.registry.journal import JournalFullError
from controllers.service import changes, polls, views
from controllers.service.deciding import Service
from controllers.service.errors import REFUSED, handle, refusal, reply
from controllers.service.gate import CALLS_A_SECOND, Gate, holder_of, speaker
from controllers.service.limits import MAX_BODY_BYTES, BodyLimit
from controllers.service.models import (
    Batch,
    BatchItem,
    BatchOut,
    CommandOut,
    DecisionPoll,
    EventsIn,
)
from signals import __version__

__all__ = ["Service", "create_app"]

_REFERENCE = "#/components/schemas/{model}"


def create_app(
    service: Service,
    max_body_bytes: int = MAX_BODY_BYTES,
    calls_a_second: float = CALLS_A_SECOND,
) -> ASGIApp:
    """The ASGI application.

    Args:
        service: What it answers with.
        max_body_bytes: Larger bodies are refused with 413.
        calls_a_second: More calls with one key are refused with 429, see `gate`.
    """
    answering = polls.Polls(_framework(service), service)
    limited = BodyLimit(answering, max_body_bytes)
    return Gate(limited, service.city, service.log, calls_a_second)


def _framework(service: Service) -> FastAPI:
    """All routes and the document about them."""

    @asynccontextmanager
    async def alive(_: FastAPI) -> AsyncIterator[None]:
        yield
        service.close()

    # No documentation page: it would load its script from elsewhere. /openapi.json says it all.
    app = FastAPI(
        title="seoul-signals decision service",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        lifespan=alive,
    )
    handle(app, service)
    app.include_router(_poll_routes(service))
    app.include_router(_event_routes(service))
    app.include_router(_health_routes(service))
    app.include_router(views.routes(service))
    app.include_router(changes.routes(service))
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


def _poll_routes(service: Service) -> APIRouter:
    """The polls as the document tells of them; `polls.Polls` has answered them before."""
    api = APIRouter(responses=REFUSED)

    @api.post(polls.ONE, response_model=CommandOut, openapi_extra=_body("DecisionPoll"))
    async def decide(request: Request, junction: str) -> Response:
        """Decide for one junction."""
        return await polls.one(service, holder_of(request), junction, await request.body())

    @api.post(polls.MANY, response_model=BatchOut, openapi_extra=_body("Batch"))
    async def decide_many(request: Request) -> Response:
        """Decide for many junctions, each by itself."""
        return polls.many(service, holder_of(request), await request.body())

    return api


def _event_routes(service: Service) -> APIRouter:
    api = APIRouter(responses=REFUSED)

    @api.post("/v1/junctions/{junction}/events", openapi_extra=_body("EventsIn"))
    async def keep_events(request: Request, junction: str) -> Response:
        """Keep hi-res events of a controller."""
        speaker(request, junction)
        service.served(junction)
        try:
            events = EventsIn.model_validate(polls.json_of(await request.body())).events
        except ValidationError as error:
            return polls.invalid(service, junction, error)
        if service.writer is None:
            return refusal(404, "this service keeps no registry; start it with --registry")
        rows = [
            [junction, row.at_ms, row.kind, row.event, row.parameter, row.note] for row in events
        ]
        try:
            service.writer.journal.append("events", rows)
        except JournalFullError as error:
            return refusal(503, str(error))
        return reply(200, {"kept": len(rows)})

    return api


def _health_routes(service: Service) -> APIRouter:
    api = APIRouter()

    @api.get("/healthz")
    async def healthz() -> dict[str, str]:
        """The process answers."""
        return {"status": "ok"}

    @api.get("/readyz", responses={503: REFUSED[503]})
    async def readyz() -> Response:
        """Junctions are served. A registry that is away does not stop them."""
        if not service.city.served:
            return refusal(503, "no junction is served; deploy a bundle")
        away = service.writer is not None and bool(service.writer.away)
        registry = {"registry": "away" if away else "ok"} if service.writer is not None else {}
        return reply(200, {"status": "ready", "junctions": len(service.city.served), **registry})

    return api


def _body(model: str) -> dict[str, Any]:
    schema = {"$ref": _REFERENCE.format(model=model)}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _openapi(app: FastAPI) -> dict[str, Any]:
    """The document, with the models of the bodies that the routes read themselves."""
    if app.openapi_schema is None:
        found = get_openapi(title=app.title, version=app.version, routes=app.routes)
        _, own = models_json_schema(
            [(model, "validation") for model in (DecisionPoll, Batch, BatchItem, EventsIn)],
            ref_template=_REFERENCE,
        )
        components = found.setdefault("components", {})
        components.setdefault("schemas", {}).update(own["$defs"])
        components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        found["security"] = [{"key": []}]
        for path in ("/healthz", "/readyz"):
            found["paths"][path]["get"]["security"] = []
        app.openapi_schema = found
    return app.openapi_schema

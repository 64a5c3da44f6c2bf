"""The HTTP service: polls in, commands out. All rules are the runtime's and the roll-out's."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.openapi.utils import get_openapi
from pydantic import ValidationError
from pydantic.json_schema import models_json_schema
from starlette.responses import Response
from starlette.routing import Route

from controllers.registry.journal import JournalFullError
from controllers.service import changes, views
from controllers.service.deciding import Answer, Service
from controllers.service.errors import REFUSED, first_problem, handle, refusal, reply
from controllers.service.gate import CALLS_A_SECOND, Gate, speaker
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
) -> FastAPI:
    """The ASGI application.

    Args:
        service: What it answers with.
        max_body_bytes: Larger bodies are refused with 413.
        calls_a_second: More calls with one key are refused with 429, see `gate`.
    """

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
    app.add_middleware(BodyLimit, max_body_bytes=max_body_bytes)
    app.add_middleware(Gate, city=service.city, log=service.log, calls_a_second=calls_a_second)
    handle(app, service)

    async def poll_answered(request: Request) -> Response:
        junction: str = request.path_params["junction"]
        speaker(request, junction)
        try:
            poll = DecisionPoll.model_validate(_json(await request.body()))
        except ValidationError as error:
            return _invalid(service, junction, error)
        return _said(await service.answer_soon(junction, poll))

    one = "/v1/junctions/{junction}/decisions"
    # Without FastAPI's handling of parameters, which costs as much as the decision.
    app.router.routes.append(Route(one, poll_answered, methods=["POST"]))

    @app.post(
        one, response_model=CommandOut, responses=REFUSED, openapi_extra=_body("DecisionPoll")
    )
    async def decide(request: Request, junction: str) -> Response:
        """Decide for one junction."""
        return await poll_answered(request)

    @app.post(
        "/v1/decisions",
        response_model=BatchOut,
        responses=REFUSED,
        openapi_extra=_body("Batch"),
    )
    async def decide_many(request: Request) -> Response:
        """Decide for many junctions, each by itself."""
        try:
            batch = Batch.model_validate(_json(await request.body()))
        except ValidationError as error:
            return _invalid(service, None, error)
        return reply(200, {"results": _batch(service, request, batch.polls)})

    @app.post(
        "/v1/junctions/{junction}/events",
        responses=REFUSED,
        openapi_extra=_body("EventsIn"),
    )
    async def keep_events(request: Request, junction: str) -> Response:
        """Keep hi-res events of a controller."""
        speaker(request, junction)
        service.served(junction)
        try:
            events = EventsIn.model_validate(_json(await request.body())).events
        except ValidationError as error:
            return _invalid(service, junction, error)
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

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """The process answers."""
        return {"status": "ok"}

    @app.get("/readyz", responses={503: REFUSED[503]})
    async def readyz() -> Response:
        """Junctions are served. A registry that is away does not stop them."""
        if not service.city.served:
            return refusal(503, "no junction is served; deploy a bundle")
        away = service.writer is not None and bool(service.writer.away)
        registry = {"registry": "away" if away else "ok"} if service.writer is not None else {}
        return reply(200, {"status": "ready", "junctions": len(service.city.served), **registry})

    app.include_router(views.routes(service))
    app.include_router(changes.routes(service))
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


def _batch(service: Service, request: Request, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    results: list[dict[str, Any] | None] = [None] * len(items)
    polls: list[tuple[str, DecisionPoll]] = []
    places: list[int] = []
    holder = request.scope["holder"]
    for place, item in enumerate(items):
        name = _name(item)
        try:
            poll = BatchItem.model_validate(item)
        except ValidationError as error:
            text = first_problem(error.errors(), skip=0)
            service.log.warning("refused", junction=name, status=422, error=text)
            service.telemetry.refused(422)
            results[place] = {"junction": name, "status": 422, "error": text}
            continue
        if not holder.speaks_for(poll.junction):
            service.telemetry.refused(403)
            text = "this key may not speak for the junction"
            results[place] = {"junction": name, "status": 403, "error": text}
            continue
        places.append(place)
        polls.append((poll.junction, poll))
    answers = service.answer_many(polls) if polls else []
    for place, answer in zip(places, answers, strict=True):
        result = {"junction": _name(items[place]), "status": answer.status}
        key = "command" if answer.status == 200 else "error"
        value = answer.content if answer.status == 200 else answer.content["error"]
        results[place] = {**result, key: value}
    empty = {"junction": None, "command": None, "error": None}
    return [{**empty, **result} for result in results if result is not None]


def _name(item: Mapping[str, Any]) -> str | None:
    junction = item.get("junction")
    return junction[:200] if isinstance(junction, str) else None


def _said(answer: Answer) -> Response:
    if answer.status == 200:
        return reply(200, answer.content)
    return refusal(answer.status, answer.content["error"])


def _invalid(service: Service, junction: str | None, error: ValidationError) -> Response:
    text = first_problem(error.errors(), skip=0)
    service.log.warning("refused", junction=junction, status=422, error=text)
    service.telemetry.refused(422)
    return refusal(422, text)


def _json(body: bytes) -> Any:
    """The body's JSON value; what is none becomes one that no model accepts."""
    try:
        return orjson.loads(body)
    except ValueError:
        pass
    try:
        # Slower, and knows NaN, so that the refusal can name the field.
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return found


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

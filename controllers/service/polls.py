"""Answers polls before the web framework sees them: its routing costs as much as the decision."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import orjson
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from controllers.registry.keys import Holder
from controllers.service.deciding import Answer, Service
from controllers.service.errors import answer_to, first_problem, refusal, reply
from controllers.service.gate import check_speaker
from controllers.service.models import Batch, BatchItem, DecisionPoll

MANY = "/v1/decisions"
ONE = "/v1/junctions/{junction}/decisions"
_BEFORE, _AFTER = ONE.split("{junction}")


class Polls:
    """ASGI middleware: answers single polls and batches, and lets everything else through.

    Args:
        app: The application behind it.
        service: Decides.
    """

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let through. Bodies come whole, see `limits`."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        path: str = scope["path"]
        junction = path[len(_BEFORE) : -len(_AFTER)]
        single = path.startswith(_BEFORE) and path.endswith(_AFTER) and "/" not in junction
        if not (single and junction) and path != MANY:
            await self._app(scope, receive, send)
            return
        body = (await receive()).get("body", b"")
        try:
            response = (
                await one(self._service, scope["holder"], junction, body)
                if single
                else many(self._service, scope["holder"], body)
            )
        except Exception as error:
            response = answer_to(self._service, "POST", path, error)
        await response(scope, receive, send)


async def one(service: Service, holder: Holder, junction: str, body: bytes) -> Response:
    """The answer to one poll.

    Args:
        service: Decides.
        holder: Who asks.
        junction: For which junction.
        body: The poll in JSON.

    Raises:
        HTTPException: The holder may not speak for the junction.
    """
    check_speaker(holder, junction)
    try:
        poll = DecisionPoll.model_validate(json_of(body))
    except ValidationError as error:
        return invalid(service, junction, error)
    answer = await service.answer_soon(junction, poll)
    if answer.status == 200:
        return reply(200, answer.content)
    return refusal(answer.status, answer.content["error"])


def many(service: Service, holder: Holder, body: bytes) -> Response:
    """The answers to many polls, each judged by itself.

    Args:
        service: Decides.
        holder: Who asks.
        body: A batch in JSON.
    """
    try:
        items = Batch.model_validate(json_of(body)).polls
    except ValidationError as error:
        return invalid(service, None, error)
    results: list[dict[str, Any]] = []
    polls: list[tuple[str, DecisionPoll]] = []
    places: list[int] = []
    for place, item in enumerate(items):
        name = _name(item)
        result = {"junction": name, "status": 200, "command": None, "error": None}
        results.append(result)
        try:
            poll = BatchItem.model_validate(item)
            check_speaker(holder, poll.junction)
        except (ValidationError, HTTPException) as error:
            result["status"], result["error"] = _refused(service, name, error)
            continue
        places.append(place)
        polls.append((poll.junction, poll))
    answers = service.answer_many(polls) if polls else []
    for place, answer in zip(places, answers, strict=True):
        _fill(results[place], answer)
    return reply(200, {"results": results})


def json_of(body: bytes) -> Any:
    """The body's JSON value; what is none becomes one that no model accepts."""
    try:
        return orjson.loads(body)
    except ValueError:
        pass
    try:
        # Slower, and knows NaN, so that the refusal can name the field.
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def invalid(service: Service, junction: str | None, error: ValidationError) -> Response:
    """The refusal of a body that is no poll."""
    return refusal(*_refused(service, junction, error))


def _refused(
    service: Service, junction: str | None, error: ValidationError | HTTPException
) -> tuple[int, str]:
    if isinstance(error, HTTPException):
        service.telemetry.refused(error.status_code)
        return error.status_code, error.detail
    text = first_problem(error.errors(), skip=0)
    service.log.warning("refused", junction=junction, status=422, error=text)
    service.telemetry.refused(422)
    return 422, text


def _fill(result: dict[str, Any], answer: Answer) -> None:
    result["status"] = answer.status
    if answer.status == 200:
        result["command"] = answer.content
    else:
        result["error"] = answer.content["error"]


def _name(item: Mapping[str, Any]) -> str | None:
    junction = item.get("junction")
    return junction[:200] if isinstance(junction, str) else None

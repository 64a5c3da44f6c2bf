"""How refusals look over HTTP: always ``{"error": one line}``."""

from __future__ import annotations

from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from controllers.service.deciding import STATUS, Service
from controllers.service.models import ErrorOut
from signals.errors import InputError, RegistryError, SignalsError

REFUSED: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorOut, "description": "What was asked cannot be done"},
    401: {"model": ErrorOut, "description": "No valid key"},
    403: {"model": ErrorOut, "description": "The key's role may not"},
    404: {"model": ErrorOut, "description": "No such junction here"},
    409: {"model": ErrorOut, "description": "Made for different contracts, or changed meanwhile"},
    413: {"model": ErrorOut, "description": "The body is too large"},
    422: {"model": ErrorOut, "description": "Names the unknown detector or the wrong field"},
    429: {"model": ErrorOut, "description": "Too many calls"},
    503: {"model": ErrorOut, "description": "The registry does not answer"},
}


def reply(status: int, content: Any, headers: dict[str, str] | None = None) -> Response:
    """A JSON response, the quick way."""
    return Response(orjson.dumps(content), status, headers, media_type="application/json")


def refusal(status: int, text: str, headers: dict[str, str] | None = None) -> Response:
    """A refusal; text that is no Unicode (half a surrogate pair) is replaced."""
    line = " ".join(text.encode("utf-8", "replace").decode().split())
    return reply(status, {"error": line[:2000]}, headers)


def status_of(error: SignalsError) -> int:
    """The HTTP status of an error."""
    if isinstance(error, RegistryError):
        return 503
    for kind, status in STATUS:
        if isinstance(error, kind):
            return status
    return 400 if isinstance(error, InputError) else 500


def first_problem(errors: Any, skip: int) -> str:
    """The first validation error as one line: the field, then what is wrong with it."""
    first = errors[0]
    where = ".".join(str(part) for part in first["loc"][skip:])
    text = " ".join(str(first["msg"]).split())
    return f"{where}: {text}" if where else text


def answer_to(service: Service, method: str, path: str, error: Exception) -> Response:
    """Write down what went wrong with a call, and give its answer."""
    if isinstance(error, HTTPException):
        service.telemetry.refused(error.status_code)
        text = f"{method} {path}: {error.detail}"
        return refusal(error.status_code, text, dict(error.headers or {}))
    if isinstance(error, RequestValidationError | SignalsError):
        if isinstance(error, SignalsError):
            status, text = status_of(error), str(error)
        else:
            status, text = 422, first_problem(error.errors(), skip=1)
        service.log.warning("refused", path=path, status=status, error=text)
        service.telemetry.refused(status)
        return refusal(status, text)
    service.log.error("internal error", path=path, error=repr(error))
    service.telemetry.refused(500)
    return refusal(500, "internal error; the controller stays on its own plan")


def handle(app: FastAPI, service: Service) -> None:
    """Let the application answer errors so."""

    async def refused(request: Request, error: Exception) -> Response:
        return answer_to(service, request.method, request.url.path, error)

    for kind in (SignalsError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, refused)

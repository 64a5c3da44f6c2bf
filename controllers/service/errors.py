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


def handle(app: FastAPI, service: Service) -> None:
    """Let the application answer errors so."""

    @app.exception_handler(SignalsError)
    async def refused(request: Request, error: SignalsError) -> Response:
        status = status_of(error)
        service.log.warning("refused", path=request.url.path, status=status, error=str(error))
        service.telemetry.refused(status)
        return refusal(status, str(error))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        text = first_problem(error.errors(), skip=1)
        service.log.warning("refused", path=request.url.path, status=422, error=text)
        service.telemetry.refused(422)
        return refusal(422, text)

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        text = f"{request.method} {request.url.path}: {error.detail}"
        service.telemetry.refused(error.status_code)
        return refusal(error.status_code, text, dict(error.headers or {}))

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> Response:
        service.log.error("internal error", path=request.url.path, error=repr(error))
        service.telemetry.refused(500)
        return refusal(500, "internal error; the controller stays on its own plan")

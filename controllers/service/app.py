"""The HTTP service: polls in, commands out. All rules are the runtime's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from typing import Any, TextIO

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from structlog.typing import FilteringBoundLogger

from controllers.runtime import JunctionRuntime, observation_sha256
from controllers.service.limits import MAX_BODY_BYTES, BodyLimit
from controllers.service.models import (
    Batch,
    BatchAnswer,
    BatchItem,
    BatchOut,
    CommandOut,
    DecisionPoll,
    ErrorOut,
)
from signals import __version__
from signals.contract import Bundle
from signals.detectors import missing
from signals.errors import ContractError, InputError, ReadingError, SignalsError, UnknownNameError

_STATUS: tuple[tuple[type[SignalsError], int], ...] = (
    (UnknownNameError, 404),
    (ContractError, 409),
    (ReadingError, 422),
)
_REFUSALS: dict[int | str, dict[str, Any]] = {
    404: {"model": ErrorOut, "description": "No such junction here"},
    409: {"model": ErrorOut, "description": "Poll and bundle are made for different contracts"},
    413: {"model": ErrorOut, "description": "The body is too large"},
    422: {"model": ErrorOut, "description": "Names the unknown detector or the wrong field"},
}


class Service:
    """The junctions served by one process.

    Args:
        bundles: Verified and trusted, one per junction.
        logger: Gets one event per decision and refusal.
        record: Gets every poll and its command as a JSON line.

    Raises:
        InputError: No bundle, or two for one junction.
        BundleError: A bundle's network cannot be loaded.
    """

    def __init__(
        self,
        bundles: Iterable[Bundle],
        logger: FilteringBoundLogger | None = None,
        record: TextIO | None = None,
    ) -> None:
        self.bundles: dict[str, Bundle] = {}
        self.runtimes: dict[str, JunctionRuntime] = {}
        self.log: FilteringBoundLogger = logger or structlog.get_logger()
        self._record = record
        for bundle in bundles:
            junction = bundle.contract.junction
            if junction.id in self.bundles:
                raise InputError(
                    f"bundles '{self.bundles[junction.id].contract.name}' and "
                    f"'{bundle.contract.name}' are both for junction {junction.id}; give one"
                )
            runtime = JunctionRuntime.from_bundle(bundle)
            _warm_up(runtime, bundle)
            self.bundles[junction.id] = bundle
            self.runtimes[junction.id] = runtime
        if not self.bundles:
            raise InputError("no bundle to serve; give at least one with --bundle")

    def answer(self, junction: str, poll: DecisionPoll) -> CommandOut:
        """Decide.

        Raises:
            UnknownNameError: No bundle for the junction.
            ContractError: The poll expects another spec, timing or bundle.
            ReadingError: An unknown detector or an impossible value.
        """
        runtime = self.runtimes.get(junction)
        if runtime is None:
            raise UnknownNameError("junction", junction, self.runtimes)
        runtime.check(poll.spec_hash, poll.bundle_hash)
        decision = runtime.explain(poll.request(runtime.spec))
        command = decision.command
        self.log.info(
            "decision",
            junction=junction,
            bundle=command.bundle_hash[:12],
            sequence=command.sequence,
            phase=command.phase_name,
            reason=command.reason,
            **({"why": command.why} if command.why else {}),
        )
        answer = CommandOut.of(command)
        if self._record is not None:
            self._keep(junction, poll, answer)
        if poll.echo and decision.observation is not None:
            answer.observation_sha256 = observation_sha256(decision.observation)
        return answer

    def refused(self, error: SignalsError, junction: str | None, sequence: object) -> int:
        """Log a refusal and give its HTTP status."""
        status = next((code for kind, code in _STATUS if isinstance(error, kind)), 500)
        self.log.warning(
            "refused", junction=junction, sequence=sequence, status=status, error=str(error)
        )
        return status

    def summary(self, junction: str) -> dict[str, Any]:
        """What a controller needs to know before it polls.

        Raises:
            UnknownNameError: No bundle for the junction.
        """
        if junction not in self.bundles:
            raise UnknownNameError("junction", junction, self.bundles)
        bundle, runtime = self.bundles[junction], self.runtimes[junction]
        contract = bundle.contract
        found = contract.junction
        return {
            "junction": junction,
            "bundle": {"name": contract.name, "hash": bundle.hash, "signed_by": bundle.public_key},
            "spec_hash": contract.spec_hash,
            "decision_interval_s": contract.decision_interval_s,
            "phases": [
                {"index": phase.index, "name": phase.name, "groups": list(phase.groups)}
                for phase in found.phases
            ],
            "groups": [{"id": group.id, "kind": group.kind} for group in found.groups],
            "timing": found.timing.to_dict(),
            "detectors": {spec.id: list(spec.fields) for spec in runtime.spec.detectors},
            "plans": [timed.to_dict() for timed in contract.plans],
            "evaluation": dict(contract.evaluation),
        }

    def _keep(self, junction: str, poll: DecisionPoll, answer: CommandOut) -> None:
        assert self._record is not None
        row = {
            "junction": junction,
            "poll": poll.model_dump(),
            "command": answer.model_dump(exclude={"observation_sha256"}),
        }
        try:
            self._record.write(json.dumps(row) + "\n")
            self._record.flush()
        except OSError as error:
            # A full disk must not stop the junction.
            self.log.error("record failed", error=error.strerror)
            self._record = None


def _warm_up(runtime: JunctionRuntime, bundle: Bundle) -> None:
    """Run the network once, so that a network that cannot run is refused before serving."""
    from signals.policy import OnnxPolicy

    state = runtime.spec.guard.start(0)
    observation = runtime.spec.encode(missing(runtime.spec.detectors, 0.0), state)
    OnnxPolicy(bundle).scores(observation.arrays())


def create_app(service: Service, max_body_bytes: int = MAX_BODY_BYTES) -> FastAPI:
    """The ASGI application.

    Args:
        service: What it answers with.
        max_body_bytes: Larger bodies are refused with 413.
    """
    app = FastAPI(title="seoul-signals decision service", version=__version__, redoc_url=None)
    app.add_middleware(BodyLimit, max_body_bytes=max_body_bytes)

    @app.post("/v1/junctions/{junction}/decisions", response_model=CommandOut, responses=_REFUSALS)
    async def decide(junction: str, poll: DecisionPoll) -> Any:
        try:
            return _json(200, service.answer(junction, poll).model_dump())
        except SignalsError as error:
            return _json(service.refused(error, junction, poll.sequence), {"error": str(error)})

    @app.post("/v1/decisions", response_model=BatchOut, responses={413: _REFUSALS[413]})
    async def decide_many(batch: Batch) -> Any:
        results = []
        for item in batch.polls:
            results.append(_batch_answer(service, item).model_dump())
            await asyncio.sleep(0)  # let single polls in between
        return _json(200, {"results": results})

    @app.get("/v1/junctions")
    async def junctions() -> dict[str, list[str]]:
        return {"junctions": sorted(service.bundles)}

    @app.get("/v1/junctions/{junction}", responses={404: _REFUSALS[404]})
    async def summary(junction: str) -> Any:
        try:
            return _json(200, service.summary(junction))
        except UnknownNameError as error:
            return _json(404, {"error": str(error)})

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz")
    async def readyz() -> dict[str, Any]:
        return {"status": "ready", "junctions": len(service.runtimes)}

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        text = _first_problem(error.errors(), skip=1)
        service.log.warning("refused", path=request.url.path, status=422, error=text)
        return _json(422, {"error": text})

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> JSONResponse:
        text = f"{request.method} {request.url.path}: {error.detail}"
        return JSONResponse({"error": text}, error.status_code, headers=error.headers)

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> JSONResponse:
        service.log.error("internal error", path=request.url.path, error=repr(error))
        return _json(500, {"error": "internal error; the controller stays on its own plan"})

    return app


def _batch_answer(service: Service, item: Mapping[str, Any]) -> BatchAnswer:
    junction = item.get("junction")
    name = junction if isinstance(junction, str) else None
    try:
        poll = BatchItem.model_validate(item)
    except ValidationError as error:
        text = _first_problem(error.errors(), skip=0)
        service.log.warning("refused", junction=name, status=422, error=text)
        return BatchAnswer(junction=name, status=422, error=text)
    try:
        command = service.answer(poll.junction, poll)
    except SignalsError as error:
        status = service.refused(error, name, poll.sequence)
        return BatchAnswer(junction=name, status=status, error=str(error))
    return BatchAnswer(junction=name, status=200, command=command)


def _first_problem(errors: Any, skip: int) -> str:
    """The first validation error as one line: the field, then what is wrong with it."""
    first = errors[0]
    where = ".".join(str(part) for part in first["loc"][skip:])
    text = " ".join(str(first["msg"]).split())
    return f"{where}: {text}" if where else text


def _json(status: int, content: Any) -> JSONResponse:
    return JSONResponse(content, status)

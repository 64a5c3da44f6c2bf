"""What people may change: deployments, stages, overrides. Each goes into the registry."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException

from controllers.registry.change import Author, now_ms
from controllers.registry.store import Registry
from controllers.registry.tables import LIVE_MODES, Deployment
from controllers.rollout import RolloutOptions
from controllers.service.deciding import Service
from controllers.service.errors import REFUSED
from controllers.service.gate import holder_of, needs
from controllers.service.models import ApplyIn, DeployIn, OverrideIn, ReasonIn, StageIn
from signals.errors import InputError, UnknownNameError


def routes(service: Service) -> APIRouter:
    """The routes.

    Args:
        service: Follows what they change.
    """
    api = APIRouter(responses=REFUSED)
    _deployments(api, service)
    _overrides(api, service)
    return api


def _deployments(api: APIRouter, service: Service) -> None:
    """Which bundle serves a junction, and on which stage."""

    @api.post("/v1/deployments", dependencies=[needs("admin")])
    def deploy(request: Request, body: DeployIn) -> dict[str, Any]:
        """Let a bundle of the registry serve its junction."""
        by = Author(holder_of(request).name, body.why)
        if body.stage not in LIVE_MODES:
            raise UnknownNameError("stage", body.stage, LIVE_MODES)
        options = RolloutOptions.read(body.options).model_dump(mode="json")
        bundle = _registry(service).opened(body.bundle, service.city.trusted)
        row = _registry(service).deploy(bundle, body.stage, by, options, body.new_street)
        return _changed(service, row)

    @api.post("/v1/junctions/{junction}/stage", dependencies=[needs("admin")])
    def stage(request: Request, junction: str, body: StageIn) -> dict[str, Any]:
        """The present bundle on another stage."""
        by = Author(holder_of(request).name, body.why)
        if body.stage not in LIVE_MODES:
            raise UnknownNameError("stage", body.stage, LIVE_MODES)
        service.served(junction)
        row = _registry(service).restage(junction, body.stage, by)
        assert row is not None
        return _changed(service, row)

    @api.post("/v1/junctions/{junction}/rollback", dependencies=[needs("operator")])
    def rollback(request: Request, junction: str, body: ReasonIn) -> dict[str, Any]:
        """Back to the deployment before this one."""
        by = Author(holder_of(request).name, body.why)
        service.served(junction)
        row = _registry(service).rollback(junction, by)
        return _changed(service, row)


def _overrides(api: APIRouter, service: Service) -> None:
    """What operators do instead of the policy, or with its advice."""

    @api.post("/v1/junctions/{junction}/override", dependencies=[needs("operator")])
    def override(request: Request, junction: str, body: OverrideIn) -> dict[str, Any]:
        """Take the junction from the policy."""
        by = Author(holder_of(request).name, body.why)
        kind = "local_plan" if body.phase is None else "hold"
        until = None if body.minutes is None else now_ms() + round(60_000 * body.minutes)
        service.served(junction)
        row = _registry(service).override(junction, kind, by, body.phase, until)
        return {"override": row.id, "junction": junction, "kind": kind}

    @api.post("/v1/junctions/{junction}/release", dependencies=[needs("operator")])
    def release(request: Request, junction: str, body: ReasonIn) -> dict[str, Any]:
        """Give the junction back to what is deployed there."""
        by = Author(holder_of(request).name, body.why)
        service.served(junction)
        row = _registry(service).override(junction, "release", by)
        return {"override": row.id, "junction": junction, "kind": "release"}

    @api.get("/v1/junctions/{junction}/recommendation", dependencies=[needs("viewer")])
    def recommendation(request: Request, junction: str) -> dict[str, Any]:
        """What the policy would do at the last poll."""
        served = service.served(junction)
        last = _registry(service).decisions(junction, limit=1)
        row = last[0] if last else None
        wish = None if row is None else row.wish
        phases = served.runtime.junction.phases
        named = wish is not None and wish < len(phases)
        return {
            "junction": junction,
            "stage": served.stage,
            "phase": wish,
            "phase_name": phases[wish].name if named and wish is not None else None,
            "decision": None if row is None else row.id,
            "at_ms": None if row is None else row.at_ms,
        }

    @api.post("/v1/junctions/{junction}/apply", dependencies=[needs("operator")])
    def apply(request: Request, junction: str, body: ApplyIn) -> dict[str, Any]:
        """Apply a recommendation for some seconds."""
        by = Author(holder_of(request).name, body.why)
        served = service.served(junction)
        if served.stage != "recommend":
            raise InputError(
                f"junction {junction} is on stage {served.stage}; only 'recommend' is applied"
            )
        until = now_ms() + 1000 * body.seconds
        row = _registry(service).override(junction, "apply", by, body.phase, until)
        return {"override": row.id, "junction": junction, "kind": "apply"}


def _changed(service: Service, row: Deployment) -> dict[str, Any]:
    """What was made of a change, and the override that still comes before it."""
    over = _registry(service).override_at(row.junction, now_ms())
    return {
        "deployment": row.id,
        "junction": row.junction,
        "stage": row.stage,
        "override": None
        if over is None
        else {"kind": over.kind, "who": over.who, "why": over.why, "until_ms": over.until_ms},
    }


def _registry(service: Service) -> Registry:
    if service.registry is None:
        raise HTTPException(404, "this service keeps no registry; start it with --registry")
    return service.registry

"""From recorded decisions to the delay under the policy and under the plan."""

from __future__ import annotations

import json

from sqlalchemy import select

from controllers.registry.database import reading
from controllers.registry.store import Registry
from controllers.registry.tables import Decision, Deployment
from controllers.rollout import RolloutOptions
from controllers.switchback import (
    Evaluation,
    Sample,
    blocks,
    by_time_of_day,
    day_of,
    evaluate,
    paired,
)
from signals.errors import InputError

_HOUR_S = 3600


def evaluation(
    registry: Registry, junction: str, bundle_hash: str | None = None, since_ms: int = 0
) -> Evaluation:
    """Delay under a bundle against the plan's, at one junction.

    Blocks of a switchback are compared within their pair; other stages are compared hour by hour
    with hours of other days in which the plan ran.

    Args:
        registry: Holds the decisions.
        junction: Which.
        bundle_hash: Which bundle, the one deployed now when not given.
        since_ms: Older decisions are left out.

    Raises:
        InputError: Nothing is deployed there.
    """
    deployed = registry.deployments().get(junction)
    chosen = bundle_hash or (deployed.bundle_hash if deployed else None)
    if deployed is None or chosen is None:
        raise InputError(f"nothing is deployed at junction {junction}; see: signals registry list")
    options = _options(registry, junction, chosen) or RolloutOptions.read(
        json.loads(deployed.options)
    )
    switched = samples(registry, junction, chosen, since_ms, switchback=True)
    if switched:
        return evaluate(paired(blocks(switched, options.block_s, options.trim_s)))
    found = samples(registry, junction, chosen, since_ms, switchback=False)
    trim_s = min(options.trim_s, _HOUR_S // 2)
    return evaluate(by_time_of_day(blocks(found, _HOUR_S, trim_s)))


def samples(
    registry: Registry, junction: str, bundle_hash: str, since_ms: int, switchback: bool
) -> list[Sample]:
    """What the decisions of a bundle say about the queues, in the order of time."""
    query = (
        select(Decision.at_ms, Decision.clock_s, Decision.stage, Decision.queued, Decision.passed)
        .where(
            Decision.junction == junction,
            Decision.at_ms >= since_ms,
            Decision.bundle_hash == bundle_hash,
            Decision.queued.is_not(None),
            Decision.passed.is_not(None),
            Decision.stage.like("switchback/%")
            if switchback
            else Decision.stage.not_like("switchback/%"),
        )
        .order_by(Decision.at_ms)
    )
    with reading(registry.engine) as connection:
        return [
            Sample(day_of(at_ms, clock_s), clock_s, stage.endswith("/on"), queued, passed)
            for at_ms, clock_s, stage, queued, passed in connection.execute(query)
            if queued is not None and passed is not None
        ]


def _options(registry: Registry, junction: str, bundle_hash: str) -> RolloutOptions | None:
    """Those of the bundle's last switchback."""
    rows: list[Deployment] = [
        row
        for row in registry.history(junction)
        if row.stage == "switchback" and row.bundle_hash == bundle_hash
    ]
    return RolloutOptions.read(json.loads(rows[-1].options)) if rows else None

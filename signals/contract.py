"""What a policy promises: its junction, observation, plans, provenance and its own hash.

The street needs nothing else: guard and observation are rebuilt from the contract, without a net.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from signals.errors import ContractError
from signals.junction import Junction
from signals.observation import ObservationSpec
from signals.plan import Plan

SCHEMA_VERSION = 1
_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class TimedPlan:
    """The local plan of one period.

    Attributes:
        period: E.g. ``am_peak``.
        begin_s: Clock time from which it is meant (s since midnight).
        end_s: Clock time until which it is meant (s since midnight).
        plan: The plan.
    """

    period: str
    begin_s: int
    end_s: int
    plan: Plan

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        return {
            "period": self.period,
            "begin_s": self.begin_s,
            "end_s": self.end_s,
            "plan": self.plan.to_dict(),
        }


@dataclass(frozen=True)
class Contract:
    """What a policy bundle promises.

    Attributes:
        name: Name given at export.
        junction: Geometry, phases, conflicts and timing; guard and observation follow from it.
        spec: `ObservationSpec.to_dict` as it was at export, with its hash.
        plans: Local plans of the periods the policy was made for.
        decision_interval_s: Seconds between decisions.
        training: Provenance: config, package versions, git revision if there is one.
        evaluation: Summary of the evaluation at export.
        policy_sha256: Hash of ``policy.onnx``.
    """

    name: str
    junction: Junction
    spec: Mapping[str, Any]
    plans: tuple[TimedPlan, ...]
    decision_interval_s: int
    training: Mapping[str, Any]
    evaluation: Mapping[str, Any]
    policy_sha256: str

    @classmethod
    def promise(
        cls,
        name: str,
        junction: Junction,
        plans: tuple[TimedPlan, ...],
        policy: bytes,
        decision_interval_s: int = 5,
        training: Mapping[str, Any] | None = None,
        evaluation: Mapping[str, Any] | None = None,
    ) -> Contract:
        """A contract for this policy at this junction; the observation is taken as it is now."""
        return cls(
            name=name,
            junction=junction,
            spec=ObservationSpec(junction).to_dict(),
            plans=plans,
            decision_interval_s=decision_interval_s,
            training=dict(training or {}),
            evaluation=dict(evaluation or {}),
            policy_sha256=sha256(policy),
        )

    @property
    def spec_hash(self) -> str:
        """Hash of the observation that the policy expects."""
        return str(self.spec.get("hash", ""))

    def plan_at(self, clock_s: float) -> Plan | None:
        """The local plan whose period holds the clock time, or None.

        Args:
            clock_s: Seconds since midnight.
        """
        for timed in self.plans:
            if (clock_s - timed.begin_s) % _DAY_S < timed.end_s - timed.begin_s:
                return timed.plan
        return None

    def plan_seen_at(self, clock_s: float) -> Plan | None:
        """The plan that the policy sees: that of the clock time, else the first.

        Args:
            clock_s: Seconds since midnight.
        """
        plan = self.plan_at(clock_s)
        if plan is None and self.plans:
            plan = self.plans[0].plan
        return None if plan is None else plan.at(clock_s)

    def check(self) -> None:
        """Refuse a contract that this version of the code would not keep.

        Raises:
            ContractError: The observation rebuilt from the junction is not the promised one.
            PlanError: A local plan does not fit the junction.
            JunctionError: The timing cannot be kept by a guard.
        """
        rebuilt = ObservationSpec(self.junction).hash
        if rebuilt != self.spec_hash:
            raise ContractError(
                f"bundle '{self.name}' promises observation {self.spec_hash[:12]}, this version "
                f"makes {rebuilt[:12]} for junction {self.junction.id}; export the policy again"
            )
        if self.decision_interval_s < 1:
            raise ContractError(
                f"bundle '{self.name}' decides every {self.decision_interval_s} s; "
                "allowed: whole seconds from 1 up"
            )
        for timed in self.plans:
            timed.plan.validate(self.junction)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        return {
            "schema": SCHEMA_VERSION,
            "name": self.name,
            "junction": self.junction.to_dict(),
            "spec": dict(self.spec),
            "plans": [timed.to_dict() for timed in self.plans],
            "decision_interval_s": self.decision_interval_s,
            "training": dict(self.training),
            "evaluation": dict(self.evaluation),
            "policy_sha256": self.policy_sha256,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Contract:
        """Inverse of `to_dict`.

        Raises:
            ContractError: Not a contract, or one of another schema.
        """
        if data.get("schema") != SCHEMA_VERSION:
            raise ContractError(
                f"contract has schema {data.get('schema')!r}, this version reads "
                f"{SCHEMA_VERSION}; export the policy again"
            )
        try:
            return cls(
                name=str(data["name"]),
                junction=Junction.from_dict(data["junction"]),
                spec=dict(data["spec"]),
                plans=tuple(
                    TimedPlan(
                        str(timed["period"]),
                        int(timed["begin_s"]),
                        int(timed["end_s"]),
                        Plan.from_dict(timed["plan"]),
                    )
                    for timed in data["plans"]
                ),
                decision_interval_s=int(data["decision_interval_s"]),
                training=dict(data["training"]),
                evaluation=dict(data["evaluation"]),
                policy_sha256=str(data["policy_sha256"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ContractError(f"not a contract: {error!r}; export the policy again") from error


def sha256(data: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(data).hexdigest()


def canonical_json(data: Any) -> bytes:
    """The one JSON form of some data: keys sorted, no spaces, UTF-8, no NaN.

    Raises:
        ContractError: The data holds NaN or something that JSON has no form for.
    """
    try:
        text = json.dumps(
            data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        )
    except (TypeError, ValueError) as error:
        raise ContractError(f"a contract holds JSON values only: {error}") from error
    return text.encode()

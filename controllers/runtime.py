"""Readings in, command out: the decision path of one junction, without any I/O.

It is the simulator's path: `ObservationSpec.encode`, the agent, the guard's options. Nothing is
kept between decisions, since the lights and their timers come with every request: the same request
gives the same command, however often and in whichever order it is asked.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import numpy as np

from agents.base import Agent
from signals.bundle import Bundle
from signals.detectors import Readings, ReadingsReader
from signals.encoder import Encoder
from signals.errors import ContractError, ServiceError
from signals.junction import Junction
from signals.lights import GuardState
from signals.observation import Observation, ObservationSpec
from signals.plan import Plan
from signals.policy import OnnxPolicy
from signals.sight import Sight

LOCAL_PLAN = "local plan"
"""Reason of a command that sends the controller to its own plan; ``why`` says the rest."""
MAX_AGE_S = 10.0
"""Readings older than this are stale (s)."""
GRACE_S = 1.0
"""A command outlives the decision interval by this, for the next poll's travel (s)."""
_DAY_S = 86_400.0
_ENCODERS = 128
"""Sets of junctions whose common encoder is kept: gateways ask for the same ones every time."""


@dataclass(frozen=True, slots=True)
class DecisionRequest:
    """What a controller asks with.

    Attributes:
        readings: Detector values with the time of their measurement.
        state: Lights and timers of this moment.
        clock_s: The controller's clock (s since midnight).
        sequence: The controller's own count; the command repeats it.
    """

    readings: Readings
    state: GuardState
    clock_s: float
    sequence: int


@dataclass(frozen=True, slots=True)
class Command:
    """The answer to one request.

    ``phase`` is a wish that the guard at the controller takes every second until ``expires_at_s``;
    a controller without a guard of its own follows it only when it is ``granted``.

    Attributes:
        phase: Index of the phase to serve, None for the controller's own plan.
        phase_name: Its name.
        not_before_s: Clock time from which it holds (s since midnight).
        expires_at_s: Clock time from which the controller is on its own plan, on the scale of the
            poll's clock: 86402 for a decision of 23:59:57 that lasts 5 s; see `holds`.
        reason: ``kept``, ``changed``, why the guard refuses it now, or `LOCAL_PLAN`.
        why: One line when the reason is `LOCAL_PLAN`, else empty.
        granted: Whether the guard grants the wish at this moment.
        mask: Per phase, whether a wish for it would be granted; empty when nothing was encoded.
        sequence: The request's.
        bundle_hash: The bundle that decided.
    """

    phase: int | None
    phase_name: str | None
    not_before_s: float
    expires_at_s: float
    reason: str
    why: str
    granted: bool
    mask: tuple[bool, ...]
    sequence: int
    bundle_hash: str

    def holds(self, clock_s: float) -> bool:
        """Whether a phase is to be served at a clock time, which may have passed midnight.

        Args:
            clock_s: The controller's clock (s since midnight, or on beyond a day).
        """
        lasts_s = self.expires_at_s - self.not_before_s
        return self.phase is not None and (clock_s - self.not_before_s) % _DAY_S < lasts_s

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        return {
            "phase": self.phase,
            "phase_name": self.phase_name,
            "not_before_s": self.not_before_s,
            "expires_at_s": self.expires_at_s,
            "reason": self.reason,
            "why": self.why,
            "granted": self.granted,
            "mask": list(self.mask),
            "sequence": self.sequence,
            "bundle_hash": self.bundle_hash,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Command:
        """Inverse of `to_dict`.

        Raises:
            ServiceError: Not a command.
        """
        try:
            phase, name = data["phase"], data["phase_name"]
            command = cls(
                phase=None if phase is None else int(phase),
                phase_name=None if name is None else str(name),
                not_before_s=float(data["not_before_s"]),
                expires_at_s=float(data["expires_at_s"]),
                reason=str(data["reason"]),
                why=str(data["why"]),
                granted=data["granted"] is True,
                mask=tuple(value is True for value in data["mask"]),
                sequence=int(data["sequence"]),
                bundle_hash=str(data["bundle_hash"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ServiceError(f"the answer is no command: {error!r}") from error
        if not (math.isfinite(command.not_before_s) and math.isfinite(command.expires_at_s)):
            raise ServiceError("the answer is no command: its times are not finite")
        return command


@dataclass(frozen=True, slots=True)
class Decision:
    """A command and the observation it was made from, None when nothing could be encoded."""

    command: Command
    observation: Observation | None


class JunctionRuntime:
    """Decides for one junction.

    Args:
        junction: The junction.
        agent: Who wishes. A bundle's policy has no memory; an agent that has one makes the answer
            depend on what was asked before.
        bundle_hash: Repeated in every command; empty without a bundle.
        max_age_s: Older readings are stale (s).
        plan_at: Gives the local plan in force at a clock time, see `ObservationSpec`.
    """

    def __init__(
        self,
        junction: Junction,
        agent: Agent,
        bundle_hash: str = "",
        max_age_s: float = MAX_AGE_S,
        plan_at: Callable[[float], Plan | None] | None = None,
    ) -> None:
        self.junction = junction
        self.spec = ObservationSpec(junction, plan_at=plan_at)
        self.spec_hash = self.spec.hash
        self.reader = ReadingsReader(self.spec.detectors)
        self._sight = Sight(junction)
        self.bundle_hash = bundle_hash
        self.agent = agent
        self._max_age_s = max_age_s
        self._lifetime_s = agent.decision_interval_s + GRACE_S
        agent.reset(0)

    @classmethod
    def from_bundle(
        cls, bundle: Bundle, max_age_s: float = MAX_AGE_S, policy: OnnxPolicy | None = None
    ) -> JunctionRuntime:
        """A runtime for a verified bundle.

        Args:
            bundle: The bundle.
            max_age_s: Older readings are stale (s).
            policy: Its policy, when it is open already.

        Raises:
            BundleError: Its network cannot be loaded.
        """
        chosen = policy or OnnxPolicy(bundle)
        contract = bundle.contract
        return cls(contract.junction, chosen, bundle.hash, max_age_s, contract.plan_seen_at)

    def check(self, spec_hash: str | None, bundle_hash: str | None) -> None:
        """Refuse a controller that expects another observation or bundle.

        Args:
            spec_hash: What the controller's own junction description gives, None not to ask.
            bundle_hash: The bundle it wants to be decided by, None for any.

        Raises:
            ContractError: One of them is another.
        """
        for what, given, own in (
            ("observation spec", spec_hash, self.spec_hash),
            ("bundle", bundle_hash, self.bundle_hash),
        ):
            if given is not None and given != own:
                raise ContractError(
                    f"the poll expects {what} {given[:12]}, junction {self.junction.id} is served "
                    f"with {own[:12] or 'none'}; deploy the bundle made for this controller"
                )

    def decide(self, request: DecisionRequest) -> Command:
        """The command for this moment; whatever is wrong with the request, there is one."""
        return self.explain(request).command

    def explain(self, request: DecisionRequest) -> Decision:
        """Like `decide`, with the observation.

        Args:
            request: Readings and state, made for this junction.
        """
        why = self.unusable(request)
        if why:
            return Decision(self.local_plan(request, why), None)
        observation: Observation | None = None
        try:
            observation = self.spec.encode(request.readings, request.state)
            if why := self.blind(observation):
                return Decision(self.local_plan(request, why, observation), observation)
            wish = self.agent.decide(observation, request.clock_s)
        except Exception as error:  # a policy must never take the junction down with it
            text = " ".join(str(error).split()) or type(error).__name__
            return Decision(self.local_plan(request, text, observation), observation)
        return Decision(self.command(request, wish, observation), observation)

    def command(
        self, request: DecisionRequest, wish: int, observation: Observation | None = None
    ) -> Command:
        """What a wish comes to at this moment, by the guard.

        Args:
            request: Readings and state.
            wish: Of the policy, or of an operator.
            observation: What the wish was made from, None for an operator's.
        """
        # The observation's mask is the guard's answer for the same state.
        mask = (
            self.spec.guard.options(request.state).mask
            if observation is None
            else tuple([value != 0.0 for value in observation.mask.tolist()])
        )
        if not 0 <= wish < len(mask):
            return self.local_plan(request, f"the policy wished for phase {wish}", observation)
        granted = mask[wish]
        reason = "kept" if wish == request.state.phase else "changed"
        if not granted:
            reason = self.spec.guard.options(request.state).reason
        return Command(
            phase=wish,
            phase_name=self.junction.phases[wish].name,
            not_before_s=request.clock_s,
            expires_at_s=request.clock_s + self._lifetime_s,
            reason=reason,
            why="",
            granted=granted,
            mask=mask,
            sequence=request.sequence,
            bundle_hash=self.bundle_hash,
        )

    def unusable(self, request: DecisionRequest) -> str:
        """Why the readings cannot be decided on, or an empty string."""
        readings = request.readings
        if not math.isfinite(request.clock_s) or not math.isfinite(readings.time_s):
            return "the clock is not a number"
        # Midnight lies between 86399 and 1: the age is the shorter way round.
        age_s = (request.clock_s - readings.time_s + _DAY_S / 2) % _DAY_S - _DAY_S / 2
        if age_s > self._max_age_s:
            return f"readings are {age_s:.1f} s old, allowed are {self._max_age_s:g} s"
        if age_s < -self._max_age_s:
            return f"readings are {-age_s:.1f} s ahead of the controller's clock"
        lowest, highest = (
            np.fmin.reduce(readings.values, None),
            np.fmax.reduce(readings.values, None),
        )
        if lowest == -math.inf or highest == math.inf:
            return "a reading is infinite"
        if math.isnan(highest):
            return "no detector answers"
        contradiction = self.spec.guard.contradiction(request.state)
        return f"the lights contradict each other: {contradiction}" if contradiction else ""

    def blind(self, observation: Observation) -> str:
        """Why a policy sees too little, or an empty string; other agents see to that themselves."""
        return self._sight.lost(observation) if isinstance(self.agent, OnnxPolicy) else ""

    def local_plan(
        self, request: DecisionRequest, why: str, observation: Observation | None = None
    ) -> Command:
        """The command that sends the controller to its own plan.

        Args:
            request: What was asked.
            why: One line.
            observation: When one was made.
        """
        mask = () if observation is None else tuple(bool(value) for value in observation.mask)
        now_s = request.clock_s if math.isfinite(request.clock_s) else 0.0
        return Command(
            phase=None,
            phase_name=None,
            not_before_s=now_s,
            expires_at_s=now_s,
            reason=LOCAL_PLAN,
            why=why,
            granted=False,
            mask=mask,
            sequence=request.sequence,
            bundle_hash=self.bundle_hash,
        )


class Together:
    """Decides for many junctions at once, each exactly as it would be decided alone."""

    def __init__(self) -> None:
        self._encoder = lru_cache(_ENCODERS)(Encoder)

    def explain(
        self, asked: Sequence[tuple[JunctionRuntime, DecisionRequest]], lasting: bool = True
    ) -> list[Decision]:
        """One decision for each request.

        Args:
            asked: Runtimes and what they are asked; a runtime may be asked more than once.
            lasting: The same set may be asked about again; False when it met by chance.
        """
        found: dict[int, Decision] = {}
        rows: list[int] = []
        for row, (runtime, request) in enumerate(asked):
            if not isinstance(runtime.agent, OnnxPolicy):
                found[row] = runtime.explain(request)
            elif why := runtime.unusable(request):
                found[row] = Decision(runtime.local_plan(request, why), None)
            else:
                rows.append(row)
        pairs = [asked[row] for row in rows]
        try:
            decisions = self._decide(pairs, lasting) if len(pairs) > 1 else []
        except Exception:  # alone, each says what is wrong with it
            decisions = []
        if not decisions:
            decisions = [runtime.explain(request) for runtime, request in pairs]
        found.update(zip(rows, decisions, strict=True))
        return [found[row] for row in range(len(asked))]

    def _decide(
        self, asked: Sequence[tuple[JunctionRuntime, DecisionRequest]], lasting: bool
    ) -> list[Decision]:
        specs = tuple([runtime.spec for runtime, _ in asked])
        encoder = self._encoder(specs) if lasting else Encoder(specs)
        observations = encoder.observations(
            [request.readings for _, request in asked], [request.state for _, request in asked]
        )
        blind = [
            runtime.blind(observation)
            for (runtime, _), observation in zip(asked, observations, strict=True)
        ]
        alike: dict[int, list[int]] = defaultdict(list)
        for row, (runtime, _) in enumerate(asked):
            if not blind[row]:
                alike[id(cast(OnnxPolicy, runtime.agent).session)].append(row)
        wishes = [0] * len(asked)
        for rows in alike.values():
            policy = cast(OnnxPolicy, asked[rows[0]][0].agent)
            own = policy.decide_many([observations[row] for row in rows])
            for row, wish in zip(rows, own, strict=True):
                wishes[row] = wish
        return [
            Decision(
                runtime.local_plan(request, why, observation)
                if why
                else runtime.command(request, wish, observation),
                observation,
            )
            for (runtime, request), wish, observation, why in zip(
                asked, wishes, observations, blind, strict=True
            )
        ]


def observation_sha256(observation: Observation) -> str:
    """SHA-256 over the bytes of the four arrays, in their order; equal bytes, equal hash."""
    digest = hashlib.sha256()
    for array in observation.arrays().values():
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()

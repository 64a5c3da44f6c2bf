"""From polls to answers: the runtime's decision, the stage of the roll-out, the operator's word."""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TextIO

import orjson
import structlog
from structlog.typing import FilteringBoundLogger

from controllers.registry.change import Author, now_ms
from controllers.registry.journal import JournalFullError
from controllers.registry.store import Registry
from controllers.registry.tables import Override
from controllers.registry.writer import Writer
from controllers.rollout import SERVICE, Glimpse, Watch, acts, labelled, may_act
from controllers.runtime import (
    Command,
    Decision,
    DecisionRequest,
    Together,
    observation_sha256,
)
from controllers.service.city import City, Served
from controllers.service.models import DecisionPoll
from controllers.service.telemetry import Telemetry
from signals.bundle import Bundle
from signals.errors import ContractError, InputError, ReadingError, SignalsError, UnknownNameError

_TOGETHER = 64
"""Single polls that are decided together at most: the first of them waits for the last."""
STATUS: tuple[tuple[type[SignalsError], int], ...] = (
    (UnknownNameError, 404),
    (ContractError, 409),
    (ReadingError, 422),
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What one poll gets.

    Attributes:
        status: As HTTP has it.
        content: The command, or ``{"error": ...}``.
    """

    status: int
    content: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Asked:
    place: int
    junction: str
    served: Served
    poll: DecisionPoll
    request: DecisionRequest


class Service:
    """The junctions served by one process.

    Args:
        bundles: Verified and trusted, one per junction, when there is no registry.
        logger: Gets one event per decision and refusal.
        record: Gets every poll and its command as a JSON line.
        city: What holds now, made from the bundles when not given.
        writer: Keeps decisions and events; None keeps none.
        telemetry: Counters; its own when not given.

    Raises:
        InputError: No bundle, or two for one junction.
        BundleError: A bundle's network cannot be loaded.
    """

    def __init__(
        self,
        bundles: Iterable[Bundle] = (),
        logger: FilteringBoundLogger | None = None,
        record: TextIO | None = None,
        city: City | None = None,
        writer: Writer | None = None,
        telemetry: Telemetry | None = None,
    ) -> None:
        self.city = city or City(bundles)
        self.log: FilteringBoundLogger = logger or structlog.get_logger()
        self.writer = writer
        self.telemetry = telemetry or Telemetry()
        self._record = record
        self._together = Together()
        self._watches: dict[str, tuple[int, Watch]] = {}
        self._mutex = threading.Lock()
        self.steps_back: dict[str, tuple[int, str]] = {}
        self._arrived: list[tuple[str, DecisionPoll, asyncio.Future[Answer]]] = []
        self.ends: list[Callable[[], None]] = []
        if city is None and not self.city.served:
            raise InputError("no bundle to serve; give at least one with --bundle")

    @property
    def bundles(self) -> dict[str, Bundle]:
        """Bundle of each junction."""
        return {name: served.bundle for name, served in self.city.served.items()}

    @property
    def registry(self) -> Registry | None:
        """The registry, if there is one."""
        return self.city.registry

    def answer(self, junction: str, poll: DecisionPoll) -> Answer:
        """Decide for one junction; a refusal is an answer, too."""
        return self.answer_many([(junction, poll)], singly=True)[0]

    async def answer_soon(self, junction: str, poll: DecisionPoll) -> Answer:
        """Decide together with the other polls that have arrived by now.

        Args:
            junction: Its id.
            poll: What it asks.
        """
        loop = asyncio.get_running_loop()
        if not self._arrived:
            loop.call_soon(self._gather, loop, 0)
        answer: asyncio.Future[Answer] = loop.create_future()
        self._arrived.append((junction, poll, answer))
        return await answer

    def _gather(self, loop: asyncio.AbstractEventLoop, before: int) -> None:
        """Let the loop take in what has come meanwhile, as long as something has."""
        if before < len(self._arrived) < _TOGETHER:
            loop.call_soon(self._gather, loop, len(self._arrived))
        else:
            self._answer_arrived()

    def _answer_arrived(self) -> None:
        arrived, self._arrived = self._arrived, []
        try:
            answers = self.answer_many([(name, poll) for name, poll, _ in arrived], True)
        except Exception as error:
            for _, _, waiting in arrived:
                if not waiting.done():
                    waiting.set_exception(error)
            return
        for (_, _, waiting), answer in zip(arrived, answers, strict=True):
            if not waiting.done():  # the caller may have gone away
                waiting.set_result(answer)

    def answer_many(
        self, polls: Sequence[tuple[str, DecisionPoll]], singly: bool = False
    ) -> list[Answer]:
        """Decide for many junctions; each is judged by itself.

        Args:
            polls: Junctions and what they ask.
            singly: They came one by one: log each instead of the batch.

        Returns:
            The answers in the same order.
        """
        began = time.perf_counter()
        answers: list[Answer | None] = [None] * len(polls)
        asked: list[_Asked] = []
        for place, (junction, poll) in enumerate(polls):
            try:
                served = self.served(junction)
                served.runtime.check(poll.spec_hash, poll.bundle_hash)
                asked.append(_Asked(place, junction, served, poll, poll.request(served.runtime)))
            except SignalsError as error:
                answers[place] = self.refused(error, junction, poll.sequence)
        pairs = [(item.served.runtime, item.request) for item in asked]
        decisions = self._together.explain(pairs, lasting=not singly)
        at_ms = now_ms()
        rows: list[list[Any]] = []
        commands: list[tuple[Command, str]] = []
        for item, decision in zip(asked, decisions, strict=True):
            command, row = self._street(item, decision, at_ms)
            rows.append(row)
            commands.append((command, row[0]))
        commands = self._keep(asked, commands, rows)
        for item, decision, (command, key) in zip(asked, decisions, commands, strict=True):
            answers[item.place] = self._said(item, decision, command, key, singly)
        if not singly:
            self.log.info(
                "decisions",
                polls=len(polls),
                refused=len(polls) - len(asked),
                first=commands[0][1] if commands else None,
                last=commands[-1][1] if commands else None,
            )
        self.telemetry.decided(len(polls), time.perf_counter() - began)
        return [answer for answer in answers if answer is not None]

    def refused(self, error: SignalsError, junction: str | None, sequence: object) -> Answer:
        """Log a refusal and give the answer."""
        status = next((code for kind, code in STATUS if isinstance(error, kind)), 500)
        self.telemetry.refused(status)
        self.log.warning(
            "refused", junction=junction, sequence=sequence, status=status, error=str(error)
        )
        return Answer(status, {"error": str(error)})

    def summary(self, junction: str) -> dict[str, Any]:
        """What a controller needs to know before it polls.

        Raises:
            UnknownNameError: No bundle for the junction.
        """
        served = self.served(junction)
        bundle, runtime = served.bundle, served.runtime
        contract = bundle.contract
        found = contract.junction
        return {
            "junction": junction,
            "bundle": {"name": contract.name, "hash": bundle.hash, "signed_by": bundle.public_key},
            "stage": served.stage,
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

    def step_back(self) -> None:
        """Write down the steps back that are due.

        Raises:
            RegistryError: The registry does not answer; they stay due.
        """
        for junction, (deployment, why) in list(self.steps_back.items()):
            if self.registry is not None:
                by = Author(SERVICE, f"stepped back: {why}")
                done = self.registry.restage(junction, "shadow", by, only_after=deployment)
                if done is not None:
                    self.telemetry.stepped_back()
                    self.log.warning("stepped back", junction=junction, why=why)
            served = self.city.served.get(junction)
            if served is None or served.deployment != deployment:
                # Who else writes them down meanwhile may have been first.
                self.steps_back.pop(junction, None)

    def close(self) -> None:
        """The last call was answered."""
        for end in self.ends:
            end()

    def halt(self, junction: str, deployment: int, why: str) -> None:
        """Let a deployment act no longer, at once here and soon everywhere."""
        self.steps_back.setdefault(junction, (deployment, why))

    def served(self, junction: str) -> Served:
        """What serves a junction.

        Raises:
            UnknownNameError: Nothing does.
        """
        served = self.city.served.get(junction)
        if served is None:
            raise UnknownNameError("junction", junction, self.city.served)
        return served

    def _street(self, item: _Asked, decision: Decision, at_ms: int) -> tuple[Command, list[Any]]:
        """What goes to the street, and the row that is kept of it."""
        served, request, wish = item.served, item.request, decision.command
        halted = self.steps_back.get(item.junction)
        acting = acts(served.stage, served.options, request.clock_s, at_ms) and (
            halted is None or halted[0] != served.deployment
        )
        override = self.city.override(item.junction, at_ms)
        command = wish
        if override is not None:
            acting = False
            command = self._overridden(served, request, override)
        elif not acting and wish.phase is not None:
            why = f"stage {served.stage}: the policy does not act now"
            if halted is not None:
                why = f"stepped back: {halted[1]}"
            command = served.runtime.local_plan(request, why, decision.observation)
        drift = (
            served.ranges.outside(decision.observation.movements)
            if decision.observation is not None and served.ranges.known
            else None
        )
        if acting and served.deployment is not None and may_act(served.stage):
            self._watch(item, wish, drift)
        state = request.state
        row = [
            decision_id(item.junction, item.poll, at_ms),
            at_ms,
            item.junction,
            item.poll.session or "",
            request.sequence,
            request.clock_s,
            served.bundle.hash,
            served.deployment,
            labelled(served.stage, acting),
            wish.phase,
            command.phase,
            int(command.granted),
            command.reason,
            command.why[:500],
            f"{state.phase}/{state.held_s}/{''.join(map(str, state.indications))}/"
            f"{','.join(map(str, state.elapsed_s))}",
            served.queued(request.readings),
            served.passed(request.readings),
            drift,
        ]
        return command, row

    def _overridden(self, served: Served, request: DecisionRequest, override: Override) -> Command:
        who = f"override by {override.who}: {override.why}"[:300]
        contradiction = served.runtime.spec.guard.contradiction(request.state)
        if override.phase is None or contradiction:
            return served.runtime.local_plan(request, contradiction or who)
        command = served.runtime.command(request, override.phase)
        return replace(command, why=who) if command.phase is not None else command

    def _watch(self, item: _Asked, wish: Command, drift: float | None) -> None:
        served = item.served
        assert served.deployment is not None
        with self._mutex:
            known = self._watches.get(item.junction)
            if known is None or known[0] != served.deployment:
                known = (served.deployment, Watch(served.options))
                self._watches[item.junction] = known
            why = known[1].see(
                Glimpse(time.monotonic(), wish.phase is not None, wish.granted, drift or 0.0)
            )
        if why:
            self.halt(item.junction, served.deployment, why)

    def _keep(
        self,
        asked: Sequence[_Asked],
        commands: list[tuple[Command, str]],
        rows: list[list[Any]],
    ) -> list[tuple[Command, str]]:
        """Record the decisions; what cannot be recorded must not act."""
        if self.writer is None or not rows:
            return commands
        try:
            self.writer.journal.append("decisions", rows)
        except JournalFullError as error:
            self.log.error("decisions cannot be recorded", error=str(error))
            return [
                (item.served.runtime.local_plan(item.request, f"not recorded: {error}"), "")
                for item in asked
            ]
        return commands

    def _said(
        self, item: _Asked, decision: Decision, command: Command, key: str, alone: bool
    ) -> Answer:
        content = command.to_dict()
        content["decision"] = key
        content["observation_sha256"] = None
        if self._record is not None:
            self._write(item, {**content})
        # Made without the policy on purpose; what could not be kept has no key.
        content["withheld"] = (
            command.phase is None and command is not decision.command and bool(key)
        )
        if item.poll.echo and decision.observation is not None:
            content["observation_sha256"] = observation_sha256(decision.observation)
        say = self.log.info if alone else self.log.debug
        say(
            "decision",
            junction=item.junction,
            bundle=command.bundle_hash[:12],
            decision=key,
            sequence=command.sequence,
            phase=command.phase_name,
            reason=command.reason,
            **({"why": command.why} if command.why else {}),
        )
        return Answer(200, content)

    def _write(self, item: _Asked, content: dict[str, Any]) -> None:
        assert self._record is not None
        content.pop("observation_sha256")
        row = {
            "junction": item.junction,
            "poll": item.poll.model_dump(exclude_unset=True),
            "command": content,
        }
        try:
            self._record.write(orjson.dumps(row).decode() + "\n")
            self._record.flush()
        except OSError as error:
            # A full disk must not stop the junction.
            self.log.error("record failed", error=error.strerror)
            self._record = None


def decision_id(junction: str, poll: DecisionPoll, at_ms: int) -> str:
    """The same for the same poll, sent again: it begins with the day and the controller's clock.

    Args:
        junction: Its id.
        poll: The poll.
        at_ms: Now; a poll that names its session has no other use for it.
    """
    day = _day(at_ms // 86_400_000)
    session = poll.session or day
    text = f"{junction}\x1f{session}\x1f{poll.sequence}\x1f{poll.clock_s!r}"
    digest = hashlib.blake2b(text.encode(), digest_size=9).hexdigest()
    return f"{day}-{int(poll.clock_s) % 86_400:05d}-{digest}"


@lru_cache(4)
def _day(number: int) -> str:
    return datetime.fromtimestamp(86_400 * number, UTC).strftime("%Y%m%d")

"""A simulated controller at the end of a real line: SUMO, the guard, a plan of its own, and HTTP.

It does what a gateway at the kerb does: poll, follow the command until it expires, fall back to the
plan at once when there is none, and say so exactly once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from controllers.poller import TIMEOUT_S, Credentials, Poller
from controllers.runtime import Command, DecisionRequest
from controllers.standing import Standing
from signals.detectors import Readings
from signals.hires import EventLog
from signals.recording import Recorder
from signals.simulation.backend import Backend, RunOptions
from signals.simulation.episode import Episode
from signals.world import World

DECISION_INTERVAL_S = 5
"""Seconds between polls until the service has named its own interval."""


@dataclass
class GatewayReport:
    """What one run of the gateway came to.

    Attributes:
        seconds: Simulated seconds.
        from_service: Decisions that the service made.
        from_plan: Decisions left to the local plan.
        polls: Times the service was asked.
        refusals: Polls that the service answered with a refusal.
        local_plan_answers: Commands that sent the controller to its plan.
        losses: Times the service was lost; a stage or an override is no loss.
        recoveries: Times it came back.
        problem: Why the last poll had no answer, if there was one without.
        slowest_poll_s: Longest poll that was answered with a command (s).
        polls_s: Time of all such polls together (s).
    """

    seconds: int = 0
    from_service: int = 0
    from_plan: int = 0
    polls: int = 0
    refusals: int = 0
    local_plan_answers: int = 0
    losses: int = 0
    recoveries: int = 0
    slowest_poll_s: float = 0.0
    polls_s: float = 0.0
    problem: str = ""


class SimulatedController:
    """Runs one world under the commands of a decision service.

    Args:
        world: What to simulate.
        backend: Where.
        url: The service.
        timeout_s: Of one poll (s).
        log: Gets one line when the service is lost and one when it is back.
        recorder: Keeps lights and decisions when given.
        realtime: One simulated second a second.
        credentials: For the service, see `Poller`.
        events: Hi-res log of the junction.
    """

    def __init__(
        self,
        world: World,
        backend: Backend,
        url: str,
        timeout_s: float = TIMEOUT_S,
        log: Callable[[str], None] = print,
        recorder: Recorder | None = None,
        realtime: bool = False,
        credentials: Credentials | None = None,
        events: EventLog | None = None,
    ) -> None:
        self.report = GatewayReport()
        self.episode = Episode(world, backend, recorder, logs=() if events is None else (events,))
        self._world = world
        self._log = log
        self._recorder = recorder
        self._realtime = realtime
        self._poller = Poller(
            url, self.episode.spec, timeout_s, clock=self._now_s, credentials=credentials
        )
        self._interval_s: int | None = None
        self._command: Command | None = None
        self._standing = Standing(self.report, "the service decides again")
        self._sequence = 0

    def run(
        self,
        seed: int,
        options: RunOptions | None = None,
        each_second: Callable[[SimulatedController], None] | None = None,
    ) -> GatewayReport:
        """Simulate the whole period.

        Args:
            seed: Demand day.
            options: Recording and SUMO options.
            each_second: Called before every second.

        Returns:
            The report.
        """
        try:
            self.episode.start(seed, options)
            self._greet()
            next_poll_s = self.episode.clock_s
            started = time.monotonic()
            while not self.episode.finished:
                if each_second is not None:
                    each_second(self)
                if self.episode.clock_s >= next_poll_s:
                    self._poll()
                    next_poll_s = self.episode.clock_s + (self._interval_s or DECISION_INTERVAL_S)
                self.episode.tick(self._wish())
                self.report.seconds += 1
                if self._realtime:
                    time.sleep(max(0.0, started + self.report.seconds - time.monotonic()))
        finally:
            self.episode.close()
            self._poller.close()
        return self.report

    def _now_s(self) -> float:
        return self.episode.clock_s

    def _greet(self) -> None:
        """Learn the interval from the service, as soon as it answers."""
        summary = self._poller.summary()
        interval_s = summary.get("decision_interval_s") if summary else None
        if isinstance(interval_s, int) and 1 <= interval_s <= 60:
            self._interval_s = interval_s

    def _poll(self) -> None:
        readings: Readings = self.episode.readings()
        request = DecisionRequest(
            readings=readings,
            state=self.episode.state,
            clock_s=self.episode.clock_s,
            sequence=self._sequence,
        )
        self._sequence += 1
        began = time.monotonic()
        answer = self._poller.ask(request)
        took_s = time.monotonic() - began
        self._command = answer.command
        self.report.polls += answer.asked
        if answer.command is not None and answer.command.phase is not None:
            self.report.from_service += 1
            self.report.polls_s += took_s
            self.report.slowest_poll_s = max(self.report.slowest_poll_s, took_s)
            if self._recorder is not None:
                observation = self.episode.spec.encode(readings, request.state)
                self._recorder.decision(observation, readings, answer.command.phase)
            if self._interval_s is None:
                self._greet()
            self._tell(self._standing.well())
            return
        self.report.from_plan += 1
        self.report.refusals += answer.refused
        if answer.command is not None:
            self.report.local_plan_answers += 1
            why = answer.command.why
            self._tell(
                self._standing.left(why)
                if answer.withheld
                else self._standing.lost(f"the service answers '{answer.command.reason}': {why}")
            )
        elif answer.asked:
            self.report.problem = answer.problem
            self._tell(self._standing.lost(answer.problem))

    def _wish(self) -> int:
        clock_s, command = self.episode.clock_s, self._command
        if command is not None and command.phase is not None and command.holds(clock_s):
            return command.phase
        return self._world.plan.wish(self._world.junction, clock_s)

    def _tell(self, line: str) -> None:
        if line:
            self._log(f"{clock(self.episode.clock_s)} {line}")


def clock(clock_s: float) -> str:
    """Clock time as hh:mm:ss."""
    whole = int(clock_s) % 86_400
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def shortened(world: World, minutes: float | None) -> World:
    """The first minutes of a world, or all of it."""
    if minutes is None:
        return world
    return replace(world, end_s=min(world.end_s, world.begin_s + round(60 * minutes)))

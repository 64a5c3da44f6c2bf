"""One junction at the gateway: watch the controller, ask the service, guard the answer, command.

It starts disarmed: it watches and asks, and commands nothing. Armed for a limited time, it takes
control with the next decision. Whatever goes wrong, it withdraws its commands at once where it can
and falls silent where it cannot: the controller's backup timer does the rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from zlib import crc32

from controllers.adapters.base import Adapter, ControllerState, LineError, Order, RefusedError
from controllers.poller import Answer, AsyncPoller
from controllers.runtime import Command, DecisionRequest
from controllers.simulated import clock as clock_text
from controllers.standing import Standing
from controllers.tracker import Tracker, moves
from signals.contract import Contract
from signals.detectors import Readings
from signals.errors import ReadingError
from signals.guard import Guard
from signals.hires import EventLog
from signals.junction import Junction
from signals.observation import ObservationSpec

CLOCK_SLACK_S = 2
"""A controller's second may come so much early or late before its clock counts as set (s)."""
LOCKSTEP_SLACK_S = 60
"""The same where commands drive its clock (s)."""
SETTLE_S = 5
"""After a clock was set or a light contradicted an order, nothing is commanded for so long (s)."""
BEAT_EARLY_S = 1.5
"""A heartbeat is sent so long before it is due: a look at the controller may come late (s)."""
RELEASE_S = 2.0
"""How long a release may take (s)."""
_DAY_S = 86_400


@dataclass
class LinkReport:
    """What one junction's link came to.

    Attributes:
        seconds: Seconds of the controller that were seen.
        commanded: Seconds in which an order was given.
        decisions: Commands of the service that named a phase.
        withheld: Polls that a stage or an override of the service left to the local plan.
        refusals: Polls that were refused, or sent to the local plan for another reason.
        losses: Times that something was lost: the controller, the service, its readings.
        recoveries: Times that all was well again.
        releases: Times that control was given back.
    """

    seconds: int = 0
    commanded: int = 0
    decisions: int = 0
    withheld: int = 0
    refusals: int = 0
    losses: int = 0
    recoveries: int = 0
    releases: int = 0


class JunctionLink:
    """The gateway's part at one junction.

    Args:
        contract: The bundle's: junction, timing, plans, interval.
        adapter: The line to the controller.
        poller: The line to the service.
        log: Gets one line when something is lost and one when it is back.
        wall: Seconds that pass while the controller's clock does, for the check of that clock;
            None when commands drive the controller's clock.
        events: Hi-res log of what the controller showed and its loops reported.
    """

    def __init__(
        self,
        contract: Contract,
        adapter: Adapter,
        poller: AsyncPoller,
        log: Callable[[str], None],
        wall: Callable[[], float] | None = None,
        events: EventLog | None = None,
    ) -> None:
        self.report = LinkReport()
        self.junction: Junction = contract.junction
        self._contract = contract
        self._adapter = adapter
        self._poller = poller
        self._log = log
        self._wall = wall
        self._events = events
        self.guard = Guard(self.junction)
        self.spec = ObservationSpec(self.junction, self.guard)
        self._tracker = Tracker(self.guard, fresh=wall is None)
        self._connected = False
        self._armed_until_s = 0.0
        self._armed_for_s = 0.0
        self._age_s = 0.0
        self._in_control = False
        self._last: ControllerState | None = None
        self._last_wall_s = 0.0
        self._standing = Standing(self.report, "all is well again")
        self._waited_for: set[str] = set()
        self._settle_s = 0
        self._command: Command | None = None
        self._next_poll_s: float | None = None
        self._sequence = 0
        self._interval_s = contract.decision_interval_s
        # The polls of many junctions are spread over the interval, not all of one second.
        self._turn_s = 0 if wall is None else crc32(self.junction.id.encode()) % self._interval_s
        self._calls: frozenset[str] = frozenset()
        self._fed_s = 0.0
        self._feed = -1
        self.heartbeat_s = 1.0
        self._beat_s = 0.0
        self._order: Order | None = None

    # What an operator does.

    @property
    def connected(self) -> bool:
        """Whether the controller answers."""
        return self._connected

    @property
    def in_control(self) -> bool:
        """Whether the controller follows its orders."""
        return self._in_control

    @property
    def armed(self) -> bool:
        """Whether it may command the controller."""
        return self._armed_until_s > self._age_s

    def arm(self, seconds: float) -> None:
        """Allow commands for so long of the controller's time (s)."""
        self._armed_until_s = self._age_s + seconds
        self._waited_for.clear()
        waits = f"; waiting: {self._standing.why}" if self._standing.why else ""
        self._log(f"{self._stamp()} armed for {seconds / 60:g} minutes{waits}")

    async def disarm(self, why: str) -> None:
        """Withdraw the permission, and every command."""
        if self.armed:
            self._armed_until_s = 0.0
            self._log(f"{self._stamp()} disarmed: {why}")
        await self._give_back()

    def status(self) -> dict[str, object]:
        """JSON-able: what an operator wants to know."""
        state = self._tracker.state
        return {
            "junction": self.junction.id,
            "connected": self._connected,
            "armed": self.armed,
            "armed_left_s": max(0.0, self._armed_until_s - self._age_s),
            "in_control": self._in_control,
            "waiting": self._waits(),
            "trouble": self._standing.why,
            "longest_red_s": max(state.waiting_s) if state is not None else None,
            **vars(self.report),
        }

    def _waits(self) -> str:
        """What it waits for, armed and not in control, or an empty string."""
        if not self.armed or self._in_control or not self._connected:
            return ""
        return (
            self._standing.why
            or self._tracker.obstacle()
            or "the next decision of the service has not come yet"
        )

    # Second by second.

    async def second(self) -> bool:
        """Look at the controller once, and do what is to be done.

        Returns:
            Whether a new second of the controller was seen.
        """
        try:
            if not self._connected:
                await self._adapter.connect()
                self._connected = True
                self._last = None
            state = await self._adapter.state()
            if self._last is not None and state.clock_s == self._last.clock_s:
                return False
            await self._new_second(state)
        except LineError as error:
            await self._lost_controller(str(error))
            return False
        except RefusedError as error:
            await self._hold_off(str(error), disarm=True)
            self._connected = self._connected and self._last is not None
            return False
        return True

    async def close(self) -> None:
        """Give control back and hang up."""
        await self._give_back()
        await self._adapter.close()
        await self._poller.close()

    async def _new_second(self, state: ControllerState) -> None:
        passed_s = self._passed(state)
        self.report.seconds += 1
        self._age_s += max(passed_s, 0)
        clock_s = state.clock_s
        plan_phase = self._plan_phase(clock_s)
        self._tracker.see(state.indications, passed_s, plan_phase)
        problem = self._problem(state, passed_s)
        self._last = state
        await self._record(state)
        if problem:
            disarm = bool(state.foreign) or "the junction's file" in problem
            await self._hold_off(problem, disarm)
            return
        if self._settle_s > 0:
            self._settle_s -= max(passed_s, 1)
            return
        if self._next_poll_s is None:
            self._next_poll_s = clock_s + self._turn_s
        if clock_s >= self._next_poll_s or self._next_poll_s > clock_s + 60:
            state = await self._poll(state)
            self._next_poll_s = clock_s + self._interval_s
        await self._act(state)

    def _passed(self, state: ControllerState) -> int:
        """Seconds of the controller since the last look, by its own clock (negative: set back)."""
        if self._last is None:
            return 1
        gone = (state.clock_s - self._last.clock_s + _DAY_S / 2) % _DAY_S - _DAY_S / 2
        return int(gone)

    def _problem(self, state: ControllerState, passed_s: int) -> str:
        """Why nothing may be commanded in this second, or an empty string."""
        wall_s = self._wall() if self._wall is not None else self._last_wall_s + passed_s
        wall_passed_s = wall_s - self._last_wall_s
        first, self._last_wall_s = self._last is None, wall_s
        if state.trouble:
            return state.trouble
        if state.foreign:
            return f"somebody else commands the controller: {state.foreign}"
        if self._wall is None:
            # Commands drive the clock; a controller waits for each, but not for ever.
            jumped = passed_s < 1 or (self._in_control and passed_s > LOCKSTEP_SLACK_S)
        else:
            slack_s = CLOCK_SLACK_S + 0.5 * wall_passed_s
            jumped = passed_s < 1 or abs(passed_s - wall_passed_s) > slack_s
        if jumped and not first:
            self._settle_s = SETTLE_S
            return f"the controller's clock jumped to {clock_text(state.clock_s)}"
        if self._in_control and not state.commanded:
            self._in_control = False
            return "the controller fell back to its own plan"
        if state.sequence == self._feed:
            self._fed_s += passed_s
            if self._fed_s > SETTLE_S:
                return f"the controller's detectors have not reported for {self._fed_s:g} s"
        else:
            self._feed, self._fed_s = state.sequence, 0.0
        return ""

    async def _poll(self, state: ControllerState) -> ControllerState:
        """Ask the service; the state that was asked with."""
        try:
            readings: Readings = await self._adapter.readings()
        except ReadingError as error:
            self._command = None
            self._lost(str(error))
            return state
        if abs(readings.time_s - state.clock_s) > 1:
            # Reading took long, and the lights have gone on meanwhile.
            state = await self._adapter.state()
            self._tracker.see(
                state.indications, self._passed(state), self._plan_phase(state.clock_s)
            )
            self._last = state
            if self._wall is not None:
                self._last_wall_s = self._wall()
        guard_state = self._tracker.state
        assert guard_state is not None
        self._calls = self._waiting(readings)
        request = DecisionRequest(readings, guard_state, state.clock_s, self._sequence)
        self._sequence += 1
        answer: Answer = await self._poller.ask(request)
        self._command = answer.command
        if answer.command is not None and answer.command.phase is not None:
            self.report.decisions += 1
            self._well(self._standing.well())
        elif answer.withheld and answer.command is not None:
            self.report.withheld += 1
            self._well(self._standing.left(answer.command.why))
        elif answer.command is not None:
            self.report.refusals += 1
            self._lost(f"the service answers '{answer.command.reason}': {answer.command.why}")
        elif answer.asked:
            self.report.refusals += answer.refused
            self._lost(answer.problem)
        return state

    def _waiting(self, readings: Readings) -> frozenset[str]:
        """Crosswalks that somebody waits at, for junctions that serve them on call."""
        if self.junction.timing.recall == "always":
            return frozenset()
        groups = {movement.id: movement.group for movement in self.junction.movements}
        return frozenset(
            groups[spec.movement]
            for row, spec in enumerate(self.spec.detectors)
            if spec.kind == "pedestrian" and readings.values[row, 1] > 0
        )

    async def _act(self, state: ControllerState) -> None:
        """Command what the guard makes of the wish, or nothing."""
        guard_state, command = self._tracker.state, self._command
        if self._armed_until_s and not self.armed:
            self._armed_until_s = 0.0
            self._log(f"{self._stamp()} disarmed: the time is up")
        if (
            not self.armed
            or guard_state is None
            or command is None
            or command.phase is None
            or not command.holds(state.clock_s)
        ):
            await self._give_back()
            return
        if not self._in_control:
            obstacle = self._tracker.obstacle()
            if obstacle:
                self._wait(obstacle)
                return
            terms = await self._adapter.take()
            self.heartbeat_s = max(1.0, terms.backup_s / 3)
            self._order = None
            if self._waited_for:
                self._waited_for.clear()
                self._log(f"{self._stamp()} takes control")
        contradiction = self.guard.contradiction(guard_state)
        if contradiction:
            await self._hold_off(f"the lights are not as commanded: {contradiction}")
            return
        after, _ = self.guard.tick(guard_state, command.phase, self._calls)
        start, hold, end = moves(guard_state, after)
        order = Order(frozenset(start), frozenset(hold), frozenset(end))
        # Every second when commands drive the clock; else on a change, and as a heartbeat.
        due = self._wall is None or self._age_s - self._beat_s >= self.heartbeat_s - BEAT_EARLY_S
        if order != self._order or end or due:
            self._in_control = True
            await self._adapter.order(order)
            self._order, self._beat_s = order, self._age_s
        self.report.commanded += 1
        self._tracker.expect(after)

    async def _give_back(self) -> None:
        """Withdraw every command, if there is any."""
        if self._in_control:
            self._in_control = False
            self._order = None
            self.report.releases += 1
            # Where it does not arrive, silence is a release: the backup timer ends it.
            with suppress(LineError, RefusedError, TimeoutError):
                async with asyncio.timeout(RELEASE_S):
                    await self._adapter.release()

    async def _hold_off(self, problem: str, disarm: bool = False) -> None:
        self._lost(problem)
        self._command = None
        self._settle_s = max(self._settle_s, 1)
        if disarm and self.armed:
            await self.disarm(problem)
        await self._give_back()

    async def _lost_controller(self, problem: str) -> None:
        self._lost(problem)
        if self._connected or self._in_control:
            await self._adapter.close()
        self._connected = False
        self._command = None
        self._in_control = False
        self._order = None
        self._tracker.forget()
        if self.armed:
            # Whoever armed it saw another situation.
            self._armed_until_s = 0.0

    def _lost(self, problem: str) -> None:
        line = self._standing.lost(problem)
        if line:
            left = "; disarmed" if not self._connected and self.armed else ""
            self._log(f"{self._stamp()} {line}{left}")

    def _well(self, line: str) -> None:
        if line:
            self._log(f"{self._stamp()} {line}, {'armed' if self.armed else 'disarmed'}")

    def _wait(self, obstacle: str) -> None:
        """Say what it waits for: once for each reason, however often they take turns."""
        if obstacle not in self._waited_for:
            self._waited_for.add(obstacle)
            self._log(f"{self._stamp()} armed, waiting: {obstacle}")

    def _plan_phase(self, clock_s: float) -> int:
        plan = self._contract.plan_at(clock_s)
        return plan.wish(self.junction, clock_s) if plan is not None else 0

    async def _record(self, state: ControllerState) -> None:
        """The second that has passed, in the event log."""
        log = self._events
        if log is None:
            return
        details = await self._adapter.details()
        begin_s = state.clock_s - 1
        plan = self._contract.plan_at(state.clock_s)
        if plan is not None:
            log.pattern(begin_s, 1, plan.cycle_s, plan.offset_s)
        log.flash(begin_s, "flashes" in state.trouble)
        log.second(begin_s, state.indications, details.ended)
        log.loops(state.clock_s, details.loops)
        log.faults(state.clock_s, details.faulty)
        log.pedestrians(state.clock_s, details.waiting)
        held = self._order.hold if self._in_control and self._order is not None else frozenset()
        log.holds(state.clock_s, held)

    def _stamp(self) -> str:
        at = clock_text(self._last.clock_s) if self._last is not None else "--:--:--"
        return f"{at} {self.junction.id}"

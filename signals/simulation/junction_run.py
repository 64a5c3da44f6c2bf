"""One junction of a running world, under its own guard."""

from __future__ import annotations

from signals.detectors import Readings
from signals.errors import InputError
from signals.guard import Guard
from signals.junction import Junction
from signals.lights import GuardState, Options, Verdict
from signals.observation import ObservationSpec
from signals.plan import Plan


class JunctionRun:
    """What a junction shows, and what its guard has still to count.

    Args:
        junction: The junction.
        plan: What it follows when nobody else decides.

    Attributes:
        junction: The junction.
        plan: Its time-of-day plan.
        guard: Its law.
        spec: Its observation.
        lights: State string that is shown now.
        last_readings: Readings of the last observation.
    """

    last_readings: Readings

    def __init__(self, junction: Junction, plan: Plan) -> None:
        self.junction = junction
        self.plan = plan
        self.guard = Guard(junction)
        self.spec = ObservationSpec(junction, self.guard, lambda clock_s: self.plan.at(clock_s))
        self.on_call = junction.timing.recall == "call"
        self.lights = ""
        self._wishes: dict[tuple[str, int], int] = {}
        self._state: GuardState | None = None
        # Seconds that the state is behind, seconds it may still fall behind, and the verdict on
        # wishes in that time: a guard that only counts on is not asked every second.
        self._behind = 0
        self._quiet = 0
        self._kept = Verdict(0, True, "kept")
        # Options of a while ago, and seconds that they still hold.
        self._options: Options | None = None
        self._steady = 0

    @property
    def state(self) -> GuardState:
        """Lights and their timers.

        Raises:
            InputError: The run was not started.
        """
        if self._state is None:
            raise InputError(f"junction {self.junction.id} does not run yet; start the episode")
        if self._behind:
            self._state = self.guard.counted(self._state, self._behind)
            self._behind = 0
        return self._state

    def options(self) -> Options:
        """What may be wished now, see `signals.guard.Guard.options`."""
        if self._options is None or self._steady < 0:
            self._options, self._steady = self.guard.steady_options(self.state)
        return self._options

    def follow(self, plan: Plan) -> None:
        """Take another plan."""
        self.plan = plan
        self._wishes = {}

    def begin(self, clock_s: float) -> None:
        """All red, about to begin the phase of the plan."""
        self._state = self.guard.start(self.plan_wish(clock_s))
        self._behind = self._quiet = 0
        self._options = None
        self.lights = ""

    def plan_wish(self, clock_s: float) -> int:
        """The plan's phase at a clock time, remembered for every second of the cycle."""
        plan = self.plan.at(clock_s)
        second = int(clock_s - plan.offset_s) % plan.cycle_s
        found = self._wishes.get((plan.name, second))
        if found is None:
            found = self._wishes[plan.name, second] = plan.wish(self.junction, int(clock_s))
        return found

    def tick(self, wish: int, calls: frozenset[str] = frozenset()) -> Verdict:
        """One second of the guard, see `signals.guard.Guard.tick`; sets `lights`.

        Args:
            wish: Phase index.
            calls: Pedestrian groups that somebody waits for.
        """
        if self._quiet > 0 and wish == self._kept.phase and not calls:
            self._count(1)
            return self._kept
        self._options = None
        self._state, verdict = self.guard.tick(self.state, wish, calls)
        self.lights = self.guard.lights(self._state)
        self._quiet = self.guard.quiet_s(self._state)
        if self._kept.phase != verdict.phase:
            self._kept = Verdict(verdict.phase, True, "kept")
        return verdict

    def _count(self, seconds: int) -> None:
        self._quiet -= seconds
        self._behind += seconds
        self._steady -= seconds

    def ahead(self, wish: int | None, clock_s: float, seconds: int) -> list[tuple[int, str]]:
        """Let some seconds of the guard pass at once.

        Args:
            wish: Phase index, None follows the plan.
            clock_s: Clock time of the first of them.
            seconds: How many.

        Returns:
            ``(second, lights)`` of each change, seconds from 0.
        """
        changes: list[tuple[int, str]] = []
        second = 0
        while second < seconds:
            wished = self.plan_wish(clock_s + second) if wish is None else wish
            if self._quiet > 0 and wished == self._kept.phase:
                jump = 1 if wish is None else min(self._quiet, seconds - second)
                self._count(jump)
                second += jump
                continue
            shown = self.lights
            self.tick(wished)
            if self.lights is not shown:
                changes.append((second, self.lights))
            second += 1
        return changes

"""The guard: turns a wish for a phase into lawful lights, one second at a time.

It is the only code that decides an indication, in training, in studies and in the street. It is
pure: a `GuardState` goes in, the next one comes out, and no clock or file is touched.

What it guarantees, whatever is wished:

* conflicting groups are never green or clearing together, and a group turns green only after every
  conflicting group has finished its yellow and all-red (for crosswalks: flashing green and buffer);
* no green is shorter than its minimum, no walk or flashing clearance is cut;
* no group stays red beyond its maximum: before a wish is granted, the guard plans the visits that
  every waiting group still needs, and refuses a wish after which one of them would come too late.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from numbers import Integral

from signals.errors import JunctionError
from signals.junction import Junction
from signals.lights import CLEARANCE, GREEN, RED, GuardState, Options, Verdict

_FOREVER_S = 1_000_000


class Guard:
    """The law of one junction.

    Args:
        junction: The junction with its timing.

    Raises:
        JunctionError: The maximum red times are too short to serve every group in turn.
    """

    def __init__(self, junction: Junction) -> None:
        self.junction = junction
        timing = junction.timing
        self._size = len(junction.groups)
        self._ids = [group.id for group in junction.groups]
        self._walker = [group.kind == "pedestrian" for group in junction.groups]
        table = [timing.groups[group] for group in self._ids]
        self._min_green = [row.min_green_s for row in table]
        self._clearance = [row.clearance_s for row in table]
        self._all_red = [row.all_red_s for row in table]
        self._max_red = [row.max_red_s for row in table]
        self._max_green = timing.max_green_s
        self._recall = timing.recall == "always"
        index = junction.group_index
        self._foes = [
            tuple(sorted(index[foe] for foe in junction.conflict_sets[group]))
            for group in self._ids
        ]
        self._members = [frozenset(index[g] for g in phase.groups) for phase in junction.phases]
        self._vehicles = [
            tuple(sorted(g for g in members if not self._walker[g])) for members in self._members
        ]
        self._walkers = [
            tuple(sorted(g for g in members if self._walker[g])) for members in self._members
        ]
        self._home = [self._home_phase(group) for group in range(self._size)]
        count = len(self._members)
        self._change = [[self._change_s(p, q) for q in range(count)] for p in range(count)]
        self._stay = [self._stay_s(phase) for phase in range(count)]
        homes = set(self._home)
        longest = max(max(row) for row in self._change)
        self._round_s = sum(longest + self._stay[phase] for phase in homes)
        self._slack_s = longest + max(self._stay) + self._round_s + 2
        for group in range(self._size):
            if self._round_s + 2 > self._max_red[group]:
                raise JunctionError(
                    f"junction {junction.id}: max_red_s {self._max_red[group]} of "
                    f"{self._ids[group]} is too short, serving every group once can take "
                    f"{self._round_s} s; give at least {self._round_s + 2}"
                )
        self._lights: dict[tuple[int, ...], str] = {}
        self._leaving = [
            [tuple(g for g in sorted(before - after)) for after in self._members]
            for before in self._members
        ]
        self._all_open = [Options((True,) * count, "free", now) for now in range(count)]
        self._only = [tuple(phase == now for phase in range(count)) for now in range(count)]
        # One tuple, so that threads that share a guard never see one state's visits as another's.
        self._last_visits: tuple[GuardState | None, list[tuple[int, int]]] = (None, [])

    def _home_phase(self, group: int) -> int:
        """The first phase that serves the group: the one that max red forces."""
        return next(p for p, members in enumerate(self._members) if group in members)

    def _change_s(self, before: int, after: int) -> int:
        """Longest time from granting a change to the green of every group of the new phase (s).

        A group that left the phase before last may still be clearing, so that every foe of a
        newcomer counts, and the newcomer itself.
        """
        newcomers = self._members[after] - self._members[before]
        clearing = newcomers | {foe for group in newcomers for foe in self._foes[group]}
        return 1 + max(
            (
                self._all_red[g] if self._walker[g] else self._clearance[g] + self._all_red[g]
                for g in clearing
            ),
            default=0,
        )

    def _stay_s(self, phase: int) -> int:
        """Longest time from the greens of a phase until it may be left (s)."""
        return 1 + max(
            self._min_green[g] + (self._clearance[g] if self._walker[g] else 0)
            for g in self._members[phase]
        )

    def start(self, phase: int) -> GuardState:
        """All red, about to begin a phase.

        Args:
            phase: Index of the first phase.
        """
        return GuardState(
            phase=phase,
            held_s=0,
            indications=(RED,) * self._size,
            elapsed_s=tuple(max(1, red_s) for red_s in self._all_red),
            served=(False,) * self._size,
            waiting_s=tuple(int(self._recall or not walker) for walker in self._walker),
        )

    def lights(self, state: GuardState) -> str:
        """The SUMO state string: G, g, y, r, and s where a right turn may go after a stop.

        A crosswalk in flashing green is ``r``: nobody may start, who is on it walks on.
        """
        cached = self._lights.get(state.indications)
        if cached is None:
            chars = list(self.junction.link_red)
            for group, indication in zip(self.junction.groups, state.indications, strict=True):
                for link in group.links:
                    if indication == GREEN:
                        chars[link] = self.junction.link_green[link]
                    elif indication == CLEARANCE and group.kind != "pedestrian":
                        chars[link] = "y"
            cached = self._lights[state.indications] = "".join(chars)
        return cached

    def options(self, state: GuardState) -> Options:
        """Which phases may be wished for in this state.

        Args:
            state: Present state.
        """
        return self.steady_options(state)[0]

    def steady_options(self, state: GuardState) -> tuple[Options, int]:
        """`options`, and for how many further seconds of `counted` they stay (s), or fewer.

        Args:
            state: Present state.
        """
        now = state.phase
        only_now = self._only[now]
        if not self._begun(state):
            steady_s = _FOREVER_S if self._vehicles[now] else 0  # lights alone end a clearance
            return Options(only_now, "clearance", now), steady_s
        open_ = [False] * len(self._members)
        blocked = "free"
        running = self._running(state)
        visits = self._visits(state)
        if (
            not running
            and state.held_s < self._max_green
            and (not visits or visits[0][0] > self._slack_s)
        ):
            # Nothing is cut short, and no visit is near its time.
            steady_s = self._max_green - state.held_s - 1
            if visits:
                steady_s = min(steady_s, visits[0][0] - self._slack_s - 1)
            return self._all_open[now], steady_s if self._recall else 0
        for phase in range(len(self._members)):
            if phase == now:
                continue
            why = self._cut_short(running, phase, now)
            if why is None and not self._keeps_max_red(state, phase, 0):
                why = "max_red"
            if why is None:
                open_[phase] = True
            else:
                blocked = why
        may_hold = self._keeps_max_red(state, now, 1)
        if may_hold and not (state.held_s >= self._max_green and any(open_)):
            open_[now] = True
            return Options(tuple(open_), blocked, now), 0
        due = self._most_urgent(state, elsewhere=may_hold)
        if due == now or self._unfinished(state, due) is not None:
            # A crosswalk of the present phase is due and walked again, or its clearance runs.
            return Options(only_now, "max_red" if due == now else "pedestrian", now), 0
        if not any(open_):
            open_[due] = True
        fallback = due if open_[due] else open_.index(True)
        return Options(tuple(open_), "max_green" if may_hold else "max_red", fallback), 0

    def tick(
        self, state: GuardState, wish: int, calls: Set[str] = frozenset()
    ) -> tuple[GuardState, Verdict]:
        """Advance the lights by one second.

        Args:
            state: State of the second that ends now.
            wish: Index of the wished phase; anything else is refused, never an error.
            calls: Pedestrian groups that somebody waits for; a call is kept until it is served.

        Returns:
            The state of the next second, and what became of the wish.
        """
        now = state.phase
        if isinstance(wish, Integral) and wish == now and self._may_stay(state):
            return self._advance(state, now, calls), Verdict(now, True, "kept")
        options = self.options(state)
        if isinstance(wish, Integral) and 0 <= wish < len(options.mask):
            wish = int(wish)
            if options.mask[wish]:
                target, granted = wish, True
                reason = "kept" if wish == now else "changed"
            else:
                target, granted, reason = options.fallback, False, options.reason
        else:
            target, granted, reason = options.fallback, False, "invalid"
        return self._advance(state, target, calls), Verdict(target, granted, reason)

    def quiet_s(self, state: GuardState) -> int:
        """How many ticks that wish for the present phase, without calls, would only count on.

        In that time no light changes, every wish for the phase is ``kept``, and `counted` gives
        the states that the ticks would give. It may be less than the true number, never more.

        Args:
            state: Present state.
        """
        quiet = self._max_green - state.held_s
        if quiet <= 0:
            return 0
        green = True
        for group in self._vehicles[state.phase]:
            green = green and state.indications[group] == GREEN
        if green == (state.held_s == 0):
            return 0  # no tick made this state
        members = self._members[state.phase]
        shown, elapsed, waited = state.indications, state.elapsed_s, state.waiting_s
        for group, indication in enumerate(shown):
            # A state that no tick made: its first tick does more than count.
            if self._recall or not self._walker[group]:
                if waited[group] != (elapsed[group] if indication == RED else 0):
                    return 0
            elif indication != RED and waited[group] > (indication == CLEARANCE):
                return 0
            if indication == GREEN:
                if self._walker[group]:
                    left = self._min_green[group] - elapsed[group]
                elif group in members:
                    continue
                else:
                    return 0
            elif indication == CLEARANCE:
                left = self._clearance[group] - elapsed[group]
            elif group not in members or (
                self._walker[group] and (state.served[group] or not waited[group])
            ):
                continue
            else:
                left = 0
                for foe in self._foes[group]:
                    if shown[foe] != RED:
                        left = quiet  # the foe's own change comes first
                        break
                    left = max(left, self._all_red[foe] - elapsed[foe])
            if left < quiet:
                if left <= 0:
                    return 0
                quiet = left
        return max(0, min(quiet, self._margin_s(state, state.phase, 1) + 1))

    def counted(self, state: GuardState, seconds: int) -> GuardState:
        """The state after some of the ticks that `quiet_s` allows.

        Args:
            state: Present state.
            seconds: At most ``quiet_s(state)``.
        """
        return GuardState(
            phase=state.phase,
            held_s=state.held_s and state.held_s + seconds,
            indications=state.indications,
            elapsed_s=tuple([shown_s + seconds for shown_s in state.elapsed_s]),
            served=state.served,
            waiting_s=tuple(
                [
                    waited_s + seconds if shown == RED and waited_s else waited_s
                    for waited_s, shown in zip(state.waiting_s, state.indications, strict=True)
                ]
            ),
        )

    def contradiction(self, state: GuardState) -> str:
        """What in a state the guard could never have shown, or an empty string.

        Args:
            state: A state that somebody else reports.
        """
        for group in range(self._size):
            if state.indications[group] == RED:
                continue
            for foe in self._foes[group]:
                if state.indications[foe] != RED:
                    return f"{self._ids[group]} and {self._ids[foe]} conflict and both have the way"
            if state.indications[group] == GREEN and group not in self._members[state.phase]:
                name = self.junction.phases[state.phase].name
                return f"{self._ids[group]} is green but not part of phase {name}"
        return ""

    def obstacle(self, state: GuardState) -> str:
        """Why somebody else's state cannot be gone on from with every red in time, or empty.

        Its phase may have to be served as long as any visit can take, and no crosswalk outside of
        it is still being cleared. A state of the guard's own keeps its reds by itself.

        Args:
            state: Lights that a controller's own plan shows.
        """
        contradiction = self.contradiction(state)
        if contradiction:
            return contradiction
        members = self._members[state.phase]
        for group, (walker, shown) in enumerate(zip(self._walker, state.indications, strict=True)):
            if walker and shown != RED and group not in members:
                name = self.junction.phases[state.phase].name
                return f"crosswalk {self._ids[group]} is lit and no part of phase {name}"
        if not self._keeps_max_red(state, state.phase, self._stay[state.phase]):
            urgent = self._visits(state)[0][1]
            return f"a red could outlast its maximum, first that of {self._ids[urgent]}"
        return ""

    def _may_stay(self, state: GuardState) -> bool:
        """Whether `options` is sure to grant the present phase, found without asking the others."""
        if state.held_s >= self._max_green:
            return False
        return not self._begun(state) or self._keeps_max_red(state, state.phase, 1)

    def _begun(self, state: GuardState) -> bool:
        """Whether every vehicle group of the phase is green and every owed walk has begun."""
        vehicles = self._vehicles[state.phase]
        for group in vehicles:
            if state.indications[group] != GREEN:
                return False
        return bool(vehicles) or all(
            state.served[group] or state.waiting_s[group] == 0 or not self._may_walk(state, group)
            for group in self._walkers[state.phase]
        )

    def _unfinished(self, state: GuardState, phase: int) -> str | None:
        """What a change to the phase would cut short, or None."""
        return self._cut_short(self._running(state), phase, state.phase)

    def _cut_short(self, running: Mapping[int, str], phase: int, now: int) -> str | None:
        if not running:
            return None
        return next((running[g] for g in self._leaving[now][phase] if g in running), None)

    def _running(self, state: GuardState) -> dict[int, str]:
        """The groups of the present phase that may not be left yet, and why."""
        found: dict[int, str] = {}
        for group in self._members[state.phase]:
            if self._walker[group]:
                shown = state.indications[group]
                running = shown == GREEN or (
                    shown == CLEARANCE and state.elapsed_s[group] < self._clearance[group]
                )
                owed = shown == RED and state.waiting_s[group] > 0 and not state.served[group]
                if running or (owed and self._may_walk(state, group)):
                    found[group] = "pedestrian"
            elif state.elapsed_s[group] < self._min_green[group]:
                found[group] = "min_green"
        return found

    def _visits(self, state: GuardState) -> list[tuple[int, int]]:
        """``(seconds until max red, group)`` of every red group, most urgent first."""
        known, visits = self._last_visits
        if known is not state:
            visits = sorted(
                [
                    (limit_s - waited_s, group)
                    for group, (limit_s, waited_s, shown) in enumerate(
                        zip(self._max_red, state.waiting_s, state.indications, strict=True)
                    )
                    if shown == RED and waited_s > 0
                ]
            )
            self._last_visits = (state, visits)
        return visits

    def _most_urgent(self, state: GuardState, elsewhere: bool = False) -> int:
        """Phase that serves the most urgent group, of all or of those not in this phase."""
        for _, group in self._visits(state):
            if group not in self._members[state.phase]:
                return self._home[group]
            if not elsewhere:
                return state.phase
        return state.phase

    def _keeps_max_red(self, state: GuardState, phase: int, delay_s: int) -> bool:
        """Whether every red group can still be served in time after going to ``phase``.

        The visits are planned earliest deadline first, each through the home phase of its group;
        every duration is the longest possible one, so that a plan that fits can be kept.
        """
        return self._margin_s(state, phase, delay_s) >= 0

    def _margin_s(self, state: GuardState, phase: int, delay_s: int) -> int:
        """How much later every planned visit could come (s), or less; negative is too late.

        While lights and plan stay as they are, it shrinks by one a second.
        """
        visits = self._visits(state)
        if not visits:
            return _FOREVER_S
        if visits[0][0] >= self._slack_s + delay_s:
            return visits[0][0] - self._slack_s - delay_s
        clock = delay_s
        at = state.phase
        reached: set[int] = set()
        margin = _FOREVER_S
        if phase != at:
            clock += self._change[at][phase]
            for left_s, group in visits:
                if group in self._members[phase] and left_s - clock < margin:
                    margin = left_s - clock
            if margin < 0:
                return margin
            reached |= self._members[phase]
            clock += self._stay[phase]
            at = phase
        for left_s, group in visits:
            if group in reached:
                continue
            target = at if group in self._members[at] else self._home[group]
            clock += self._change[at][target]
            if left_s - clock < margin:
                margin = left_s - clock
                if margin < 0:
                    return margin
            reached |= self._members[target]
            clock += self._stay[target]
            at = target
        return margin

    def _advance(self, state: GuardState, target: int, calls: Set[str]) -> GuardState:
        changing = target != state.phase
        members = self._members[target]
        indications = list(state.indications)
        elapsed = list(state.elapsed_s)
        served = list(state.served)
        waiting = list(state.waiting_s)
        for group in range(self._size):
            shown, shown_s = state.indications[group], state.elapsed_s[group]
            stays = group in members and group in self._members[state.phase]
            # The plan of visits counts a crosswalk as reached by every phase that holds it, so one
            # that is due before long is walked again even when it was walked in the phase before.
            due = shown == RED and self._max_red[group] - waiting[group] < self._slack_s
            if changing and (due or not stays):
                served[group] = False
            if shown == CLEARANCE and shown_s >= self._clearance[group]:
                indications[group], elapsed[group] = RED, 1
            elif shown == GREEN and (
                shown_s >= self._min_green[group] if self._walker[group] else group not in members
            ):
                indications[group], elapsed[group] = CLEARANCE, 1
            elif shown == RED and group in members and self._may_start(state, group, changing):
                indications[group], elapsed[group] = GREEN, 1
                served[group] = self._walker[group]
            else:
                elapsed[group] = shown_s + 1
            if self._recall or not self._walker[group]:
                waiting[group] = elapsed[group] if indications[group] == RED else 0
            elif indications[group] == GREEN:
                waiting[group] = 0
            elif waiting[group] or self._ids[group] in calls:
                # A call during flashing green is kept, and owed from the end of it.
                waiting[group] = waiting[group] + 1 if shown == RED else 1
        all_green = all(indications[group] == GREEN for group in self._vehicles[target])
        return GuardState(
            phase=target,
            held_s=state.held_s + 1 if all_green and not changing else int(all_green),
            indications=tuple(indications),
            elapsed_s=tuple(elapsed),
            served=tuple(served),
            waiting_s=tuple(waiting),
        )

    def _may_start(self, state: GuardState, group: int, changing: bool) -> bool:
        """Whether a red group of the target phase turns green in the next second."""
        for foe in self._foes[group]:
            if state.indications[foe] != RED or state.elapsed_s[foe] < self._all_red[foe]:
                return False
        if not self._walker[group]:
            return True
        if not state.waiting_s[group]:
            return False
        if not state.served[group]:
            return changing or self._may_walk(state, group)
        # Walked already; again only when its red would otherwise outlast the maximum.
        return (
            not changing
            and state.held_s > 0
            and self._visits(state)[0][1] == group
            and not self._keeps_max_red(state, state.phase, 1)
        )

    def _may_walk(self, state: GuardState, group: int) -> bool:
        """Whether an owed walk may begin in the present phase.

        A call that came after the phase had begun was not planned for: it is served only when
        nobody else would then wait too long, and otherwise keeps its turn for the next visit.
        """
        planned = self._recall or state.waiting_s[group] >= state.held_s
        return planned or self._keeps_max_red(state, state.phase, self._stay[state.phase])

"""What a controller has shown, second by second, in the guard's terms.

The guard's own prediction is taken where the lights have followed it, so that a decision in the
street sees the state that the simulator would give; anything else is rebuilt from the lights.
"""

from __future__ import annotations

from collections.abc import Sequence

from signals.guard import Guard
from signals.lights import CLEARANCE, GREEN, RED, GuardState

_NAMED = 6
"""Of more signal groups than these only the number is told."""


class Tracker:
    """Follows the lights of one controller.

    Args:
        guard: The junction's law.
        fresh: The controller has just begun, so that no group waits for longer than was seen.
    """

    def __init__(self, guard: Guard, fresh: bool = False) -> None:
        self._guard = guard
        junction = guard.junction
        self._members = [
            frozenset(junction.group_index[g] for g in phase.groups) for phase in junction.phases
        ]
        self._walkers = frozenset(
            i for i, group in enumerate(junction.groups) if group.kind == "pedestrian"
        )
        self._recall = junction.timing.recall == "always"
        self._fresh = fresh
        self._seen = [fresh] * len(junction.groups)
        self.state: GuardState | None = None
        self._expected: GuardState | None = None

    def obstacle(self) -> str:
        """Why control cannot begin in this second, or an empty string.

        It has to be known for every group that must be served how long it has been red, and what
        is lit must be the guard's to go on from.
        """
        unseen = [
            ("crosswalk " if group in self._walkers else "signal group ") + row.id
            for group, row in enumerate(self._guard.junction.groups)
            if not self._seen[group] and (self._recall or group not in self._walkers)
        ]
        if unseen:
            more = f" and {len(unseen) - _NAMED} more" if len(unseen) > _NAMED else ""
            verb = "was" if len(unseen) == 1 else "were"
            return f"{', '.join(unseen[:_NAMED])}{more} {verb} not seen lit yet"
        return "no light was seen yet" if self.state is None else self._guard.obstacle(self.state)

    def expect(self, predicted: GuardState | None) -> None:
        """What the guard says the next second shows; None when nobody commands."""
        self._expected = predicted

    def see(self, indications: Sequence[int], passed_s: int, plan_phase: int) -> None:
        """The lights of the second that ends now.

        Args:
            indications: Of each group.
            passed_s: Seconds since they were last seen.
            plan_phase: Phase that the local plan serves now, where the lights say nothing.
        """
        shown = tuple(indications)
        expected, self._expected = self._expected, None
        for group, indication in enumerate(shown):
            if indication != RED:
                self._seen[group] = True
        if expected is not None and passed_s == 1 and expected.indications == shown:
            self.state = expected
            return
        self.state = self._rebuilt(shown, max(passed_s, 1), expected, plan_phase)

    def forget(self) -> None:
        """Begin anew: the line was cut, and nobody knows what was shown meanwhile."""
        self._seen = [False] * len(self._seen)
        self.state = self._expected = None

    def _rebuilt(
        self,
        shown: tuple[int, ...],
        passed_s: int,
        expected: GuardState | None,
        plan_phase: int,
    ) -> GuardState:
        before = self.state
        elapsed = []
        for group, indication in enumerate(shown):
            same = before is not None and before.indications[group] == indication
            elapsed.append(before.elapsed_s[group] + passed_s if before and same else 1)
        waiting = [
            elapsed[group]
            if indication == RED and (self._recall or group not in self._walkers)
            else 0
            for group, indication in enumerate(shown)
        ]
        # An order that came too late leaves greens that are no part of the phase it began.
        wanted = plan_phase if expected is None else expected.phase
        phase = self._phase_of(shown, wanted)
        stays = before is not None and before.phase == phase
        served = tuple(
            group in self._walkers
            and (
                shown[group] in (GREEN, CLEARANCE)
                or (stays and before is not None and before.served[group])
            )
            for group in range(len(shown))
        )
        vehicles = self._members[phase] - self._walkers
        full = all(shown[group] == GREEN for group in vehicles)
        held = min((elapsed[group] for group in vehicles), default=1) if full else 0
        return GuardState(phase, held, shown, tuple(elapsed), served, tuple(waiting))

    def _phase_of(self, shown: tuple[int, ...], wanted: int) -> int:
        """The phase that the greens belong to: the wanted one when it fits, else the fullest."""
        greens = {group for group, indication in enumerate(shown) if indication == GREEN}
        fitting = [p for p, members in enumerate(self._members) if greens <= members]
        if wanted in fitting or not fitting:
            return wanted
        vehicles = greens - self._walkers
        return max(
            fitting,
            key=lambda p: len(vehicles) / max(1, len(self._members[p] - self._walkers)),
        )


def moves(before: GuardState, after: GuardState) -> tuple[list[int], list[int], list[int]]:
    """Groups that start, stay green and end between two states."""
    pairs = list(enumerate(zip(before.indications, after.indications, strict=True)))
    start = [g for g, (old, new) in pairs if old != GREEN and new == GREEN]
    hold = [g for g, (old, new) in pairs if old == new == GREEN]
    end = [g for g, (old, new) in pairs if old == GREEN and new != GREEN]
    return start, hold, end

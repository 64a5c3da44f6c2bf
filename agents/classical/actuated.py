"""Actuated control (감응식): gap-out and max-out per phase, in the order of the plan.

A phase is held until no vehicle of the movements that would lose their green has passed its
detectors for the passage time, or until the maximum of the phase; a phase that nobody waits for is
skipped. Source: the basic actuated operation of NEMA TS 2 and of the Traffic Signal Timing Manual
(FHWA-HOP-08-024, chapter 5), with walk and clearance kept by the guard.
"""

from __future__ import annotations

import numpy as np

from agents.classical.stages import stages
from signals.junction import Junction
from signals.lights import GREEN
from signals.observation import Observation
from signals.plan import Plan


class Actuated:
    """Gap-out per phase.

    The defaults were chosen on training demand days, see ``signals tune-classical``.

    Args:
        junction: Junction to control.
        plan: Gives the order of phases and, scaled, their maximum.
        passage_s: Gap that ends a green (s).
        max_share: Maximum green as a multiple of the plan's split.
    """

    name = "actuated"
    decision_interval_s = 1

    def __init__(
        self, junction: Junction, plan: Plan, passage_s: float = 1.0, max_share: float = 1.0
    ) -> None:
        self._junction = junction
        self._passage_s = passage_s
        self._stages = stages(junction, plan)
        self._max_s = [stage.split_s * max_share for stage in self._stages]
        self._rows = {
            group.id: [
                row
                for row, movement in enumerate(junction.movements)
                if movement.group == group.id and movement.kind != "right"
            ]
            for group in junction.groups
        }
        self._walkers = {group.id for group in junction.groups if group.kind == "pedestrian"}
        self._recall = junction.timing.recall == "always"
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Begin with whatever phase runs."""
        self._at = -1
        self._held_s = 0

    def decide(self, observation: Observation, clock_s: float) -> int:
        """Hold, or go to the next phase that somebody waits for."""
        now = observation.state.phase
        if self._at < 0:
            self._at = next(
                (index for index, stage in enumerate(self._stages) if stage.phase == now), 0
            )
        stage = self._stages[self._at]
        if stage.phase != now:
            # Granted only now, or forced elsewhere by the guard: take up the order from there.
            for index, other in enumerate(self._stages):
                if other.phase == now:
                    self._at, stage = index, other
                    break
            self._held_s = 0
        self._held_s += 1
        if not observation.state.held_s:
            return stage.phase
        if not (self._gap_out(observation, stage.ending) or self._held_s >= self._max_s[self._at]):
            return stage.phase
        for step in range(1, len(self._stages) + 1):
            index = (self._at + step) % len(self._stages)
            candidate = self._stages[index]
            if candidate.phase != now and self._called(observation, candidate.begins):
                if observation.mask[candidate.phase] > 0:
                    self._at, self._held_s = index, 0
                    return candidate.phase
                return stage.phase
        return stage.phase

    def _gap_out(self, observation: Observation, ending: frozenset[str]) -> bool:
        """Whether every group that would lose its green has seen a long enough gap."""
        measures = observation.measures
        index = self._junction.group_index
        for group in ending - self._walkers:
            if observation.state.indications[index[group]] != GREEN:
                continue
            for row in self._rows[group]:
                gap_s = np.minimum(measures.gap_s[row], measures.advance_gap_s[row])
                if measures.missing[row] >= 1.0 or gap_s < self._passage_s:
                    return False
        return True

    def _called(self, observation: Observation, groups: frozenset[str]) -> bool:
        """Whether somebody waits for a group; crosswalks on recall always do."""
        measures = observation.measures
        for group in groups:
            if group in self._walkers:
                if self._recall or any(measures.waiting[row] > 0 for row in self._rows[group]):
                    return True
                continue
            for row in self._rows[group]:
                if (
                    measures.missing[row] > 0
                    or measures.near[row] > 0
                    or measures.far_stopped[row] > 0
                ):
                    return True
        return False

"""How long a training goes on: by decisions, wall-clock minutes and simulated seconds."""

from __future__ import annotations

import time
from collections.abc import Callable

from agents.training import TrainingPlan


class Budget:
    """What a training may spend, and what it has spent.

    Args:
        plan: Sets the limits: ``n_timesteps`` (decisions) and ``simulated_s`` (s, 0 for any number)
            of its hyperparameters, and its minutes. These count anew from each resumption.
        clock: Wall clock (s) from any origin.

    Attributes:
        total: Decisions planned.
        decisions: Decisions taken so far.
        simulated_s: Seconds that SUMO simulated so far, lessons and trials included.
    """

    def __init__(self, plan: TrainingPlan, clock: Callable[[], float] = time.monotonic) -> None:
        self.total = int(plan.hyperparameters["n_timesteps"])
        self._most_s = None if plan.minutes is None else plan.minutes * 60.0
        self._most_simulated_s = float(plan.hyperparameters["simulated_s"])
        self._clock = clock
        self._begun_s = clock()
        self._before_s = 0.0
        self.decisions = 0
        self.simulated_s = 0.0

    def resume(self, decisions: int, simulated_s: float, elapsed_s: float) -> None:
        """Count on from where a run was stopped.

        Args:
            decisions: Decisions taken before.
            simulated_s: Seconds that SUMO simulated before.
            elapsed_s: Wall-clock seconds it took.
        """
        self.decisions, self.simulated_s, self._before_s = decisions, simulated_s, elapsed_s

    @property
    def elapsed_s(self) -> float:
        """Wall-clock seconds of the training, those before it was resumed included."""
        return self._before_s + self._clock() - self._begun_s

    @property
    def decided(self) -> bool:
        """Whether all decisions are taken."""
        return self.decisions >= self.total

    def left(self) -> float:
        """Share of the training that is left, in [0, 1], by whichever limit is nearest."""
        left = 1.0 - self.decisions / self.total
        if self._most_s is not None:
            left = min(left, 1.0 - self.elapsed_s / (self._most_s + self._before_s))
        if self._most_simulated_s:
            left = min(left, 1.0 - self.simulated_s / self._most_simulated_s)
        return max(left, 0.0)

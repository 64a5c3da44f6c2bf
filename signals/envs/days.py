"""Which demand day and period a training run takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from signals.errors import InputError
from signals.world import World, resolve

TRAINING_DAYS = 10_000
"""Demand days drawn when `reset` gets no seed are 0 to this; judging uses other ones."""


@dataclass(frozen=True, slots=True)
class Day:
    """One run to simulate.

    Attributes:
        world: Scenario and period.
        number: Demand day.
        walkers_share: Share of the people on foot.
    """

    world: World
    number: int
    walkers_share: float


class Days:
    """Draws runs of one scenario.

    Args:
        scenario: Catalogue name or folder, or a world that is at hand already.
        period: Period, several to draw from, or None for the first; only with a name.
        walkers_share: Bounds of the share of people on foot, see `signals.simulation.thinning`.

    Raises:
        InputError: Unknown scenario or period, no period, or shares that are none.
    """

    def __init__(
        self,
        scenario: str | World,
        period: str | Sequence[str] | None = None,
        walkers_share: tuple[float, float] = (1.0, 1.0),
    ) -> None:
        periods: Sequence[str | None] = (
            [period] if period is None or isinstance(period, str) else list(period)
        )
        if not periods:
            raise InputError("no period given; name one, or leave it out for the first")
        if isinstance(scenario, World):
            if periods != [None]:
                raise InputError("a world has its own period; name none, or give a scenario name")
            self.worlds = [scenario]
        else:
            self.worlds = [resolve(scenario, name) for name in periods]
        if not 0.0 <= walkers_share[0] <= walkers_share[1] <= 1.0:
            raise InputError(f"walkers_share is {walkers_share}; give two shares from 0 to 1")
        self._walkers_share = walkers_share

    @property
    def spans(self) -> dict[str, tuple[float, float]]:
        """Period to the clock times of its begin and end (s since midnight)."""
        return {world.period: (world.begin_s, world.end_s) for world in self.worlds}

    def draw(self, random: np.random.Generator, options: Mapping[str, Any] | None) -> Day:
        """The next run.

        Args:
            random: What is not fixed is drawn from it.
            options: ``{"day": n}`` fixes the demand day, ``{"period": name}`` the period.

        Raises:
            InputError: There is no such period.
        """
        chosen = dict(options or {})
        day = int(chosen.get("day", random.integers(TRAINING_DAYS)))
        number = int(random.integers(len(self.worlds)))
        if "period" in chosen:
            names = [world.period for world in self.worlds]
            if chosen["period"] not in names:
                raise InputError(
                    f"this environment has no period '{chosen['period']}'; "
                    f"allowed: {', '.join(names)}"
                )
            number = names.index(chosen["period"])
        low, high = self._walkers_share
        share = high if low == high else float(random.uniform(low, high))
        return Day(self.worlds[number], day, share)

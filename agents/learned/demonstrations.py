"""What a classical agent chose, for a network to begin with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from signals.faults import FaultSpec
from signals.simulation.backend import RunOptions
from signals.simulation.episode import Episode
from signals.simulation.sumo_backend import SumoBackend
from signals.world import resolve


@dataclass(frozen=True)
class Lesson:
    """A day to be shown; runs in a worker process.

    Attributes:
        scenario: Catalogue name or folder.
        period: Period of the day.
        day: Demand day.
        teacher: Name of the classical agent.
        interval_s: Seconds between the moments that are kept.
        walkers_share: Share of people on foot simulated.
        faults: Faults of the detectors.
    """

    scenario: str
    period: str
    day: int
    teacher: str
    interval_s: int
    walkers_share: float
    faults: tuple[FaultSpec, ...] = ()


def show(lesson: Lesson) -> tuple[dict[str, NDArray[np.float32]], NDArray[np.int64]]:
    """Run a day under the teacher.

    Args:
        lesson: What to show.

    Returns:
        Flattened observations (choices, size) by name, and the phases chosen (choices,).
    """
    from agents.resolve import agent_for

    world = resolve(lesson.scenario, lesson.period)
    teacher = agent_for(lesson.teacher, world)
    backend = SumoBackend()
    episode = Episode(world, backend)
    seen: dict[str, list[NDArray[np.float32]]] = {}
    chosen: list[int] = []
    try:
        episode.start(
            lesson.day, RunOptions(walkers_share=lesson.walkers_share, faults=lesson.faults)
        )
        teacher.reset(lesson.day)
        while not episode.finished:
            observation = episode.observe()
            wish = teacher.decide(observation, episode.clock_s)
            on_time = int(episode.clock_s - world.begin_s) % lesson.interval_s == 0
            if on_time and observation.mask.sum() > 1 and observation.mask[wish] > 0:
                for name, vector in observation.vectors().items():
                    seen.setdefault(name, []).append(vector)
                chosen.append(wish)
            episode.tick(wish)
    finally:
        episode.close()
    return {name: np.stack(rows) for name, rows in seen.items()}, np.array(chosen, dtype=np.int64)

"""Looks at a run while it goes on, and judges it afterwards."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from signals.metrics import Incidents, RunMetrics, summarise, summarise_network
from signals.network_metrics import NetworkSampler
from signals.queues import QUEUE_SAMPLE_S, QueueSampler
from signals.schedule import Schedule
from signals.world import World


class Watch:
    """Queues and incidents of a run.

    Args:
        world: What is simulated.
        schedule: Its demand day.
    """

    def __init__(self, world: World, schedule: Schedule) -> None:
        self._world = world
        self._schedule = schedule
        self._incidents = Incidents()
        self._sumo: ModuleType
        self._sampler: QueueSampler | NetworkSampler

    def begin(self, sumo: ModuleType) -> None:
        """Begin to look, the run started."""
        self._sumo = sumo
        junctions = self._world.junctions
        if len(junctions) == 1:
            self._sampler = QueueSampler(sumo, junctions[0], self._schedule)
        else:
            self._sampler = NetworkSampler(sumo, junctions, self._schedule)

    def second(self, seconds: int) -> None:
        """Look once a second."""
        self._incidents.watch(self._sumo)
        if seconds % QUEUE_SAMPLE_S == 0:
            self._sampler.sample()

    def judge(self, trips_file: Path) -> RunMetrics:
        """The judgement, the run ended."""
        world = self._world
        if isinstance(self._sampler, NetworkSampler):
            return summarise_network(
                trips_file,
                self._schedule,
                world.begin_s,
                world.end_s,
                self._sampler,
                self._incidents,
            )
        return summarise(
            trips_file,
            world.junction,
            self._schedule,
            world.begin_s,
            world.end_s,
            self._sampler,
            self._incidents,
        )

    def series(self) -> dict[str, object]:
        """Queues over time, see `QueueSampler.series`."""
        return self._sampler.series()

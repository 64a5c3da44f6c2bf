"""Counters for Prometheus, of one process or of all workers together."""

from __future__ import annotations

import os

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

MULTIPROCESS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Folder in which workers share their counters; has to be set before this module is imported."""
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Telemetry:
    """What a service counts."""

    def __init__(self) -> None:
        self._own = CollectorRegistry()
        self._decisions = Counter(
            "signals_decisions", "Polls answered, refusals included", registry=self._own
        )
        self._refused = Counter("signals_refusals", "Calls refused", ["status"], registry=self._own)
        self._seconds = Histogram(
            "signals_decision_seconds",
            "Time to decide a poll or a batch",
            buckets=_SECONDS,
            registry=self._own,
        )
        self._back = Counter(
            "signals_steps_back", "Deployments that stepped back by themselves", registry=self._own
        )
        self._waiting = Gauge(
            "signals_registry_waiting_bytes",
            "Rows that wait for the registry",
            multiprocess_mode="livesum",
            registry=self._own,
        )
        self._away = Gauge(
            "signals_registry_away",
            "1 while the registry does not answer",
            multiprocess_mode="livemax",
            registry=self._own,
        )
        self._junctions = Gauge(
            "signals_junctions",
            "Junctions in service",
            multiprocess_mode="livemax",
            registry=self._own,
        )

    def decided(self, polls: int, seconds: float) -> None:
        """Polls were answered."""
        self._decisions.inc(polls)
        self._seconds.observe(seconds)

    def refused(self, status: int) -> None:
        """A call was refused."""
        self._refused.labels(str(status)).inc()

    def stepped_back(self) -> None:
        """A deployment stepped back."""
        self._back.inc()

    def state(self, junctions: int, waiting_bytes: int, away: bool) -> None:
        """How things stand."""
        self._junctions.set(junctions)
        self._waiting.set(waiting_bytes)
        self._away.set(away)

    def text(self) -> bytes:
        """All workers' counters in Prometheus' text format."""
        if MULTIPROCESS_VARIABLE not in os.environ:
            return generate_latest(self._own)
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return generate_latest(together)

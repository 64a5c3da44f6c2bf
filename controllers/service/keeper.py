"""The work beside the decisions: follow the registry, step back, judge delays, prune."""

from __future__ import annotations

import threading
import time

from controllers.registry.change import Author, now_ms
from controllers.registry.retention import prune
from controllers.registry.samples import evaluation
from controllers.rollout import SERVICE, may_act
from controllers.service.deciding import Service
from signals.drift import NO_RANGES
from signals.errors import RegistryError, SignalsError

FOLLOW_S = 1.0
"""A change in the registry is heeded after so long at most (s)."""
JUDGE_S = 900.0
"""A junction's delay is compared with the plan's so often (s)."""
JUDGED_DAYS = 14
"""Delays are compared so long after a deployment (days)."""
PRUNE_S = 86_400.0
_DAY_MS = 86_400_000


class Keeper:
    """Owns the thread.

    Args:
        service: What it looks after.
        keep_days: Retention of decisions and events; None leaves them.
        judge_s: Time between two comparisons of delays (s).
    """

    def __init__(
        self, service: Service, keep_days: int | None = None, judge_s: float = JUDGE_S
    ) -> None:
        self._service = service
        self._keep_days = keep_days
        self._judge_s = judge_s
        self._stop = threading.Event()
        self._away = False
        self._next_judge = time.monotonic() + judge_s
        self._next_prune = time.monotonic() + PRUNE_S
        self._thread = threading.Thread(target=self._run, name="registry-keeper", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """End."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(10)

    def turn(self) -> None:
        """One round."""
        service = self._service
        try:
            self._follow()
            service.step_back()
            now = time.monotonic()
            if now >= self._next_judge:
                self._next_judge = now + self._judge_s
                self.judge()
            if self._keep_days is not None and now >= self._next_prune:
                self._next_prune = now + PRUNE_S
                assert service.registry is not None
                prune(service.registry, self._keep_days, Author(SERVICE, "retention"))
            self._away = False
        except RegistryError as error:
            if service.writer is not None:
                service.writer.lost(str(error))
            elif not self._away:
                service.log.error("registry cannot be followed", error=str(error))
            self._away = True
        except SignalsError as error:
            service.log.error("keeper", error=str(error))
        waiting = service.writer.journal.waiting_bytes if service.writer is not None else 0
        service.telemetry.state(len(service.city.served), waiting, self._away)

    def judge(self) -> None:
        """Step back where the delay is worse than the plan's.

        Raises:
            RegistryError: The registry does not answer.
        """
        service = self._service
        assert service.registry is not None
        since_ms = now_ms() - JUDGED_DAYS * _DAY_MS
        deployments = service.registry.deployments()
        for junction, served in service.city.served.items():
            row = deployments.get(junction)
            if row is None or row.id != served.deployment or row.at_ms < since_ms:
                continue
            if not may_act(served.stage) or not served.options.worse or self._stop.is_set():
                continue
            found = evaluation(service.registry, junction, served.bundle.hash, since_ms)
            if found.verdict == "worse":
                why = (
                    f"delay {found.on_s:.1f} s/veh against {found.off_s:.1f} under the plan, "
                    f"95 % interval of the difference {found.low_s:+.1f} to {found.high_s:+.1f}"
                )
                service.halt(junction, row.id, why)
        service.step_back()

    def _follow(self) -> None:
        for problem in self._service.city.refresh():
            self._service.log.error("not served", problem=problem)
        for junction, served in self._service.city.without_ranges():
            self._service.log.warning(
                "drift is not watched",
                junction=junction,
                bundle=served.bundle.hash[:12],
                why=NO_RANGES,
            )

    def _run(self) -> None:
        while not self._stop.wait(FOLLOW_S):
            self.turn()

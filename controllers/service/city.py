"""What holds now at every junction: bundle, stage, override, keys.

It follows the registry: whoever changes something there is heeded within a second. While the
registry is away, what was known last goes on.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controllers.registry.keys import KnownKey
from controllers.registry.store import Registry
from controllers.registry.tables import WITHDRAWN, Deployment, Override
from controllers.rollout import RolloutOptions
from controllers.runtime import JunctionRuntime
from signals.bundle import Bundle
from signals.contract import sha256
from signals.detectors import FIELDS, DetectorKind, DetectorSpec, Readings, missing
from signals.drift import TrainedRanges
from signals.errors import InputError, SignalsError
from signals.policy import OnnxPolicy


@dataclass(frozen=True)
class Served:
    """One junction in service.

    Attributes:
        bundle: Verified and trusted.
        runtime: Decides.
        ranges: Of the training observations.
        queue_cells: Readings that tell how many vehicles stand.
        stop_cells: Readings that count vehicles at the stop lines.
        stage: Of the deployment.
        options: Of the deployment.
        deployment: Its number in the registry, None without one.
    """

    bundle: Bundle
    runtime: JunctionRuntime
    ranges: TrainedRanges
    queue_cells: NDArray[np.intp]
    stop_cells: NDArray[np.intp]
    stage: str = "deploy"
    options: RolloutOptions = RolloutOptions()  # noqa: RUF009  frozen
    deployment: int | None = None

    def queued(self, readings: Readings) -> float | None:
        """Vehicles that stand, as far as the video zones see; None when none of them answers."""
        stopped = readings.values.take(self.queue_cells)
        total = float(stopped.sum())
        if total == total:
            return total if len(stopped) else None
        known = stopped[~np.isnan(stopped)]
        return float(known.sum()) if len(known) else None

    def passed(self, readings: Readings) -> float | None:
        """Vehicles that crossed the stop lines since the loops were switched on."""
        total = float(readings.values.take(self.stop_cells).sum())
        # A silent loop would look like vehicles that were taken back.
        return total if total == total else None


class City:
    """All junctions in service.

    Args:
        bundles: Served at once, when there is no registry to follow.
        registry: To follow.
        trusted: Public keys whose bundles are served.
        open_to_all: No key is asked.

    Raises:
        InputError: Two bundles for one junction.
        BundleError: A bundle's network cannot be loaded.
    """

    def __init__(
        self,
        bundles: Iterable[Bundle] = (),
        registry: Registry | None = None,
        trusted: Iterable[str] = (),
        open_to_all: bool = True,
    ) -> None:
        self.registry = registry
        self.trusted = frozenset(trusted)
        self.open_to_all = open_to_all
        self.served: Mapping[str, Served] = {}
        self.overrides: Mapping[str, Override] = {}
        self.keys: Mapping[str, KnownKey] = {}
        self.version = -1
        self._untold: list[tuple[str, Served]] = []
        self._streets: dict[str, Served] = {}
        self._networks: dict[str, tuple[bytes, Any]] = {}
        found: dict[str, Served] = {}
        for bundle in bundles:
            name = bundle.contract.junction.id
            if name in found:
                raise InputError(
                    f"bundles '{found[name].bundle.contract.name}' and "
                    f"'{bundle.contract.name}' are both for junction {name}; give one"
                )
            found[name] = self._street(bundle)
        self.served = found

    def refresh(self) -> list[str]:
        """Follow the registry.

        Returns:
            One line for every junction whose deployment cannot be served.

        Raises:
            RegistryError: It does not answer; what was known goes on.
        """
        if self.registry is None:
            return []
        version = self.registry.version()
        if version == self.version:
            return []
        deployments = self.registry.deployments()
        overrides, keys = self.registry.overrides(), self.registry.keys()
        problems: list[str] = []
        found: dict[str, Served] = {}
        for name, row in sorted(deployments.items()):
            if row.stage == WITHDRAWN or row.bundle_hash is None:
                continue
            try:
                found[name] = self._deployed(name, row)
            except SignalsError as error:
                problems.append(f"junction {name}: {error}")
        self._untold += [
            (name, item)
            for name, item in found.items()
            if item.options.drift < 1
            and not item.ranges.known
            and (name not in self.served or self.served[name].bundle.hash != item.bundle.hash)
        ]
        used = {item.bundle.hash for item in found.values()}
        self._streets = {hash_: item for hash_, item in self._streets.items() if hash_ in used}
        networks = {item.bundle.contract.policy_sha256 for item in found.values()}
        self._networks = {key: item for key, item in self._networks.items() if key in networks}
        self.overrides, self.keys, self.served = overrides, keys, found
        self.version = version
        return problems

    def without_ranges(self) -> list[tuple[str, Served]]:
        """Junctions with a new bundle that keeps no ranges of its training.

        Strange readings go unnoticed there. Each is given once.
        """
        found, self._untold = self._untold, []
        return found

    def override(self, junction: str, at_ms: int) -> Override | None:
        """The override that holds, if there is one."""
        row = self.overrides.get(junction)
        return row if row is not None and row.holds(at_ms) else None

    def _deployed(self, junction: str, row: Deployment) -> Served:
        assert self.registry is not None and row.bundle_hash is not None
        known = self._streets.get(row.bundle_hash)
        if known is None:
            bundle = self.registry.opened(row.bundle_hash, self.trusted)
            if bundle.contract.junction.id != junction:
                raise InputError(f"its bundle is made for {bundle.contract.junction.id}")
            known = self._street(bundle)
            self._streets[bundle.hash] = known
        options = RolloutOptions.read(json.loads(row.options))
        return replace(known, stage=row.stage, options=options, deployment=row.id)

    def _street(self, bundle: Bundle) -> Served:
        key = sha256(bundle.policy)
        if key not in self._networks:
            self._networks[key] = bundle.policy, OnnxPolicy(bundle).session
        # A network that serves a whole city is kept once.
        network, session = self._networks[key]
        bundle = replace(bundle, policy=network)
        policy = OnnxPolicy(bundle, session)
        runtime = JunctionRuntime.from_bundle(bundle, policy=policy)
        detectors = runtime.spec.detectors
        # A network that cannot run is refused before it serves.
        blind = runtime.spec.encode(missing(detectors, 0.0), runtime.spec.guard.start(0))
        policy.scores(blind.arrays())
        return Served(
            bundle=bundle,
            runtime=runtime,
            ranges=TrainedRanges(bundle.contract.training),
            queue_cells=_cells(detectors, ("near_zone", "far_zone"), "stopped"),
            stop_cells=_cells(detectors, ("stop_loop",), "count"),
        )


def _cells(
    detectors: tuple[DetectorSpec, ...], kinds: tuple[DetectorKind, ...], field: str
) -> NDArray[np.intp]:
    rows = [row for row, item in enumerate(detectors) if item.kind in kinds]
    return np.array(rows, np.intp) * len(FIELDS) + FIELDS.index(field)

"""Small generated networks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from signals.world import World


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Six junctions in a row of three, ten minutes."""
    pytest.importorskip("libsumo", reason="libsumo is not installed (extra: sim)")
    from benchmarks.nets import grid

    return grid(tmp_path_factory.mktemp("nets"), 3, 2, 3600, 600)


@pytest.fixture(scope="session")
def mixed(network: World) -> World:
    """The network with one junction that has lost two of its phases."""
    first = network.junctions[0]
    plan = network.plans[0]
    used = {frozenset(groups) for groups, _ in plan.steps}
    kept = [phase for phase in first.phases if frozenset(phase.groups) in used]
    assert len(kept) < len(first.phases)
    phases = tuple(replace(phase, index=index) for index, phase in enumerate(kept))
    smaller = replace(first, phases=phases)
    return replace(network, junctions=(smaller, *network.junctions[1:]))

"""The gateway's memory of the lights."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controllers.tracker import Tracker
from signals.guard import Guard
from signals.junction import Junction
from signals.lights import GREEN, RED


@pytest.mark.parametrize(("recall", "known"), [("always", False), ("call", True)])
def test_a_crosswalk_that_nobody_called_is_not_waited_for(
    junction: Junction, recall: str, known: bool
) -> None:
    """Served in every cycle it has to be seen once; on call it may stay red for hours."""
    own = replace(junction, timing=replace(junction.timing, recall=recall))
    tracker = Tracker(Guard(own))
    cars = [g for g, group in enumerate(own.groups) if group.kind != "pedestrian"]
    assert len(cars) < len(own.groups)
    for green in cars:
        assert not tracker.known
        tracker.see([GREEN if g == green else RED for g in range(len(own.groups))], 1, 0)
    assert tracker.known is known
    tracker.forget()
    assert not tracker.known

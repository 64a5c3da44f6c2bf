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
        assert f"signal group {own.groups[green].id}" in tracker.obstacle()
        tracker.see([GREEN if g == green else RED for g in range(len(own.groups))], 1, 0)
    waits = tracker.obstacle()
    assert ("not seen lit yet" not in waits) is known
    if not known:
        assert waits.startswith("crosswalk ") and "signal group" not in waits
    tracker.forget()
    assert "not seen lit yet" in tracker.obstacle()

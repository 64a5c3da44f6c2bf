"""The controller's own law and monitor, judged by the independent checker."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from controllers.ntcip.assignment import Assignment
from controllers.ntcip.objects import ControlStatus, FlashStatus, PhaseControl, mask_of, numbers_in
from controllers.virtual.monitor import ConflictMonitor
from controllers.virtual.rings import Inputs
from controllers.virtual.unit import Unit
from signals.detectors import layout
from signals.errors import InputError
from signals.junction import Junction
from signals.plan import Plan
from tests.controllers.street import BEGIN_S
from tests.controllers.virtual.place import STEP_S, lawful_seconds, run, short_plan, unit_of


def test_the_own_plan_is_lawful_and_keeps_its_cycle(
    crosswalk_net: Path, junction: Junction
) -> None:
    unit = unit_of(junction)
    rows: list[tuple[int, str]] = []
    run(unit, 600, rows)
    assert lawful_seconds(crosswalk_net, junction, rows) == []
    assert unit.monitor.trips == 0
    cycle = unit.coordinator.patterns[0].cycle_s
    shown = [lights for _, lights in rows]
    assert shown[-cycle:] == shown[-2 * cycle : -cycle]
    assert len(set(shown)) > 4


def test_a_group_with_two_turns_a_cycle_has_both(crosswalk_net: Path, junction: Junction) -> None:
    steps = short_plan(junction).ring_a
    twice = (*steps[:2], steps[0], *steps[2:])
    plan = Plan("twice", STEP_S * len(twice), 0, twice, twice)
    plan.validate(junction)
    unit = Unit(junction, [(0, plan)], float(BEGIN_S))
    rows: list[tuple[int, str]] = []
    run(unit, 2 * plan.cycle_s, rows)
    rows.clear()
    turns = {
        p: sum(
            group.id in now and group.id not in last
            for (now, _), (last, _) in zip(plan.steps, (plan.steps[-1], *plan.steps), strict=False)
        )
        for p, group in enumerate(junction.groups)
    }
    assert 2 in turns.values()
    begun = dict.fromkeys(turns, 0)
    before = unit.outputs[2]
    for _ in range(3 * plan.cycle_s):
        run(unit, 1, rows)
        greens = unit.outputs[2]
        for p in turns:
            begun[p] += bool(greens & ~before & 1 << p)
        before = greens
    assert begun == {p: 3 * number for p, number in turns.items()}
    assert lawful_seconds(crosswalk_net, junction, rows) == [] and unit.monitor.trips == 0


def test_free_operation_gaps_out_and_serves_everybody(junction: Junction) -> None:
    unit = unit_of(junction)
    unit.coord_mode = 254
    served = 0
    for _ in range(400):
        run(unit, 1)
        served |= unit.outputs[2]
    assert served == unit.assignment.all and unit.monitor.trips == 0
    assert unit.rings.ring_bits[1] & 0b11000


def test_a_phase_without_a_call_is_skipped(junction: Junction) -> None:
    unit = unit_of(junction)
    rings, vehicles = unit.rings, unit.assignment.all & ~unit.assignment.walkers
    skipped = unit.assignment.phases[0]
    served = 0
    for _ in range(3000):
        rings.tick(Inputs(calls=vehicles & ~mask_of([skipped]), actuated=True))
        served |= rings.greens
    assert served == vehicles & ~mask_of([skipped])


@pytest.mark.parametrize("seed", range(3))
def test_any_commands_are_carried_out_lawfully(
    crosswalk_net: Path, junction: Junction, seed: int
) -> None:
    """Random masks every few seconds: starving somebody is the only harm they can do."""
    unit, dice = unit_of(junction), random.Random(seed)
    rows: list[tuple[int, str]] = []
    for _ in range(120):
        if dice.random() < 0.5:
            for column in PhaseControl:
                unit.control.masks[column] = dice.getrandbits(16) & unit.assignment.all
            unit.control.pattern = dice.choice((0, 1, 254, 254))
            unit.commanded_now()
        run(unit, dice.randint(1, 9), rows)
    kinds = {item.kind for item in lawful_seconds(crosswalk_net, junction, rows)}
    assert kinds <= {"max_red"} and unit.monitor.trips == 0


@pytest.mark.parametrize("after_s", [37, 61, 90])
def test_nobody_waits_too_long_on_the_way_back(
    crosswalk_net: Path, junction: Junction, after_s: int
) -> None:
    """Held in one phase, then left alone: the long red are served before the plan goes on."""
    unit = unit_of(junction)
    rows: list[tuple[int, str]] = []
    run(unit, after_s, rows)
    greens = unit.outputs[2] & ~unit.assignment.walkers
    unit.control.pattern = 254
    unit.control.masks[PhaseControl.HOLD] = greens
    unit.control.masks[PhaseControl.PHASE_OMIT] = unit.assignment.all & ~greens
    unit.commanded_now()
    run(unit, 500, rows)
    assert unit.control_status is ControlStatus.BACKUP_MODE
    assert lawful_seconds(crosswalk_net, junction, rows) == []


def test_a_restart_flashes_forgets_and_begins_with_red(
    crosswalk_net: Path, junction: Junction
) -> None:
    log: list[str] = []
    unit = unit_of(junction, log)
    run(unit, 30)
    unit.control.pattern = 254
    unit.timing[0].minimum_green_s = 99
    unit.restart()
    assert not unit.answers
    rows: list[tuple[int, str]] = []
    run(unit, 1, rows)
    assert set(rows[0][1]) == {"o"} and unit.flash_status is FlashStatus.STARTUP
    rows.clear()
    run(unit, 4)
    rows.clear()
    run(unit, 300, rows)
    assert unit.answers and unit.control.pattern == 0 and unit.timing[0].minimum_green_s != 99
    assert lawful_seconds(crosswalk_net, junction, rows) == []
    assert set(rows[3][1]) <= {"r", "s"}
    assert log == ["restarting", "started again, all red before the plan"]


def test_commanded_flash_waits_for_the_greens_to_end(junction: Junction) -> None:
    unit = unit_of(junction)
    run(unit, 20)
    unit.control.pattern = 255
    unit.commanded_now()
    unit.backup_time_s = 0
    run(unit, 1)
    assert not unit.flashing
    run(unit, 60)
    assert unit.flash_status is FlashStatus.AUTOMATIC
    unit.control.pattern = 0
    run(unit, 4)
    assert not unit.flashing and unit.outputs[2] == 0


class TestMonitor:
    """Two channels that conflict, and a crosswalk."""

    def monitor(self) -> ConflictMonitor:
        return ConflictMonitor((0b110, 0b01, 0b01), 0b100)

    def feed(self, *steps: tuple[float, int, int, int]) -> ConflictMonitor:
        monitor = self.monitor()
        for seconds, reds, yellows, greens in steps:
            for _ in range(round(10 * seconds)):
                monitor.look(reds, yellows, greens)
        return monitor

    def test_a_lawful_change_passes(self) -> None:
        steps = ((9, 0b110, 0, 1), (3, 0b110, 1, 0), (1, 0b111, 0, 0), (9, 0b101, 0, 2))
        assert self.feed(*steps, (9, 0b001, 0b100, 2)).fault == ""

    def test_what_trips_it(self) -> None:
        assert "conflict" in self.feed((0.3, 0b100, 0b11, 0)).fault
        assert self.feed((0.2, 0b100, 0b11, 0), (3, 0b111, 0, 0)).fault.startswith("yellow")
        assert "no indication on channel 1" in self.feed((0.8, 0b110, 0, 0)).fault
        assert self.feed((0.7, 0b110, 0, 0), (1, 0b111, 0, 0)).fault == ""
        assert "two indications" in self.feed((0.4, 0b111, 0, 1)).fault
        assert "yellow" in self.feed((9, 6, 0, 1), (2.6, 6, 1, 0), (1, 7, 0, 0)).fault
        assert "without yellow" in self.feed((9, 6, 0, 1), (1, 7, 0, 0)).fault
        assert "after the green" in self.feed((9, 7, 0, 0), (1, 3, 0, 4), (1, 6, 0, 1)).fault

    def test_it_latches_until_it_is_reset(self) -> None:
        monitor = self.feed((0.3, 0b100, 0, 0b11), (60, 0b111, 0, 0))
        assert monitor.fault and monitor.trips == 1
        monitor.reset()
        monitor.look(0b111, 0, 0)
        assert monitor.fault == "" and monitor.trips == 1


def test_the_monitor_stops_a_controller_that_has_lost_its_conflicts(junction: Junction) -> None:
    log: list[str] = []
    unit = unit_of(junction, log)
    unit.rings._barred = [0] * len(unit.rings._barred)
    unit.control.masks[PhaseControl.VEH_CALL] = unit.assignment.all
    run(unit, 5)
    assert unit.monitor.trips == 1 and "conflict" in log[0]
    assert unit.flash_status is FlashStatus.MMU and set(unit.lights()) == {"o"}


def test_every_junction_of_seoul_fits_a_controller() -> None:
    from scenarios.catalog import world

    for name in ("gangnam", "teheran"):
        for junction in world(name, None).junctions:
            found = Assignment.of(junction)
            cars = [
                ring
                for ring, group in zip(found.rings, junction.groups, strict=True)
                if group.kind == "vehicle"
            ]
            assert set(cars) == {1, 2}, "two rings of vehicle phases"
            assert set(found.sides) == {1, 2}, "one barrier"
            for p in found.phases:
                assert not mask_of(found.concurrency(p)) & found.conflicts[p - 1]
            assert found.detector_count <= 255


def test_readings_survive_the_detector_table(junction: Junction) -> None:
    import numpy as np

    found = Assignment.of(junction)
    dice = np.random.default_rng(1)
    values = np.full((len(layout(junction)), 6), np.nan)
    for row, spec in enumerate(found.detectors):
        count = dice.integers(0, 6)
        whole = {"count": count, "stopped": min(count, 2), "queue_m": 7.5, "speed_mps": 8.25}
        whole |= {"occupied": float(row % 2), "gap_s": 2.5}
        for name in spec.fields:
            values[
                row, ["count", "stopped", "queue_m", "speed_mps", "occupied", "gap_s"].index(name)
            ] = whole[name]
    counters = values[:, 0].copy()
    back = found.from_table(found.to_table(values, None), counters)
    for row, spec in enumerate(found.detectors):
        if spec.kind != "exit":
            close = np.isclose(back[row], values[row], atol=0.26, equal_nan=True)
            close |= np.isnan(back[row]) & (values[row, 0] == 0)
            assert close.all(), spec.id
    silent = found.to_table(np.full_like(values, np.nan), None)
    assert np.isnan(found.from_table(silent, counters)).all()
    for bad in ((256, 0), (-1, 0), (0, 209), (0, 255)):
        with pytest.raises(InputError, match="detector 1 reports"):
            found.from_table({**silent, 1: bad}, counters)


def test_masks() -> None:
    assert mask_of((2, 6)) == 0x22 and numbers_in(0x22) == (2, 6)

"""What every adapter must do, as tests: subclass `AdapterConformance` and name the far end.

    class TestMine(AdapterConformance):
        @pytest.fixture
        def far_end(self): ...   # yields a FarEnd

The far end is a controller that really answers, in whatever way the adapter's protocol wants; the
suite lets its seconds pass, looks at its lights from outside, and disturbs it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

import numpy as np

from controllers.adapters.base import Adapter, LineError, Order, RefusedError
from signals.detectors import layout
from signals.junction import Junction
from signals.lights import CLEARANCE, GREEN, RED

_T = TypeVar("_T")


class FarEnd(Protocol):
    """A controller at the other end of the line, and the hands on it."""

    @property
    def junction(self) -> Junction:
        """Its junction."""

    @property
    def backup_s(self) -> float:
        """Its backup time (s)."""

    def adapter(self) -> Adapter:
        """A fresh adapter to it."""

    def pass_seconds(self, seconds: int) -> None:
        """Let seconds of it pass."""

    def indications(self) -> tuple[int, ...]:
        """What its lights show, seen from outside."""

    def on_its_plan(self) -> bool:
        """Whether nobody but its own plan decides."""

    def change_timing(self) -> None:
        """Somebody makes a minimum green longer by hand."""

    def switch_backup_off(self) -> None:
        """Somebody switches the backup timer off."""

    def flash(self) -> None:
        """It goes into flash."""

    def cut(self) -> None:
        """The line is cut."""


class AdapterConformance:
    """The suite. Every test gets a ``far_end`` fixture that the subclass defines."""

    @staticmethod
    def _with(far_end: FarEnd, work: Callable[[Adapter], Awaitable[_T]]) -> _T:
        async def main() -> _T:
            adapter = far_end.adapter()
            await adapter.connect()
            try:
                return await work(adapter)
            finally:
                await adapter.close()

        return asyncio.run(main())

    def test_it_sees_the_lights(self, far_end: FarEnd) -> None:
        """What it reads is what the lights show, at any time."""

        async def work(adapter: Adapter) -> None:
            before = None
            for _ in range(6):
                state = await adapter.state()
                assert state.indications == far_end.indications()
                assert not state.trouble and not state.commanded and not state.foreign
                assert before is None or (state.clock_s - before) % 86_400 == 7
                before = state.clock_s
                far_end.pass_seconds(7)

        self._with(far_end, work)

    def test_it_reads_every_detector(self, far_end: FarEnd) -> None:
        """Readings have the junction's layout and the controller's time."""

        async def work(adapter: Adapter) -> None:
            far_end.pass_seconds(5)
            readings, state = await adapter.readings(), await adapter.state()
            assert readings.values.shape[0] == len(layout(far_end.junction))
            assert not np.isnan(readings.values).all()
            assert abs(readings.time_s - state.clock_s) <= 1
            details = await adapter.details()
            assert details.loops and all(count >= 0 for count, _ in details.loops.values())

        self._with(far_end, work)

    def test_looking_commands_nothing(self, far_end: FarEnd) -> None:
        """Connecting, reading and taking leave the controller on its plan."""

        async def work(adapter: Adapter) -> None:
            await adapter.state()
            await adapter.readings()
            await adapter.details()
            terms = await adapter.take()
            assert terms.backup_s == far_end.backup_s
            assert far_end.on_its_plan()

        self._with(far_end, work)

    def test_orders_are_carried_out_and_released(self, far_end: FarEnd) -> None:
        """Greens end with their clearance, the ordered group starts, nobody else does."""
        junction = far_end.junction
        far_end.pass_seconds(15)

        async def work(adapter: Adapter) -> None:
            await adapter.take()
            shown = far_end.indications()
            target = next(
                g
                for g, group in enumerate(junction.groups)
                if group.kind != "pedestrian" and shown[g] == RED
            )
            row = junction.timing.groups[junction.groups[target].id]
            cleared = set()
            for _ in range(90):
                shown = far_end.indications()
                cleared |= {g for g, lit in enumerate(shown) if lit == CLEARANCE}
                greens = {g for g, lit in enumerate(shown) if lit == GREEN}
                hold = greens & {target}
                start = {target} - greens
                await adapter.order(
                    Order(frozenset(start), frozenset(hold), frozenset(greens - {target}))
                )
                far_end.pass_seconds(1)
                state = await adapter.state()
                assert state.commanded and not state.foreign
                if far_end.indications()[target] == GREEN:
                    break
            else:
                raise AssertionError(f"{junction.groups[target].id} never turned green")
            assert cleared, "greens went without a clearance"
            for _ in range(row.min_green_s + 4):
                await adapter.order(Order(hold=frozenset({target})))
                far_end.pass_seconds(1)
                await adapter.state()
                lit = {g for g, shown in enumerate(far_end.indications()) if shown == GREEN}
                assert lit == {target}
            await adapter.release()
            far_end.pass_seconds(1)
            assert far_end.on_its_plan()

        self._with(far_end, work)

    def test_it_cannot_cut_a_minimum_green(self, far_end: FarEnd) -> None:
        """An order to end everything at once ends nothing before its minimum."""
        junction = far_end.junction

        async def work(adapter: Adapter) -> None:
            await adapter.take()
            green_for = [0] * len(junction.groups)
            for second in range(30):
                shown = far_end.indications()
                for g, lit in enumerate(shown):
                    least = junction.timing.groups[junction.groups[g].id].min_green_s
                    if lit == GREEN:
                        green_for[g] += 1
                    else:
                        assert not green_for[g] or green_for[g] >= least or second < least
                        green_for[g] = 0
                reds = {g for g, lit in enumerate(shown) if lit == RED}
                greens = {g for g, lit in enumerate(shown) if lit == GREEN}
                await adapter.order(Order(start=frozenset(reds), end=frozenset(greens)))
                far_end.pass_seconds(1)
                await adapter.state()
            await adapter.release()

        self._with(far_end, work)

    def test_silence_ends_in_the_own_plan(self, far_end: FarEnd) -> None:
        """Without orders the backup timer runs out, and the state says so."""

        async def work(adapter: Adapter) -> None:
            await adapter.take()
            greens = {g for g, lit in enumerate(far_end.indications()) if lit == GREEN}
            await adapter.order(Order(hold=frozenset(greens)))
            far_end.pass_seconds(1)
            assert not far_end.on_its_plan()
            far_end.pass_seconds(int(far_end.backup_s) + 1)
            assert far_end.on_its_plan()
            state = await adapter.state()
            assert not state.commanded

        self._with(far_end, work)

    def test_another_timing_is_refused(self, far_end: FarEnd) -> None:
        """Before control is taken and while it is held."""
        far_end.change_timing()

        async def work(adapter: Adapter) -> None:
            raise AssertionError("it connected to a controller with another timing")

        try:
            self._with(far_end, work)
        except RefusedError as error:
            assert "the junction's file" in str(error)
        else:
            raise AssertionError("another timing was not noticed")

    def test_a_timing_that_changes_is_noticed(self, far_end: FarEnd) -> None:
        """Somebody turns a knob at the cabinet."""

        async def work(adapter: Adapter) -> None:
            far_end.change_timing()
            troubles = [(await adapter.state()).trouble for _ in far_end.junction.groups]
            assert any(troubles)

        self._with(far_end, work)

    def test_no_backup_timer_no_control(self, far_end: FarEnd) -> None:
        """A controller that would keep the last order for ever is never commanded."""
        far_end.switch_backup_off()

        async def work(adapter: Adapter) -> None:
            try:
                await adapter.take()
            except RefusedError:
                return
            raise AssertionError("control was taken without a backup timer")

        self._with(far_end, work)

    def test_flash_is_trouble(self, far_end: FarEnd) -> None:
        """A flashing controller must not be commanded."""

        async def work(adapter: Adapter) -> None:
            far_end.flash()
            far_end.pass_seconds(90)
            assert (await adapter.state()).trouble

        self._with(far_end, work)

    def test_a_cut_line_is_an_error_of_the_line(self, far_end: FarEnd) -> None:
        """Never a hang, never another exception."""

        async def work(adapter: Adapter) -> None:
            far_end.cut()
            for call in (adapter.state, adapter.readings, adapter.release):
                try:
                    await asyncio.wait_for(call(), 20)
                except LineError:
                    continue
                raise AssertionError("a cut line was not noticed")

        self._with(far_end, work)

    def test_too_many_orders_are_refused(self, far_end: FarEnd) -> None:
        """Something runs wild: the line is not flooded."""

        async def work(adapter: Adapter) -> None:
            try:
                for _ in range(10):
                    await adapter.order(Order())
            except RefusedError:
                return
            raise AssertionError("ten orders in one second were sent")

        self._with(far_end, work)

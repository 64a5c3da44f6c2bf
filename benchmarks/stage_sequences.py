"""What other sequences of phases would give on Gangnam Station: is there room beside the plan?

    python benchmarks/stage_sequences.py --period am_peak --period pm_peak

Runs fixed sequences on training days: the plan's order with other splits, left turns twice a
cycle, direct-left phases (which need no walk) in place of the crosswalk phase or beside it. A
sequence is a list of phase and seconds; the guard keeps each lawful, so that a step may run longer.
Prints the delay of each; days used for judging are not touched.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from statistics import fmean

import click

from agents.evaluation.runner import Job, run_world
from scenarios.demand import TRAINING_SEEDS
from signals.observation import Observation
from signals.world import resolve

NS, ND, EW, EL = "NS_through", "N_direct_left", "EW_through", "EW_left"
ED, WD = "E_direct_left", "W_direct_left"
SEQUENCES: dict[str, list[tuple[str, int]]] = {
    **{
        f"plan's order, {n} s and {w} s of left turns": [(NS, 44), (ND, n), (EW, 44), (EL, w)]
        for n, w in ((18, 20), (22, 24), (25, 30), (27, 30), (27, 33), (30, 36))
    },
    **{
        f"Teheran-ro without its crosswalks, {n} s a side": [(NS, 44), (ND, 24), (ED, n), (WD, n)]
        for n in (20, 24, 28)
    },
    **{
        f"crosswalks of Gangnam-daero every other cycle, {n} s a side": [
            *[(NS, 44), (ND, 24), (EW, 44), (EL, 26)],
            *[(NS, 44), (ND, 24), (ED, n), (WD, n)],
        ]
        for n in (22, 26)
    },
    **{
        f"left turns before and after, {a} s and {b} s": [
            *[(NS, 44), (ND, 27), (EL, a), (EW, 44), (EL, b)],
        ]
        for a, b in ((13, 13), (15, 17), (17, 20))
    },
    **{
        f"western direct-left last, {a} s and {b} s": [
            *[(NS, 44), (ND, 25), (EW, 44), (EL, a), (WD, b)],
        ]
        for a, b in ((26, 6), (26, 10))
    },
    **{
        f"western direct-left before both lefts, {b} s and {a} s": [
            *[(NS, 44), (ND, 27), (EW, 44), (WD, b), (EL, a)],
        ]
        for a, b in ((28, 6), (26, 10))
    },
}


class Sequence:
    """Goes through phases by the clock.

    Args:
        steps: Phase index and seconds of each.
    """

    name = "sequence"
    decision_interval_s = 1

    def __init__(self, steps: list[tuple[int, int]]) -> None:
        self._steps = steps

    def reset(self, seed: int) -> None:
        """Begin with the first step."""
        self._at, self._passed_s = 0, 0

    def decide(self, observation: Observation, clock_s: float) -> int:
        """The step of this second."""
        if self._passed_s >= self._steps[self._at][1]:
            self._at, self._passed_s = (self._at + 1) % len(self._steps), 0
        self._passed_s += 1
        return self._steps[self._at][0]


@dataclass(frozen=True)
class _Trial:
    period: str
    day: int
    steps: tuple[tuple[str, int], ...]


def _delay_s(trial: _Trial) -> float:
    world = resolve("gangnam", trial.period)
    steps = [(world.junction.phase_named(name).index, seconds) for name, seconds in trial.steps]
    job = Job("gangnam", trial.period, "sequence", trial.day)
    return run_world(world, Sequence(steps), job).metrics.delay_s


@click.command()
@click.option("--period", "periods", multiple=True, default=("am_peak", "pm_peak"))
@click.option("--days", default=1, show_default=True)
@click.option("--workers", default=2, show_default=True)
def sequences(periods: tuple[str, ...], days: int, workers: int) -> None:
    """Try every sequence on training days."""
    trials = [
        _Trial(period, TRAINING_SEEDS.start + day, tuple(steps))
        for steps in SEQUENCES.values()
        for period in periods
        for day in range(days)
    ]
    with ProcessPoolExecutor(workers) as pool:
        delays = dict(zip(trials, pool.map(_delay_s, trials), strict=True))
    for name, steps in SEQUENCES.items():
        means = [
            fmean(
                delay
                for trial, delay in delays.items()
                if trial.period == period and trial.steps == tuple(steps)
            )
            for period in periods
        ]
        figures = ", ".join(f"{p} {mean:.1f}" for p, mean in zip(periods, means, strict=True))
        click.echo(f"{name}: {figures} s/veh")


if __name__ == "__main__":
    sequences()

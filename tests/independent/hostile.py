"""Hostile wishes on every site and period, each second judged by `tests.independent.lights`.

    python -m tests.independent.hostile [--site NAME]... [--period NAME]... [--seconds 3600]

SUMO runs the period with its vehicles and a tenth of its people (``--walkers``); each junction gets
random wishes of its own, phases that do not exist among them, new every second in one part of the
run and ever more seldom in the others. Prints a line for each run; the exit status is 1 when a
second was unlawful.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path

from tests.independent.lights import check_lights
from tests.independent.runs import site_timing

PACES_S = (1, 3, 11, 37, 120)
SITES = Path(__file__).parents[2] / "scenarios" / "seoul"


@dataclass(frozen=True)
class Run:
    site: str
    period: str
    seconds: int
    seed: int
    walkers_share: float


@dataclass(frozen=True)
class Judged:
    run: Run
    junctions: int
    seconds: int
    changes: int
    violations: tuple[str, ...]


def judge(run: Run) -> Judged:
    """Simulate one run and check its lights."""
    from scenarios.catalog import world
    from signals.simulation.backend import RunOptions
    from signals.simulation.episode import Episode
    from signals.simulation.sumo_backend import SumoBackend

    place = world(run.site, run.period)
    place = replace(place, end_s=min(place.end_s, place.begin_s + run.seconds))
    episode, dice = Episode(place, SumoBackend()), random.Random(run.seed)
    lights: list[list[tuple[int, str]]] = [[] for _ in place.junctions]
    total = place.end_s - place.begin_s
    try:
        episode.start(run.seed, RunOptions(walkers_share=run.walkers_share))
        wishes = [0] * len(place.junctions)
        for second in range(total):
            pace_s = PACES_S[second * len(PACES_S) // total]
            for index, junction in enumerate(place.junctions):
                if (second + index) % pace_s == 0:
                    wishes[index] = dice.randrange(-1, len(junction.phases) + 1)
            episode.tick_all(wishes)
            for own, item in zip(lights, episode.junctions, strict=True):
                own.append((second, item.lights))
    finally:
        episode.close()
    timing = site_timing(SITES / run.site / "site.yaml")
    found = [
        f"{junction.id}: {violation}"
        for junction, own in zip(place.junctions, lights, strict=True)
        for violation in check_lights(own, place.net_file, junction.id, timing)
    ]
    changes = sum(a[1] != b[1] for own in lights for a, b in pairwise(own))
    return Judged(run, len(lights), sum(map(len, lights)), changes, tuple(found))


def _at_least_one(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number from 1 up")
    return int(text)


def main(arguments: Sequence[str] | None = None) -> int:
    from scenarios.catalog import load

    names = sorted(path.parent.name for path in SITES.glob("*/site.yaml"))
    parser = argparse.ArgumentParser(prog="python -m tests.independent.hostile")
    parser.add_argument("--site", action="append", choices=names)
    parser.add_argument("--period", action="append")
    parser.add_argument("--seconds", type=_at_least_one, default=3600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--walkers", type=float, default=0.1)
    parser.add_argument("--workers", type=_at_least_one, default=2)
    given = parser.parse_args(arguments)
    places = [
        (site, period)
        for site in given.site or names
        for period in load(site).periods
        if not given.period or period in given.period
    ]
    if not places:
        parser.error(f"no site has a period {' or '.join(given.period)} of one or few hours")
    runs = [
        Run(site, period, given.seconds, given.seed + number, given.walkers)
        for number, (site, period) in enumerate(places)
    ]
    bad = 0
    results: list[Judged] = []
    # A worker that has run libsumo is fit for another run, a forked copy of it is not.
    with ProcessPoolExecutor(given.workers, mp_context=get_context("spawn")) as pool:
        for done in pool.map(judge, runs):
            results.append(done)
            bad += len(done.violations)
            print(
                f"{done.run.site} {done.run.period}: {done.junctions} junctions, "
                f"{done.seconds} seconds of lights, {done.changes} changes, "
                f"{len(done.violations)} violations",
                flush=True,
            )
            for line in done.violations[:10]:
                print(f"  {line}")
    seconds = sum(done.seconds for done in results)
    print(f"{len(results)} runs, {seconds} seconds of lights, {bad} violations")
    return 1 if bad or not results else 0


if __name__ == "__main__":
    sys.exit(main())

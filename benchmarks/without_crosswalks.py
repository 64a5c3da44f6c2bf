"""A site without its crosswalks, to see what their times cost and what they leave to be learned.

    python benchmarks/without_crosswalks.py gangnam --out runs/plain
    python benchmarks/claim.py --scenario runs/plain/gangnam_plain --out runs/plain-claim

Writes a site folder like the named one, but nobody walks there: no crosswalks, no pedestrian signal
groups, no people on foot. Its plans are as good as the site's own: splits by
`scenarios.plan_design`, the cycle that did best in SUMO on training days.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import click
import yaml

from scenarios.cache import scratch_folder
from scenarios.catalog import Scenario, load
from scenarios.demand import TRAINING_SEEDS
from scenarios.plan_design import design, with_splits
from scenarios.plan_search import mean_delay_s
from signals.errors import SignalsError


def plain_site(path: Path, name: str) -> dict[str, Any]:
    """The mapping of a site file without everything that walks."""
    site: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    site["id"], site["title"] = name, f"{site['title']}, without crosswalks"
    site["specials"] = {}
    for leg in site["legs"].values():
        leg.pop("crosswalk_width_m", None)
    site["phases"] = {phase: _vehicles(groups) for phase, groups in site["phases"].items()}
    walking = site["demand"]["pedestrians"]["per_crosswalk_h"]
    for period in walking:
        walking[period] = {"value": 0, "mark": "G"}
    for period in site["periods"].values():
        for ring in ("ring_a", "ring_b"):
            for step in period["plan"][ring]:
                step["groups"] = _vehicles(step["groups"])
    return site


def _vehicles(groups: list[str]) -> list[str]:
    return [group for group in groups if not group.endswith(".ped")]


def _delay_s(folder: str, period: str, days: int, cycle_s: int) -> float:
    scenario = load(folder)
    assert isinstance(scenario, Scenario)
    shape = scenario.plan(period)
    plan = with_splits(shape, design(scenario, period, shape).splits(cycle_s))
    return mean_delay_s(scenario, period, plan, TRAINING_SEEDS[:days])


@click.command()
@click.argument("site", default="gangnam")
@click.option("--out", type=click.Path(path_type=Path), required=True)
@click.option("--period", "periods", multiple=True, default=("am_peak", "pm_peak"))
@click.option(
    "--cycle",
    "cycles",
    multiple=True,
    type=click.IntRange(30, 300),
    default=(60, 70, 80, 90, 100, 110, 120, 135),
    show_default=True,
)
@click.option(
    "--days", type=click.IntRange(1), default=2, show_default=True, help="Training days per cycle."
)
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True)
def write(
    site: str, out: Path, periods: tuple[str, ...], cycles: tuple[int, ...], days: int, workers: int
) -> None:
    """Write the folder and choose its cycles."""
    try:
        original = load(site)
        if not isinstance(original, Scenario):
            raise click.UsageError(f"'{site}' is no site file of the first format, as gangnam is")
        for period in periods:
            original.period(period)
    except SignalsError as error:
        raise click.UsageError(str(error)) from error
    name = f"{original.site.id}_plain"
    folder = out / name
    if folder.exists():
        raise click.UsageError(f"{folder} exists; give another --out")
    with scratch_folder(out) as scratch:
        _fill(scratch / name, original, name, periods, cycles, days, workers)
        (scratch / name).rename(folder)
    click.echo(f"wrote {folder}")


def _fill(
    folder: Path,
    original: Scenario,
    name: str,
    periods: tuple[str, ...],
    cycles: tuple[int, ...],
    days: int,
    workers: int,
) -> None:
    folder.mkdir()
    file = folder / "site.yaml"
    data = plain_site(original.site_file, name)
    file.write_text(yaml.safe_dump(data, sort_keys=False, allow_unicode=True), encoding="utf-8")
    for period in periods:
        scenario = load(str(folder))
        assert isinstance(scenario, Scenario)
        shape = scenario.plan(period)
        basis = design(scenario, period, shape)
        least_s = sum(basis.minimum_splits_s)
        tried = [cycle_s for cycle_s in cycles if cycle_s >= least_s]
        if not tried:
            raise click.UsageError(f"period {period} needs a cycle of {least_s} s at least")
        with ProcessPoolExecutor(workers) as pool:
            run = partial(_delay_s, str(folder), period, days)
            delays = dict(zip(tried, pool.map(run, tried), strict=True))
        best_s = min(delays, key=delays.__getitem__)
        figures = ", ".join(f"{cycle_s} s: {delay_s:.1f}" for cycle_s, delay_s in delays.items())
        click.echo(f"{period}: Webster {basis.webster_s:.0f} s, least {least_s} s; {figures}")
        _take(data["periods"][period]["plan"], basis.splits(best_s))
        file.write_text(yaml.safe_dump(data, sort_keys=False, allow_unicode=True), encoding="utf-8")
        click.echo(f"{period}: cycle {best_s} s, splits {basis.splits(best_s)}")


def _take(plan: dict[str, Any], splits: tuple[int, ...]) -> None:
    plan["cycle_s"] = sum(splits)
    for ring in ("ring_a", "ring_b"):
        for step, split_s in zip(plan[ring], splits, strict=True):
            step["split_s"] = split_s


if __name__ == "__main__":
    write()

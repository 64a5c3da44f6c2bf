"""Checks every second of every run of an evaluation folder.

    python -m tests.independent.runs results/night [--site scenarios/seoul/gangnam/site.yaml]

The net comes from the product (it is what SUMO ran); the timing is read from the site file here,
and the rules are those of `tests.independent.lights`. Of a network every junction is checked.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.independent.lights import check_lights, read_lights

SITE = Path(__file__).parents[2] / "scenarios" / "seoul" / "gangnam" / "site.yaml"


def site_timing(site_file: Path) -> dict[str, Any]:
    """The timing inputs of a site file, without the product's own reader."""
    site = yaml.safe_load(site_file.read_text(encoding="utf-8"))
    timing = site["timing"] if "timing" in site else site["defaults"]["timing"]
    return {name: entry["value"] for name, entry in timing.items() if name != "max_green_s"}


def lights_by_junction(file: Path, alone: str) -> dict[str, list[tuple[int, str]]]:
    """Recorded seconds and states of each junction; files of one junction do not name it."""
    import polars

    if "junction" not in polars.read_parquet_schema(file):
        return {alone: read_lights(file)}
    table = polars.read_parquet(file, columns=["junction", "second", "state"])
    found: dict[str, list[tuple[int, str]]] = {}
    for junction, second, state in table.iter_rows():
        found.setdefault(junction, []).append((int(second), str(state)))
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.independent.runs")
    parser.add_argument("folder", type=Path, help="a folder made by: signals evaluate --out")
    parser.add_argument("--site", type=Path, default=SITE)
    given = parser.parse_args(arguments)
    from scenarios.catalog import world

    scenario = json.loads((given.folder / "evaluation.json").read_text())["runs"][0]["scenario"]
    place = world(scenario, None)
    names = [junction.id for junction in place.junctions]
    timing = site_timing(given.site)
    files = sorted(given.folder.glob("runs/*/lights.parquet"))
    found = seconds = 0
    for file in files:
        recorded = lights_by_junction(file, names[0])
        if set(recorded) != set(names):
            found += 1
            print(f"{file.parent.name}: holds {sorted(recorded)}, the scenario {sorted(names)}")
        for name, lights in recorded.items():
            seconds += len(lights)
            for violation in check_lights(lights, place.net_file, name, timing):
                found += 1
                print(f"{file.parent.name}: {name}: {violation}")
    print(
        f"{len(files)} runs, {len(names)} junctions, {seconds} seconds of lights, "
        f"{found} violations"
    )
    return 1 if found or not files else 0


if __name__ == "__main__":
    raise SystemExit(main())

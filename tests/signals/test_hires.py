"""An hour's hi-res log, read by the package ``atspm``, against the simulation's own counts.

SUMO's own instant loops, at the places of the product's, and the recorded lights are counted here
without the product's log.
"""

from __future__ import annotations

import csv
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("libsumo", reason="libsumo is not installed (extra: sim)")

from signals.detectors import layout
from signals.hires import DAY, Event, EventLog, Passage
from signals.junction import Junction
from signals.lights import CLEARANCE, GREEN, RED
from signals.recording import Recorder

MINUTES = 60
RED_S = 5
BIN_S = 900
OCCUPIED = 0.25
"""A quiet hour has no split failures by the usual 80 %."""
SEED = 3


@dataclass
class Hour:
    log: EventLog
    junction: Junction
    indications: list[str]
    reasons: list[str]
    begin_s: int
    passages: dict[int, list[tuple[float, float]]]


@pytest.fixture(scope="module")
def hour(tmp_path_factory: pytest.TempPathFactory) -> Hour:
    """An hour of Gangnam's night under actuated control."""
    from agents.classical.actuated import Actuated
    from signals.simulation.backend import RunOptions
    from signals.simulation.episode import Episode
    from signals.simulation.sumo_backend import SumoBackend
    from signals.world import resolve

    folder = tmp_path_factory.mktemp("hires")
    world = resolve("gangnam", "night")
    world = replace(world, end_s=min(world.end_s, world.begin_s + 60 * MINUTES))
    junction = world.junction
    loops = [spec for spec in layout(junction) if "occupied" in spec.fields]
    own = folder / "own.add.xml"
    rows = [
        f'<instantInductionLoop id="{channel}" lane="{spec.pieces[0].lane}" '
        f'pos="{spec.pieces[0].start_m:.2f}" friendlyPos="true" file="{folder / "own.xml"}"/>'
        for channel, spec in enumerate(loops, 1)
    ]
    own.write_text("<additional>" + "".join(rows) + "</additional>")
    world = replace(world, additional_files=(*world.additional_files, own))
    log, recorder = EventLog(junction), Recorder()
    episode = Episode(world, SumoBackend(), recorder, logs=(log,))
    agent = Actuated(junction, world.plan)
    try:
        episode.start(SEED, RunOptions(walkers_share=0.1))
        agent.reset(SEED)
        while not episode.finished:
            if (episode.clock_s - world.begin_s) % agent.decision_interval_s == 0:
                wish = agent.decide(episode.observe(), episode.clock_s)
            episode.tick(wish)
    finally:
        episode.close()
    return Hour(
        log,
        junction,
        [row[2] for row in recorder.seconds],
        [row[6] for row in recorder.seconds],
        world.begin_s,
        _passages(folder / "own.xml"),
    )


def _passages(file: Path) -> dict[int, list[tuple[float, float]]]:
    """(on, off) of every vehicle, by SUMO's instant loops."""
    found: dict[int, list[tuple[float, float]]] = {}
    on: dict[int, float] = {}
    for item in ET.parse(file).getroot().iter("instantOut"):
        channel, at = int(item.get("id", "0")), float(item.get("time", "0"))
        if item.get("state") == "enter":
            on[channel] = at
        elif item.get("state") == "leave" and channel in on:
            found.setdefault(channel, []).append((on.pop(channel), at))
    for channel, at in on.items():
        found.setdefault(channel, []).append((at, float("inf")))
    return found


def atspm(hour: Hour, *aggregations: tuple[str, dict[str, Any]]) -> Any:
    pytest.importorskip("atspm", reason="atspm is not installed (extra: dev)")
    import pandas
    from atspm import SignalDataProcessor

    raw = pandas.DataFrame(
        hour.log.rows(), columns=["TimeStamp", "DeviceId", "EventId", "Parameter"]
    )
    config = pandas.DataFrame(hour.log.detector_config)
    with SignalDataProcessor(
        raw_data=raw,
        detector_config=config,
        bin_size=15,
        verbose=0,
        aggregations=[{"name": name, "params": params} for name, params in aggregations],
    ) as processor:
        processor.load()
        processor.aggregate()
        return {
            name: processor.conn.query(f"SELECT * FROM {name}").df() for name, _ in aggregations
        }


def _state_at(hour: Hour, group: int, at_s: float) -> str:
    second = int(at_s - hour.begin_s)
    return hour.indications[second][group] if 0 <= second < len(hour.indications) else "-"


def _channels(hour: Hour, function: str) -> dict[int, int]:
    return {
        row["Parameter"]: row["Phase"]
        for row in hour.log.detector_config
        if row["Function"] == function
    }


def _greens(hour: Hour, group: int) -> Iterator[tuple[int, int, int]]:
    """Begin, end of green, end of yellow of each green that begins in the hour (s)."""
    shown = [row[group] for row in hour.indications]
    begin = None
    for second, (before, now) in enumerate(pairwise(shown), 1):
        if now == str(GREEN) and before != str(GREEN):
            begin = second
        elif before == str(GREEN) and now == str(CLEARANCE):
            end = second
        elif before == str(CLEARANCE) and now == str(RED) and begin is not None:
            yield hour.begin_s + begin, hour.begin_s + end, hour.begin_s + second


@pytest.mark.filterwarnings("default")
def test_atspm_agrees_with_the_simulations_own_counts(hour: Hour) -> None:
    found = atspm(
        hour,
        ("arrival_on_green", {"latency_offset_seconds": 0}),
        (
            "split_failures",
            {
                "red_time": RED_S,
                "red_occupancy_threshold": OCCUPIED,
                "green_occupancy_threshold": OCCUPIED,
                "by_approach": True,
                "by_cycle": False,
            },
        ),
        ("terminations", {}),
    )
    _arrivals(hour, found["arrival_on_green"])
    _terminations(hour, found["terminations"])
    _split_failures(hour, found["split_failures"])


def _arrivals(hour: Hour, table: Any) -> None:
    own: Counter[tuple[int, int]] = Counter()
    green: Counter[tuple[int, int]] = Counter()
    for channel, phase in _channels(hour, "Advance").items():
        for on_s, _ in hour.passages.get(channel, ()):
            key = (phase, int(on_s // BIN_S))
            own[key] += 1
            green[key] += _state_at(hour, phase - 1, on_s) == str(GREEN)
    rows = {
        (int(row.Phase), int((row.TimeStamp - DAY).total_seconds() // BIN_S)): row
        for row in table.itertuples()
    }
    assert sum(own.values()) > 300 and sum(green.values()) > 50
    for key, count in own.items():
        if key not in rows:  # atspm leaves out what has no arrival on green
            assert green[key] <= 1, key
            continue
        row = rows[key]
        on_green = row.Percent_AOG * row.Total_Actuations
        assert abs(row.Total_Actuations - count) <= 1, (key, row.Total_Actuations, count)
        assert abs(on_green - green[key]) <= max(1.01, 0.05 * count), (key, on_green, green[key])
    counted = sum(row.Percent_AOG * row.Total_Actuations for row in rows.values())
    assert abs(counted - sum(green[key] for key in rows)) <= 0.02 * sum(own.values())
    difference = sum(row.Total_Actuations for row in rows.values()) - sum(own[k] for k in rows)
    assert abs(difference) <= 0.02 * sum(own.values())


def _terminations(hour: Hour, table: Any) -> None:
    reasons = {"ForceOff": 0, "MaxOut": 0}
    for group, item in enumerate(hour.junction.groups):
        if item.kind == "pedestrian":
            continue
        for second, (before, now) in enumerate(pairwise(hour.indications), 1):
            if before[group] == str(GREEN) != now[group]:
                name = "MaxOut" if hour.reasons[second] == "max_green" else "ForceOff"
                reasons[name] += 1
    counted = table.groupby("PerformanceMeasure")["Total"].sum().to_dict()
    assert reasons["ForceOff"] > 100
    assert {name: int(counted.get(name, 0)) for name in reasons} == reasons


def _split_failures(hour: Hour, table: Any) -> None:
    """Presence in a share of the green and of the first 5 s of red, all loops of a phase as one."""
    channels = _channels(hour, "Presence")
    own: Counter[int] = Counter()
    for phase in set(channels.values()):
        spans = sorted(
            span
            for channel, of_phase in channels.items()
            if of_phase == phase
            for span in hour.passages.get(channel, [])
        )
        for begin, end, red in _greens(hour, phase - 1):
            in_green = _occupied(spans, begin, end) / (end - begin)
            in_red = _occupied(spans, red, red + RED_S) / RED_S
            own[phase] += in_green >= OCCUPIED and in_red >= OCCUPIED
    counted = table.groupby("Phase")["Split_Failure"].sum().to_dict()
    assert sum(own.values()) > 0 and sum(counted.values()) > 0
    for phase in own:
        assert abs(counted.get(phase, 0) - own[phase]) <= max(2, 0.1 * own[phase]), phase


def _occupied(spans: list[tuple[float, float]], begin: float, end: float) -> float:
    """Seconds of a stretch of time in which somebody is there; the spans are sorted."""
    total, reached = 0.0, begin
    for on, off in spans:
        first, last = max(on, reached), min(off, end)
        if last > first:
            total += last - first
            reached = last
    return total


def test_both_edges_of_every_pair(hour: Hour) -> None:
    counted = Counter((event, parameter) for _, event, parameter in hour.log.events)
    pairs = (
        (Event.PHASE_ON, Event.GREEN_END),
        (Event.BEGIN_GREEN, Event.BEGIN_YELLOW),
        (Event.BEGIN_YELLOW, Event.END_YELLOW),
        (Event.BEGIN_RED_CLEAR, Event.END_RED_CLEAR),
        (Event.WALK, Event.DONT_WALK),
        (Event.DETECTOR_ON, Event.DETECTOR_OFF),
        (Event.PED_DETECTOR_ON, Event.PED_DETECTOR_OFF),
    )
    for first, second in pairs:
        numbers = {parameter for event, parameter in counted if event in (first, second)}
        assert numbers, first.name
        for parameter in numbers:
            difference = counted[first, parameter] - counted[second, parameter]
            assert abs(difference) <= 1, (first.name, parameter)


def test_files_that_atspm_reads(hour: Hour, tmp_path: Path) -> None:
    import polars

    hour.log.write(tmp_path / "events.parquet")
    hour.log.write(tmp_path / "events.csv")
    table = polars.read_parquet(tmp_path / "events.parquet")
    assert table.columns == ["TimeStamp", "DeviceId", "EventId", "Parameter"]
    assert len(table) == len(hour.log.events) and table["TimeStamp"].is_sorted()
    with (tmp_path / "events.csv").open(encoding="utf-8") as stream:
        rows = list(csv.reader(stream))
    assert len(rows) == len(table) + 1 and rows[1][0].startswith(f"{DAY:%Y-%m-%d}")


def test_seconds_of_a_controller(hour: Hour) -> None:
    """What only counts a second's vehicles gives both edges of each, too."""
    log = EventLog(hour.junction)
    log.loops(10.0, {1: (1, True), 2: (0, False), 3: (3, False)})
    log.loops(11.0, {1: (0, True), 2: (0, False), 3: (0, False)})
    log.loops(12.0, {1: (1, True), 2: (2, True), 3: (0, False)})
    log.loops(13.0, {1: (0, False), 2: (0, False), 3: (0, False)})
    edges = Counter((event, channel) for _, event, channel in log.events)
    on, off = Event.DETECTOR_ON, Event.DETECTOR_OFF
    assert [edges[on, channel] for channel in (1, 2, 3)] == [2, 2, 3]
    assert [edges[off, channel] for channel in (1, 2, 3)] == [2, 2, 3]
    log.passages([Passage(4, 20.1, None)])
    log.passages([Passage(4, 20.1, 22.3), Passage(4, 22.9, None)])
    assert [row for row in log.events if row[2] == 4] == [
        (20.1, on, 4),
        (22.3, off, 4),
        (22.9, on, 4),
    ]
    log.flash(30.0, True)
    log.flash(31.0, True)
    log.flash(32.0, False)
    assert [row for row in log.events if row[1] == Event.FLASH] == [(30.0, 173, 1), (32.0, 173, 0)]

"""The table that `benchmarks.quality` makes of its runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import fmean
from typing import Any

from agents.evaluation.document import is_classical
from agents.evaluation.statistics import best_of, compare, estimate
from agents.runfolder import provenance


def judge(rows: Sequence[dict[str, Any]], agents: Sequence[str]) -> list[dict[str, Any]]:
    """One line of the table for each case and agent, the best first."""
    lines = []
    for case in dict.fromkeys((row["scenario"], row["period"]) for row in rows):
        own = [row for row in rows if (row["scenario"], row["period"]) == case]
        delays: dict[str, dict[int, float]] = {}
        for row in own:
            delays.setdefault(row["agent"], {})[int(row["seed"])] = row["delay_s"]
        best = best_of([name for name in delays if is_classical(name)], delays)
        part = []
        for agent in agents:
            mine = [row for row in own if row["agent"] == agent]
            if not mine:
                continue
            delay = estimate([row["delay_s"] for row in mine])
            worst = Counter(row["worst_junction"] for row in mine).most_common(1)[0][0]
            line: dict[str, Any] = {
                "scenario": case[0],
                "period": case[1],
                "agent": agent,
                "days": len(mine),
                "delay_s": delay.mean,
                "ci95": delay.ci95,
                "pedestrian_delay_s": _mean([row["pedestrian_delay_s"] for row in mine]),
                "person_delay_s": _mean([row["person_delay_s"] for row in mine]),
                "worst_junction": worst,
                "worst_junction_delay_s": max(row["worst_junction_delay_s"] for row in mine),
                "longest_wait_s": max(row["longest_wait_s"] for row in mine),
                "gridlocked": sum(any("gridlock" in f for f in row["flags"]) for row in mine),
                "ratio": 1.0 if agent == best else None,
                "ratio_ci95": None,
                "verdict": "best classical" if agent == best else "",
            }
            if best is not None and agent != best and set(delays[agent]) == set(delays[best]):
                found = compare(case[1], agent, best, delays)
                line["ratio"], line["ratio_ci95"] = found.ratio.mean, found.ratio.ci95
                line["verdict"] = found.word
            part.append(line)
        lines += sorted(part, key=lambda line: line["delay_s"])
    return lines


def _mean(values: Sequence[float | None]) -> float | None:
    """The mean over the days that have a value."""
    there = [value for value in values if value is not None]
    return fmean(there) if there else None


def common(rows: Sequence[dict[str, Any]], agents: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of those days of each case that every agent was judged on."""
    met: dict[tuple[str, str, int], set[str]] = {}
    for row in rows:
        met.setdefault((row["scenario"], row["period"], row["seed"]), set()).add(row["agent"])
    whole = {day for day, there in met.items() if there >= set(agents)}
    return [row for row in rows if (row["scenario"], row["period"], row["seed"]) in whole]


def _interval(value: Sequence[float] | None, digits: int) -> str:
    return "" if value is None else f" ({value[0]:.{digits}f} to {value[1]:.{digits}f})"


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def markdown(lines: Sequence[dict[str, Any]], rows: Sequence[dict[str, Any]], command: str) -> str:
    """The result file."""
    made = provenance()
    versions = ", ".join(f"{name} {number}" for name, number in made["versions"].items())
    revisions = sorted({str(row["revision"])[:12] for row in rows})
    days = sorted({int(row["seed"]) for row in rows})
    text = [
        "# Quality of the agents",
        "",
        f"`{command}`",
        "",
        f"Days {days[0]} to {days[-1]}, held out; {versions}; revision {', '.join(revisions)}.",
        "Delay in s/veh with its 95 % interval over days; the ratio is to the best classical agent",
        "of the same site and period, paired by day. `on foot` is the mean delay of pedestrians,",
        "`all people` that of everybody, in vehicles and on foot. The worst junction's delay and",
        "the longest wait are the greatest of all days. `sumo:` agents are SUMO's own programs and",
        "do not pass through the guard.",
        "",
        "| site | period | agent | days | delay s/veh | ratio | verdict | on foot s "
        "| all people s | worst junction s/veh | longest wait s | gridlocked |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for line in lines:
        ratio = "" if line["ratio"] is None else f"{line['ratio']:.3f}"
        text.append(
            f"| {line['scenario']} | {line['period']} | {line['agent']} | {line['days']} "
            f"| {line['delay_s']:.1f}{_interval(line['ci95'], 1)} "
            f"| {ratio}{_interval(line['ratio_ci95'], 3)} | {line['verdict']} "
            f"| {_seconds(line['pedestrian_delay_s'])} | {_seconds(line['person_delay_s'])} "
            f"| {line['worst_junction_delay_s']:.1f} ({line['worst_junction']}) "
            f"| {line['longest_wait_s']:.0f} | {line['gridlocked']} |"
        )
    notes = sorted({note for row in rows for note in row["notes"] if not note.startswith("sumo:")})
    return "\n".join([*text, "", *(f"- {note}" for note in notes), ""]).rstrip() + "\n"

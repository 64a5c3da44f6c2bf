"""Many results as one document: runs, means over days, verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from agents.classical import NAMES
from agents.evaluation.jobs import RunResult
from agents.evaluation.statistics import Comparison, Summary, summarise_runs, verdicts

MEANS: Final = (
    "stops",
    "throughput_veh_h",
    "unfinished",
    "never_inserted",
    "longest_wait_s",
    "worst_junction_delay_s",
    "pedestrian_delay_s",
    "bus_delay_s",
    "person_delay_s",
    "queue_p95_m",
    "longest_queue_m",
    "co2_g",
)
"""Metrics that a summary averages besides the delay."""


def summaries(results: Sequence[RunResult]) -> list[Summary]:
    """Means over days, by period and agent."""
    groups: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for result in results:
        key = (result.scenario, result.period, result.agent)
        groups.setdefault(key, []).append(result.to_dict())
    return [summarise_runs(*key, rows, MEANS) for key, rows in groups.items()]


def comparisons(results: Sequence[RunResult]) -> list[Comparison]:
    """Every agent against the best classical one, by period."""
    delays: dict[str, dict[str, dict[int, float]]] = {}
    for result in results:
        agents = delays.setdefault(result.period, {})
        agents.setdefault(result.agent, {})[result.seed] = result.metrics.delay_s
    return verdicts(delays, {run.agent for run in results if is_classical(run.agent)})


def is_classical(agent: str) -> bool:
    """Whether it is a classical name, with or without parameters behind a colon."""
    return agent.partition(":")[0] in NAMES


def faults_of(results: Sequence[RunResult]) -> list[str]:
    """The detector faults under which they ran, in words."""
    return list(dict.fromkeys(fault for result in results for fault in result.faults))


def notes_of(results: Sequence[RunResult]) -> list[str]:
    """What the scenario says that every result must say."""
    return list(dict.fromkeys(note for result in results for note in result.notes))


def document(results: Sequence[RunResult], with_summary: bool = True) -> dict[str, Any]:
    """What ``--json`` prints and a result folder keeps.

    Args:
        results: All runs.
        with_summary: Add means over days and verdicts.
    """
    found: dict[str, Any] = {
        "faults": faults_of(results),
        "notes": notes_of(results),
        "runs": [result.to_dict() for result in results],
    }
    if with_summary:
        found["summary"] = [summary.to_dict() for summary in summaries(results)]
        found["verdict"] = [
            {**item.to_dict(), "text": item.sentence()} for item in comparisons(results)
        ]
    return found

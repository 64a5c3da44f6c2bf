"""Rows of the page's tables: what was measured, levels of service, refused wishes, approaches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from agents.evaluation.report.source import Evaluation, Row, Seconds, refusals
from agents.evaluation.report.words import REASONS
from signals.capacity import crosswalk_los, junction_los
from signals.junction import Junction
from signals.schedule import ELSEWHERE

_MOST_JUNCTIONS: Final = 12
"""Junctions of a network that the page lists, those where most time is lost."""
_COLUMNS: Final = (
    ("stops", "Stops", "per veh.", 2),
    ("queue_p95_m", "Queue 95 % (대기행렬)", "m", 0),
    ("longest_wait_s", "Longest wait", "s", 0),
    ("pedestrian_delay_s", "People on foot (보행자)", "s each", 1),
    ("bus_delay_s", "Buses (버스)", "s/bus", 1),
    ("person_delay_s", "All people", "s each", 1),
    ("co2_g", "CO2", "g/veh.", 0),
    ("left_over", "Not arrived at the end", "veh.", 0),
)
"""Columns of the comparison beside the delay: metric, heading, unit, digits."""


def columns(evaluation: Evaluation) -> list[tuple[str, str, str, int]]:
    """Columns of the comparison beside the delay: those of which anything was measured.

    Returns:
        Metric, heading, unit and digits of each.
    """
    return [column for column in _COLUMNS if _measured(evaluation, column[0])]


def _measured(evaluation: Evaluation, name: str) -> bool:
    return name == "left_over" or any(row.get(name) is not None for row in evaluation.summary)


def judged_parts(evaluation: Evaluation) -> list[str]:
    """Columns of the level of service: approaches, or the junctions of a network."""
    if evaluation.network:
        return list(evaluation.junctions[:_MOST_JUNCTIONS])
    approaches = evaluation.runs[0]["approaches"]
    return [leg for leg in approaches if leg != ELSEWHERE or approaches[leg]["vehicles"]]


def by_delay(evaluation: Evaluation, period: str) -> list[Row]:
    """A period's summaries, shortest delay first: the order in which agents are compared."""
    rows = [row for row in evaluation.summary if row["period"] == period]
    return sorted(rows, key=lambda row: float(row["delay_s"]))


def comparison(evaluation: Evaluation, period: str) -> list[dict[str, Any]]:
    """What was measured in a period, one row an agent, with its verdict.

    Returns:
        Rows with ``agent``, ``values`` (by metric, in the units of `columns`; delays in s/veh),
        ``ci95`` (s/veh), ``los`` (a dash for a network), whether it is the ``best`` classical one,
        ``difference`` from that one (s/veh) and ``word`` of the verdict (None without), and how
        many of its ``seeds`` are ``flagged``.
    """
    best = evaluation.best_classical(period)
    rows = []
    for row in by_delay(evaluation, period):
        agent, values = str(row["agent"]), dict(row)
        values["left_over"] = float(row["unfinished"]) + float(row["never_inserted"])
        found = evaluation.verdict_of(period, agent)
        rows.append(
            {
                "agent": agent,
                "values": values,
                "ci95": row["ci95"],
                "los": "–" if evaluation.network else junction_los(float(row["delay_s"])),
                "best": agent == best,
                "difference": None if found is None else found["difference_s"],
                "word": None if found is None else found["verdict"],
                "flagged": int(row.get("flagged", 0)),
                "seeds": int(row["seeds"]),
            }
        )
    return rows


def level_of_service(evaluation: Evaluation, period: str) -> list[dict[str, Any]]:
    """Mean delay over days and its level, by approach (of a network: junction), and in all.

    Returns:
        Rows with ``agent``, ``approaches`` (by name), ``junction`` and ``crosswalks`` (None when
        nobody walked); each a delay (s per vehicle or person) and its level of service. The level
        of a whole network is empty.
    """
    rows = []
    for summary in by_delay(evaluation, period):
        agent = str(summary["agent"])
        runs = evaluation.runs_of(period, agent)
        approaches = {}
        part = "junctions" if evaluation.network else "approaches"
        for leg in runs[0][part]:
            delays = [float(run[part][leg]["delay_s"]) for run in runs]
            mean = sum(delays) / len(delays)
            approaches[leg] = (mean, junction_los(mean))
        on_foot = summary.get("pedestrian_delay_s")
        rows.append(
            {
                "agent": agent,
                "approaches": approaches,
                "junction": (
                    summary["delay_s"],
                    "" if evaluation.network else junction_los(float(summary["delay_s"])),
                ),
                "crosswalks": None if on_foot is None else (on_foot, crosswalk_los(float(on_foot))),
            }
        )
    return rows


def refused_wishes(
    evaluation: Evaluation,
    period: str,
    recorded: Mapping[tuple[str, str], Sequence[Seconds]],
) -> dict[str, Any]:
    """How often the guard refused a wish, by reason.

    Args:
        evaluation: The evaluation.
        period: Period of the day.
        recorded: Recorded lights of every period and agent, empty where none were kept.

    Returns:
        ``rows`` with ``agent``, ``seconds`` recorded and ``shares`` of them (%) by reason, without
        agents of which nothing was kept; ``reasons`` that occur, with their words.
    """
    rows: list[dict[str, Any]] = []
    for agent in evaluation.agents:
        runs = recorded[(period, agent)]
        total = sum(len(run.clock_s) for run in runs)
        if total:
            rows.append(
                {
                    "agent": agent,
                    "seconds": total,
                    "shares": {
                        reason: 100.0 * count / total for reason, count in refusals(runs).items()
                    },
                }
            )
    reasons = sorted({reason for row in rows for reason in row["shares"]})
    return {"rows": rows, "reasons": {reason: REASONS.get(reason, reason) for reason in reasons}}


def approach_rows(junction: Junction, streets: Mapping[str, str]) -> list[dict[str, Any]]:
    """The junction as built, one row an approach.

    Args:
        junction: The junction.
        streets: Leg to street name.

    Returns:
        Rows with ``leg``, ``street``, ``lanes`` at the stop line, ``limit_kmh``, ``crossing_m``
        (None without a crosswalk), and in seconds ``walk`` (minimum + flashing) and ``change``
        (yellow + all-red); a dash where there is none.
    """
    rows = []
    for leg in dict.fromkeys(lane.leg for lane in junction.lanes):
        lanes = [lane for lane in junction.lanes if lane.leg == leg]
        walks = [m for m in junction.movements if m.kind == "pedestrian" and m.leg == leg]
        vehicle = [
            junction.timing.groups[group.id]
            for group in junction.groups
            if group.kind != "pedestrian" and group.id.partition(".")[0] == leg
        ]
        walk = junction.timing.groups[walks[0].group] if walks else None
        buses = sum(lane.bus_only for lane in lanes)
        rows.append(
            {
                "leg": leg,
                "street": streets.get(leg, ""),
                "lanes": f"{len(lanes) - buses} + {buses} bus" if buses else f"{len(lanes)}",
                "limit_kmh": round(max(lane.speed_mps for lane in lanes) * 3.6),
                "crossing_m": walks[0].crossing_m if walks else None,
                "walk": f"{walk.min_green_s} + {walk.clearance_s}" if walk else "–",
                "change": f"{vehicle[0].clearance_s} + {vehicle[0].all_red_s}" if vehicle else "–",
            }
        )
    return rows

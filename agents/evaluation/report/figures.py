"""The page's figures, filled from an evaluation: delays, queues, lights, phases, learning curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from agents.evaluation.report import charts
from agents.evaluation.report.drawing import phase_drawing
from agents.evaluation.report.ground import Ground
from agents.evaluation.report.source import (
    Evaluation,
    Row,
    Seconds,
    Training,
    is_classical,
    timeline_window,
)
from agents.evaluation.report.tables import by_delay
from signals.junction import Junction

_LEARNED_COLOURS: Final = ("#0b57a4", "#7b3fb3", "#00796b")
_CLASSICAL: Final = {
    "fixed_time": ("#6f7780", "6 3"),
    "webster": ("#b7791f", "2 2.5"),
    "actuated": ("#a13d63", ""),
    "max_pressure": ("#3d8f86", "9 3 2 3"),
}
_OTHER_COLOURS: Final = ("#8d6e63", "#5d7a2f", "#9c6b98")
_PHASES: Final = (
    "#c9dcf2", "#f6dfb8", "#d6e9cf", "#ecd3e4", "#d9d6ef", "#f3cfc4", "#d3e8e6", "#e6e2c6",
)  # fmt: skip


def line_styles(evaluation: Evaluation) -> dict[str, tuple[str, str]]:
    """Agent to the colour and dash of its lines, the learned ones last; they stand out."""
    styles: dict[str, tuple[str, str]] = {}
    others = iter(_OTHER_COLOURS * 4)
    for agent in evaluation.agents:
        if is_classical(agent):
            styles[agent] = _CLASSICAL.get(agent) or (next(others), "4 2")
    for index, agent in enumerate(evaluation.learned):
        styles[agent] = (_LEARNED_COLOURS[index % len(_LEARNED_COLOURS)], "")
    return styles


def delay_chart(evaluation: Evaluation, period: str, styles: Mapping[str, tuple[str, str]]) -> str:
    """Delay of a period's agents (s/veh) as SVG, on an axis that is the same for all periods.

    Args:
        evaluation: The evaluation.
        period: Period of the day.
        styles: Made by `line_styles`.
    """
    rows = []
    for row in by_delay(evaluation, period):
        agent = str(row["agent"])
        low, high = row["ci95"] or (None, None)
        rows.append(
            charts.Interval(
                evaluation.label(agent),
                styles[agent][0],
                float(row["delay_s"]),
                low,
                high,
                [float(run["delay_s"]) for run in evaluation.runs_of(period, agent)],
                bold=not is_classical(agent),
            )
        )
    highest = max(
        max(float(row["delay_s"]) for row in evaluation.runs),
        # A wide interval of two days must not squeeze everything else into a corner.
        min(
            max(float((row["ci95"] or (0.0, 0.0))[1]) for row in evaluation.summary),
            1.6 * max(float(row["delay_s"]) for row in evaluation.summary),
        ),
    )
    return charts.interval_chart(rows, highest, f"Delay by strategy, {period}")


def queue_charts(
    evaluation: Evaluation, period: str, styles: Mapping[str, tuple[str, str]], focus: str
) -> list[str]:
    """Queue (m) over the time of day as SVG, one chart an approach; empty when none was kept.

    Args:
        evaluation: The evaluation.
        period: Period of the day.
        styles: Made by `line_styles`.
        focus: Junction of a network whose approaches are shown.
    """
    rows = [
        row
        for row in evaluation.queues
        if row["period"] == period
        and (not evaluation.network or str(row["leg"]).rpartition("/")[0] == focus)
    ]
    if not rows:
        return []
    highest = max(float(row["queue_m"]) for row in rows)
    found = []
    for leg in dict.fromkeys(str(row["leg"]) for row in rows):
        series = [
            charts.Series(
                evaluation.label(agent),
                colour,
                [
                    (float(row["time_s"]), float(row["queue_m"]))
                    for row in rows
                    if (row["leg"], row["agent"]) == (leg, agent)
                ],
                bold=not is_classical(agent),
                dash=dash,
            )
            for agent, (colour, dash) in styles.items()
        ]
        found.append(
            charts.line_chart(
                [line for line in series if line.points],
                title=f"Approach {leg}",
                x_label="time of day",
                y_label="queue, m",
                y_high=highest,
                x_clock=True,
            )
        )
    return found


def timelines(
    evaluation: Evaluation,
    junction: Junction,
    period: str,
    recorded: Mapping[tuple[str, str], Sequence[Seconds]],
) -> list[dict[str, str]]:
    """The learned agents' lights, and the plan's (else the best classical agent's) to compare.

    Args:
        evaluation: The evaluation.
        junction: The junction whose lights these are.
        period: Period of the day.
        recorded: Recorded lights of that junction by period and agent.

    Returns:
        ``label``, ``svg`` and ``note`` (phase changes an hour) of each agent whose lights were
        kept.
    """
    other = "fixed_time" if "fixed_time" in evaluation.agents else evaluation.best_classical(period)
    found = []
    for agent in (*evaluation.learned, other):
        runs = recorded.get((period, agent or ""), ())
        if agent is None or not runs:
            continue
        colours = {p.index: _PHASES[p.index % len(_PHASES)] for p in junction.phases}
        window = timeline_window(runs[0])
        shown = charts.timeline(
            junction,
            runs[0],
            window,
            colours,
            f"Lights of {evaluation.label(agent)} in {period}",
        )
        changes = sum(
            before != after
            for run in runs
            for before, after in zip(run.phases, run.phases[1:], strict=False)
        )
        hours = sum(len(run.phases) for run in runs) / 3600.0
        found.append(
            {
                "label": evaluation.label(agent),
                "svg": shown,
                "note": f"{changes / max(hours, 1e-9):.0f} phase changes an hour",
            }
        )
    return found


def phase_figures(
    evaluation: Evaluation, junction: Junction, ground: Ground
) -> list[dict[str, Any]]:
    """Drawing, groups and share of time of every phase.

    Args:
        evaluation: The evaluation.
        junction: The junction, the only one or one of a network.
        ground: Read by `read_ground`.

    Returns:
        ``index``, ``name``, ``groups``, ``svg``, ``shares`` (label and % of time over all periods,
        of the learned agents and the plan) and the ``colour`` of the phase in timelines.
    """
    shown = [*evaluation.learned, *(a for a in ("fixed_time",) if a in evaluation.agents)]
    found = []
    for phase in junction.phases:
        shares = []
        for agent in shown:
            runs: list[Row] = [
                run["junctions"][junction.id] if evaluation.network else run
                for run in evaluation.runs
                if run["agent"] == agent
            ]
            total = sum(sum(run["phase_s"].values()) for run in runs)
            spent = sum(run["phase_s"].get(phase.name, 0) for run in runs)
            if total:
                shares.append((evaluation.label(agent), 100.0 * spent / total))
        found.append(
            {
                "index": phase.index,
                "name": phase.name,
                "groups": ", ".join(phase.groups),
                "svg": phase_drawing(junction, ground, phase),
                "shares": shares,
                "colour": _PHASES[phase.index % len(_PHASES)],
            }
        )
    return found


def learning_curve(training: Training) -> str | None:
    """Delay (s/veh) on validation days while learning as SVG, None before the first validation."""
    if not training.validations:
        return None
    points = [
        (float(row["decisions"]) / 1000.0, float(row["delay_s"])) for row in training.validations
    ]
    return charts.line_chart(
        [charts.Series("validation", _LEARNED_COLOURS[0], points, bold=True)],
        title="Delay on validation days while learning",
        x_label="decisions taken, thousands",
        y_label="delay, s/veh",
        y_high=max(delay_s for _, delay_s in points),
        dots=True,
        height=250,
    )

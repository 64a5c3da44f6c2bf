"""Puts the page together: words, tables and drawings from an evaluation, into one HTML file.

The page fetches nothing: styles, drawings and charts are in it. What the judgement is based on and
what was assumed stands at its end; a verdict of "worse" is printed like one of "better".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from agents.classical import NAMES
from agents.evaluation.report import charts
from agents.evaluation.report.drawing import (
    Ground,
    phase_drawing,
    phase_ground,
    plan_drawing,
    read_ground,
)
from agents.evaluation.report.smallprint import small_print, training_facts
from agents.evaluation.report.source import (
    Evaluation,
    Row,
    Seconds,
    Training,
    is_classical,
    read_training,
    refusals,
    site_facts,
    timeline_window,
)
from agents.evaluation.report.words import PERIODS, REASONS, headline, plan_words
from signals.capacity import crosswalk_los, junction_los
from signals.errors import MissingDependencyError
from signals.junction import Junction
from signals.plan import Plan
from signals.schedule import ELSEWHERE
from signals.world import World

_HOME: Final = Path(__file__).parent
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


def build_page(folder: Path, run: Path | None = None) -> str:
    """The page as HTML.

    Args:
        folder: Written by ``signals evaluate --out``.
        run: Training run whose learning curve is shown; None takes a judged run folder.

    Raises:
        InputError: The folder or the run cannot be used, or the scenario has changed since.
        MissingDependencyError: Jinja2, sumolib or polars is not installed.
    """
    try:
        import jinja2
        from markupsafe import Markup
    except ImportError as error:
        raise MissingDependencyError("Jinja2", "study", "building a page") from error
    evaluation = Evaluation(folder)
    training = _training(evaluation, run)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HOME),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = _number
    environment.filters["svg"] = Markup
    css = (_HOME / "page.css").read_text(encoding="utf-8")
    return environment.get_template("page.html").render(css=css, **_context(evaluation, training))


def _training(evaluation: Evaluation, run: Path | None) -> Training | None:
    if run is not None:
        return read_training(run)
    for agent in evaluation.learned:
        folder = Path(agent).expanduser()
        if (folder / "validation.jsonl").is_file() and (folder / "config.json").is_file():
            return read_training(folder)
    return None


def _context(evaluation: Evaluation, training: Training | None) -> dict[str, Any]:
    worlds = evaluation.worlds()
    first = next(iter(worlds.values()))
    title, streets, provenance = site_facts(evaluation.scenario)
    focus = evaluation.junctions[0] if evaluation.network else first.junction.id
    drawn = _junction(first, focus)
    ground = read_ground(first.net_file, drawn)
    recorded = _recorded(evaluation, "")
    shown = _recorded(evaluation, focus) if evaluation.network else recorded
    styles = _styles(evaluation)
    return {
        "title": title,
        "subtitle": _subtitle(evaluation, worlds),
        "headlines": [
            headline(evaluation, period, agent, _period_words(evaluation, worlds[period]))
            for period in evaluation.periods
            for agent in evaluation.learned
        ],
        "best": {period: evaluation.best_classical(period) for period in evaluation.periods},
        "periods": [
            {
                "name": period,
                "words": _period_words(evaluation, worlds[period]),
                "delay_chart": _delay_chart(evaluation, period, styles),
                "rows": _comparison(evaluation, period),
                "los": _level_of_service(evaluation, period),
                "queues": _queue_charts(evaluation, period, styles, focus),
                "timelines": _timelines(
                    evaluation, _junction(worlds[period], focus), period, shown
                ),
                "plan": _plan_words(evaluation, worlds[period], focus),
                "guard": _guard_rows(evaluation, period, recorded),
            }
            for period in evaluation.periods
        ],
        "columns": [column for column in _COLUMNS if _shown(evaluation, column[0])],
        "legs": _judged_parts(evaluation),
        "network": evaluation.network,
        "focus": focus,
        "junction_count": len(first.junctions),
        "drawing": plan_drawing(drawn, ground, streets),
        "approaches": _approaches(drawn, streets),
        "phase_ground": phase_ground(ground),
        "patterns": charts.patterns(),
        "phases": _phases(evaluation, drawn, ground),
        "legend": [
            {
                "label": evaluation.label(agent),
                "colour": colour,
                "dash": dash,
                "bold": not is_classical(agent),
            }
            for agent, (colour, dash) in styles.items()
        ],
        "keys": {
            name: charts.key(name) for name in ("green", "yellow", "flashing", "red", "refused")
        },
        "agents": {
            agent: {
                "label": evaluation.label(agent),
                "learned": not is_classical(agent),
                "words": NAMES.get(agent.partition(":")[0], "learned policy (학습 기반)"),
            }
            for agent in evaluation.agents
        },
        "flags": [
            f"{run['period']}, {evaluation.label(str(run['agent']))}, day {run['seed']}: {flag}"
            for run in evaluation.runs
            for flag in run.get("flags", ())
        ],
        "curve": None if training is None else _curve(training),
        "training": None if training is None else training_facts(training),
        "small_print": small_print(evaluation, training, provenance),
    }


def _junction(world: World, name: str) -> Junction:
    return next(item for item in world.junctions if item.id == name)


def _recorded(evaluation: Evaluation, junction: str) -> dict[tuple[str, str], list[Seconds]]:
    """Recorded lights by period and agent; those of one junction, or of all when empty."""
    return {
        (period, agent): [
            found
            for row in evaluation.runs_of(period, agent)
            if (found := evaluation.seconds(row, junction)) is not None
        ]
        for period in evaluation.periods
        for agent in evaluation.agents
    }


def _judged_parts(evaluation: Evaluation) -> list[str]:
    """Columns of the level of service: approaches, or the junctions of a network."""
    if evaluation.network:
        return list(evaluation.junctions[:_MOST_JUNCTIONS])
    approaches = evaluation.runs[0]["approaches"]
    return [leg for leg in approaches if leg != ELSEWHERE or approaches[leg]["vehicles"]]


def _number(value: object, digits: int = 1) -> str:
    if not isinstance(value, int | float):
        return "–"
    text = f"{value:,.{digits}f}"
    return text.replace("-", "\N{MINUS SIGN}") if float(value) < 0 else text


def _period_words(evaluation: Evaluation, world: World) -> str:
    name = PERIODS.get(world.period, world.period)
    length_s = evaluation.config.get("duration_s") or world.end_s
    end_s = min(world.end_s, world.begin_s + int(length_s))
    return f"{name}, {charts.clock(world.begin_s)}-{charts.clock(end_s)}"


def _subtitle(evaluation: Evaluation, worlds: Mapping[str, World]) -> str:
    days = len(evaluation.seeds)
    return (
        f"{len(evaluation.agents)} control strategies, the same {days} simulated demand "
        f"day{'s' if days > 1 else ''} for each: "
        + "; ".join(_period_words(evaluation, world) for world in worlds.values())
    )


def _styles(evaluation: Evaluation) -> dict[str, tuple[str, str]]:
    """Agent to colour and dash; the learned ones stand out."""
    styles: dict[str, tuple[str, str]] = {}
    others = iter(_OTHER_COLOURS * 4)
    for agent in evaluation.agents:
        if is_classical(agent):
            styles[agent] = _CLASSICAL.get(agent) or (next(others), "4 2")
    for index, agent in enumerate(evaluation.learned):
        styles[agent] = (_LEARNED_COLOURS[index % len(_LEARNED_COLOURS)], "")
    return styles


def _by_delay(evaluation: Evaluation, period: str) -> list[Row]:
    """The period's summaries, shortest delay first."""
    rows = [row for row in evaluation.summary if row["period"] == period]
    return sorted(rows, key=lambda row: float(row["delay_s"]))


def _delay_chart(evaluation: Evaluation, period: str, styles: Mapping[str, tuple[str, str]]) -> str:
    rows = []
    for row in _by_delay(evaluation, period):
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


def _shown(evaluation: Evaluation, name: str) -> bool:
    return name == "left_over" or any(row.get(name) is not None for row in evaluation.summary)


def _comparison(evaluation: Evaluation, period: str) -> list[dict[str, Any]]:
    best = evaluation.best_classical(period)
    rows = []
    for row in _by_delay(evaluation, period):
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


def _level_of_service(evaluation: Evaluation, period: str) -> list[dict[str, Any]]:
    """Mean delay over days and its level, by approach (of a network: junction), and in all."""
    rows = []
    for summary in _by_delay(evaluation, period):
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


def _queue_charts(
    evaluation: Evaluation, period: str, styles: Mapping[str, tuple[str, str]], focus: str
) -> list[str]:
    """One chart an approach; of a network, the approaches of one junction."""
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


def _timelines(
    evaluation: Evaluation,
    junction: Junction,
    period: str,
    recorded: Mapping[tuple[str, str], Sequence[Seconds]],
) -> list[dict[str, str]]:
    """The learned agents' lights, and the plan's (else the best classical agent's) to compare."""
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


def _plan_words(evaluation: Evaluation, world: World, focus: str) -> str:
    """The plan that was judged, which the site file may have left behind since."""
    entry = evaluation.config["periods"][world.period]
    stored = entry["junctions"][focus]["plan"] if "junctions" in entry else entry.get("plan")
    junction = _junction(world, focus)
    plan = Plan.from_dict(stored) if stored else world.plans[world.junctions.index(junction)]
    return plan_words(junction, plan)


def _guard_rows(
    evaluation: Evaluation,
    period: str,
    recorded: Mapping[tuple[str, str], Sequence[Seconds]],
) -> dict[str, Any]:
    """Share of seconds in which a wish was refused, by reason; empty when nothing was kept."""
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


def _approaches(junction: Junction, streets: Mapping[str, str]) -> list[dict[str, Any]]:
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


def _phases(evaluation: Evaluation, junction: Junction, ground: Ground) -> list[dict[str, Any]]:
    """Drawing, groups and share of time of every phase."""
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


def _curve(training: Training) -> str | None:
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

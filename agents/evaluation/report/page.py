"""Puts the page together: words, tables and figures from an evaluation, into one HTML file.

The page fetches nothing: styles, drawings and charts are in it. What the judgement is based on and
what was assumed stands at its end; a verdict of "worse" is printed like one of "better".
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from agents.classical import NAMES
from agents.evaluation.report import charts
from agents.evaluation.report.drawing import phase_ground, plan_drawing
from agents.evaluation.report.figures import (
    delay_chart,
    learning_curve,
    line_styles,
    phase_figures,
    queue_charts,
    timelines,
)
from agents.evaluation.report.ground import read_ground
from agents.evaluation.report.smallprint import small_print, training_facts
from agents.evaluation.report.source import (
    Evaluation,
    Seconds,
    Training,
    is_classical,
    read_training,
    site_facts,
)
from agents.evaluation.report.tables import (
    approach_rows,
    columns,
    comparison,
    judged_parts,
    level_of_service,
    refused_wishes,
)
from agents.evaluation.report.words import PERIODS, headline, plan_words
from signals.errors import MissingDependencyError
from signals.junction import Junction
from signals.plan import Plan
from signals.world import World

_HOME: Final = Path(__file__).parent


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
    styles = line_styles(evaluation)
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
                "delay_chart": delay_chart(evaluation, period, styles),
                "rows": comparison(evaluation, period),
                "los": level_of_service(evaluation, period),
                "queues": queue_charts(evaluation, period, styles, focus),
                "timelines": timelines(evaluation, _junction(worlds[period], focus), period, shown),
                "plan": _plan_words(evaluation, worlds[period], focus),
                "guard": refused_wishes(evaluation, period, recorded),
            }
            for period in evaluation.periods
        ],
        "columns": columns(evaluation),
        "legs": judged_parts(evaluation),
        "network": evaluation.network,
        "focus": focus,
        "junction_count": len(first.junctions),
        "drawing": plan_drawing(drawn, ground, streets),
        "approaches": approach_rows(drawn, streets),
        "phase_ground": phase_ground(ground),
        "patterns": charts.patterns(),
        "phases": phase_figures(evaluation, drawn, ground),
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
        "curve": None if training is None else learning_curve(training),
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


def _plan_words(evaluation: Evaluation, world: World, focus: str) -> str:
    """The plan that was judged, which the site file may have left behind since."""
    entry = evaluation.config["periods"][world.period]
    stored = entry["junctions"][focus]["plan"] if "junctions" in entry else entry.get("plan")
    junction = _junction(world, focus)
    plan = Plan.from_dict(stored) if stored else world.plans[world.junctions.index(junction)]
    return plan_words(junction, plan)

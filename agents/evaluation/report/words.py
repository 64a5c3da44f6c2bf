"""The page's words: the verdict in one sentence, periods, plans, the guard's reasons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from agents.evaluation.report.charts import clock
from agents.evaluation.report.source import Evaluation, Row
from signals.junction import Junction
from signals.plan import Plan

PERIODS: Final = {
    "am_peak": "morning peak (오전 첨두)",
    "midday": "midday (주간)",
    "pm_peak": "evening peak (오후 첨두)",
    "night": "night (심야)",
}
REASONS: Final = {
    "clearance": "lights were changing",
    "min_green": "minimum green ran",
    "pedestrian": "people were walking",
    "max_red": "somebody waited too long",
    "max_green": "maximum green was over",
    "invalid": "no such phase",
}
_TITLES: Final = {
    "better": "Better than the best classical control",
    "worse": "Worse than the best classical control",
    "no difference": "No difference shown from the best classical control",
    "undecided": "Undecided",
    "none": "No verdict",
}
_SIDES: Final = (
    ("pedestrian_delay_s", "people on foot", "s each"),
    ("bus_delay_s", "buses", "s/bus"),
    ("person_delay_s", "all people", "s each"),
)


@dataclass(frozen=True)
class Headline:
    """The verdict on one learned agent in one period.

    Attributes:
        kind: ``better``, ``worse``, ``no difference``, ``undecided`` or ``none``.
        title: The verdict in a few words.
        period: Period and its hours.
        sentence: The verdict in full.
        interval: Difference and ratio with their intervals, empty without.
        sides: What else differs: people on foot, buses, all people.
    """

    kind: str
    title: str
    period: str
    sentence: str
    interval: str
    sides: str


def headline(evaluation: Evaluation, period: str, agent: str, period_words: str) -> Headline:
    """Say how a learned agent did.

    Args:
        evaluation: The evaluation.
        period: Period of the day.
        agent: The learned agent.
        period_words: The period as people say it.
    """
    label = evaluation.label(agent)
    found = evaluation.verdict_of(period, agent)
    if found is None:
        sentence = (
            f"The learned policy {label} was judged without a classical strategy beside it, so "
            "that nothing can be said about it."
        )
        return Headline("none", _TITLES["none"], period_words, sentence, "", "")
    kind, against = str(found["verdict"]), str(found["against"])
    return Headline(
        kind=kind,
        title=_TITLES.get(kind, kind),
        period=period_words,
        sentence=_sentence(kind, label, against, found),
        interval=_interval(found),
        sides=_sides(evaluation, period, agent, against),
    )


def _sentence(kind: str, label: str, against: str, found: Row) -> str:
    by = abs(float(found["difference_s"]))
    percent = abs(float(found["ratio"]) - 1.0) * 100.0
    mine = f"the learned policy {label}"
    rival = f"{against}, the best classical strategy on these days"
    if kind == "better":
        return f"With {mine} a vehicle loses {by:.1f} s less ({percent:.0f} %) than with {rival}."
    if kind == "worse":
        return (
            f"With {mine} a vehicle loses {by:.1f} s more ({percent:.0f} %) than with {rival}. "
            f"Do not put this policy on the street; {against} serves the junction better."
        )
    way = "more" if float(found["difference_s"]) > 0 else "less"
    if kind == "no difference":
        return (
            f"Between {mine} and {rival}, no difference in delay can be shown: on average a "
            f"vehicle loses {by:.1f} s {way}, but the 95 % interval holds zero."
        )
    if found.get("difference_ci95"):
        return (
            f"With {mine} a vehicle loses on average {by:.1f} s {way} ({percent:.0f} %) than with "
            f"{rival}, but {found['seeds']} days scatter too much to decide; judge more of them "
            "(--seeds)."
        )
    return (
        f"The learned policy {label} was compared with {rival} on one day only, which decides "
        "nothing; judge it on more days (--seeds)."
    )


def _interval(found: Row) -> str:
    mean, ratio = float(found["difference_s"]), float(found["ratio"])
    if not found.get("difference_ci95") or not found.get("ratio_ci95"):
        return f"Difference {signed(mean)} s/veh, ratio {ratio:.2f}, one day."
    low, high = (float(value) for value in found["difference_ci95"])
    ratio_low, ratio_high = (float(value) for value in found["ratio_ci95"])
    return (
        f"Difference {signed(mean)} s/veh, 95 % interval {signed(low)} to {signed(high)}; "
        f"ratio {ratio:.2f}, {ratio_low:.2f} to {ratio_high:.2f}; "
        f"{found['seeds']} days, compared day by day."
    )


def _sides(evaluation: Evaluation, period: str, agent: str, against: str) -> str:
    mine = evaluation.summary_of(period, agent) or {}
    theirs = evaluation.summary_of(period, against) or {}
    parts = [
        f"{words} {float(mine[name]):.1f} against {float(theirs[name]):.1f} {unit}"
        for name, words, unit in _SIDES
        if mine.get(name) is not None and theirs.get(name) is not None
    ]
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def signed(value: float, digits: int = 1) -> str:
    """A number with its sign; minus as the typographic one."""
    return f"{value:+.{digits}f}".replace("-", "\N{MINUS SIGN}")


def plan_words(junction: Junction, plan: Plan) -> str:
    """Cycle, offset and steps of a plan, and of those that take over later in the day."""
    found = [_steps_words(junction, plan)]
    found += [f"from {clock(at_s)} {_steps_words(junction, later)}" for at_s, later in plan.later]
    return "; ".join(found)


def _steps_words(junction: Junction, plan: Plan) -> str:
    steps = []
    for groups, seconds in plan.steps:
        phase = junction.phase_of(groups)
        steps.append(f"{phase.index if phase else '?'} for {seconds} s")
    return f"cycle {plan.cycle_s} s (주기), offset {plan.offset_s} s: phase " + ", ".join(steps)

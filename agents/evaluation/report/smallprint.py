"""What the judgement is based on, said plainly at the end of the page."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from agents.evaluation.report.source import Evaluation, Provenance, Training
from scenarios.demand import HELD_OUT_SEEDS, TRAINING_SEEDS, VALIDATION_SEEDS

DELAY = (
    "Time lost against free driving, plus the wait of vehicles that could not enter, "
    "summed over all vehicles scheduled in the period (those that did not arrive, too) and divided "
    "by their number."
)
INTERVALS = (
    "95 %, Student's t over demand days. Strategies are compared day by day on the same "
    "days. The best classical strategy is chosen on these very days, which favours it."
)
START = (
    "Each run begins with an empty network at the begin of the period and ends at its end; there "
    "is no warm-up."
)
LIGHTS = (
    "Every strategy, the fixed plan included, acts through the same guard, which alone decides the "
    "lights: minimum green, yellow, all-red, walk, flashing clearance and maximum red hold for all."
)
MODEL = "Everything here is simulated (SUMO), not measured on the street."
SOUND = "Detectors report without faults."
FAULTY = "Detectors report with these faults, drawn anew each day and alike for every strategy: "


def small_print(
    evaluation: Evaluation, training: Training | None, provenance: Provenance | None
) -> list[tuple[str, str]]:
    """Headings and texts.

    Args:
        evaluation: The evaluation.
        training: The training run that is shown, if any.
        provenance: How much of the site is assumed, when it is known.
    """
    rows = [
        ("What it is", " ".join((MODEL, *_notes(evaluation)))),
        ("Detectors (검지기)", _detectors(evaluation)),
        ("Demand days", _days(evaluation)),
        ("Delay (지체)", DELAY),
        ("Intervals", INTERVALS),
        ("Runs", START + _jams(evaluation) + _shortened(evaluation)),
        ("Lights", LIGHTS),
        ("Site", _site(evaluation, provenance)),
    ]
    if training is not None:
        rows.append(("Training", _training(evaluation, training)))
    rows.append(("Versions", _versions(evaluation)))
    return rows


def training_facts(training: Training) -> list[tuple[str, str]]:
    """The training run as a table."""
    config, best = training.config, training.best
    interval_s = int(config["hyperparameters"].get("decision_interval_s", 5))
    rows = [
        ("Scenario", f"{config.get('scenario', '–')}, {', '.join(config.get('periods', ()))}"),
        ("Algorithm", f"{str(config.get('algo', 'dqn')).upper()}, seed {config.get('seed', '–')}"),
    ]
    if training.validations:
        last = training.validations[-1]
        hours = training.decisions * interval_s / 3600.0
        rows.append(
            (
                "Length",
                f"{training.decisions:,} decisions, {hours:,.0f} h of simulated control"
                + (f", {float(last['elapsed_s']) / 60:.1f} min" if "elapsed_s" in last else ""),
            )
        )
    if best is not None:
        rows.append(
            (
                "Kept weights",
                f"after {int(best['decisions']):,} decisions: {float(best['delay_s']):.1f} s/veh "
                f"on validation days ({len(best.get('runs', ()))} runs)",
            )
        )
    return rows


def _detectors(evaluation: Evaluation) -> str:
    faults = evaluation.config.get("faults", ())
    return f"{FAULTY}{'; '.join(faults)}." if faults else SOUND


def _notes(evaluation: Evaluation) -> list[str]:
    return [f"{note[:1].upper()}{note[1:]}." for note in evaluation.config.get("notes", ())]


def _days(evaluation: Evaluation) -> str:
    seeds = evaluation.seeds
    text = f"{len(seeds)} days, seeds {ranges(seeds)}. "
    if all(seed in HELD_OUT_SEEDS for seed in seeds):
        return text + (
            f"They are held out: training draws from {TRAINING_SEEDS.start} to "
            f"{TRAINING_SEEDS.stop - 1}, the weights are chosen on days from "
            f"{VALIDATION_SEEDS.start} to {VALIDATION_SEEDS.stop - 1}."
        )
    return text + (
        f"NOT held out: days below {HELD_OUT_SEEDS.start} serve training and validation, so that a "
        "learned policy may have seen them."
    )


def ranges(values: Sequence[int]) -> str:
    """Numbers in a short form: ``1-3, 7``."""
    found: list[list[int]] = []
    for value in sorted(set(values)):
        if found and value == found[-1][1] + 1:
            found[-1][1] = value
        else:
            found.append([value, value])
    return ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in found)


def _jams(evaluation: Evaluation) -> str:
    options = [
        option
        for period in evaluation.config["periods"].values()
        for option in (*period.get("sumo_options", ()), *evaluation.config.get("sumo", ()))
    ]
    limits = {
        after for option, after in itertools.pairwise(options) if option == "--time-to-teleport"
    }
    if limits == {"-1"}:
        return " Nothing is taken off the street to dissolve a jam."
    return " SUMO may take vehicles out of a jam (teleport); runs in which it did are named above."


def _shortened(evaluation: Evaluation) -> str:
    duration_s = evaluation.config.get("duration_s")
    if not duration_s:
        return ""
    return (
        f" These runs were ended after {int(duration_s) / 60:g} minutes, before queues had the "
        "whole period to grow."
    )


def _site(evaluation: Evaluation, provenance: Provenance | None) -> str:
    if provenance is None:
        return (
            f"Scenario {evaluation.scenario}; nothing is known about where its numbers come from."
        )
    return (
        f"{provenance.assumed} of {provenance.total} numbers that describe {evaluation.scenario} "
        "are assumed, the others are read in public sources or measured from public data. List "
        f"them with: signals scenario show {evaluation.scenario} --sources"
    )


def _training(evaluation: Evaluation, training: Training) -> str:
    best = training.best
    if best is None:
        return "The training run has validated nothing yet."
    periods = set(training.config.get("periods", ()))
    text = (
        f"{training.decisions:,} decisions; the weights that did best on the validation days are "
        "judged, not the last ones and not those that did best on the days reported here."
    )
    unseen = [period for period in evaluation.periods if periods and period not in periods]
    if unseen:
        text += f" It was not trained on {', '.join(unseen)}."
    return text


def _versions(evaluation: Evaluation) -> str:
    versions = evaluation.config.get("versions", {})
    text = ", ".join(f"{name} {number}" for name, number in versions.items()) or "not recorded"
    revision = evaluation.config.get("git_revision")
    return f"{text}; revision {str(revision)[:12]}" if revision else f"{text}; no revision recorded"

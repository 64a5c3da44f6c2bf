"""``signals registry``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from controllers.registry.commands import (
    author,
    by_options,
    engine_at,
    json_option,
    opened_registry,
    registry_option,
    say,
    shown,
    time_text,
    trust_option,
)
from controllers.registry.keys_cli import keys
from signals.errors import InputError

if TYPE_CHECKING:
    from controllers.registry.store import Registry
    from controllers.registry.tables import Decision, Override


@click.group()
def registry() -> None:
    """Bundles, their deployments, overrides and keys, and who changed what and why."""


@registry.command()
@registry_option
@json_option
def init(address: str | None, as_json: bool) -> None:
    """Make a registry, or bring an older one up to date."""
    from controllers.registry.database import migrate, where

    engine = engine_at(address)
    revision = migrate(engine)
    say(
        {"registry": where(engine), "revision": revision},
        f"{where(engine)} is a registry of revision {revision}",
        as_json,
    )


@registry.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@registry_option
@trust_option
@by_options
@json_option
def add(
    bundle: Path,
    address: str | None,
    trust: tuple[str, ...],
    who: str | None,
    why: str,
    as_json: bool,
) -> None:
    """Keep BUNDLE, if somebody we trust has signed it."""
    from controllers.bundle import trusted_keys

    row = opened_registry(address).add_bundle(bundle, trusted_keys(trust), author(who, why))
    text = f"bundle {row.hash[:12]} '{row.name}' for junction {row.junction} is kept"
    say(shown(row, "content"), text, as_json)


@registry.command(name="list")
@registry_option
@json_option
def list_(address: str | None, as_json: bool) -> None:
    """List bundles and what is deployed where."""
    from controllers.registry.change import now_ms

    found = opened_registry(address)
    bundles, deployments = found.bundles(), found.deployments()
    overrides = found.overrides()
    lines = ["bundles:"]
    lines += [
        f"  {row.hash[:12]} {row.name} for {row.junction}, {time_text(row.at_ms)} by {row.who}"
        for row in bundles
    ]
    lines.append("junctions:")
    for name, row in sorted(deployments.items()):
        bundle = (row.bundle_hash or "none")[:12]
        line = f"  {name}: {bundle} {row.stage}, {time_text(row.at_ms)} by {row.who}: {row.why}"
        over = overrides.get(name)
        if over is not None and over.holds(now_ms()):
            line += f"; override {over.kind} by {over.who}: {over.why}"
        lines.append(line)
    document = {
        "bundles": [shown(row, "content") for row in bundles],
        "deployments": [shown(row) for _, row in sorted(deployments.items())],
        "overrides": [shown(row) for _, row in sorted(overrides.items())],
    }
    say(document, "\n".join(lines), as_json)


@registry.command()
@click.argument("junction")
@registry_option
@click.option(
    "--decisions",
    "count",
    type=click.IntRange(0, 10_000),
    default=5,
    show_default=True,
    help="Last decisions to show.",
)
@json_option
def show(junction: str, address: str | None, count: int, as_json: bool) -> None:
    """Show what happened at JUNCTION: its deployments, what the policy chose, its last decisions.

    What the policy would choose is there on every stage, also where the plan drives.
    """
    found = opened_registry(address)
    from controllers.registry.change import now_ms
    from signals.errors import UnknownNameError

    history = found.history(junction)
    if not history:
        raise UnknownNameError("junction", junction, found.deployments())
    decisions = found.decisions(junction, limit=count) if count else []
    last = decisions[-1:] or found.decisions(junction, limit=1)
    choice = _choice(last[0], now_ms()) if last else None
    lines = [
        f"{row.number}. {(row.bundle_hash or 'none')[:12]} {row.stage}, {time_text(row.at_ms)} by "
        f"{row.who}: {row.why}"
        for row in history
    ]
    lines += [
        f"{time_text(row.at_ms)} poll {row.sequence}: policy {_phase(row.wish)}; "
        f"street {_street(row)}"
        for row in decisions
    ]
    if choice is not None:
        lines.append(
            f"last choice of the policy: {_phase(choice['phase'])}, {choice['age_s']:.0f} s ago, "
            f"stage {choice['stage']}, {'' if choice['acts'] else 'not '}acting"
        )
    document = {
        "last_choice": choice,
        "deployments": [shown(row) for row in history],
        "decisions": [shown(row) for row in decisions],
    }
    say(document, "\n".join(lines), as_json)


@registry.command()
@click.argument("bundle")
@click.option(
    "--stage",
    type=click.Choice(("shadow", "recommend", "canary", "switchback", "deploy")),
    default="shadow",
    show_default=True,
    help="How far it may go.",
)
@click.option(
    "--window",
    "windows",
    multiple=True,
    metavar="HH:MM-HH:MM",
    help="Canary: act in this time of day; repeat it for more.",
)
@click.option("--block", "block_s", type=int, help="Switchback: length of a block (s).")
@click.option("--option", "options", multiple=True, metavar="NAME=VALUE", help="Further limits.")
@click.option("--new-street", is_flag=True, help="Phases or timing of the junction have changed.")
@registry_option
@trust_option
@by_options
@json_option
def deploy(
    bundle: str,
    stage: str,
    windows: tuple[str, ...],
    block_s: int | None,
    options: tuple[str, ...],
    new_street: bool,
    address: str | None,
    trust: tuple[str, ...],
    who: str | None,
    why: str,
    as_json: bool,
) -> None:
    """Let BUNDLE (hash or name) serve its junction.

    Further limits, with their defaults: watch_s=300, least=20, vetoes=0.3, stale=0.3, drift=0.2,
    worse=true, trim_s=300, seed=0. When one is broken, the service steps back to shadow by itself.
    """
    from controllers.bundle import trusted_keys
    from controllers.rollout import RolloutOptions
    from signals.drift import NO_RANGES, TrainedRanges

    given: dict[str, Any] = dict(_pair(text) for text in options)
    unknown = set(given) - set(RolloutOptions.model_fields)
    if unknown:
        raise InputError(
            f"unknown option {', '.join(sorted(unknown))}; allowed: "
            f"{', '.join(RolloutOptions.model_fields)}"
        )
    if windows:
        given["windows"] = windows
    if block_s is not None:
        given["block_s"] = block_s
    chosen = RolloutOptions.read(given).model_dump(mode="json")
    found = opened_registry(address)
    opened = found.opened(bundle, trusted_keys(trust))
    row = found.deploy(opened, stage, author(who, why), chosen, new_street)
    if chosen["drift"] < 1 and not TrainedRanges(opened.contract.training).known:
        click.echo(f"note: drift of readings is not watched: {NO_RANGES}", err=True)
    say(shown(row), f"{row.junction}: bundle {opened.hash[:12]} {stage}", as_json)
    _note_override(found, row.junction)


@registry.command()
@click.argument("junction")
@registry_option
@by_options
@json_option
def rollback(junction: str, address: str | None, who: str | None, why: str, as_json: bool) -> None:
    """Go back to what was deployed at JUNCTION before, in one step."""
    found = opened_registry(address)
    row = found.rollback(junction, author(who, why))
    bundle = (row.bundle_hash or "none")[:12]
    say(shown(row), f"{junction}: back to bundle {bundle}, {row.stage}", as_json)
    _note_override(found, junction)


@registry.command()
@click.argument("junction")
@click.option("--phase", type=int, help="Hold this phase; the controller's own plan without it.")
@click.option("--minutes", type=click.FloatRange(0, 1440, min_open=True), help="End by itself.")
@registry_option
@by_options
@json_option
def override(
    junction: str,
    phase: int | None,
    minutes: float | None,
    address: str | None,
    who: str | None,
    why: str,
    as_json: bool,
) -> None:
    """Take JUNCTION from the policy: onto its own plan, or into one phase."""
    found = opened_registry(address)
    from controllers.registry.change import now_ms

    until = None if minutes is None else now_ms() + round(60_000 * minutes)
    kind = "local_plan" if phase is None else "hold"
    row = found.override(junction, kind, author(who, why), phase, until)
    text = "its own plan" if phase is None else f"phase {phase}, as far as the guard grants it"
    say(shown(row), f"{junction}: {text}, {_end(row)}", as_json)


@registry.command()
@click.argument("junction")
@registry_option
@by_options
@json_option
def release(junction: str, address: str | None, who: str | None, why: str, as_json: bool) -> None:
    """Give JUNCTION back to what is deployed there."""
    row = opened_registry(address).override(junction, "release", author(who, why))
    say(shown(row), f"{junction}: released", as_json)


@registry.command()
@click.argument("junction")
@registry_option
@json_option
def evaluate(junction: str, address: str | None, as_json: bool) -> None:
    """Compare the delay at JUNCTION under its bundle and under its plan."""
    from controllers.registry.samples import evaluation

    found = evaluation(opened_registry(address), junction)
    text = f"{junction}: {found.verdict}, {found.pairs} pairs"
    if found.difference_s is not None:
        text += f", {found.on_s:.1f} s/veh against {found.off_s:.1f}, {found.difference_s:+.1f}"
    if found.low_s is not None and found.high_s is not None:
        text += f" (95 % interval {found.low_s:+.1f} to {found.high_s:+.1f})"
    say(found.to_dict(), text, as_json)


@registry.command()
@click.option("--after", type=click.IntRange(0), default=0, help="Only changes after this one.")
@registry_option
@json_option
def audit(after: int, address: str | None, as_json: bool) -> None:
    """List every change: who, when, what, why."""
    found = opened_registry(address)
    rows: list[Any] = []
    while page := found.audit(rows[-1].id if rows else after):
        rows += page
    lines = [
        f"{row.id}. {time_text(row.at_ms)} {row.who}: {row.what} {row.object[:40]} ({row.why})"
        for row in rows
    ]
    say([shown(row) for row in rows], "\n".join(lines), as_json)


@registry.command()
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder."
)
@registry_option
@json_option
def export(out: Path, address: str | None, as_json: bool) -> None:
    """Write decisions, events, deployments, overrides and audit as parquet files."""
    from controllers.registry.retention import export as write

    counts = write(opened_registry(address), out)
    text = ", ".join(f"{count} {name}" for name, count in counts.items())
    say(counts, f"{out}: {text}", as_json)


@registry.command()
@click.option(
    "--keep-days",
    type=click.IntRange(1, 36_500),
    default=90,
    show_default=True,
    help="Decisions and events of so many days stay.",
)
@registry_option
@by_options
@json_option
def prune(keep_days: int, address: str | None, who: str | None, why: str, as_json: bool) -> None:
    """Delete old decisions and events; nothing else is ever deleted."""
    from controllers.registry.retention import prune as remove

    gone = remove(opened_registry(address), keep_days, author(who, why))
    say(gone, ", ".join(f"{count} {name}" for name, count in gone.items()) + " deleted", as_json)


registry.add_command(keys)


def _note_override(found: Registry, junction: str) -> None:
    """Say that a change of the deployment is not followed yet, where an override holds."""
    from controllers.registry.change import now_ms

    over = found.override_at(junction, now_ms())
    if over is not None:
        what = over.kind if over.phase is None else f"{over.kind} phase {over.phase}"
        click.echo(
            f"note: override '{what}' by {over.who} ({over.why}) still comes first at {junction}, "
            f"{_end(over)}; end it with 'signals registry release {junction}'",
            err=True,
        )


def _choice(row: Decision, now_ms: int) -> dict[str, Any]:
    """What the policy chose at a poll, whether it was to act or not."""
    stage, _, acting = row.stage.partition("/")
    age_s = max(0.0, (now_ms - row.at_ms) / 1000)
    return {"phase": row.wish, "age_s": age_s, "stage": stage, "acts": acting == "on"}


def _phase(phase: int | None) -> str:
    return "no choice" if phase is None else f"phase {phase}"


def _street(row: Decision) -> str:
    phase = "" if row.phase is None else _phase(row.phase)
    return " ".join(part for part in (phase, row.reason, row.why) if part)


def _end(override: Override) -> str:
    return (
        "until released" if override.until_ms is None else f"until {time_text(override.until_ms)}"
    )


def _pair(text: str) -> tuple[str, str]:
    name, mark, value = text.partition("=")
    if not mark:
        raise InputError(f"'{text}' is no option; give NAME=VALUE")
    return name, value

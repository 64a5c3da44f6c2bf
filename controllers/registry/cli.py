"""``signals registry``."""

from __future__ import annotations

import getpass
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

import click

from signals.errors import InputError, MissingDependencyError, OutputError

if TYPE_CHECKING:
    from controllers.registry.store import Author, Registry
    from controllers.registry.tables import Decision, Override

_F = TypeVar("_F", bound=Callable[..., Any])

_registry_option = click.option(
    "--registry",
    "address",
    envvar="SEOUL_SIGNALS_REGISTRY",
    show_envvar=True,
    metavar="ADDRESS",
    help="A file, or postgresql://USER@HOST/NAME; the user's own file when not given.",
)
_json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
_trust_option = click.option(
    "--trust",
    multiple=True,
    metavar="KEY",
    help="Public key (64 hex digits, or a file) whose bundles count, beside the key folder's.",
)


def _by_options(command: _F) -> _F:
    """Who and why, which every change asks for."""
    command = click.option("--why", required=True, help="Why; kept for good.")(command)
    return click.option("--as", "who", help="Who; the user of this machine when not given.")(
        command
    )


@click.group()
def registry() -> None:
    """Bundles, their deployments, overrides and keys, and who changed what and why."""


@registry.command()
@_registry_option
@_json_option
def init(address: str | None, as_json: bool) -> None:
    """Make a registry, or bring an older one up to date."""
    from controllers.registry.database import migrate, where

    engine = _engine(address)
    revision = migrate(engine)
    _say(
        {"registry": where(engine), "revision": revision},
        f"{where(engine)} is a registry of revision {revision}",
        as_json,
    )


@registry.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@_registry_option
@_trust_option
@_by_options
@_json_option
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

    row = _open(address).add_bundle(bundle, trusted_keys(trust), _author(who, why))
    text = f"bundle {row.hash[:12]} '{row.name}' for junction {row.junction} is kept"
    _say(_shown(row, "content"), text, as_json)


@registry.command(name="list")
@_registry_option
@_json_option
def list_(address: str | None, as_json: bool) -> None:
    """List bundles and what is deployed where."""
    from controllers.registry.store import now_ms

    found = _open(address)
    bundles, deployments = found.bundles(), found.deployments()
    overrides = found.overrides()
    lines = ["bundles:"]
    lines += [
        f"  {row.hash[:12]} {row.name} for {row.junction}, {_time(row.at_ms)} by {row.who}"
        for row in bundles
    ]
    lines.append("junctions:")
    for name, row in sorted(deployments.items()):
        bundle = (row.bundle_hash or "none")[:12]
        line = f"  {name}: {bundle} {row.stage}, {_time(row.at_ms)} by {row.who}: {row.why}"
        over = overrides.get(name)
        if over is not None and over.holds(now_ms()):
            line += f"; override {over.kind} by {over.who}: {over.why}"
        lines.append(line)
    document = {
        "bundles": [_shown(row, "content") for row in bundles],
        "deployments": [_shown(row) for _, row in sorted(deployments.items())],
        "overrides": [_shown(row) for _, row in sorted(overrides.items())],
    }
    _say(document, "\n".join(lines), as_json)


@registry.command()
@click.argument("junction")
@_registry_option
@click.option(
    "--decisions",
    "count",
    type=click.IntRange(0, 10_000),
    default=5,
    show_default=True,
    help="Last decisions to show.",
)
@_json_option
def show(junction: str, address: str | None, count: int, as_json: bool) -> None:
    """Show what happened at JUNCTION: its deployments, what the policy chose, its last decisions.

    What the policy would choose is there on every stage, also where the plan drives.
    """
    found = _open(address)
    from controllers.registry.store import now_ms
    from signals.errors import UnknownNameError

    history = found.history(junction)
    if not history:
        raise UnknownNameError("junction", junction, found.deployments())
    decisions = found.decisions(junction, limit=count) if count else []
    last = decisions[-1:] or found.decisions(junction, limit=1)
    choice = _choice(last[0], now_ms()) if last else None
    lines = [
        f"{row.number}. {(row.bundle_hash or 'none')[:12]} {row.stage}, {_time(row.at_ms)} by "
        f"{row.who}: {row.why}"
        for row in history
    ]
    lines += [
        f"{_time(row.at_ms)} poll {row.sequence}: policy {_phase(row.wish)}; street {_street(row)}"
        for row in decisions
    ]
    if choice is not None:
        lines.append(
            f"last choice of the policy: {_phase(choice['phase'])}, {choice['age_s']:.0f} s ago, "
            f"stage {choice['stage']}, {'' if choice['acts'] else 'not '}acting"
        )
    document = {
        "last_choice": choice,
        "deployments": [_shown(row) for row in history],
        "decisions": [_shown(row) for row in decisions],
    }
    _say(document, "\n".join(lines), as_json)


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
@_registry_option
@_trust_option
@_by_options
@_json_option
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
    found = _open(address)
    opened = found.opened(bundle, trusted_keys(trust))
    row = found.deploy(opened, stage, _author(who, why), chosen, new_street)
    if chosen["drift"] < 1 and not TrainedRanges(opened.contract.training).known:
        click.echo(f"note: drift of readings is not watched: {NO_RANGES}", err=True)
    _say(_shown(row), f"{row.junction}: bundle {opened.hash[:12]} {stage}", as_json)
    _note_override(found, row.junction)


@registry.command()
@click.argument("junction")
@_registry_option
@_by_options
@_json_option
def rollback(junction: str, address: str | None, who: str | None, why: str, as_json: bool) -> None:
    """Go back to what was deployed at JUNCTION before, in one step."""
    found = _open(address)
    row = found.rollback(junction, _author(who, why))
    bundle = (row.bundle_hash or "none")[:12]
    _say(_shown(row), f"{junction}: back to bundle {bundle}, {row.stage}", as_json)
    _note_override(found, junction)


@registry.command()
@click.argument("junction")
@click.option("--phase", type=int, help="Hold this phase; the controller's own plan without it.")
@click.option("--minutes", type=click.FloatRange(0, 1440, min_open=True), help="End by itself.")
@_registry_option
@_by_options
@_json_option
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
    found = _open(address)
    from controllers.registry.store import now_ms

    until = None if minutes is None else now_ms() + round(60_000 * minutes)
    kind = "local_plan" if phase is None else "hold"
    row = found.override(junction, kind, _author(who, why), phase, until)
    text = "its own plan" if phase is None else f"phase {phase}, as far as the guard grants it"
    _say(_shown(row), f"{junction}: {text}, {_end(row)}", as_json)


@registry.command()
@click.argument("junction")
@_registry_option
@_by_options
@_json_option
def release(junction: str, address: str | None, who: str | None, why: str, as_json: bool) -> None:
    """Give JUNCTION back to what is deployed there."""
    row = _open(address).override(junction, "release", _author(who, why))
    _say(_shown(row), f"{junction}: released", as_json)


@registry.command()
@click.argument("junction")
@_registry_option
@_json_option
def evaluate(junction: str, address: str | None, as_json: bool) -> None:
    """Compare the delay at JUNCTION under its bundle and under its plan."""
    from controllers.registry.samples import evaluation

    found = evaluation(_open(address), junction)
    text = f"{junction}: {found.verdict}, {found.pairs} pairs"
    if found.difference_s is not None:
        text += f", {found.on_s:.1f} s/veh against {found.off_s:.1f}, {found.difference_s:+.1f}"
    if found.low_s is not None and found.high_s is not None:
        text += f" (95 % interval {found.low_s:+.1f} to {found.high_s:+.1f})"
    _say(found.to_dict(), text, as_json)


@registry.command()
@click.option("--after", type=click.IntRange(0), default=0, help="Only changes after this one.")
@_registry_option
@_json_option
def audit(after: int, address: str | None, as_json: bool) -> None:
    """List every change: who, when, what, why."""
    found = _open(address)
    rows: list[Any] = []
    while page := found.audit(rows[-1].id if rows else after):
        rows += page
    lines = [
        f"{row.id}. {_time(row.at_ms)} {row.who}: {row.what} {row.object[:40]} ({row.why})"
        for row in rows
    ]
    _say([_shown(row) for row in rows], "\n".join(lines), as_json)


@registry.command()
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder."
)
@_registry_option
@_json_option
def export(out: Path, address: str | None, as_json: bool) -> None:
    """Write decisions, events, deployments, overrides and audit as parquet files."""
    from controllers.registry.retention import export as write

    counts = write(_open(address), out)
    text = ", ".join(f"{count} {name}" for name, count in counts.items())
    _say(counts, f"{out}: {text}", as_json)


@registry.command()
@click.option(
    "--keep-days",
    type=click.IntRange(1, 36_500),
    default=90,
    show_default=True,
    help="Decisions and events of so many days stay.",
)
@_registry_option
@_by_options
@_json_option
def prune(keep_days: int, address: str | None, who: str | None, why: str, as_json: bool) -> None:
    """Delete old decisions and events; nothing else is ever deleted."""
    from controllers.registry.retention import prune as remove

    gone = remove(_open(address), keep_days, _author(who, why))
    _say(gone, ", ".join(f"{count} {name}" for name, count in gone.items()) + " deleted", as_json)


@registry.group()
def keys() -> None:
    """Keys of controllers and people."""


@keys.command(name="add")
@click.argument("holder")
@click.option(
    "--role",
    type=click.Choice(("controller", "viewer", "operator", "admin")),
    required=True,
    help="What it may do.",
)
@click.option(
    "--junction",
    "junctions",
    multiple=True,
    metavar="ID",
    help="Controller: speaks for this junction, '*' for all; repeat it.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the key to this new file, which only its owner can read, instead of printing it.",
)
@_registry_option
@_by_options
@_json_option
def add_key(
    holder: str,
    role: str,
    junctions: tuple[str, ...],
    out: Path | None,
    address: str | None,
    who: str | None,
    why: str,
    as_json: bool,
) -> None:
    """Make a key for HOLDER. It is told this once; the registry keeps a hash only."""
    found, by = _open(address), _author(who, why)
    with ExitStack() as stack:
        stream = stack.enter_context(_private(out)) if out is not None else None
        key, key_id = found.add_key(holder, role, by, junctions)
        document = {"id": key_id, "holder": holder, "role": role}
        if stream is None:
            _say({**document, "key": key}, key, as_json)
        else:
            stream.write(f"{key}\n")
            _say({**document, "file": str(out)}, f"key {key_id} of {holder} is in {out}", as_json)


@keys.command(name="list")
@_registry_option
@_json_option
def list_keys(address: str | None, as_json: bool) -> None:
    """List keys, without their secrets."""
    rows, revoked = _open(address).key_rows()
    lines = [
        f"{row.id} {row.role} {row.holder}{', revoked' if row.id in revoked else ''}, "
        f"{_time(row.at_ms)} by {row.who}: {row.why}"
        for row in rows
    ]
    document = [{**_shown(row, "salt", "digest"), "revoked": row.id in revoked} for row in rows]
    _say(document, "\n".join(lines) or "no keys", as_json)


@keys.command()
@click.argument("key_id")
@_registry_option
@_by_options
@_json_option
def revoke(key_id: str, address: str | None, who: str | None, why: str, as_json: bool) -> None:
    """End the key KEY_ID; services refuse it within a second."""
    _open(address).revoke_key(key_id, _author(who, why))
    _say({"id": key_id, "revoked": True}, f"key {key_id} is revoked", as_json)


@contextmanager
def _private(file: Path) -> Iterator[TextIO]:
    """A new file for a key; nothing is left of it when there is none."""
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise OutputError(f"cannot write {file}: {error.strerror or error}") from error
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            yield stream
    except BaseException:
        file.unlink(missing_ok=True)
        raise


def _engine(address: str | None) -> Any:
    try:
        from controllers.registry.database import default_address, open_engine
    except ImportError as error:
        raise MissingDependencyError(error.name or "sqlalchemy", "serve", "the registry") from error
    return open_engine(address or default_address())


def _open(address: str | None) -> Registry:
    engine = _engine(address)
    from controllers.registry.database import check
    from controllers.registry.store import Registry

    check(engine)
    return Registry(engine)


def _author(who: str | None, why: str) -> Author:
    from controllers.registry.store import Author

    try:
        return Author(who or getpass.getuser(), why)
    except (KeyError, OSError) as error:
        raise InputError("this machine's user has no name; say who with --as NAME") from error


def _note_override(found: Registry, junction: str) -> None:
    """Say that a change of the deployment is not followed yet, where an override holds."""
    from controllers.registry.store import now_ms

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
    return "until released" if override.until_ms is None else f"until {_time(override.until_ms)}"


def _pair(text: str) -> tuple[str, str]:
    name, mark, value = text.partition("=")
    if not mark:
        raise InputError(f"'{text}' is no option; give NAME=VALUE")
    return name, value


def _shown(row: Any, *without: str) -> dict[str, Any]:
    hidden: Sequence[str] = without
    return {
        column.name: getattr(row, column.name)
        for column in row.__table__.columns
        if column.name not in hidden
    }


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _say(document: Any, text: str, as_json: bool) -> None:
    click.echo(json.dumps(document, ensure_ascii=False) if as_json else text)

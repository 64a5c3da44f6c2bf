from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from controllers.registry.cli import registry
from signals.bundle import Bundle
from signals.errors import InputError, SignalsError, UnknownNameError


def run(address: str, *arguments: str, notes: list[str] | None = None) -> Any:
    found = CliRunner().invoke(
        registry, [*arguments, "--registry", address, "--json"], catch_exceptions=False
    )
    assert found.exit_code == 0, found.output
    if notes is not None:
        notes += found.stderr.splitlines()
    return json.loads(found.stdout)


def refused(address: str, *arguments: str) -> str:
    found = CliRunner().invoke(registry, [*arguments, "--registry", address])
    assert isinstance(found.exception, (SignalsError, SystemExit)), found.exception
    return str(found.exception) + found.output


def test_a_bundle_from_nothing_to_the_street_and_back(
    tmp_path: Path, bundle_file: Path, bundle: Bundle
) -> None:
    address = str(tmp_path / "registry.db")
    by = ("--why", "first try", "--as", "kim")
    assert "signals registry init" in refused(address, "list")
    run(address, "init")
    assert run(address, "init")["revision"] == "0001"
    assert run(address, "add", str(bundle_file), *by)["hash"] == bundle.hash
    assert "--why" in refused(address, "deploy", bundle.hash[:8])
    notes: list[str] = []
    assert run(address, "deploy", bundle.hash[:8], *by, notes=notes)["stage"] == "shadow"
    assert len(notes) == 1 and notes[0].startswith("note: drift of readings is not watched")
    row = run(
        address, "deploy", "by-load", "--stage", "canary", "--window", "07:00-09:00",
        "--option", "vetoes=0.1", *by,
    )  # fmt: skip
    options = json.loads(row["options"])
    assert options["windows"] == ["07:00-09:00"] and options["vetoes"] == 0.1
    assert run(address, "override", "B1", "--phase", "1", "--minutes", "5", *by)["phase"] == 1
    notes.clear()
    run(address, "deploy", "by-load", "--option", "drift=1", *by, notes=notes)
    assert len(notes) == 1 and "override 'hold phase 1' by kim (first try) still" in notes[0]
    assert "registry release B1" in notes[0] and "until 2" in notes[0]
    assert run(address, "rollback", "B1", *by, notes=notes)["stage"] == "canary"
    assert len(notes) == 2 and notes[1] == notes[0]
    assert run(address, "release", "B1", *by)["kind"] == "release"
    assert run(address, "rollback", "B1", *by, notes=notes)["stage"] == "shadow"
    assert len(notes) == 2
    shown = run(address, "show", "B1")
    assert shown["last_choice"] is None
    stages = [row["stage"] for row in shown["deployments"]]
    assert stages == ["shadow", "canary", "shadow", "canary", "shadow"]
    listed = run(address, "list")
    assert listed["deployments"][0]["junction"] == "B1" and "content" not in listed["bundles"][0]
    made = run(address, "keys", "add", "gateway", "--role", "controller", "--junction", "B1", *by)
    assert made["key"].startswith(f"ssk_{made['id']}_")
    run(address, "keys", "revoke", made["id"], *by)
    found = CliRunner().invoke(registry, ["keys", "list", "--registry", address])
    assert made["id"] in found.stdout and "revoked" in found.stdout
    assert made["key"] not in found.stdout
    assert run(address, "export", "--out", str(tmp_path / "out"))["deployments"] == 5
    assert run(address, "prune", "--keep-days", "30", *by) == {"decisions": 0, "events": 0}
    assert run(address, "evaluate", "B1")["verdict"] == "too few pairs"
    told = run(address, "audit")
    assert {row["who"] for row in told} == {"kim"} and {row["why"] for row in told} == {"first try"}
    assert len(told) == 11
    about = [row["what"] for row in told if row["object"] == "B1"]
    assert about.count("override") == about.count("release") == 1
    for arguments in (("list",), ("show", "B1"), ("audit",), ("evaluate", "B1"), ("init",)):
        found = CliRunner().invoke(registry, [*arguments, "--registry", address])
        assert found.exit_code == 0 and found.stdout.strip(), found.output


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("deploy", "nothing"), "unknown bundle 'nothing'"),
        (("deploy", "by-load", "--window", "25:00-26:00"), "time window"),
        (("deploy", "by-load", "--block", "7"), "block_s"),
        (("deploy", "by-load", "--option", "vetoes=2"), "vetoes"),
        (("deploy", "by-load", "--option", "speed=2"), "unknown option speed"),
        (("deploy", "by-load", "--option", "speed"), "NAME=VALUE"),
        (("deploy", "by-load", "--stage", "everywhere"), "everywhere"),
        (("rollback", "Z9"), "ever deployed"),
        (("override", "Z9"), "unknown junction 'Z9'"),
        (("keys", "add", "x", "--role", "controller"), "names its junctions"),
        (("keys", "revoke", "x"), "unknown key 'x'"),
        (("prune", "--keep-days", "0"), "keep-days"),
    ],
)
def test_what_is_refused(
    arguments: tuple[str, ...], text: str, tmp_path: Path, bundle_file: Path
) -> None:
    address = str(tmp_path / "registry.db")
    run(address, "init")
    run(address, "add", str(bundle_file), "--why", "x")
    before = len(run(address, "audit"))
    assert text in refused(address, *arguments, "--why", "x")
    assert len(run(address, "audit")) == before


def test_unknown_things(tmp_path: Path) -> None:
    address = str(tmp_path / "registry.db")
    run(address, "init")
    found = CliRunner().invoke(registry, ["show", "B1", "--registry", address])
    assert isinstance(found.exception, UnknownNameError)
    found = CliRunner().invoke(registry, ["list", "--registry", "mysql://x/y"])
    assert isinstance(found.exception, InputError)

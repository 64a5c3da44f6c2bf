"""The demo's street: a service and a simulated controller, with the service and without it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from signals.children import child, wait_for
from signals.demo_show import Show
from signals.errors import WorkError

_POLLS: Final = "polls.jsonl"
_DECISIONS: Final = re.compile(r"(\d+) by the service, (\d+) by the local")
_ADDRESS: Final = re.compile(r"http://[\d.]+:\d+")


def run_street(
    show: Show, scenario: str, period: str, bundle: Path, folder: Path, street_minutes: int
) -> tuple[str, str]:
    """Serve the bundle, control by it, compare with the simulation, take the service away.

    Args:
        show: Runs the commands.
        scenario: Catalogue name of the junction.
        period: Period of the day.
        bundle: What is served.
        folder: Keeps logs, polls and the runs.
        street_minutes: Length of each run (simulated min).

    Returns:
        What the comparison came to, and what happened without the service; a sentence each.

    Raises:
        WorkError: A command failed, the lights differ from the simulation's, or the controller did
            not go on without the service.
    """
    minutes, log = str(street_minutes), folder / "service.log"
    serve = show.command(
        "serve", "--bundle", str(bundle), "--port", "0", "--record", str(folder / _POLLS)
    )  # fmt: skip
    with child(serve, log) as service:
        if not wait_for(lambda: _ADDRESS.search(_text(log)) is not None, service):
            click.echo(_text(log).strip(), err=True)
            show.check(service.poll() or 1)
        match = _ADDRESS.search(_text(log))
        url = match[0] if match else ""
        click.echo(f"serving on {url}; it logs to {log}")
        gateway = (
            "gateway", "--simulate", scenario, "--service", url, "--period", period,
            "--seed", "20000", "--minutes", minutes,
        )  # fmt: skip
        show.run(*gateway, "--out", str(folder / "street"))
        click.echo("\nThe same day and the same bundle without HTTP between them:")
        show.run(
            "simulate", scenario, "--agent", str(bundle), "--period", period, "--seed", "20000",
            "--minutes", minutes, "--out", str(folder / "simulated"),
        )  # fmt: skip
        parity = _parity(folder)
        click.echo(parity)

        click.echo("\nOnce more, and in the middle of it the service is stopped:")
        fallback = _stop_midway(show, gateway, service, folder, street_minutes)
        click.echo(fallback)
    return parity, fallback


def _stop_midway(
    show: Show,
    gateway: Sequence[str],
    service: subprocess.Popen[bytes],
    folder: Path,
    street_minutes: int,
) -> str:
    """Run the controller and stop the service after a third of the polls.

    Raises:
        WorkError: The controller failed, or did not go on with its own plan.
    """
    polls, said = folder / _POLLS, folder / "street-alone.log"
    wanted = _lines(polls) + 4 * street_minutes
    line = show.command(*gateway, "--out", str(folder / "street-alone"))
    with child(line, said) as controller:
        if wait_for(lambda: _lines(polls) >= wanted, controller):
            service.terminate()
            service.wait(20)
        code = controller.wait()
    click.echo(_text(said).rstrip())
    show.check(code)
    counted = _DECISIONS.search(_text(said))
    by_service, by_plan = (int(counted[1]), int(counted[2])) if counted else (0, 0)
    if not by_service or not by_plan:
        raise WorkError(
            f"the controller was to take {4 * street_minutes} decisions from the service "
            f"and the others from its plan; it took {by_service} and {by_plan}"
        )
    return (
        f"service stopped: {by_service} decisions by the service, then {by_plan} by the "
        "controller's own plan, without a pause"
    )


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""


def _lines(file: Path) -> int:
    return file.read_bytes().count(b"\n") if file.is_file() else 0


def _seconds(folder: Path) -> list[str]:
    """The state string of every recorded second of a run, wherever in the folder it is kept."""
    import polars

    file = next(iter(sorted(folder.rglob("lights.parquet"))), None)
    if file is None:
        raise WorkError(f"{folder} holds no lights.parquet; the run before it kept nothing")
    return [str(state) for state in polars.read_parquet(file)["state"].to_list()]


def _parity(folder: Path) -> str:
    """Compare the lights of the street with those of the simulation.

    Raises:
        WorkError: They differ.
    """
    street, simulated = _seconds(folder / "street"), _seconds(folder / "simulated")
    equal = sum(a == b for a, b in zip(street, simulated, strict=False))
    total = max(len(street), len(simulated))
    if equal != total:
        raise WorkError(
            f"the street and the simulation showed the same lights in {equal} of {total} seconds "
            f"only; compare {folder / 'street'} with {folder / 'simulated'}"
        )
    return f"street against simulation: the same lights in {equal} of {total} seconds"

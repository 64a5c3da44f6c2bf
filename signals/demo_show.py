"""What the demo puts on the terminal: its steps, its command lines, and the table at the end."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from signals.children import child
from signals.errors import WorkError


class Show:
    """Runs commands, shows them, and knows the time.

    Args:
        total: Number of steps.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._begun_s = time.monotonic()
        self._step = 0
        self._name = ""

    @property
    def elapsed_s(self) -> float:
        """Seconds since the demo began."""
        return time.monotonic() - self._begun_s

    def heading(self, name: str, words: str) -> None:
        """Announce a step: its name and what happens, in one line."""
        self._step += 1
        self._name = name
        minutes, seconds = divmod(int(self.elapsed_s), 60)
        title = f" {self._step}/{self._total} {name} "
        click.echo()
        click.secho(f"──{title:─<64} {minutes}:{seconds:02d} ──", bold=True)
        click.echo(words)

    def command(self, *arguments: str) -> list[str]:
        """Show a command line; returns how this interpreter runs it."""
        click.secho(f"$ signals {shlex.join(arguments)}", fg="cyan")
        return [sys.executable, "-m", "signals.cli", *arguments]

    def run(self, *arguments: str) -> float:
        """Show and run a command to its end.

        Returns:
            Seconds that it took.

        Raises:
            WorkError: It failed.
        """
        line = self.command(*arguments)
        begun_s = time.monotonic()
        with child(line) as process:
            code = process.wait()
        self.check(code)
        return time.monotonic() - begun_s

    def check(self, code: int) -> None:
        """Refuse to go on after a failure.

        Raises:
            WorkError: The code is not 0.
        """
        if code:
            raise WorkError(
                f"demo step {self._step} '{self._name}' failed (exit {code}); "
                "what went wrong stands above"
            )


def result_lines(document: Mapping[str, Any], learned: str) -> list[str]:
    """The table at the end, shortest delay first, and the verdict on the learned agent.

    Args:
        document: ``evaluation.json``.
        learned: The learned agent, as it was asked for.
    """
    rows = sorted(document["summary"], key=lambda row: float(row["delay_s"]))
    names = {row["agent"]: Path(str(row["agent"])).name for row in rows}
    width = max(len(name) for name in names.values())
    lines = [f"{'':{width}}  {'delay s/veh':>11}  {'95 %':>16}  {'on foot s':>9}  {'bus s':>7}"]
    for row in rows:
        interval = row.get("ci95")
        text = f"{interval[0]:.1f} to {interval[1]:.1f}" if interval else "-"
        lines.append(
            f"{names[row['agent']]:{width}}  {row['delay_s']:11.1f}  {text:>16}  "
            f"{_cell(row.get('pedestrian_delay_s')):>9}  {_cell(row.get('bus_delay_s')):>7}"
        )
    for found in document.get("verdict", ()):
        if found["agent"] == learned:
            lines += ["", f"verdict: {str(found['verdict']).upper()}. {found.get('text', '')}"]
    return lines


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"

"""Finds and runs the programs that SUMO ships: netconvert, sumo."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from signals.errors import MissingDependencyError, SimulationError


def find_program(name: str, needed_for: str) -> str:
    """Path of a SUMO program.

    Looked for beside this Python, in the installed `sumo` package, in `$SUMO_HOME/bin`, on `PATH`.

    Raises:
        MissingDependencyError: it is in none of them.
    """
    folders = [Path(sys.executable).parent]
    spec = importlib.util.find_spec("sumo")
    for place in (spec.submodule_search_locations or []) if spec else []:
        folders.append(Path(place) / "bin")
    if os.environ.get("SUMO_HOME"):
        folders.append(Path(os.environ["SUMO_HOME"]) / "bin")
    for folder in folders:
        found = shutil.which(name, path=str(folder))
        if found:
            return found
    found = shutil.which(name)
    if found:
        return found
    raise MissingDependencyError(f"{name} (eclipse-sumo)", "sim", needed_for)


def run_program(name: str, options: Sequence[str], needed_for: str) -> str:
    """Run a SUMO program to its end and return what it said on its error stream (its warnings).

    Raises:
        MissingDependencyError: it is not installed.
        SimulationError: it failed; the message holds its first error.
    """
    done = subprocess.run(
        [find_program(name, needed_for), *options],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines()
        first = next((line for line in lines if line.startswith("Error")), "no message")
        raise SimulationError(
            f"{name} failed with exit code {done.returncode} while {needed_for}: {first}"
        )
    return done.stderr

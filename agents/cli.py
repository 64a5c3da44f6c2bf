"""``signals agents``."""

from __future__ import annotations

import click
from rich.console import Console
from rich.table import Table

from agents.classical import NAMES


@click.command()
def agents() -> None:
    """List the agents that can control a junction."""
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = max(console.width, 120)
    table = Table("agent", "how it decides", box=None, pad_edge=False)
    for name, line in NAMES.items():
        table.add_row(name, line)
    console.print(table)
    console.print(
        "\nParameters may follow a name: actuated:passage_s=2.5\n"
        "Learned agents are given by where they are: the folder of a training run "
        "(signals train --out FOLDER) or a bundle file (signals export FOLDER --out FILE.bundle)."
    )

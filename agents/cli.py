"""``signals agents``."""

from __future__ import annotations

import click
from rich.console import Console
from rich.table import Table

from agents.classical import NAMES, parameters_of
from agents.evaluation.peers import PEERS, peer_parameters
from agents.pretrained import NAMES as PRETRAINED


@click.command()
def agents() -> None:
    """List the agents that can control a junction."""
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = max(console.width, 120)
    table = Table("agent", "how it decides", box=None, pad_edge=False)
    for name, line in {**NAMES, **PEERS, **PRETRAINED}.items():
        table.add_row(name, line)
    console.print(table)
    console.print()
    table = Table("agent", "parameter", "default", "allowed", box=None, pad_edge=False)
    for name in NAMES:
        for number, (parameter, (default, low, high)) in enumerate(parameters_of(name).items()):
            table.add_row("" if number else name, parameter, f"{default:g}", f"{low:g} to {high:g}")
    for name in PEERS:
        for number, (parameter, (default, low, high)) in enumerate(peer_parameters(name).items()):
            table.add_row("" if number else name, parameter, f"{default:g}", f"{low:g} to {high:g}")
    console.print(table)
    console.print(
        "\nParameters may follow a name: actuated:passage_s=2.5\n"
        "Outside peers (sumo:...) run in simulate and evaluate only.\n"
        "Other learned agents are given by where they are: the folder of a training run "
        "(signals train --out FOLDER) or a bundle file (signals export FOLDER --out FILE.bundle)."
    )

"""``signals demo``: the whole path on one Seoul junction, by the real commands one after another.

It imports none of the other packages: everything it does, a user can type, and every command line
is shown before its output. What it knows of the results, it reads from the files that they leave.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Final

import click

from signals.children import end_on_signals
from signals.demo_pace import Pace, fitting_days, hyperparameters, pace
from signals.demo_show import Show, result_lines
from signals.demo_street import run_street
from signals.errors import InputError, OutputError
from signals.options import FiniteRange

SCENARIO: Final = "gangnam"
PERIOD: Final = "am_peak"
LEARNED: Final = "gangnam-ppo"
CLASSICAL: Final = ("fixed_time", "webster", "actuated", "max_pressure")
_BULKY: Final = ("evaluation/runs/*/tripinfo.xml", "*/checkpoint", "*/tensorboard")


@click.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="New folder for everything that is made. Default: demo, or demo-2, ...",
)
@click.option("--quick", is_flag=True, help="A shorter training and shorter runs.")
@click.option(
    "--minutes",
    type=FiniteRange(0.1, 60),
    help="Train for this wall-clock time. Default: 2.25.",
)
@click.option("--keep", is_flag=True, help="Keep SUMO's trip records and the checkpoint, too.")
def demo(out: Path | None, quick: bool, minutes: float | None, keep: bool) -> None:
    """Walk the whole path on one Seoul junction, in minutes.

    Shows the junction, trains a policy, judges it against four classical strategies on held-out
    days, exports it, serves it to a simulated controller, takes the service away, and ends in a
    table and a page to look at.
    """
    folder = _new_folder(out)
    chosen = pace(minutes, quick)
    end_on_signals()
    show = Show(total=8)
    click.echo(
        f"The whole path on {SCENARIO}, {PERIOD}: about {chosen.budget_s / 60:.0f} minutes on two "
        f"cores, everything goes to {folder}/"
    )
    _walk(show, folder, chosen)
    if not keep:
        _remove_bulk(folder)
    click.echo(f"\npage: {folder / 'page.html'}")
    click.echo(f"done in {show.elapsed_s / 60:.1f} minutes")


def _new_folder(out: Path | None) -> Path:
    """The folder given, or the first of demo, demo-2, ... that is free."""
    folder, number = out or Path("demo"), 2
    while out is None and folder.exists():
        folder, number = Path(f"demo-{number}"), number + 1
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise InputError(f"{folder} exists and is not empty; give a new folder with --out")
    except OSError as error:
        raise OutputError(
            f"cannot create {folder}: {error.strerror or error}; choose another --out"
        ) from error
    return folder


def _walk(show: Show, folder: Path, chosen: Pace) -> None:
    run, bundle = folder / LEARNED, folder / f"{LEARNED}.bundle"
    evaluation, page = folder / "evaluation", folder / "page.html"

    show.heading("the junction", "What stands there: legs, phases, volumes, today's plan.")
    show.run("scenario", "show", SCENARIO)

    show.heading("today", "One demand day under the time-of-day plan, as it runs today.")
    length = () if chosen.run_minutes is None else ("--minutes", str(chosen.run_minutes))
    run_s = show.run(
        "simulate", SCENARIO, "--period", PERIOD, "--agent", "fixed_time", *length
    )  # fmt: skip

    settings = folder / "hyperparameters.yaml"
    settings.write_text(hyperparameters(chosen), encoding="utf-8")
    show.heading(
        "learn", f"A policy learns for {chosen.train_minutes:g} minutes, then proves itself on "
        "validation days.",
    )  # fmt: skip
    show.run(
        "train", SCENARIO, "--period", PERIOD, "--minutes", f"{chosen.train_minutes:g}",
        "--steps", str(chosen.decisions), "--eval-every", str(chosen.eval_every),
        "--eval-seeds", "2", "--seed", "1", "--workers", "2", "--no-baselines",
        "--hyperparams", str(settings), "--out", str(run),
    )  # fmt: skip

    days = fitting_days(chosen.budget_s - show.elapsed_s, run_s, len(CLASSICAL) + 1)
    show.heading(
        "judge", f"Four classical strategies and the learned one on {days} days that none of them "
        f"has seen: as many as fit, at {run_s:.0f} s a run.",
    )  # fmt: skip
    agents = [part for agent in (*CLASSICAL, str(run)) for part in ("--agent", agent)]
    show.run(
        "evaluate", SCENARIO, "--period", PERIOD, *agents, "--seeds", str(days), "--workers", "2",
        *length, "--out", str(evaluation),
    )  # fmt: skip

    show.heading("export", "The best weights become a signed bundle, checked decision by decision.")
    show.run("export", str(run), "--out", str(bundle))

    show.heading("the street", "A service decides, a simulated controller obeys, over HTTP.")
    parity, fallback = run_street(show, SCENARIO, PERIOD, bundle, folder, chosen.street_minutes)

    show.heading("report", "Everything on one page.")
    show.run("report", str(evaluation), "--run", str(run), "--out", str(page))

    show.heading("what came out", "Delay on held-out days, and how the street behaved.")
    document = json.loads((evaluation / "evaluation.json").read_text(encoding="utf-8"))
    for line in result_lines(document, str(run)):
        click.echo(line)
    click.echo(f"\n{parity}\n{fallback}")


def _remove_bulk(folder: Path) -> None:
    for pattern in _BULKY:
        for path in folder.glob(pattern):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

"""``signals curve``."""

from __future__ import annotations

from pathlib import Path

import click

from signals.errors import MissingDependencyError, OutputError


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="Folder for curve.csv and .png."
)
def curve(runs: tuple[Path, ...], out: Path) -> None:
    """Learning curve of training RUNS that differ in their seed, with 95 % intervals."""
    try:
        from agents.curves import draw_png, read_curve, write_csv
    except ImportError as error:
        raise MissingDependencyError(str(error.name or error), "train", "signals curve") from error
    found = read_curve(runs)
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_csv(found, out / "curve.csv")
        draw_png(found, out / "curve.png", f"{len(runs)} runs, seeds {_listed(found.seeds)}")
    except OSError as error:
        raise OutputError(
            f"cannot write to {out} ({error.strerror}); give --out a writable folder"
        ) from error
    last = found.points[-1]
    span = last.score.ci95
    interval = "" if span is None else f" (95 % interval {span[0]:.3g} to {span[1]:.3g})"
    click.echo(
        f"{len(runs)} runs, {last.decisions:,} decisions: validation {last.score.mean:.4g} "
        f"{found.unit}{interval}; {out / 'curve.csv'}, {out / 'curve.png'}"
    )


def _listed(seeds: tuple[int, ...]) -> str:
    return ", ".join(map(str, seeds))

"""``signals report``."""

from __future__ import annotations

from pathlib import Path

import click

from signals.errors import OutputError


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("report.html"),
    show_default=True,
    help="HTML file to write.",
)
@click.option(
    "--run",
    type=click.Path(path_type=Path),
    help="Training run whose learning curve is shown. Default: the judged run folder.",
)
def report(folder: Path, out: Path, run: Path | None) -> None:
    """Build one self-contained HTML page from DIR, a folder made by evaluate --out.

    \b
    Example:
      signals report results/gangnam --run runs/gangnam --out gangnam.html
    """  # noqa: D301
    from agents.evaluation.report.page import build_page

    text = build_page(folder, run)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"cannot write {out}: {error.strerror or error}; choose another --out"
        ) from error
    click.echo(f"page: {out} ({len(text.encode()) / 1024:.0f} kB, one file)")

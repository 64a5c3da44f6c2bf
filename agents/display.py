"""What a long training shows of itself."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

if TYPE_CHECKING:
    from agents.progress import Progress

_PLAIN_EVERY_S = 30.0


class Display:
    """A bar on a terminal, plain lines elsewhere.

    Args:
        console: Where.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar: Bar | None = None
        self._said_s = time.monotonic()
        self._said: tuple[object, ...] = (None, None, "")

    def __enter__(self) -> Display:
        """Begin."""
        if self._console.is_terminal:
            self._bar = Bar(
                TextColumn("{task.fields[taken]}"),
                BarColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.description}"),
                console=self._console,
            )
            self._task = self._bar.add_task("", total=None, taken="")
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, progress: Progress) -> None:
        """Show where the run stands."""
        text = progress.doing or f"{progress.episodes} runs"
        if progress.episodes and math.isfinite(progress.lost_veh_h):
            text += f", {progress.lost_veh_h:.0f} veh-h lost a run"
        if progress.validation_s is not None:
            text += f", validation {progress.validation_s:.1f} s/veh (best {progress.best_s:.1f})"
        if progress.validation is not None and progress.validation.ratio is not None:
            assert progress.best is not None
            text += (
                f", {progress.validation.ratio:.3f} (best {progress.best.ratio:.3f}) "
                "of the best classical agents"
            )
        if self._bar is not None:
            self._bar.update(
                self._task,
                total=progress.total,
                completed=min(progress.decisions, progress.total),
                description=text,
                taken=progress.taken,
            )
            return
        validated = (progress.validation_s, progress.best_s, progress.doing)
        now = time.monotonic()
        if now - self._said_s >= _PLAIN_EVERY_S or validated != self._said:
            self._said_s, self._said = now, validated
            self._console.print(
                f"[{progress.elapsed_s:6.0f} s] {progress.taken}, {text}",
                highlight=False,
                markup=False,
            )

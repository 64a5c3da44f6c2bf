"""A folder of the user's own: the shipped site file, to be broken line by line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from scenarios import catalog

SHIPPED = Path(catalog.__file__).parent / "seoul" / "gangnam" / catalog.SITE_FILE


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test module builds into one cache of its own, never into the user's."""
    folder = tmp_path_factory.getbasetemp() / "cache"
    monkeypatch.setenv("SEOUL_SIGNALS_CACHE", str(folder))
    return folder


@pytest.fixture
def edited(tmp_path: Path) -> Callable[..., Path]:
    """Copies the shipped site file with replacements, each of which must be found."""

    def edit(*replacements: tuple[str, str], site: str = "gangnam") -> Path:
        file = SHIPPED.parent.parent / site / catalog.SITE_FILE
        text = file.read_text(encoding="utf-8")
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new, 1)
        (tmp_path / catalog.SITE_FILE).write_text(text, encoding="utf-8")
        return tmp_path

    return edit


def line_with(folder: Path, part: str) -> int:
    """Line of the first line that holds `part`."""
    lines = (folder / catalog.SITE_FILE).read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, 1) if part in line)

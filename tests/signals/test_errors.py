"""The exception tree: exit codes, and messages that say what to do in one line."""

from __future__ import annotations

import pytest

from signals import errors
from signals.errors import InputError, MissingDependencyError, SignalsError, UnknownNameError


def _subclasses(root: type[SignalsError]) -> list[type[SignalsError]]:
    below = root.__subclasses__()
    return below + [deep for child in below for deep in _subclasses(child)]


def test_exit_codes() -> None:
    for error in _subclasses(SignalsError):
        assert error.exit_code == (2 if issubclass(error, InputError) else 1), error
    assert SignalsError.exit_code == 1


def test_tree_is_drawn() -> None:
    for error in _subclasses(SignalsError):
        assert error.__name__ in (errors.__doc__ or "")


@pytest.mark.parametrize(
    ("given", "nearest"),
    [
        ("gangman", ("gangnam",)),
        ("gangnam-stn", ("gangnam-station", "gangnam")),
        ("zzz", ()),
    ],
)
def test_nearest_names(given: str, nearest: tuple[str, ...]) -> None:
    error = UnknownNameError("scenario", given, {"jamsil", "gangnam", "gangnam-station"})
    assert error.nearest == nearest
    text = str(error)
    assert text.startswith(f"unknown scenario '{given}'; ")
    assert text.endswith("allowed: gangnam, gangnam-station, jamsil")
    assert ("did you mean" in text) == bool(nearest)
    if len(nearest) == 1:
        assert f"did you mean {nearest[0]}? " in text
    assert "\n" not in text


def test_no_names_at_all() -> None:
    assert str(UnknownNameError("agent", "x", [])) == "unknown agent 'x'; allowed: none"


def test_missing_dependency_says_what_to_install() -> None:
    text = str(MissingDependencyError("libsumo", "sim", "simulating"))
    assert text == (
        "libsumo is not installed, but simulating needs it; "
        "install the extra 'sim', in the product's folder: pip install '.[sim]'"
    )

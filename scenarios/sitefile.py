"""Reads a site file and turns every mistake in it into one line with file and line number."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from scenarios.annotations import unwrapped
from scenarios.checks import site_problems
from scenarios.schema import Site
from scenarios.streets.checks import street_problems
from scenarios.streets.inherit import spread
from scenarios.streets.schema import StreetSite
from signals.errors import ScenarioError

Loc = tuple[str | int, ...]
Model = TypeVar("Model", bound=BaseModel)


def read_site(path: Path) -> Site | StreetSite:
    """The site of a file, checked; its key `format` says which of the two formats it has.

    Args:
        path: The site file, YAML.

    Raises:
        ScenarioError: the file is missing, is not YAML, or does not describe a site; the message
        gives the line.
    """
    return parse_site(read_text(path, "site"), path)


def read_text(path: Path, what: str) -> str:
    """The text of a file.

    Args:
        path: The file.
        what: What it should hold, for messages.

    Raises:
        ScenarioError: it cannot be read, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ScenarioError(
            f"{path}: cannot be read ({error.strerror}); give a readable {what} file"
        ) from error
    except UnicodeDecodeError as error:
        raise ScenarioError(
            f"{path}: is not UTF-8 text ({error.reason}); save it as UTF-8"
        ) from error


def parse_site(text: str, path: Path) -> Site | StreetSite:
    """The site of a YAML text; `path` only names it in messages.

    Raises:
        ScenarioError: as `read_site`.
    """
    data, root = parse_yaml(Site, text, path)
    model: type[Site] | type[StreetSite] = Site
    if data.get("format") == 2:
        model, data = StreetSite, spread(data)
    site = fitted(model, data, root, path)
    problems = street_problems(site) if isinstance(site, StreetSite) else site_problems(site)
    if problems:
        loc, message = problems[0]
        raise _error(path, root, loc, message, len(problems) - 1)
    return site


def parse_yaml(
    model: type[BaseModel], text: str, path: Path
) -> tuple[dict[str, Any], yaml.Node | None]:
    """The mapping of a YAML text, and its nodes, which know their lines.

    Args:
        model: What it should hold; only for messages.
        text: The text.
        path: The same.

    Raises:
        ScenarioError: it is no YAML mapping, or a key stands twice.
    """
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ScenarioError(f"{path}:{line}: not YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise ScenarioError(f"{path}:1: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise ScenarioError(
            f"{path}:1: holds {type(data).__name__}, allowed: a mapping with the keys "
            f"{', '.join(model.model_fields)}"
        )
    doubled = _doubled_key(root)
    if doubled is not None:
        key, line = doubled
        raise ScenarioError(f"{path}:{line}: key '{key}' stands twice; keep one")
    return data, root


def fitted(model: type[Model], data: dict[str, Any], root: yaml.Node | None, path: Path) -> Model:
    """A mapping as a model.

    Args:
        model: What it must hold.
        data: The mapping.
        root: Its nodes.
        path: Only names it in messages.

    Raises:
        ScenarioError: it does not hold one; the message gives the line.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        found = error.errors()
        # A mistyped key also leaves the right one missing: name the typo.
        first = min(found, key=lambda item: item["type"] != "extra_forbidden")
        loc, message = _worded(model, first)
        raise _error(path, root, loc, message, len(found) - 1) from None


def line_of(root: yaml.Node | None, loc: Sequence[str | int]) -> int:
    """Line of the deepest key of `loc` that exists, from 1."""
    line = 1
    node = root
    for part in loc:
        if isinstance(node, yaml.MappingNode):
            pair = next((pair for pair in node.value if pair[0].value == str(part)), None)
            if pair is None:
                # pydantic also names union branches and the like: skip what the file does not hold.
                continue
            line, node = pair[0].start_mark.line + 1, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            if part >= len(node.value):
                break
            node = node.value[part]
            line = node.start_mark.line + 1
    return line


def nearest(given: str, allowed: Iterable[str]) -> str:
    """``did you mean x? allowed: ...`` for a name that is not allowed."""
    names = list(allowed)
    near = difflib.get_close_matches(given, names, n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'? " if near else ""
    return f"{hint}allowed: {', '.join(names) or 'none'}"


def _error(path: Path, root: yaml.Node | None, loc: Loc, message: str, more: int) -> ScenarioError:
    where = ".".join(str(part) for part in loc) or "file"
    rest = f" (and {more} more {'mistake' if more == 1 else 'mistakes'})" if more else ""
    return ScenarioError(f"{path}:{line_of(root, loc)}: {where}: {message}{rest}")


def _worded(root: type[BaseModel], error: Any) -> tuple[Loc, str]:
    """Place and message of one pydantic error."""
    loc: Loc = tuple(part for part in error["loc"] if part != "[key]")
    kind = error["type"]
    if kind == "extra_forbidden":
        model = _model_at(root, loc[:-1])
        allowed = model.model_fields if model else ()
        return loc, f"unknown key; {nearest(str(loc[-1]), allowed)}"
    if kind == "missing":
        return loc, "is missing; add it"
    given = error.get("input")
    text = f"'{given}'" if isinstance(given, str) else repr(given)
    if len(text) > 60:
        text = text[:57] + "..."
    if kind == "literal_error":
        expected = str(error["ctx"]["expected"]).replace(" or ", ", ").replace("'", "")
        return loc, f"is {text}; {nearest(str(given), expected.split(', '))}"
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        model = _model_at(root, loc)
        keys = f" with the keys {', '.join(model.model_fields)}" if model else ""
        return loc, f"is {text}; allowed: a mapping{keys}"
    if kind in ("string_pattern_mismatch", "string_type") and _is_clock(loc):
        return loc, f"is {text}; allowed: a clock time in quotes, from '00:00' to '23:59'"
    if kind == "too_short":
        return loc, f"is {text}; give at least {error['ctx']['min_length']} of them"
    words = str(error["msg"])
    return loc, f"is {text}; {words[0].lower()}{words[1:]}"


def _is_clock(loc: Loc) -> bool:
    """Whether a place of a site file holds a clock time."""
    return loc[-1] in ("begin", "end") or (len(loc) > 2 and loc[0] == "days")


def _model_at(model: type[BaseModel], loc: Sequence[str | int]) -> type[BaseModel] | None:
    """The model that the place `loc` below `model` must hold, or None."""
    found: Any = model
    for part in loc:
        found = unwrapped(found)
        if isinstance(found, type) and issubclass(found, BaseModel):
            field = found.model_fields.get(str(part))
            if field is None:
                return None
            found = field.annotation
        elif typing.get_origin(found) in (dict, list):
            found = typing.get_args(found)[-1]
        else:
            return None
    found = unwrapped(found)
    return found if isinstance(found, type) and issubclass(found, BaseModel) else None


def _doubled_key(node: yaml.Node | None) -> tuple[str, int] | None:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen and key.value != "<<":
                return str(key.value), key.start_mark.line + 1
            seen.add(key.value)
            found = _doubled_key(value)
            if found:
                return found
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            found = _doubled_key(item)
            if found:
                return found
    return None

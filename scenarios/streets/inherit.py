"""Spreads the defaults and the marks of a second-format site file over every number in it."""

from __future__ import annotations

import copy
import typing
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from scenarios.annotations import unwrapped
from scenarios.schema import Marked
from scenarios.streets.schema import Defaults, StreetLeg, StreetSite

_MARKING = ("mark", "source")


def spread(data: Mapping[str, Any]) -> dict[str, Any]:
    """The file's mapping with each number as ``{value, mark, source}`` and defaults filled in.

    Whatever does not look as expected is left as it is: the schema names the mistake.
    """
    given = copy.deepcopy(dict(data))
    defaults = _mapping(given.get("defaults"))
    leg_defaults: Any = defaults.get("leg")
    # A leg without a mark of its own has that of the defaults.
    leg_mark = {key: leg_defaults[key] for key in _MARKING if key in _mapping(leg_defaults)}
    leg_defaults = _marked(StreetLeg, leg_defaults, {}) if isinstance(leg_defaults, dict) else {}
    marked: dict[str, Any] = _marked(StreetSite, given, {})
    marked["defaults"] = {"leg": leg_defaults} if leg_defaults else {}
    timing = defaults.get("timing")
    for junction in _mapping(marked.get("junctions")).values():
        if not isinstance(junction, dict):
            continue
        if isinstance(timing, dict):
            usual = _marked(Defaults, defaults, {})["timing"]
            junction["timing"] = {**usual, **_mapping(junction.get("timing"))}
        for name in ("phases", "sequence"):
            if name not in junction and name in defaults:
                junction[name] = copy.deepcopy(defaults[name])
        legs = _mapping(junction.get("legs"))
        for name, leg in legs.items():
            if isinstance(leg, dict):
                own = _marked(StreetLeg, leg, leg_mark)
                legs[name] = {**copy.deepcopy(leg_defaults), **own}
    return marked


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _marked(model: Any, data: Any, mark: Mapping[str, str]) -> Any:
    """`data` for `model` with plain numbers marked as the innermost table around them says."""
    if not isinstance(data, dict) or not _is_model(model):
        return data
    own = {name: data[name] for name in _MARKING if name in data and _is_text(data[name])}
    mark = own if "mark" in own else mark
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    result: dict[str, Any] = {}
    for key, value in data.items():
        if key in _MARKING and key not in fields and _is_text(value):
            continue
        field = fields.get(key)
        result[key] = value if field is None else _typed(field.annotation, value, mark)
    for key in _MARKING:
        if key in fields and key in mark:
            result.setdefault(key, mark[key])
    return result


def _typed(annotation: Any, value: Any, mark: Mapping[str, str]) -> Any:
    found = unwrapped(annotation)
    if _is_model(found) and issubclass(found, Marked):
        if isinstance(value, dict) and "value" in value:
            return value if "mark" in value else {**mark, **value}
        if isinstance(value, dict) and "mark" in value:
            # A table with a mark of its own: the rest of it is the value.
            inner = {key: item for key, item in value.items() if key not in _MARKING}
            return {"value": inner, **{key: value[key] for key in _MARKING if key in value}}
        return {"value": value, **mark} if mark else value
    if _is_model(found):
        return _marked(found, value, mark)
    origin, arguments = typing.get_origin(found), typing.get_args(found)
    if origin is dict and isinstance(value, dict) and _holds_models(arguments[-1]):
        own = {key: value[key] for key in _MARKING if key in value and _is_text(value[key])}
        mark = own if "mark" in own else mark
        return {
            key: _typed(arguments[-1], item, mark) for key, item in value.items() if key not in own
        }
    if origin is list and isinstance(value, list):
        return [_typed(arguments[0], item, mark) for item in value]
    return value


def _holds_models(annotation: Any) -> bool:
    return _is_model(unwrapped(annotation))


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_model(found: Any) -> bool:
    return isinstance(found, type) and issubclass(found, BaseModel)

"""The gateway's list of controllers: which junction is reached where, by which adapter.

::

    controllers:
      - junction: gangnam
        adapter: ntcip
        address: 192.0.2.10:161
        credentials: gangnam.secrets
        version: v3
      - junction: jamsil
        adapter: http
        address: 192.0.2.1:8443
        credentials: jamsil.key
        certificate: gateway.pem
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import ErrorDetails

from controllers.yaml_text import line_of, problem_of
from signals.errors import InputError, OutputError, UnknownNameError

_FORM = (
    "give 'controllers:' and an entry for each, such as '- {junction: gangnam, adapter: ntcip, "
    'address: "192.0.2.10:161", credentials: gangnam.secrets, version: v3}\''
)
_ALLOWED = {
    "junction": "the junction's id as its bundle has it, a number in quotes",
    "adapter": "ntcip or http",
    "address": "HOST:PORT with a port up to 65535, for example 192.0.2.10:161",
    "credentials": "the file with its secrets",
    "version": "v2c or v3",
    "certificate": "a PEM file with certificate and key",
}


class ControllerEntry(BaseModel):
    """One controller.

    Attributes:
        junction: Its junction, as the bundle names it.
        adapter: How it is spoken to.
        address: ``HOST:PORT``: the controller's, or of the gateway where the controller calls.
        credentials: File with its secrets, relative to the list; for ``http`` its key.
        version: SNMP version.
        certificate: For ``http``: the gateway's certificate with its key (PEM), relative to the
            list; without one only controllers on this machine can call.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    junction: str = Field(min_length=1)
    adapter: Literal["ntcip", "http"] = "ntcip"
    address: str = Field(pattern=r"^.+:[0-9]{1,5}$")
    credentials: Path
    version: Literal["v2c", "v3"] = "v3"
    certificate: Path | None = None

    @field_validator("address")
    @classmethod
    def _port(cls, given: str) -> str:
        if int(given.rpartition(":")[2]) > 65_535:
            raise ValueError("no port")
        return given


class ControllerList(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    controllers: tuple[ControllerEntry, ...] = Field(min_length=1)


def read_list(file: Path) -> tuple[ControllerEntry, ...]:
    """Read a list of controllers.

    Raises:
        InputError: Missing, no list, or two entries for one junction.
    """
    try:
        data = yaml.safe_load(file.read_text(encoding="utf-8"))
        found = ControllerList.model_validate(data).controllers
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise InputError(f"cannot read the list of controllers {file}: {reason}") from error
    except yaml.YAMLError as error:
        raise InputError(
            f"{file}: {line_of(error)} is no YAML{problem_of(error)}; {_FORM}"
        ) from error
    except RecursionError as error:
        raise InputError(f"{file} is nested too deeply; {_FORM}") from error
    except ValidationError as error:
        # A mistyped key also leaves the right one missing: name the typo.
        first = min(error.errors(), key=lambda item: item["type"] != "extra_forbidden")
        raise InputError(f"{file}: {_worded(first)}") from error
    except ValueError as error:  # a date that is none, for example
        raise InputError(f"{file} holds a value that is no YAML ({error}); {_FORM}") from error
    names = [entry.junction for entry in found]
    double = next((name for name in names if names.count(name) > 1), None)
    if double:
        raise InputError(f"{file} has two controllers for junction {double}; keep one")
    return tuple(_beside(file, entry) for entry in found)


def _worded(error: ErrorDetails) -> str:
    """Where it is wrong, what was given, what is allowed."""
    loc, given = error["loc"], error["input"]
    if len(loc) < 3:
        what = "nothing" if given is None or given == () or given == [] else _cut(given)
        if error["type"] == "extra_forbidden":
            return str(UnknownNameError("key", str(loc[-1]), ControllerList.model_fields))
        where = f"entry {int(loc[1]) + 1}" if len(loc) == 2 else "the list of controllers"
        return f"{where} is {what}; {_FORM}"
    where, name = f"entry {int(loc[1]) + 1}", str(loc[2])
    if error["type"] == "extra_forbidden":
        return f"{where}: {UnknownNameError('key', name, ControllerEntry.model_fields)}"
    if error["type"] == "missing":
        return f"{where}: {name} is missing; give {_ALLOWED[name]}"
    return f"{where}: {name} is {_cut(given)}; give {_ALLOWED[name]}"


def _cut(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _beside(file: Path, entry: ControllerEntry) -> ControllerEntry:
    places = {"credentials": file.parent / entry.credentials}
    if entry.certificate is not None:
        places["certificate"] = file.parent / entry.certificate
    return entry.model_copy(update=places)


def write_list(file: Path, controllers: Sequence[tuple[str, str]], credentials: Path) -> None:
    """Write a list of controllers that share a file of secrets.

    Args:
        file: The list.
        controllers: Junction and address of each.
        credentials: Their secrets.

    Raises:
        OutputError: It cannot be written.
    """
    rows = [
        {
            "junction": junction,
            "adapter": "ntcip",
            "address": address,
            "credentials": str(credentials.absolute()),
            "version": "v3",
        }
        for junction, address in controllers
    ]
    try:
        file.write_text(yaml.safe_dump({"controllers": rows}, sort_keys=False), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write {file}: {error.strerror or error}") from error

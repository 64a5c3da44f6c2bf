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
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from signals.errors import InputError, OutputError


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
    address: str = Field(pattern=r"^.+:\d{1,5}$")
    credentials: Path
    version: Literal["v2c", "v3"] = "v3"
    certificate: Path | None = None


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
        raise InputError(f"{file} is no YAML: {' '.join(str(error).split())[:150]}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise InputError(
            f"{file}: {where}: {first['msg']}; an entry has junction, adapter, address, "
            "credentials and version"
        ) from error
    names = [entry.junction for entry in found]
    double = next((name for name in names if names.count(name) > 1), None)
    if double:
        raise InputError(f"{file} has two controllers for junction {double}; keep one")
    return tuple(_beside(file, entry) for entry in found)


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

"""Secrets of an SNMP line: communities of v2c, users of v3, made anew for each controller.

The file is YAML, readable by its owner alone::

    v2c: {read: ..., write: ...}
    v3:
      - {name: ..., auth: ..., priv: ..., writes: true}

A line that needs v3 only leaves ``v2c`` out.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from controllers.private_file import read_private
from controllers.yaml_text import line_of
from signals.errors import InputError, OutputError

_LEAST = 8
"""Shortest pass phrase that SNMPv3 allows (RFC 3414)."""


@dataclass(frozen=True)
class User:
    """A user of SNMPv3: SHA-256 for authentication, AES-128 for privacy."""

    name: str
    auth_key: str
    priv_key: str
    writes: bool = True

    def __repr__(self) -> str:
        return f"User({self.name!r})"


@dataclass(frozen=True)
class Credentials:
    """Who may read and write a controller.

    Attributes:
        read_community: v2c, empty for none.
        write_community: v2c, empty for none.
        users: v3.
    """

    read_community: str = ""
    write_community: str = ""
    users: tuple[User, ...] = ()

    def __repr__(self) -> str:
        return f"Credentials(v2c={bool(self.write_community)}, users={list(self.users)})"

    @classmethod
    def fresh(cls) -> Credentials:
        """New random secrets for v2c and for one v3 user."""
        return cls(
            secrets.token_hex(8),
            secrets.token_hex(8),
            (User("gateway", secrets.token_hex(16), secrets.token_hex(16)),),
        )

    @classmethod
    def read(cls, file: Path) -> Credentials:
        """Read a file.

        Raises:
            InputError: Missing, open to everybody, or no credentials.
        """
        text = read_private(file, "credentials")
        try:
            return cls._of(yaml.safe_load(text))
        except yaml.YAMLError as error:
            # What the parser says of a line may hold a secret: only where it stands is told.
            reason = f"{line_of(error)} is no YAML"
        except KeyError as error:
            reason = f"a user of v3 lacks {error}"
        except ValueError as error:
            reason = str(error)
        except (TypeError, AttributeError):
            reason = "v2c or v3 is not in its form"
        raise InputError(
            f"credentials {file} cannot be used ({reason}); give v2c: {{read, write}} or v3: a "
            "list of {name, auth, priv, writes}"
        )

    @classmethod
    def _of(cls, data: Any) -> Credentials:
        if not isinstance(data, dict) or not set(data) <= {"v2c", "v3"} or not data:
            raise ValueError("it holds neither v2c nor v3")
        communities = data.get("v2c") or {}
        if not set(communities) <= {"read", "write"}:
            raise ValueError("v2c holds read and write")
        users = tuple(
            User(str(row["name"]), str(row["auth"]), str(row["priv"]), row.get("writes") is True)
            for row in data.get("v3") or ()
        )
        words = [str(word) for word in communities.values()]
        words += [word for user in users for word in (user.auth_key, user.priv_key)]
        if any(len(word) < _LEAST for word in words):
            raise ValueError(f"a secret has fewer than {_LEAST} characters")
        return cls(str(communities.get("read", "")), str(communities.get("write", "")), users)

    def write(self, file: Path) -> None:
        """Write a new file that its owner alone may read.

        Raises:
            OutputError: It exists or cannot be written.
        """
        data: dict[str, Any] = {}
        if self.read_community or self.write_community:
            data["v2c"] = {"read": self.read_community, "write": self.write_community}
        if self.users:
            data["v3"] = [
                {"name": u.name, "auth": u.auth_key, "priv": u.priv_key, "writes": u.writes}
                for u in self.users
            ]
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                yaml.safe_dump(data, stream, sort_keys=False)
        except OSError as error:
            raise OutputError(
                f"cannot write credentials {file}: {error.strerror or error}"
            ) from error


def read_or_make(file: Path) -> Credentials:
    """The credentials of a file, made with fresh secrets when there is none.

    Raises:
        InputError: The file is there and cannot be used.
        OutputError: It cannot be written.
    """
    if not file.exists():
        Credentials.fresh().write(file)
    return Credentials.read(file)

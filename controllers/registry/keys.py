"""Keys of controllers and people: made once, shown once, kept as a salted hash.

A key is ``ssk_ID_SECRET``. The secret holds 256 random bits, so that one round of a fast hash is
enough: guessing is hopeless and there is nothing to stretch (NIST SP 800-63B, 5.1.2.2, asks for an
approved hash from 112 bits of entropy on).
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

PREFIX = "ssk"
ANY = "*"
"""In place of junctions: all of them."""
_KEY = re.compile(rf"{PREFIX}_([0-9a-f]{{12}})_([A-Za-z0-9_-]{{43}})")


@dataclass(frozen=True, slots=True)
class Holder:
    """Who calls.

    Attributes:
        key_id: Public part of the key.
        name: Whose key it is.
        role: ``controller``, ``viewer``, ``operator`` or ``admin``.
        junctions: What a controller may speak for; `ANY` for all.
    """

    key_id: str
    name: str
    role: str
    junctions: frozenset[str]

    def speaks_for(self, junction: str) -> bool:
        """Whether polls for the junction are this holder's to send."""
        if self.role == "controller":
            return junction in self.junctions or ANY in self.junctions
        return self.role == "admin"


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A holder and what is kept of the secret."""

    holder: Holder
    salt: bytes
    digest: bytes


def make() -> tuple[str, str, str, str]:
    """A new key.

    Returns:
        The key as its holder gets it, its id, the salt (hex) and the digest (hex).
    """
    key_id, secret, salt = secrets.token_hex(6), secrets.token_urlsafe(32), secrets.token_bytes(16)
    return f"{PREFIX}_{key_id}_{secret}", key_id, salt.hex(), _digest(salt, secret).hex()


def find(given: str, known: Mapping[str, KnownKey]) -> Holder | None:
    """Whose key this is, None for nobody's.

    An unknown id costs as much time as a wrong secret.

    Args:
        given: As the caller sent it.
        known: By key id.
    """
    match = _KEY.fullmatch(given)
    key_id, secret = match.groups() if match else ("", "")
    entry = known.get(key_id)
    salt, digest = (entry.salt, entry.digest) if entry else (bytes(16), bytes(32))
    same = hmac.compare_digest(_digest(salt, secret), digest)
    return entry.holder if entry is not None and same else None


def _digest(salt: bytes, secret: str) -> bytes:
    return hashlib.sha256(salt + secret.encode()).digest()

"""Whose bundles may decide: the trusted keys, and loading a bundle that one of them signed.

The key folder (see `signals.signing.key_folder`) holds the local signing key, which is trusted,
and one ``NAME.pub`` file for every further key: its 64 hex digits, as ``signals export`` prints
them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from signals.bundle import Bundle, read_bundle
from signals.contract import Contract
from signals.errors import BundleError, ContractError, InputError
from signals.signing import SIGNING_KEY_FILE, key_folder, public_key_of, signing_key

_KEY = re.compile(r"[0-9a-f]{64}")


def load_trusted(path: Path, trusted: Iterable[str]) -> Bundle:
    """Read a bundle and refuse one that nobody we trust has signed.

    Args:
        path: Bundle file.
        trusted: Public keys, 64 hex digits each.

    Raises:
        BundleError: Broken, changed, or signed by another key.
    """
    return trust(read_bundle(path), path, trusted)


def trust(bundle: Bundle, path: Path, trusted: Iterable[str]) -> Bundle:
    """The bundle, if somebody we trust has signed it.

    Args:
        bundle: Verified.
        path: Named in errors.
        trusted: Public keys, 64 hex digits each.

    Raises:
        BundleError: Signed by another key.
    """
    if bundle.public_key not in set(trusted):
        raise BundleError(
            f"bundle {path} is signed by {bundle.public_key}, which is not trusted; if you know "
            f"that key, pass '--trust {bundle.public_key}' or put it into {key_folder()}/NAME.pub"
        )
    return bundle


def check_same_street(known: Contract, given: Contract) -> None:
    """Refuse a bundle made for another street than the one that is in service there.

    Args:
        known: Contract of the bundle in service.
        given: Contract of the one that is to follow it.

    Raises:
        ContractError: Names the first difference: junction, phases, timing or observation.
    """
    old, new = known.junction, given.junction
    differences = (
        ("junction", old.id, new.id),
        ("signal groups", [g.id for g in old.groups], [g.id for g in new.groups]),
        ("phases", [p.groups for p in old.phases], [p.groups for p in new.phases]),
        *(
            (f"timing of {name}", row, new.timing.groups.get(name))
            for name, row in old.timing.groups.items()
        ),
        ("timing", old.timing, new.timing),
        ("observation spec", known.spec_hash, given.spec_hash),
    )
    for what, was, now in differences:
        if was != now:
            raise ContractError(
                f"bundle '{given.name}' has another {what} than '{known.name}', which is in "
                f"service at {old.id}: {_short(now)} instead of {_short(was)}; controllers would "
                "refuse it, export it for this junction, or say --new-street if the street changed"
            )


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 120 else f"{text[:117]}..."


def trusted_keys(further: Iterable[str] = ()) -> frozenset[str]:
    """The local signing key if there is one, the key folder's, and the given ones.

    Args:
        further: Each 64 hex digits, or a file that holds them.

    Raises:
        InputError: One of them is no public key.
    """
    folder = key_folder()
    keys = {_key_in(file) for file in sorted(folder.glob("*.pub"))}
    if (folder / SIGNING_KEY_FILE).exists():
        keys.add(public_key_of(signing_key()))
    for given in further:
        text = given.strip().lower()
        keys.add(text if _KEY.fullmatch(text) else _key_in(Path(given)))
    return frozenset(keys)


def _key_in(file: Path) -> str:
    try:
        text = file.read_text(encoding="utf-8").strip().lower()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"'{file}' is neither a public key (64 hex digits) nor a file that holds one"
        ) from error
    if not _KEY.fullmatch(text):
        raise InputError(f"{file} does not hold a public key of 64 hex digits; copy it again")
    return text

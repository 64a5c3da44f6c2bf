"""Certificates and their keys (PEM): loaded where they can be used, else refused by file name."""

from __future__ import annotations

import ssl
from pathlib import Path

from signals.errors import InputError


def load_own(context: ssl.SSLContext, certificate: Path, key: Path | None = None) -> None:
    """Show this certificate to whoever asks.

    Args:
        context: Gets it.
        certificate: Of this side.
        key: Its private key; None where the certificate's file holds it, too.

    Raises:
        InputError: Names the file that cannot be used, and why.
    """
    keys = key or certificate
    for file, mark, what in (
        (certificate, "-----BEGIN CERTIFICATE-----", "certificate"),
        (keys, "PRIVATE KEY-----", "private key"),
    ):
        text = _text(file, what)
        if mark not in text:
            raise InputError(f"{file} holds no {what}; give a PEM file with '{mark}'")
        # OpenSSL would ask for the pass phrase on a terminal that nobody looks at.
        if what == "private key" and "ENCRYPTED" in text:
            raise InputError(f"the private key in {file} has a pass phrase; give it without one")
    try:
        context.load_cert_chain(certificate, keys)
    except (OSError, ssl.SSLError) as error:
        raise InputError(
            f"cannot use certificate {certificate} with the private key in {keys}: "
            f"{_reason(error)}; give the key that the certificate was made with"
        ) from error


def load_authorities(context: ssl.SSLContext, file: Path) -> None:
    """Believe whom these certificates have signed.

    Args:
        context: Gets them.
        file: One certificate or more.

    Raises:
        InputError: Names the file.
    """
    _text(file, "certificates")
    try:
        context.load_verify_locations(file)
    except (OSError, ssl.SSLError) as error:
        raise InputError(
            f"{file} holds no certificates ({_reason(error)}); give a PEM file"
        ) from error


def _text(file: Path, what: str) -> str:
    try:
        return file.read_text(encoding="latin-1")
    except OSError as error:
        raise InputError(f"cannot read {what} {file}: {error.strerror or error}") from error


def _reason(error: OSError) -> str:
    named = getattr(error, "reason", None) or error.strerror or str(error)
    return str(named).replace("_", " ").lower()

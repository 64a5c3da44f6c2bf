"""The key folder, and the Ed25519 key that signs what this machine exports."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from signals.errors import InputError, MissingDependencyError, OutputError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

KEYS_VARIABLE = "SEOUL_SIGNALS_KEYS"
"""Environment variable that moves the key folder."""
SIGNING_KEY_FILE = "signing_key.pem"


def key_folder() -> Path:
    """Folder of the signing key and the trusted keys; `KEYS_VARIABLE` moves it."""
    from platformdirs import user_config_dir

    given = os.environ.get(KEYS_VARIABLE)
    return Path(given) if given else Path(user_config_dir("seoul-signals")) / "keys"


def public_key_of(key: Ed25519PrivateKey) -> str:
    """The public half of a key, 64 hex digits."""
    return key.public_key().public_bytes_raw().hex()


def signing_key(file: Path | None = None) -> Ed25519PrivateKey:
    """The key that signs exports.

    Args:
        file: Ed25519 private key in PEM form; None takes the local key, made on first use and
            readable by its owner alone.

    Raises:
        InputError: The file is no such key.
        OutputError: The local key cannot be made.
        MissingDependencyError: cryptography is not installed.
    """
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    except ImportError as error:
        raise MissingDependencyError("cryptography", "serve", "signing a bundle") from error
    target = file or key_folder() / SIGNING_KEY_FILE
    if file is None and not target.exists():
        pem = Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        _create_private(target, pem)
    try:
        key = serialization.load_pem_private_key(target.read_bytes(), password=None)
    except OSError as error:
        raise InputError(f"cannot read key {target}: {error.strerror or error}") from error
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{target} is no unencrypted private key; make one with "
            "'openssl genpkey -algorithm ed25519'"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise InputError(
            f"{target} is no Ed25519 key; make one with 'openssl genpkey -algorithm ed25519'"
        )
    return key


def _create_private(target: Path, content: bytes) -> None:
    """Create a file that its owner alone may read; an existing one wins."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
    except FileExistsError:
        return
    except OSError as error:
        raise OutputError(f"cannot create key {target}: {error.strerror or error}") from error

"""The policy bundle: one signed file that holds a policy and everything it promises.

A bundle ``NAME.bundle`` is a plain zip of three files, the same bytes for the same content:

* ``policy.onnx``: the scoring network;
* ``contract.json``: the junction with its phases and timing, the observation, the local plans,
  how the policy was trained and how well it did (`signals.contract`);
* ``signature.json``: an Ed25519 signature over the SHA-256 of the other two.
"""

from __future__ import annotations

import io
import json
import os
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from signals.contract import SCHEMA_VERSION, Contract, canonical_json, sha256
from signals.errors import (
    BundleError,
    ContractError,
    MissingDependencyError,
    OutputError,
    SignalsError,
)
from signals.signing import public_key_of

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

POLICY_FILE, CONTRACT_FILE, SIGNATURE_FILE = "policy.onnx", "contract.json", "signature.json"
_MEMBERS = (POLICY_FILE, CONTRACT_FILE, SIGNATURE_FILE)
_MAX_BUNDLE_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True)
class Bundle:
    """A bundle whose hashes and signature were verified; whom to trust is the reader's choice.

    Attributes:
        contract: What it promises.
        policy: Bytes of ``policy.onnx``.
        public_key: Ed25519 key that signed it, 64 hex digits.
        hash: SHA-256 of ``contract.json``, which holds the policy's own hash: the bundle's id.
    """

    contract: Contract
    policy: bytes
    public_key: str
    hash: str


def write_bundle(path: Path, contract: Contract, policy: bytes, key: Ed25519PrivateKey) -> Bundle:
    """Sign and write a bundle; an existing file is replaced at once or not at all.

    Args:
        path: Bundle file.
        contract: Made for this policy by `Contract.promise`.
        policy: ONNX bytes.
        key: Signs it, see `signals.signing.signing_key`.

    Returns:
        The bundle, read back from the file.

    Raises:
        ContractError: The contract is for another policy, or cannot be kept.
        OutputError: The file cannot be written.
    """
    if contract.policy_sha256 != sha256(policy):
        raise ContractError(f"contract '{contract.name}' was made for another policy")
    contract.check()
    promised = canonical_json(contract.to_dict())
    signature = {
        "algorithm": "Ed25519",
        "public_key": public_key_of(key),
        "signature": key.sign(_signed_text(policy, promised)).hex(),
    }
    data = _pack(
        {POLICY_FILE: policy, CONTRACT_FILE: promised, SIGNATURE_FILE: canonical_json(signature)}
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            os.chmod(name, 0o644)
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OutputError(f"cannot write bundle {path}: {error.strerror or error}") from error
    return read_bundle(path)


def read_bundle(path: Path) -> Bundle:
    """Read a bundle and verify every byte of it.

    Args:
        path: Bundle file.

    Returns:
        The bundle; `controllers.bundle.load_trusted` also asks who signed it.

    Raises:
        BundleError: Missing, damaged, changed after signing, or not signed.
        ContractError: Intact, but its contract cannot be kept by this version.
        MissingDependencyError: cryptography is not installed.
    """
    try:
        if path.stat().st_size > _MAX_BUNDLE_BYTES:
            raise BundleError(f"{path} is larger than any bundle ({_MAX_BUNDLE_BYTES} bytes)")
        data = path.read_bytes()
    except OSError as error:
        raise BundleError(
            f"cannot read bundle {path}: {error.strerror or error}; give a file that "
            "'signals export' wrote"
        ) from error
    return open_bundle(data, path)


def open_bundle(data: bytes, path: Path) -> Bundle:
    """Verify every byte of a bundle that was read already.

    Args:
        data: The whole file.
        path: Named in errors.

    Raises:
        BundleError: Damaged, changed after signing, or not signed.
        ContractError: Intact, but its contract cannot be kept by this version.
        MissingDependencyError: cryptography is not installed.
    """
    members = _unpack(path, data)
    policy, promised = members[POLICY_FILE], members[CONTRACT_FILE]
    public_key = _verify(path, policy, promised, members[SIGNATURE_FILE])
    try:
        contract = Contract.from_dict(json.loads(promised))
        contract.check()
    except BundleError:
        raise
    except (SignalsError, ValueError, AttributeError) as error:
        raise ContractError(f"bundle {path}: {error}") from error
    if contract.policy_sha256 != sha256(policy):
        raise BundleError(f"bundle {path}: {POLICY_FILE} is not the one its contract names")
    return Bundle(contract, policy, public_key, sha256(promised))


def _signed_text(policy: bytes, contract: bytes) -> bytes:
    return (
        f"seoul-signals bundle {SCHEMA_VERSION}\n"
        f"{POLICY_FILE} {sha256(policy)}\n{CONTRACT_FILE} {sha256(contract)}\n"
    ).encode()


def _pack(members: Mapping[str, bytes]) -> bytes:
    """Zip without compression, dates or attributes of the machine: same content, same bytes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name in _MEMBERS:
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.create_system = 3
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, members[name])
    return stream.getvalue()


def _unpack(path: Path, data: bytes) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            names = [entry.filename for entry in entries]
            # A bundle is stored uncompressed, so that no entry can be larger than the file.
            plain = all(entry.compress_type == zipfile.ZIP_STORED for entry in entries)
            members = (
                {name: archive.read(name) for name in _MEMBERS}
                if plain and tuple(names) == _MEMBERS
                else {}
            )
    except Exception as error:  # zipfile has a dozen ways to stumble over damaged bytes
        reason = str(error) or type(error).__name__
        what = "is no bundle, or was damaged or cut short"
        if "CRC" in reason:
            what, reason = "was damaged or changed after signing", "its check sums do not fit"
        raise BundleError(f"bundle {path} {what} ({reason}); copy or export it again") from error
    if not members:
        raise BundleError(
            f"bundle {path} holds {', '.join(names) or 'nothing'}; "
            f"a bundle holds {', '.join(_MEMBERS)}, uncompressed"
        )
    if _pack(members) != data:
        raise BundleError(
            f"bundle {path} was changed outside its signed files; copy or export it again"
        )
    return members


def _verify(path: Path, policy: bytes, contract: bytes, signature_file: bytes) -> str:
    """The public key whose signature holds."""
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError as error:
        raise MissingDependencyError("cryptography", "serve", "reading a bundle") from error
    try:
        record = json.loads(signature_file)
        public_key, signature = str(record["public_key"]), bytes.fromhex(record["signature"])
        known = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key))
        canonical = canonical_json(record) == signature_file
        if record["algorithm"] != "Ed25519" or len(record) != 3 or not canonical:
            raise ValueError("not in the form that export writes")
    except (ValueError, KeyError, TypeError, ContractError) as error:
        raise BundleError(
            f"bundle {path}: {SIGNATURE_FILE} was changed after signing ({error}); "
            "copy or export it again"
        ) from error
    try:
        known.verify(signature, _signed_text(policy, contract))
    except InvalidSignature as error:
        raise BundleError(
            f"bundle {path}: the signature does not match {POLICY_FILE} and {CONTRACT_FILE}, one "
            "of the three was changed after signing; copy or export it again"
        ) from error
    return public_key

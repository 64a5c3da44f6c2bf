"""The policy bundle: one signed file that holds a policy and everything it promises.

A bundle ``NAME.bundle`` is a plain zip of three files, the same bytes for the same content:

* ``policy.onnx``: the scoring network;
* ``contract.json``: the junction with its phases and timing, the observation, the local plans,
  how the policy was trained and how well it did;
* ``signature.json``: an Ed25519 signature over the SHA-256 of the other two.

The street needs nothing else: guard and observation are rebuilt from the contract, without a net.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from signals.errors import (
    BundleError,
    ContractError,
    InputError,
    MissingDependencyError,
    OutputError,
    SignalsError,
)
from signals.junction import Junction
from signals.observation import ObservationSpec
from signals.plan import Plan

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SCHEMA_VERSION = 1
POLICY_FILE, CONTRACT_FILE, SIGNATURE_FILE = "policy.onnx", "contract.json", "signature.json"
_MEMBERS = (POLICY_FILE, CONTRACT_FILE, SIGNATURE_FILE)
_MAX_BUNDLE_BYTES = 256 * 1024 * 1024
_DAY_S = 86_400

KEYS_VARIABLE = "SEOUL_SIGNALS_KEYS"
"""Environment variable that moves the key folder."""
SIGNING_KEY_FILE = "signing_key.pem"


@dataclass(frozen=True, slots=True)
class TimedPlan:
    """The local plan of one period.

    Attributes:
        period: E.g. ``am_peak``.
        begin_s: Clock time from which it is meant (s since midnight).
        end_s: Clock time until which it is meant (s since midnight).
        plan: The plan.
    """

    period: str
    begin_s: int
    end_s: int
    plan: Plan

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        return {
            "period": self.period,
            "begin_s": self.begin_s,
            "end_s": self.end_s,
            "plan": self.plan.to_dict(),
        }


@dataclass(frozen=True)
class Contract:
    """What a policy bundle promises.

    Attributes:
        name: Name given at export.
        junction: Geometry, phases, conflicts and timing; guard and observation follow from it.
        spec: `ObservationSpec.to_dict` as it was at export, with its hash.
        plans: Local plans of the periods the policy was made for.
        decision_interval_s: Seconds between decisions.
        training: Provenance: config, package versions, git revision if there is one.
        evaluation: Summary of the evaluation at export.
        policy_sha256: Hash of ``policy.onnx``.
    """

    name: str
    junction: Junction
    spec: Mapping[str, Any]
    plans: tuple[TimedPlan, ...]
    decision_interval_s: int
    training: Mapping[str, Any]
    evaluation: Mapping[str, Any]
    policy_sha256: str

    @classmethod
    def promise(
        cls,
        name: str,
        junction: Junction,
        plans: tuple[TimedPlan, ...],
        policy: bytes,
        decision_interval_s: int = 5,
        training: Mapping[str, Any] | None = None,
        evaluation: Mapping[str, Any] | None = None,
    ) -> Contract:
        """A contract for this policy at this junction; the observation is taken as it is now."""
        return cls(
            name=name,
            junction=junction,
            spec=ObservationSpec(junction).to_dict(),
            plans=plans,
            decision_interval_s=decision_interval_s,
            training=dict(training or {}),
            evaluation=dict(evaluation or {}),
            policy_sha256=sha256(policy),
        )

    @property
    def spec_hash(self) -> str:
        """Hash of the observation that the policy expects."""
        return str(self.spec.get("hash", ""))

    def plan_at(self, clock_s: float) -> Plan | None:
        """The local plan whose period holds the clock time, or None.

        Args:
            clock_s: Seconds since midnight.
        """
        for timed in self.plans:
            if (clock_s - timed.begin_s) % _DAY_S < timed.end_s - timed.begin_s:
                return timed.plan
        return None

    def plan_seen_at(self, clock_s: float) -> Plan | None:
        """The plan that the policy sees: that of the clock time, else the first.

        Args:
            clock_s: Seconds since midnight.
        """
        plan = self.plan_at(clock_s)
        if plan is None and self.plans:
            plan = self.plans[0].plan
        return None if plan is None else plan.at(clock_s)

    def check(self) -> None:
        """Refuse a contract that this version of the code would not keep.

        Raises:
            ContractError: The observation rebuilt from the junction is not the promised one.
            PlanError: A local plan does not fit the junction.
            JunctionError: The timing cannot be kept by a guard.
        """
        rebuilt = ObservationSpec(self.junction).hash
        if rebuilt != self.spec_hash:
            raise ContractError(
                f"bundle '{self.name}' promises observation {self.spec_hash[:12]}, this version "
                f"makes {rebuilt[:12]} for junction {self.junction.id}; export the policy again"
            )
        if self.decision_interval_s < 1:
            raise ContractError(
                f"bundle '{self.name}' decides every {self.decision_interval_s} s; "
                "allowed: whole seconds from 1 up"
            )
        for timed in self.plans:
            timed.plan.validate(self.junction)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        return {
            "schema": SCHEMA_VERSION,
            "name": self.name,
            "junction": self.junction.to_dict(),
            "spec": dict(self.spec),
            "plans": [timed.to_dict() for timed in self.plans],
            "decision_interval_s": self.decision_interval_s,
            "training": dict(self.training),
            "evaluation": dict(self.evaluation),
            "policy_sha256": self.policy_sha256,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Contract:
        """Inverse of `to_dict`.

        Raises:
            ContractError: Not a contract, or one of another schema.
        """
        if data.get("schema") != SCHEMA_VERSION:
            raise ContractError(
                f"contract has schema {data.get('schema')!r}, this version reads "
                f"{SCHEMA_VERSION}; export the policy again"
            )
        try:
            return cls(
                name=str(data["name"]),
                junction=Junction.from_dict(data["junction"]),
                spec=dict(data["spec"]),
                plans=tuple(
                    TimedPlan(
                        str(timed["period"]),
                        int(timed["begin_s"]),
                        int(timed["end_s"]),
                        Plan.from_dict(timed["plan"]),
                    )
                    for timed in data["plans"]
                ),
                decision_interval_s=int(data["decision_interval_s"]),
                training=dict(data["training"]),
                evaluation=dict(data["evaluation"]),
                policy_sha256=str(data["policy_sha256"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ContractError(f"not a contract: {error!r}; export the policy again") from error


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


def sha256(data: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(data).hexdigest()


def canonical_json(data: Any) -> bytes:
    """The one JSON form of some data: keys sorted, no spaces, UTF-8, no NaN.

    Raises:
        ContractError: The data holds NaN or something that JSON has no form for.
    """
    try:
        text = json.dumps(
            data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        )
    except (TypeError, ValueError) as error:
        raise ContractError(f"a contract holds JSON values only: {error}") from error
    return text.encode()


def write_bundle(path: Path, contract: Contract, policy: bytes, key: Ed25519PrivateKey) -> Bundle:
    """Sign and write a bundle; an existing file is replaced at once or not at all.

    Args:
        path: Bundle file.
        contract: Made for this policy by `Contract.promise`.
        policy: ONNX bytes.
        key: Signs it, see `signing_key`.

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

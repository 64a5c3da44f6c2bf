from __future__ import annotations

import dataclasses
import json
import stat
import zipfile
from pathlib import Path

import numpy as np
import pytest

from controllers.bundle import load_trusted, trusted_keys
from signals.bundle import Bundle, read_bundle, write_bundle
from signals.contract import Contract, canonical_json
from signals.errors import BundleError, ContractError, InputError, OutputError, PlanError
from signals.guard import Guard
from signals.junction import Junction
from signals.observation import ObservationSpec
from signals.policy import OnnxPolicy
from signals.signing import SIGNING_KEY_FILE, public_key_of, signing_key


def test_a_bundle_gives_back_junction_guard_plans_and_policy(
    bundle: Bundle, junction: Junction
) -> None:
    assert bundle.contract.junction == junction
    assert ObservationSpec(bundle.contract.junction).hash == bundle.contract.spec_hash
    Guard(bundle.contract.junction)
    assert bundle.contract.plan_at(8 * 3600) == bundle.contract.plans[0].plan
    assert bundle.contract.plan_at(9 * 3600) is None
    assert bundle.public_key == public_key_of(signing_key())


def test_the_same_content_gives_the_same_bytes(
    bundle: Bundle, bundle_file: Path, tmp_path: Path
) -> None:
    again = tmp_path / "again.bundle"
    write_bundle(again, bundle.contract, bundle.policy, signing_key())
    assert again.read_bytes() == bundle_file.read_bytes()
    assert [file.name for file in tmp_path.iterdir()] == ["again.bundle"]


def test_any_changed_byte_is_refused(bundle_file: Path, tmp_path: Path) -> None:
    data = bundle_file.read_bytes()
    with zipfile.ZipFile(bundle_file) as archive:
        starts = [(entry.filename, entry.header_offset) for entry in archive.infolist()]
    changed = tmp_path / "changed.bundle"
    step = max(1, len(data) // 1500)
    spots = {*range(0, len(data), step), *range(len(data) - 250, len(data))}
    for _, start in starts:
        spots.update(range(start, start + 120))
    for spot in sorted(spots):
        changed.write_bytes(data[:spot] + bytes([data[spot] ^ 0x01]) + data[spot + 1 :])
        with pytest.raises(BundleError) as error:
            read_bundle(changed)
        assert "\n" not in str(error.value)
        assert str(changed) in str(error.value)


@pytest.mark.parametrize("name", ["policy.onnx", "contract.json", "signature.json"])
def test_a_file_swapped_inside_an_intact_zip_is_refused(
    name: str, bundle_file: Path, tmp_path: Path
) -> None:
    changed = tmp_path / "changed.bundle"
    with zipfile.ZipFile(bundle_file) as old, zipfile.ZipFile(changed, "w") as new:
        for entry in old.infolist():
            content = bytearray(old.read(entry))
            if entry.filename == name:
                content[len(content) // 2] ^= 0x01
            new.writestr(entry, bytes(content))
    with pytest.raises(BundleError, match=r"changed after signing"):
        read_bundle(changed)


def test_a_byte_changed_on_the_way_is_told_as_a_change(bundle_file: Path, tmp_path: Path) -> None:
    changed, data = tmp_path / "changed.bundle", bundle_file.read_bytes()
    spot = data.index(b'"junction"')
    changed.write_bytes(data[:spot] + data[spot:].replace(b'"junction"', b'"jumction"', 1))
    with pytest.raises(BundleError, match="damaged or changed after signing") as error:
        read_bundle(changed)
    assert "CRC" not in str(error.value)


def test_another_signature_form_is_refused(bundle_file: Path, tmp_path: Path) -> None:
    changed = tmp_path / "changed.bundle"
    with zipfile.ZipFile(bundle_file) as old, zipfile.ZipFile(changed, "w") as new:
        for entry in old.infolist():
            content = old.read(entry)
            if entry.filename == "signature.json":
                content = json.dumps(json.loads(content), indent=1).encode()
            new.writestr(entry, content)
    with pytest.raises(BundleError, match="not in the form"):
        read_bundle(changed)


@pytest.mark.parametrize("content", [b"", b"PK", b"not a zip" * 100])
def test_no_bundle_at_all(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "x.bundle"
    file.write_bytes(content)
    with pytest.raises(BundleError, match="no bundle"):
        read_bundle(file)


def test_missing_file_and_other_zip(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="cannot read"):
        read_bundle(tmp_path / "none.bundle")
    with pytest.raises(BundleError, match="cannot read"):
        read_bundle(tmp_path)
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.writestr("hello.txt", "hello")
    with pytest.raises(BundleError, match=r"holds hello\.txt"):
        read_bundle(tmp_path / "z.zip")


def test_a_promise_this_version_cannot_keep_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    other = dataclasses.replace(bundle.contract, spec={**bundle.contract.spec, "hash": "0" * 64})
    with pytest.raises(ContractError, match="export the policy again"):
        write_bundle(tmp_path / "x.bundle", other, bundle.policy, signing_key())
    assert not list(tmp_path.iterdir())


def test_a_signed_promise_of_another_version_is_refused(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = dataclasses.replace(bundle.contract, spec={**bundle.contract.spec, "hash": "0" * 64})
    file = tmp_path / "x.bundle"
    with monkeypatch.context() as patch:
        patch.setattr(Contract, "check", lambda self: None)
        write_bundle(file, other, bundle.policy, signing_key())
    with pytest.raises(ContractError, match="export the policy again"):
        read_bundle(file)


def test_a_plan_that_does_not_fit_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    timed = bundle.contract.plans[0]
    short = dataclasses.replace(timed, plan=dataclasses.replace(timed.plan, cycle_s=10))
    with pytest.raises(PlanError):
        write_bundle(
            tmp_path / "x.bundle",
            dataclasses.replace(bundle.contract, plans=(short,)),
            bundle.policy,
            signing_key(),
        )


def test_a_contract_for_another_policy_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="another policy"):
        write_bundle(tmp_path / "x", bundle.contract, bundle.policy + b"x", signing_key())


def test_a_contract_holds_no_nan() -> None:
    with pytest.raises(ContractError, match="JSON values only"):
        canonical_json({"delay_s": float("nan")})


def test_a_folder_that_cannot_be_written(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write bundle"):
        write_bundle(tmp_path / "file" / "x", bundle.contract, bundle.policy, signing_key())


def test_trust(bundle: Bundle, bundle_file: Path, keys: Path, tmp_path: Path) -> None:
    assert load_trusted(bundle_file, trusted_keys()).hash == bundle.hash
    with pytest.raises(BundleError, match="not trusted"):
        load_trusted(bundle_file, ["0" * 64])


def test_a_stranger_is_trusted_once_named(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    stranger = Ed25519PrivateKey.generate()
    file = tmp_path / "strange.bundle"
    write_bundle(file, bundle.contract, bundle.policy, stranger)
    monkeypatch.setenv("SEOUL_SIGNALS_KEYS", str(tmp_path / "keys"))
    (tmp_path / "keys").mkdir()
    with pytest.raises(BundleError, match="not trusted"):
        load_trusted(file, trusted_keys())
    public = public_key_of(stranger)
    load_trusted(file, trusted_keys([public]))
    (tmp_path / "keys" / "stranger.pub").write_text(public + "\n")
    load_trusted(file, trusted_keys())
    load_trusted(file, trusted_keys([str(tmp_path / "keys" / "stranger.pub")]))
    with pytest.raises(InputError, match="neither a public key"):
        trusted_keys(["nonsense"])


def test_the_local_key_is_private_and_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEOUL_SIGNALS_KEYS", str(tmp_path / "new"))
    first = public_key_of(signing_key())
    file = tmp_path / "new" / SIGNING_KEY_FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert public_key_of(signing_key()) == first == public_key_of(signing_key(file))
    file.write_text("broken")
    with pytest.raises(InputError, match="openssl genpkey"):
        signing_key()
    with pytest.raises(InputError, match="cannot read key"):
        signing_key(tmp_path / "none.pem")


def test_a_broken_network_is_refused(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="cannot be loaded"):
        OnnxPolicy(dataclasses.replace(bundle, policy=b"not onnx"))


def test_single_and_batched_scores_agree(bundle: Bundle, junction: Junction) -> None:
    spec = ObservationSpec(junction)
    policy = OnnxPolicy(bundle)
    rng = np.random.default_rng(3)
    batch = {name: rng.random((7, *shape), dtype=np.float32) for name, shape in spec.shapes.items()}
    batch["mask"] = (batch["mask"] > 0.5).astype(np.float32)
    together = policy.scores(batch)
    assert together.shape == (7, len(junction.phases))
    for row in range(7):
        alone = policy.scores({name: value[row] for name, value in batch.items()})
        np.testing.assert_allclose(alone, together[row], rtol=1e-5)
    assert (together[batch["mask"] < 0.5] == np.float32(-1e9)).all()

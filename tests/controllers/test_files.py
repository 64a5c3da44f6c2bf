"""Files that an integrator writes or is given: what is wrong in them, and in which one."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from controllers.adapters.http_inbox import Inbox
from controllers.certificates import load_authorities, load_own
from controllers.gateway_file import read_list
from controllers.ntcip.credentials import Credentials as Secrets
from controllers.poller import KEY_VARIABLE, Credentials
from signals.errors import InputError
from signals.signing import signing_key

ENTRY = "junction: a, adapter: ntcip, address: '192.0.2.1:161', credentials: x"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("controllers:\n  - {junction: a\n", "line 3 is no YAML: expected ',' or '}'"),
        ("\x00", "is no YAML"),
        ("controllers: [{version: 2020-13-45}]", "is no YAML (month"),
        ("[" * 1500, "nested too deeply"),
        ("", "the list of controllers is nothing; give 'controllers:'"),
        ("controllers: []", "the list of controllers is nothing"),
        ("controllers: [5]", "entry 1 is 5; give"),
        ("controler: []", "unknown key 'controler'; did you mean controllers?"),
        (f"controllers: [{{{ENTRY}, version: v4}}]", "entry 1: version is 'v4'; give v2c or v3"),
        (f"controllers: [{{{ENTRY}}}, {{junction: b}}]", "entry 2: address is missing; give HOST"),
        (f"controllers: [{{{ENTRY.replace('address', 'adress')}}}]", "unknown key 'adress'"),
        (f"controllers: [{{{ENTRY.replace('161', '70000')}}}]", "address is '192.0.2.1:70000'"),
        (f"controllers: [{{{ENTRY}}}, {{{ENTRY}}}]", "two controllers for junction a"),
    ],
)
def test_a_list_of_controllers_that_is_none(text: str, told: str, tmp_path: Path) -> None:
    file = tmp_path / "controllers.yaml"
    file.write_text(text)
    with pytest.raises(InputError) as error:
        read_list(file)
    assert str(error.value).startswith(str(file)) and told in str(error.value), error.value
    for foreign in ("Input should", "validation", "unicode string", "\n"):
        assert foreign not in str(error.value)


def test_a_service_key_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "cabinet.key"

    def told(given: str | None) -> str:
        with pytest.raises(InputError) as error:
            Credentials.given(given)
        return str(error.value)

    assert str(file) in told(str(file)) and "No such file" in told(str(file))
    for content in (b"", b"abc", b"\xff\xfe", b"ssk_1\nssk_2"):
        file.write_bytes(content)
        assert str(file) in told(str(file)), content
    monkeypatch.setenv(KEY_VARIABLE, "ssk_a b\x07")
    assert KEY_VARIABLE in told(None)


def test_certificates_and_keys_that_cannot_be_used(tmp_path: Path) -> None:
    from tests.controllers.test_processes import certificates

    files = certificates(tmp_path)
    own, other = files["service"], files["controller"]
    bad = tmp_path / "bad.pem"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    load_own(context, own)
    load_authorities(context, files["authority"])

    def told(certificate: Path, key: Path | None = None) -> str:
        with pytest.raises(InputError) as error:
            load_own(context, certificate, key)
        return str(error.value)

    assert f"cannot read certificate {bad}: No such file" in told(bad)
    bad.write_text("nothing")
    assert f"{bad} holds no certificate" in told(bad)
    assert f"{bad} holds no private key" in told(own, bad)
    assert "values mismatch" in told(own, other) and str(other) in told(own, other)
    bad.write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert f"{bad} has a pass phrase" in told(own, bad)
    for given in (tmp_path / "none.pem", bad):
        with pytest.raises(InputError, match=given.name):
            load_authorities(context, given)
        with pytest.raises(InputError, match=given.name):
            Inbox("127.0.0.1", 0, given)
        with pytest.raises(InputError, match=given.name):
            signing_key(given)


def test_secrets_are_not_told(tmp_path: Path) -> None:
    """What is wrong in a file of secrets, without a word of what stands in it."""
    file = tmp_path / "controller.secrets"
    for text in ("v2c: {read: hunter2hunter2", "v2c: [hunter2hunter2]", "v3: [{auth: hunter2}]"):
        file.write_text(text)
        file.chmod(0o600)
        with pytest.raises(InputError, match=r"controller\.secrets cannot be used") as error:
            Secrets.read(file)
        assert "hunter2" not in str(error.value)

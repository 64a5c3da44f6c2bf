"""`signals serve` as a process: several workers, HTTPS with certificates, and a killed one."""

from __future__ import annotations

import datetime
import ipaddress
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from click.testing import CliRunner

from controllers.bundle import trusted_keys
from controllers.gateway_cli import gateway
from controllers.poller import Credentials, Poller
from controllers.registry.database import migrate, open_engine
from controllers.registry.retention import counts
from controllers.registry.store import Registry
from controllers.runtime import DecisionRequest
from controllers.service.cli import serve
from signals.bundle import Bundle
from signals.detectors import Readings
from signals.errors import InputError, ServiceError
from signals.observation import ObservationSpec
from signals.world import World
from tests.controllers.test_city import BY


@contextmanager
def process(*arguments: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A service; gives its address."""
    command = [sys.executable, "-c", "from controllers.service.cli import serve; serve()"]
    running = subprocess.Popen(
        [*command, "--port", "0", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ,
    )
    try:
        assert running.stdout is not None
        line = running.stdout.readline()
        assert " on http" in line, line + (running.stderr.read() if running.stderr else "")
        yield line.rpartition(" on ")[2].partition(";")[0], running
    finally:
        if running.poll() is None:
            running.terminate()
        running.communicate(timeout=30)


def filled(folder: Path, bundle_file: Path) -> tuple[Registry, str]:
    engine = open_engine(str(folder / "registry.db"))
    migrate(engine)
    registry = Registry(engine)
    row = registry.add_bundle(bundle_file, trusted_keys(), BY)
    registry.deploy(registry.opened(row.hash, trusted_keys()), "deploy", BY)
    key, _ = registry.add_key("controller", "controller", BY, ["B1"])
    return registry, key


def ready(client: httpx2.Client) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            if client.get("/readyz").status_code == 200:
                return
        except httpx2.TransportError:
            pass
        assert time.monotonic() < deadline
        time.sleep(0.1)


def polls(bundle: Bundle, count: int) -> Iterator[dict[str, Any]]:
    spec = ObservationSpec(bundle.contract.junction)
    for number in range(count):
        yield {
            "sequence": number,
            "clock_s": 30_000.0 + number,
            "readings": {"time_s": 30_000.0 + number, "detectors": {spec.detectors[0].id: {}}},
            "state": spec.guard.start(0).to_dict(),
            "session": "one",
        }


def test_workers_share_a_city_and_lose_nothing_when_killed(
    bundle_file: Path, bundle: Bundle, tmp_path: Path
) -> None:
    registry, key = filled(tmp_path, bundle_file)
    headers = {"authorization": f"Bearer {key}"}
    arguments = ("--registry", str(tmp_path / "registry.db"), "--workers", "2")
    answered = 0
    with process(*arguments) as (url, running):
        with httpx2.Client(base_url=url, trust_env=False, headers=headers, timeout=20) as client:
            ready(client)
            for poll in polls(bundle, 60):
                answer = client.post("/v1/junctions/B1/decisions", json=poll)
                assert answer.status_code == 200, answer.text
                answered += 1
        children = subprocess.run(
            ["ps", "-ww", "-o", "pid=,args=", "--ppid", str(running.pid)],
            capture_output=True,
            text=True,
        ).stdout
        workers = [int(row.split()[0]) for row in children.splitlines() if "spawn_main" in row]
        assert len(workers) == 2
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
        running.kill()
    assert counts(registry)["decisions"] <= answered
    # What the killed ones left on disk is written by the next.
    with process(*arguments[:2]) as (url, _), httpx2.Client(base_url=url, trust_env=False) as again:
        ready(again)
        deadline = time.monotonic() + 20
        while counts(registry)["decisions"] < answered and time.monotonic() < deadline:
            time.sleep(0.2)
    assert counts(registry)["decisions"] == answered == 60
    registry.engine.dispose()


def certificates(folder: Path) -> dict[str, Path]:
    """An authority, and what it signed: the service's and a controller's certificate."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    now = datetime.datetime.now(datetime.UTC)
    files: dict[str, Path] = {}
    authority: Any = None
    for name in ("authority", "service", "controller"):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(authority[1] if authority else subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(authority is None, None), critical=True)
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
                critical=False,
            )
            .sign(authority[0] if authority else key, hashes.SHA256())
        )
        authority = authority or (key, subject)
        pem = made.public_bytes(serialization.Encoding.PEM)
        secret = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        files[name] = folder / f"{name}.pem"
        files[name].write_bytes(pem + secret)
    return files


def test_https_with_certificates_of_the_controllers(
    bundle_file: Path,
    bundle: Bundle,
    tmp_path: Path,
    world: World,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    registry, key = filled(tmp_path, bundle_file)
    registry.engine.dispose()
    files = certificates(tmp_path)
    spec = ObservationSpec(bundle.contract.junction)
    readings = Readings(100.0, readings_of(spec))
    request = DecisionRequest(readings, spec.guard.start(0), 100.0, 1)
    with process(
        *("--registry", str(tmp_path / "registry.db")),
        *("--tls-cert", str(files["service"]), "--tls-key", str(files["service"])),
        *("--client-ca", str(files["authority"])),
    ) as (url, _):
        assert url.startswith("https://")
        context = ssl.create_default_context(cafile=str(files["authority"]))
        context.load_cert_chain(files["controller"])
        with httpx2.Client(base_url=url, trust_env=False, verify=context) as client:
            ready(client)
        known = Credentials(key, files["authority"], files["controller"])
        with Poller(url, spec, 10.0, credentials=known) as poller:
            answer = poller.ask(request)
            assert answer.command is not None, answer.problem
        nobody = Credentials(key, files["authority"], None)
        with Poller(url, spec, 10.0, credentials=nobody) as poller:
            assert poller.ask(request).command is None
        strange = Credentials(key, None, files["controller"])
        with Poller(url, spec, 10.0, credentials=strange) as poller:
            problem = poller.ask(request).problem
            assert "certificate" in problem.lower(), problem
        monkeypatch.setattr(
            "controllers.gateway_simulation.resolve", lambda scenario, period: world
        )
        street = ("--simulate", "grid", "--minutes", "0.5", "--service", url, "--key", key)
        street = (*street, "--timeout", "10", "--ca", str(files["authority"]))
        for own, decided in (((), 0), (("--client-cert", str(files["controller"])), 6)):
            found = CliRunner().invoke(gateway, [*street, *own])
            assert f"decisions: {decided} by the service" in found.stdout, found.output
            assert isinstance(found.exception, ServiceError) is not bool(decided), found.exception


def test_certificates_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "no.pem").write_text("nothing")
    given = ["--simulate", "gangnam", "--ca", str(tmp_path / "no.pem"), "--service"]
    for url, text in (("http://127.0.0.1:9", "https service"), ("https://127.0.0.1:9", "no.pem")):
        found = CliRunner().invoke(gateway, [*given, url])
        assert isinstance(found.exception, InputError), found.output
        assert text in str(found.exception)


def readings_of(spec: ObservationSpec) -> Any:
    import numpy as np

    return np.zeros((len(spec.detectors), 6))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((), "nothing to serve"),
        (("--bundle", "x", "--host", "0.0.0.0"), "asks for no key"),
        (("--bundle", "x", "--registry", "y"), "not both"),
        (("--registry", "y", "--tls-cert", "c"), "go together"),
        (("--registry", "y", "--tls-cert", "c", "--tls-key", "k"), "cannot read certificate c"),
        (("--registry", "/proc/none/y"), "cannot make"),
    ],
)
def test_what_is_not_started(arguments: tuple[str, ...], text: str) -> None:
    found = CliRunner().invoke(serve, [*arguments, "--port", "0"])
    assert isinstance(found.exception, InputError), found.output
    assert text in str(found.exception)

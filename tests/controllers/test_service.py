from __future__ import annotations

import asyncio
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from click.testing import CliRunner

from controllers.runtime import JunctionRuntime
from controllers.service.cli import serve
from controllers.service.deciding import Answer, Service
from controllers.service.models import DecisionPoll
from controllers.service.server import listen, make_logger
from signals.bundle import Bundle
from signals.detectors import Readings
from signals.errors import InputError, PortError, SignalsError
from tests.controllers.street import Running, serving

NOW_S = 30_000.0


@pytest.fixture(scope="module")
def poll(bundle: Bundle) -> dict[str, Any]:
    runtime = JunctionRuntime.from_bundle(bundle)
    spec = runtime.spec
    readings = Readings(NOW_S, np.random.default_rng(1).integers(0, 2, (len(spec.detectors), 6)))
    return {
        "sequence": 12,
        "clock_s": NOW_S,
        "readings": readings.to_dict(spec.detectors),
        "state": spec.guard.start(0).to_dict(),
        "spec_hash": spec.hash,
    }


def post(running: Running, path: str, content: Any) -> httpx2.Response:
    return httpx2.post(running.url + path, json=content, trust_env=False)


def test_a_single_decision(running: Running, poll: dict[str, Any], bundle: Bundle) -> None:
    answer = post(running, "/v1/junctions/B1/decisions", {**poll, "echo": True})
    assert answer.status_code == 200
    command = answer.json()
    assert command["phase"] == 0 and command["granted"] is True
    assert command["sequence"] == 12 and command["bundle_hash"] == bundle.hash
    assert re.fullmatch("[0-9a-f]{64}", command["observation_sha256"])
    assert len(command["mask"]) == len(bundle.contract.junction.phases)


def test_polls_that_arrive_together_are_answered_as_alone(
    bundle: Bundle, poll: dict[str, Any]
) -> None:
    service = Service([bundle], make_logger(io.StringIO()))
    polls = [DecisionPoll.model_validate({**poll, "sequence": number}) for number in range(80)]

    async def at_once() -> list[Answer]:
        return await asyncio.gather(*(service.answer_soon("B1", item) for item in polls))

    together = asyncio.run(at_once())
    assert together == [service.answer("B1", item) for item in polls]
    assert [answer.content["sequence"] for answer in together] == list(range(80))


def test_it_is_idempotent_on_the_sequence(running: Running, poll: dict[str, Any]) -> None:
    first = post(running, "/v1/junctions/B1/decisions", poll)
    post(running, "/v1/junctions/B1/decisions", {**poll, "sequence": 13})
    assert post(running, "/v1/junctions/B1/decisions", poll).content == first.content


def test_a_batch_judges_every_item_by_itself(running: Running, poll: dict[str, Any]) -> None:
    polls = [
        {"junction": "B1", **poll},
        {"junction": "Z9", **poll},
        {"junction": "B1", **poll, "spec_hash": "0" * 64},
        {"junction": "B1", **poll, "readings": {"time_s": NOW_S, "detectors": {"loop/x": {}}}},
        {"junction": "B1", "sequence": 1},
        {**poll},
        {"junction": "B1", **poll, "sequence": 99},
    ]
    answer = post(running, "/v1/decisions", {"polls": polls})
    assert answer.status_code == 200
    results = answer.json()["results"]
    assert [item["status"] for item in results] == [200, 404, 409, 422, 422, 422, 200]
    assert results[0]["command"]["phase"] == 0 and results[6]["command"]["sequence"] == 99
    assert "unknown junction 'Z9'" in results[1]["error"]
    assert "'loop/x'" in results[3]["error"]
    single = post(running, "/v1/junctions/B1/decisions", poll).json()
    assert results[0]["command"] == single


def bad_state(poll: dict[str, Any], **change: Any) -> dict[str, Any]:
    return {**poll, "state": {**poll["state"], **change}}


def test_refusals_are_one_line(running: Running, poll: dict[str, Any]) -> None:
    path = "/v1/junctions/B1/decisions"
    detectors = poll["readings"]["detectors"]
    loop = next(name for name in detectors if name.startswith("stop_loop"))
    strange = {"time_s": NOW_S, "detectors": {**detectors, "stop_loop/nowhere_0": {"count": 1}}}
    impossible = {"time_s": NOW_S, "detectors": {loop: {"count": -3}}}
    for content, status, text in (
        ({**poll, "spec_hash": "0" * 64}, 409, "deploy the bundle"),
        ({**poll, "bundle_hash": "0" * 64}, 409, "expects bundle"),
        (bad_state(poll, served=[True]), 409, "another timing"),
        (bad_state(poll, phase=500), 409, "phase 500"),
        ({**poll, "readings": strange}, 422, "unknown detector 'stop_loop/nowhere_0'"),
        ({**poll, "readings": impossible}, 422, f"detector '{loop}': count is -3"),
        ({**poll, "sequence": "12"}, 422, "sequence: "),
        ({**poll, "colour": 1}, 422, "colour: "),
        (bad_state(poll, held_s=-1), 422, "state.held_s"),
        ({}, 422, "sequence: Field required"),
        ([], 422, ""),
    ):
        answer = post(running, path, content)
        assert answer.status_code == status, answer.text
        error = answer.json()["error"]
        assert text in error and "\n" not in error
    nan = httpx2.post(
        running.url + path,
        content=json.dumps({**poll, "clock_s": float("nan")}),
        headers={"content-type": "application/json"},
        trust_env=False,
    )
    assert nan.status_code == 422 and "clock_s" in nan.json()["error"]
    broken = httpx2.post(running.url + path, content=b"{", trust_env=False)
    assert broken.status_code == 422 and "\n" not in broken.json()["error"]


def test_unknown_junction_and_address(running: Running, poll: dict[str, Any]) -> None:
    answer = post(running, "/v1/junctions/B2/decisions", poll)
    assert answer.status_code == 404 and "allowed: B1" in answer.json()["error"]
    assert httpx2.get(running.url + "/v1/junctions/B2", trust_env=False).status_code == 404
    assert "error" in httpx2.get(running.url + "/nowhere", trust_env=False).json()
    wrong = httpx2.get(running.url + "/v1/decisions", trust_env=False)
    assert wrong.status_code == 405 and "error" in wrong.json()


def test_stale_readings_mean_the_local_plan(running: Running, poll: dict[str, Any]) -> None:
    answer = post(running, "/v1/junctions/B1/decisions", {**poll, "clock_s": NOW_S + 30})
    assert answer.status_code == 200
    command = answer.json()
    assert command["phase"] is None and command["reason"] == "local plan"
    assert "30.0 s old" in command["why"]


def test_missing_detectors_are_accepted_until_a_movement_is_unseen(
    running: Running, poll: dict[str, Any]
) -> None:
    path = "/v1/junctions/B1/decisions"
    all_ = poll["readings"]["detectors"]
    zones = {name: value for name, value in all_.items() if name.startswith("near_zone/")}
    one = dict(list(all_.items())[:1])
    some, few, none = (
        post(running, path, {**poll, "readings": {"time_s": NOW_S, "detectors": given}}).json()
        for given in (zones, one, {})
    )
    assert some["phase"] == 0
    assert few["phase"] is None and "too few detectors at the stop line see movement" in few["why"]
    assert none["phase"] is None and "no detector answers" in none["why"]


def test_large_bodies(bundle: Bundle, poll: dict[str, Any]) -> None:
    def drip() -> Any:
        for _ in range(20):
            yield b"[" * 1000

    with serving(bundle, max_body_bytes=10_000) as running:
        path = running.url + "/v1/junctions/B1/decisions"
        declared = httpx2.post(path, content=b"[" * 10_001, trust_env=False)
        undeclared = httpx2.post(path, content=drip(), trust_env=False)
        for answer in (declared, undeclared):
            assert answer.status_code == 413 and "larger than" in answer.json()["error"]
        assert httpx2.get(running.url + "/healthz", trust_env=False).status_code == 200


def test_health_and_contract(running: Running, bundle: Bundle) -> None:
    with httpx2.Client(base_url=running.url, trust_env=False) as client:
        get = client.get
        assert get("/healthz").json() == {"status": "ok"}
        assert get("/readyz").json() == {"status": "ready", "junctions": 1}
        assert get("/v1/junctions").json() == {"junctions": ["B1"]}
        summary = get("/v1/junctions/B1").json()
        assert summary["bundle"]["hash"] == bundle.hash
        assert summary["spec_hash"] == bundle.contract.spec_hash
        assert len(summary["phases"]) == len(bundle.contract.junction.phases)
        assert get("/openapi.json").status_code == 200


def test_two_bundles_for_one_junction(bundle: Bundle) -> None:
    with pytest.raises(InputError, match="both for junction B1"), serving(bundle, bundle):
        pass


def test_a_busy_port_is_told_before_anything_starts(bundle_file: Path) -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        found = CliRunner().invoke(serve, ["--bundle", str(bundle_file), "--port", str(port)])
    assert isinstance(found.exception, PortError)
    assert found.exception.exit_code == 2
    assert f"127.0.0.1:{port}" in str(found.exception)
    assert "serving" not in found.output
    with pytest.raises(PortError, match="cannot listen on"):
        listen("no such host", 80)


def test_the_command_says_so_in_one_line(bundle_file: Path) -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        found = subprocess.run(
            [
                sys.executable,
                *("-c", "import sys; from signals.cli import main; sys.exit(main())", "serve"),
                *("--bundle", str(bundle_file), "--port", str(port)),
            ],
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert found.returncode == 2
    assert found.stdout == ""
    assert len(found.stderr.splitlines()) == 1
    assert f"cannot listen on 127.0.0.1:{port}" in found.stderr


def test_an_untrusted_bundle_is_not_served(
    bundle_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEOUL_SIGNALS_KEYS", str(tmp_path))
    found = CliRunner().invoke(serve, ["--bundle", str(bundle_file), "--port", "0"])
    assert isinstance(found.exception, SignalsError)
    assert "not trusted" in str(found.exception)


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_the_process_serves_records_and_stops(
    stop: signal.Signals, bundle_file: Path, poll: dict[str, Any], tmp_path: Path
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    record = tmp_path / "polls.jsonl"
    process = subprocess.Popen(
        [
            sys.executable,
            *("-c", "from controllers.service.cli import serve; serve()"),
            *("--bundle", str(bundle_file), "--port", str(port), "--record", str(record)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 30
        while True:
            try:
                httpx2.get(url + "/readyz", trust_env=False, timeout=1)
                break
            except httpx2.TransportError:
                assert process.poll() is None and time.monotonic() < deadline
                time.sleep(0.1)
        answer = httpx2.post(f"{url}/v1/junctions/B1/decisions", json=poll, trust_env=False)
        assert answer.status_code == 200
        bad = {**poll, "spec_hash": "x"}
        httpx2.post(f"{url}/v1/junctions/B1/decisions", json=bad, trust_env=False)
    finally:
        process.send_signal(stop)
        out, log = process.communicate(timeout=20)
    assert process.returncode == 0, log
    assert f"serving B1 on {url}" in out
    lines = log.splitlines()
    events = [re.search(r"event=(\S+)", line) for line in lines]
    assert [
        found.group(1) if found else line for found, line in zip(events, lines, strict=True)
    ] == [
        "serving",
        "decision",
        "refused",
        "stopped",
    ]
    assert "junction=B1" in lines[1] and "sequence=12" in lines[1] and "bundle=" in lines[1]
    kept = [json.loads(line) for line in record.read_text().splitlines()]
    assert len(kept) == 1
    assert kept[0]["command"]["phase"] == answer.json()["phase"]
    assert kept[0]["poll"]["readings"] == poll["readings"]

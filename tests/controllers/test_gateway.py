from __future__ import annotations

import dataclasses
import socket
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from click.testing import CliRunner

from controllers.gateway_cli import gateway
from controllers.gateway_simulation import check_answered
from controllers.outputs import output_folder
from controllers.poller import Poller
from controllers.runtime import DecisionRequest
from controllers.simulated import GatewayReport, SimulatedController, clock, shortened
from signals.bundle import Bundle
from signals.detectors import missing
from signals.errors import InputError, OutputError, ServiceError
from signals.junction import Junction
from signals.observation import ObservationSpec
from signals.recording import Recorder
from signals.simulation.backend import RunOptions
from signals.simulation.sumo_backend import SumoBackend
from signals.timing import GroupTiming
from signals.world import World
from tests.controllers.street import BEGIN_S, Running, serving
from tests.independent.lights import check_lights


def request_of(spec: ObservationSpec, sequence: int = 1) -> DecisionRequest:
    return DecisionRequest(missing(spec.detectors, 100.0), spec.guard.start(0), 100.0, sequence)


def test_the_service_controls_the_junction(running: Running, world: World, tmp_path: Path) -> None:
    recorder = Recorder()
    lines: list[str] = []
    controller = SimulatedController(
        world, SumoBackend(), running.url, timeout_s=5.0, log=lines.append, recorder=recorder
    )
    report = controller.run(3, RunOptions(trips_file=tmp_path / "tripinfo.xml"))
    recorder.write(tmp_path)
    assert report.seconds == 600
    assert (report.from_service, report.from_plan, report.refusals) == (120, 0, 0)
    assert report.losses == 0 and lines == []
    wished = {row[3] for row in recorder.seconds}
    assert len(wished) > 1, "the policy never changed the phase"
    assert (tmp_path / "lights.parquet").exists() and (tmp_path / "tripinfo.xml").exists()


def test_it_falls_back_when_the_service_is_gone_and_recovers(bundle: Bundle, world: World) -> None:
    recorder = Recorder()
    lines: list[str] = []
    with ExitStack() as outer:
        first = ExitStack()
        running = first.enter_context(serving(bundle))
        port = int(running.url.rpartition(":")[2])

        def each_second(controller: SimulatedController) -> None:
            second = controller.episode.clock_s - BEGIN_S
            if second == 121:
                first.close()
            elif second == 301:
                outer.enter_context(serving(bundle, port=port))

        controller = SimulatedController(
            world, SumoBackend(), running.url, 5.0, lines.append, recorder
        )
        report = controller.run(3, each_second=each_second)
    assert report.losses == report.recoveries == 1
    assert len(lines) == 2
    assert lines[0].startswith("08:02:05 on the local plan: no answer from the service")
    assert lines[1].endswith("the service decides again")
    assert report.from_service + report.from_plan == 120
    # Back after at most the longest pause between two tries.
    assert 300 / 5 - 25 <= report.from_plan <= 180 / 5 + 30 / 5
    for second, _, _, wish, _, _, _ in recorder.seconds[126:301]:
        assert wish == world.plan.wish(world.junction, second)
    shown = [(row[0], row[1]) for row in recorder.seconds]
    assert check_lights(shown, world.net_file, world.junction.id) == []


def test_another_timing_is_refused_and_the_plan_runs(
    running: Running, world: World, junction: Junction
) -> None:
    groups = dict(junction.timing.groups)
    name, row = next((k, v) for k, v in groups.items() if not k.endswith("ped"))
    groups[name] = GroupTiming(row.min_green_s + 1, row.clearance_s, row.all_red_s, row.max_red_s)
    timing = dataclasses.replace(junction.timing, groups=groups)
    other = dataclasses.replace(
        shortened(world, 2), junctions=(dataclasses.replace(junction, timing=timing),)
    )
    lines: list[str] = []
    report = SimulatedController(other, SumoBackend(), running.url, 5.0, lines.append).run(1)
    assert report.seconds == 120 and report.from_service == 0 and report.from_plan == 24
    assert report.refusals >= 3
    assert len(lines) == 1 and "HTTP 409" in lines[0]


def test_a_poller_backs_off_and_tries_again(bundle: Bundle, junction: Junction) -> None:
    spec = ObservationSpec(junction)
    now = [0.0]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    asked = []
    with Poller(f"http://127.0.0.1:{port}", spec, 2.0, lambda: now[0]) as poller:
        for second in range(100):
            now[0] = float(second)
            if poller.ask(request_of(spec)).asked:
                asked.append(second)
        assert asked == [0, 1, 3, 7, 15, 31, 61, 91]
        with serving(bundle, port=port):
            now[0] = 121.0
            answer = poller.ask(request_of(spec))
            assert answer.command is not None and answer.command.why == "no detector answers"
            assert poller.ask(request_of(spec, 2)).command is not None
            assert poller.summary() is not None
        assert poller.summary() is None


def test_a_silent_service_is_given_up_in_time(junction: Junction) -> None:
    spec = ObservationSpec(junction)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with Poller(url, spec, timeout_s=0.2) as poller:
            began = time.monotonic()
            answer = poller.ask(request_of(spec))
    assert answer.command is None and answer.problem
    assert time.monotonic() - began < 2.0


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"phase": 1}', b"null", b'{"phase": 1e999}'])
def test_nonsense_is_no_command(body: bytes, junction: Junction) -> None:
    spec = ObservationSpec(junction)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()

        def answer_once() -> None:
            connection, _ = server.accept()
            with connection:
                received = b""
                while b"\r\n\r\n" not in received:
                    received += connection.recv(65536)
                connection.sendall(
                    b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s"
                    % (len(body), body)
                )
                # Read what is left of the poll, so that closing does not reset the connection.
                connection.settimeout(1.0)
                while not received.endswith(b"}"):
                    received += connection.recv(65536)

        thread = threading.Thread(target=answer_once, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        with Poller(url, spec, timeout_s=5.0) as poller:
            answer = poller.ask(request_of(spec))
        thread.join(5)
    assert answer.command is None and "no command" in answer.problem


@pytest.mark.parametrize("url", ["localhost:8080", "ftp://x", "", "http://"])
def test_what_is_no_address(url: str, junction: Junction) -> None:
    with pytest.raises(InputError, match="give http"):
        Poller(url, ObservationSpec(junction))


def test_the_poller_pins_a_bundle(running: Running, bundle: Bundle, junction: Junction) -> None:
    spec = ObservationSpec(junction)
    with Poller(running.url, spec, 5.0, bundle_hash="0" * 64) as poller:
        answer = poller.ask(request_of(spec))
        assert answer.refused and "expects bundle" in answer.problem
    with Poller(running.url, spec, 5.0, bundle_hash=bundle.hash) as poller:
        assert poller.ask(request_of(spec)).command is not None


def test_small_things(world: World, tmp_path: Path) -> None:
    assert clock(86_399.9) == "23:59:59" and clock(86_400) == "00:00:00"
    assert shortened(world, None) is world
    assert shortened(world, 1e6).end_s == world.end_s
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        output_folder(tmp_path / "file")


@pytest.mark.parametrize(
    ("report", "told"),
    [
        (GatewayReport(polls=6, refusals=6, problem="HTTP 401: give a key"), "refused all of 6"),
        (GatewayReport(polls=6, refusals=5, problem="HTTP 500"), "decided none of 6"),
        (GatewayReport(polls=6, refusals=5, from_service=1), ""),
        (GatewayReport(polls=6, local_plan_answers=6), ""),
        (GatewayReport(), ""),
    ],
)
def test_a_run_without_the_service_is_no_success(report: GatewayReport, told: str) -> None:
    if not told:
        check_answered(report, "http://x", "B1")
        return
    with pytest.raises(ServiceError, match=told) as error:
        check_answered(report, "http://x", "B1")
    assert report.problem in str(error.value)


def test_the_command_runs_on_its_plan_without_a_service(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controllers.gateway_simulation.resolve", lambda scenario, period: world)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    out = tmp_path / "kept"
    found = CliRunner().invoke(
        gateway,
        ["--simulate", "grid", "--service", url, "--minutes", "1", "--out", str(out)],
    )
    assert isinstance(found.exception, ServiceError) and found.exception.exit_code == 1
    told = str(found.exception)
    assert told.startswith(f"the service at {url} decided none of 6 polls (no answer from the ser")
    assert "signals serve" in told and "\n" not in told
    assert "grid am_peak day 0, 60 s simulated: delay " in found.stdout
    assert "decisions: 0 by the service, 12 by the local plan; 0 polls refused" in found.stdout
    assert len([line for line in found.stderr.splitlines() if "local plan: no answer" in line]) == 1
    assert sorted(file.name for file in out.iterdir()) == [
        "events.csv",
        "lights.parquet",
        "tripinfo.xml",
    ]

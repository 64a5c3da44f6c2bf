"""The service as a city runs it: with a registry, keys, stages and people."""

from __future__ import annotations

import io
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from click.testing import CliRunner

from controllers.bundle import trusted_keys
from controllers.poller import Credentials, Poller
from controllers.registry.change import Author, now_ms
from controllers.registry.cli import registry as registry_command
from controllers.registry.database import migrate, open_engine
from controllers.registry.journal import JournalFullError
from controllers.registry.store import Registry
from controllers.rollout import SERVICE
from controllers.runtime import DecisionRequest, JunctionRuntime
from controllers.service.assembly import Settings, assembled
from controllers.service.deciding import Service
from controllers.service.keeper import Keeper
from controllers.service.server import make_logger
from signals.bundle import Bundle
from signals.detectors import Readings
from signals.errors import InputError
from signals.world import World
from tests.controllers.street import listening

NOW_S = 30_000.0
BY = Author("tester", "a test")
ROLES = ("controller", "viewer", "operator", "admin")


@dataclass
class City:
    """A running service, its registry and a key of each role."""

    url: str
    service: Service
    registry: Registry
    log: io.StringIO
    app: Any
    client: httpx2.Client
    keys: dict[str, str] = field(default_factory=dict)

    def call(self, method: str, path: str, role: str | None = None, **more: Any) -> Any:
        headers = {"authorization": f"Bearer {self.keys[role]}"} if role else {}
        return self.client.request(
            method, path, headers={**headers, **more.pop("extra", {})}, **more
        )

    def post(self, path: str, role: str | None, body: Any) -> Any:
        return self.call("POST", path, role, json=body)

    def follow(self) -> None:
        self.service.city.refresh()

    def written(self) -> None:
        assert self.service.writer is not None
        assert self.service.writer.flush()


@pytest.fixture(scope="module")
def city(bundle_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    folder = tmp_path_factory.mktemp("city")
    engine = open_engine(str(folder / "registry.db"))
    migrate(engine)
    registry = Registry(engine)
    row = registry.add_bundle(bundle_file, trusted_keys(), BY)
    registry.deploy(registry.opened(row.hash, trusted_keys()), "deploy", BY)
    keys = {
        role: registry.add_key(role, role, BY, ["B1"] if role == "controller" else [])[0]
        for role in ROLES
    }
    keys["stranger"] = registry.add_key("other", "controller", BY, ["Z9"])[0]
    log = io.StringIO()
    settings = Settings(
        registry=str(folder / "registry.db"),
        spool=str(folder / "spool"),
        trusted=tuple(trusted_keys()),
        calls_a_second=10_000,
    )
    with (
        assembled(settings, make_logger(log)) as (service, app),
        listening(app) as url,
        httpx2.Client(base_url=url, trust_env=False, timeout=20) as client,
    ):
        yield City(url, service, registry, log, app, client, keys)
    engine.dispose()


@pytest.fixture
def staged(city: City) -> Iterator[City]:
    """Back to `deploy`, without overrides, after each test."""
    yield city
    city.registry.restage("B1", "deploy", BY)
    city.registry.override("B1", "release", BY)
    city.follow()
    city.service.steps_back.clear()


@pytest.fixture(scope="module")
def poll(bundle: Bundle) -> dict[str, Any]:
    spec = JunctionRuntime.from_bundle(bundle).spec
    readings = Readings(NOW_S, np.random.default_rng(1).integers(0, 2, (len(spec.detectors), 6)))
    return {
        "sequence": 1,
        "clock_s": NOW_S,
        "readings": readings.to_dict(spec.detectors),
        "state": spec.guard.start(0).to_dict(),
        "spec_hash": spec.hash,
        "session": "a-start",
    }


POLL = "/v1/junctions/B1/decisions"
# What each role may; everything else is refused to it.
ALLOWED = {
    ("POST", "/v1/junctions/{junction}/decisions"): ("controller", "admin"),
    ("POST", "/v1/junctions/{junction}/events"): ("controller", "admin"),
    ("POST", "/v1/decisions"): ROLES,
    ("GET", "/v1/junctions"): ROLES,
    ("GET", "/v1/junctions/{junction}"): ROLES,
    ("GET", "/v1/junctions/{junction}/state"): ROLES,
    ("GET", "/v1/junctions/{junction}/spat"): ROLES,
    ("GET", "/v1/junctions/{junction}/events"): ROLES,
    ("POST", "/v1/deployments"): ("admin",),
    ("POST", "/v1/junctions/{junction}/stage"): ("admin",),
    ("POST", "/v1/junctions/{junction}/rollback"): ("operator", "admin"),
    ("POST", "/v1/junctions/{junction}/override"): ("operator", "admin"),
    ("POST", "/v1/junctions/{junction}/release"): ("operator", "admin"),
    ("POST", "/v1/junctions/{junction}/apply"): ("operator", "admin"),
}
PEOPLE = ("viewer", "operator", "admin")


def test_nothing_without_a_key_and_nothing_with_the_wrong_role(staged: City) -> None:
    seen = 0
    document = staged.call("GET", "/openapi.json", "viewer").json()
    for path, methods in document["paths"].items():
        for method in (name.upper() for name in methods):
            if path in ("/healthz", "/readyz"):
                assert staged.call(method, path).status_code == 200
                continue
            where = path.replace("{junction}", "B1")
            for headers in ({}, {"authorization": "Bearer ssk_x"}, {"authorization": "Basic x"}):
                answer = staged.call(method, where, extra=headers)
                assert answer.status_code in (401, 429), (method, path)
            allowed = ALLOWED.get((method, path), PEOPLE)
            for role in ROLES:
                if path == "/v1/stream" and role in allowed:
                    continue
                body = {"why": "x", "bundle": "x", "stage": "shadow", "phase": 0}
                answer = staged.call(method, where, role, json=body)
                refused = answer.status_code == 403
                assert refused == (role not in allowed), (method, path, role, answer.text)
                seen += refused
    assert seen > 25
    assert len(document["paths"]) >= 24 and {path for _, path in ALLOWED} <= {*document["paths"]}
    assert staged.call("GET", "/docs", "admin").status_code == 404
    assert staged.call("GET", "/nowhere").status_code in (401, 429)


def test_a_controller_speaks_for_its_own_junctions(city: City, poll: dict[str, Any]) -> None:
    assert city.post(POLL, "controller", poll).status_code == 200
    refused = city.post(POLL, "stranger", poll)
    assert refused.status_code == 403 and "may not speak" in refused.json()["error"]
    assert city.call("GET", "/v1/junctions/B1", "stranger").status_code == 403
    assert city.call("GET", "/v1/junctions", "stranger").json() == {"junctions": []}
    batch = city.post("/v1/decisions", "stranger", {"polls": [{"junction": "B1", **poll}]})
    assert batch.json()["results"][0]["status"] == 403


def test_wrong_keys_are_slowed_down_and_no_key_is_in_the_log(city: City) -> None:
    wrong = f"Bearer {city.keys['admin'][:-3]}abc"
    codes = [
        city.call("GET", "/v1/junctions", extra={"authorization": wrong}).status_code
        for _ in range(60)
    ]
    # How many were tried before, and how fast, is up to the other tests.
    assert set(codes) <= {401, 429} and codes[-1] == 429
    text = city.log.getvalue()
    for key in city.keys.values():
        assert key not in text and key.split("_", 2)[2] not in text
    assert city.keys["admin"].split("_", 2)[2][:-3] not in text


def test_decisions_are_recorded_once_with_their_bundle(
    city: City, poll: dict[str, Any], bundle: Bundle
) -> None:
    mine = {**poll, "session": "recorded"}
    first = city.post(POLL, "controller", mine)
    again = city.post(POLL, "controller", mine)
    assert first.content == again.content
    for number in range(2, 5):
        city.post(POLL, "controller", {**mine, "sequence": number, "clock_s": NOW_S + number})
    city.written()
    rows = [row for row in city.registry.decisions("B1") if row.session == "recorded"]
    assert sorted(row.sequence for row in rows) == [1, 2, 3, 4]
    row = next(row for row in rows if row.sequence == 1)
    assert row.id == first.json()["decision"]
    assert row.bundle_hash == bundle.hash and row.stage == "deploy/on" and row.phase == row.wish
    assert f"decision={row.id}" in city.log.getvalue()
    restarted = {**mine, "session": "next"}
    assert city.post(POLL, "controller", restarted).json()["decision"] != row.id


def test_a_batch_is_decided_as_its_polls_alone(city: City, poll: dict[str, Any]) -> None:
    polls = [{**poll, "sequence": n, "clock_s": NOW_S + n / 4} for n in range(12)]
    alone = [city.post(POLL, "controller", item).json() for item in polls]
    body = {"polls": [{"junction": "B1", **item} for item in polls]}
    together = city.post("/v1/decisions", "controller", body).json()["results"]
    assert [item["command"] for item in together] == alone


def test_the_short_form_of_readings_is_the_same_question(
    city: City, poll: dict[str, Any], bundle: Bundle
) -> None:
    named = {**poll, "echo": True, "session": "short"}
    spec = JunctionRuntime.from_bundle(bundle).spec
    detectors = {**poll["readings"]["detectors"]}
    detectors[spec.detectors[3].id] = {field: None for field in spec.detectors[3].fields}
    named["readings"] = {"time_s": NOW_S, "detectors": detectors}
    order = city.call("GET", "/v1/junctions/B1", "controller").json()["detectors"]
    values = [detectors[name][field] for name, fields in order.items() for field in fields]
    short = {**named, "readings": {"time_s": NOW_S, "values": values}}
    first, second = (city.post(POLL, "controller", body) for body in (named, short))
    assert first.status_code == 200 and first.content == second.content
    for number, bad in enumerate((-1, 1e9, 10**400, "1", True, [1])):
        body = {**short, "readings": {"time_s": NOW_S, "values": [bad, *values[1:]]}}
        refused = city.post(POLL, "controller", {**body, "sequence": number})
        assert refused.status_code == 422 and next(iter(order)) in refused.json()["error"], bad
    for change, text in (
        ({"readings": {"time_s": NOW_S, "values": values[1:]}}, "values, this junction has"),
        ({"spec_hash": None}, "name their spec_hash"),
        ({"readings": {"time_s": NOW_S}}, "either detectors or values"),
        ({"readings": {**short["readings"], "detectors": detectors}}, "either detectors or"),
    ):
        refused = city.post(POLL, "controller", {**short, **change})
        assert refused.status_code == 422 and text in refused.json()["error"]


def ask(city: City, poll: dict[str, Any], **change: Any) -> dict[str, Any]:
    answer = city.post(POLL, "controller", {**poll, **change})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_the_stages(staged: City, poll: dict[str, Any]) -> None:
    def stage(name: str, **options: Any) -> None:
        body = {"bundle": "by-load", "stage": name, "options": options, "why": "next stage"}
        answer = staged.post("/v1/deployments", "admin", body)
        assert answer.status_code == 200, answer.text
        staged.follow()

    acting = ask(staged, poll)
    assert acting["phase"] == 0 and acting["withheld"] is False
    stage("shadow")
    shadow = ask(staged, poll, session="shadow")
    assert shadow["phase"] is None and "stage shadow" in shadow["why"] and shadow["withheld"]
    staged.written()
    row = next(row for row in staged.registry.decisions("B1") if row.id == shadow["decision"])
    assert row.wish == 0 and row.phase is None and row.stage == "shadow/off"
    file = str(staged.registry.engine.url.database)
    shown = CliRunner().invoke(registry_command, ["show", "B1", "--registry", file]).stdout
    assert f"poll {row.sequence}: policy phase 0; street local plan stage shadow" in shown
    assert re.search(r"last choice of the policy: phase 0, \d+ s ago, stage shadow, not act", shown)
    blind = {name: {} for name in poll["readings"]["detectors"]}
    unread = ask(staged, poll, session="blind", readings={"time_s": NOW_S, "detectors": blind})
    assert unread["why"] == "no detector answers" and unread["withheld"] is False
    stage("canary", windows=["08:00-09:00"])
    assert ask(staged, poll)["phase"] == 0
    late = poll | {"readings": {**poll["readings"], "time_s": 33_000.0}}
    assert ask(staged, late, clock_s=33_000.0)["phase"] is None
    stage("switchback", block_s=600, seed=4)
    phases = set()
    for minute in range(0, 120, 10):
        clock_s = 60.0 * minute
        item = poll | {"readings": {**poll["readings"], "time_s": clock_s}}
        phases.add(ask(staged, item, clock_s=clock_s)["phase"])
    assert phases == {0, None}
    stage("recommend")
    wish = ask(staged, poll, session="recommend", clock_s=NOW_S + 2)
    assert wish["phase"] is None
    staged.written()
    said = staged.call("GET", "/v1/junctions/B1/recommendation", "viewer").json()
    assert said["stage"] == "recommend" and said["phase"] == 0
    applied = staged.post("/v1/junctions/B1/apply", "operator", {"phase": 1, "why": "jam"})
    assert applied.status_code == 200
    staged.follow()
    assert ask(staged, poll)["phase"] == 1
    back = staged.post("/v1/junctions/B1/rollback", "operator", {"why": "enough"})
    assert back.json()["stage"] == "switchback"
    for body, status in (
        ({"bundle": "none", "why": "x"}, 404),
        ({"bundle": "by-load", "stage": "everywhere", "why": "x"}, 404),
        ({"bundle": "by-load", "options": {"vetoes": 7}, "why": "x"}, 400),
        ({"bundle": "by-load"}, 422),
        ({"bundle": "by-load", "why": " "}, 422),
    ):
        assert staged.post("/v1/deployments", "admin", body).status_code == status, body
    told = staged.call("GET", "/v1/audit", "viewer").json()["changes"]
    assert {"admin", "operator"} <= {row["who"] for row in told}


def test_a_stage_that_does_not_act_is_no_loss(staged: City, world: World) -> None:
    """A simulated controller under shadow is told so once, and counts no loss of the service."""
    pytest.importorskip("libsumo", reason="libsumo is not installed (extra: sim)")
    from controllers.simulated import SimulatedController, shortened
    from signals.simulation.sumo_backend import SumoBackend

    staged.registry.restage("B1", "shadow", BY)
    staged.follow()
    lines: list[str] = []
    report = SimulatedController(
        shortened(world, 1),
        SumoBackend(),
        staged.url,
        5.0,
        lines.append,
        credentials=Credentials(staged.keys["controller"]),
    ).run(1)
    assert (report.polls, report.local_plan_answers, report.from_service) == (12, 12, 0)
    assert report.losses == report.recoveries == 0
    assert len(lines) == 1 and "the service leaves it to the local plan: stage shadow" in lines[0]


def test_overrides_come_before_the_policy(staged: City, poll: dict[str, Any]) -> None:
    body = {"why": "accident in the crossing"}
    assert staged.post("/v1/junctions/B1/override", "operator", body).status_code == 200
    staged.follow()
    answer = ask(staged, poll)
    assert answer["phase"] is None and "accident in the crossing" in answer["why"]
    assert answer["withheld"]
    again = staged.post("/v1/junctions/B1/stage", "admin", {"stage": "deploy", "why": "go on"})
    over = again.json()["override"]
    assert over["kind"] == "local_plan" and over["why"] == body["why"], again.text
    hold = {"phase": 2, "minutes": 0.02, "why": "let the east out"}
    assert staged.post("/v1/junctions/B1/override", "operator", hold).status_code == 200
    staged.follow()
    held = ask(staged, poll)
    # All red at the start of phase 0: the guard does not grant it yet, and says so.
    assert held["phase"] == 2 and held["granted"] is False and "let the east out" in held["why"]
    time.sleep(1.3)
    assert ask(staged, poll)["phase"] == 0, "an override ends by itself"
    state = staged.call("GET", "/v1/junctions/B1/state", "viewer").json()
    assert state["override"] is None and state["stage"] == "deploy"
    wrong = staged.post("/v1/junctions/B1/override", "operator", {"phase": 99, "why": "x"})
    assert wrong.status_code == 400 and "allowed: 0 to" in wrong.json()["error"]


def test_it_steps_back_by_itself_from_stale_readings(staged: City, poll: dict[str, Any]) -> None:
    options = {"least": 10, "stale": 0.5}
    staged.post(
        "/v1/deployments",
        "admin",
        {"bundle": "by-load", "stage": "canary", "options": options, "why": "try"},
    )
    staged.follow()
    assert ask(staged, poll)["phase"] == 0
    for number in range(20):
        ask(staged, poll, sequence=number, clock_s=NOW_S + 60)
    answer = ask(staged, poll)
    assert answer["phase"] is None and "could not be decided on" in answer["why"]
    staged.service.step_back()
    last = staged.registry.deployments()["B1"]
    assert last.stage == "shadow" and last.who == SERVICE and "stepped back" in last.why


def test_it_steps_back_from_a_delay_worse_than_the_plan(staged: City, bundle: Bundle) -> None:
    from tests.controllers.registry.test_writer import decision

    options = {"block_s": 600, "trim_s": 60, "seed": 1}
    staged.post(
        "/v1/deployments",
        "admin",
        {"bundle": "by-load", "stage": "switchback", "options": options, "why": "try"},
    )
    staged.follow()
    row = staged.registry.deployments()["B1"]
    rows = []
    begin_ms = now_ms() - 10_800_000
    for second in range(0, 9600, 20):
        on = second // 600 % 2 == 0
        item = decision(10_000 + second, begin_ms + 1000 * second)
        item[5], item[6], item[7] = float(second), bundle.hash, row.id
        item[8] = "switchback/on" if on else "switchback/off"
        item[15], item[16] = (6.0 if on else 2.0) + second / 1e4, second / 5
        rows.append(item)
    assert staged.service.writer is not None
    staged.service.writer.journal.append("decisions", rows)
    staged.written()
    found = staged.call("GET", "/v1/junctions/B1/evaluation", "viewer").json()
    assert found["verdict"] == "worse" and found["pairs"] == 8
    Keeper(staged.service).judge()
    last = staged.registry.deployments()["B1"]
    assert last.stage == "shadow" and "95 % interval" in last.why


def test_what_cannot_be_recorded_does_not_act(
    city: City, poll: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert city.service.writer is not None

    def full(*_: object) -> None:
        raise JournalFullError("the disk is full")

    monkeypatch.setattr(city.service.writer.journal, "append", full)
    answer = ask(city, poll)
    assert answer["phase"] is None and "the disk is full" in answer["why"]
    events = {"events": [{"at_ms": 1, "event": 1}]}
    assert city.post("/v1/junctions/B1/events", "controller", events).status_code == 503


def test_lights_events_and_metrics(city: City, poll: dict[str, Any], bundle: Bundle) -> None:
    ask(city, poll, session="lights", sequence=77)
    city.written()
    spat = city.call("GET", "/v1/junctions/B1/spat", "controller").json()
    assert spat["status"] == "ok" and len(spat["states"]) == len(bundle.contract.junction.groups)
    assert {state["eventState"] for state in spat["states"]} == {"stop-And-Remain"}
    (feed,) = city.call("GET", "/v1/v2x", "viewer").json()
    assert feed["itstId"] == "B1" and feed["ntStsgStatNm"] == "stop-And-Remain"
    assert feed["ntStsgRmdrCs"] == 36_001 and "etPdsgStatNm" in feed
    assert len(city.call("GET", "/v1/spat?junction=B1", "viewer").json()["intersections"]) == 1
    events = [{"at_ms": 1_700_000_000_000 + 100 * n, "event": n % 10} for n in range(20)]
    for _ in range(2):
        kept = city.post("/v1/junctions/B1/events", "controller", {"events": events})
        assert kept.json() == {"kept": 20}
    city.written()
    found = city.call("GET", "/v1/junctions/B1/events", "controller").json()["events"]
    assert len(found) == 20
    assert found[3] == {
        "TimeStamp": "2023-11-14T22:13:20.300+00:00",
        "DeviceId": "B1",
        "EventId": 3,
        "Parameter": 0,
    }
    text = city.call("GET", "/metrics", "viewer").text
    assert "signals_decisions_total" in text and 'signals_refusals_total{status="403"}' in text
    assert city.call("GET", "/readyz").json()["registry"] == "ok"


def test_the_stream_tells_changes_and_decisions(staged: City, poll: dict[str, Any]) -> None:
    headers = {"authorization": f"Bearer {staged.keys['viewer']}"}
    lines: list[str] = []
    opened = threading.Event()

    def listen() -> None:
        with httpx2.stream(
            "GET", staged.url + "/v1/stream?junction=B1", headers=headers, trust_env=False
        ) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            for line in answer.iter_lines():
                opened.set()
                lines.append(line)
                text = "\n".join(lines)
                if "event: change" in text and "on the stream" in text and "heard" in text:
                    return

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    assert opened.wait(15)
    staged.follow()
    staged.post("/v1/junctions/B1/override", "operator", {"why": "on the stream"})
    ask(staged, poll, session="heard")
    thread.join(15)
    assert not thread.is_alive(), lines
    data = [json.loads(line[6:]) for line in lines if line.startswith("data: ")]
    assert {"override", "deploy/on"} & {str(row.get("what", row.get("stage"))) for row in data}


def test_the_poller_shows_its_key(city: City, bundle: Bundle, tmp_path: Path) -> None:
    runtime = JunctionRuntime.from_bundle(bundle)
    spec = runtime.spec
    request = DecisionRequest(
        Readings(NOW_S, np.zeros((len(spec.detectors), 6))), spec.guard.start(0), NOW_S, 3
    )
    file = tmp_path / "key"
    file.write_text(city.keys["controller"] + "\n")
    known = Credentials.given(str(file))
    assert city.keys["controller"] not in repr(known)
    with Poller(city.url, spec, 5.0, credentials=known) as poller:
        assert poller.summary() is not None and poller.ask(request).command is not None
    with Poller(city.url, spec, 5.0, credentials=Credentials()) as poller:
        assert poller.summary() is None
        answer = poller.ask(request)
        assert answer.refused and "valid key" in answer.problem
    for wrong in (str(tmp_path / "none"), "ssk_\x00"):
        with pytest.raises(InputError):
            Credentials.given(wrong)


def test_a_bundle_without_ranges_is_told_once(staged: City) -> None:
    keeper = Keeper(staged.service)
    for stage in ("shadow", "deploy"):
        staged.registry.restage("B1", stage, BY)
        keeper.turn()
    lines = [line for line in staged.log.getvalue().splitlines() if "drift is not watched" in line]
    assert len(lines) == 1 and "B1" in lines[0] and "export it anew" in lines[0]


def test_revoked_keys_end(city: City, poll: dict[str, Any]) -> None:
    key, key_id = city.registry.add_key("short", "controller", BY, ["B1"])
    city.keys["short"] = key
    city.follow()
    assert city.post(POLL, "short", poll).status_code == 200
    city.registry.revoke_key(key_id, BY)
    city.follow()
    assert city.post(POLL, "short", poll).status_code in (401, 429)


def test_the_registry_may_be_away(city: City, poll: dict[str, Any], tmp_path: Path) -> None:
    """Decisions go on from what was known, and wait on disk."""
    settings = Settings(
        registry=str(tmp_path / "registry.db"),
        spool=str(tmp_path / "spool"),
        trusted=tuple(trusted_keys()),
        open_to_all=True,
    )
    engine = open_engine(settings.registry)
    migrate(engine)
    registry = Registry(engine)
    stored = city.registry.bundle("by-load")
    file = tmp_path / "b1.bundle"
    file.write_bytes(stored.content)
    registry.add_bundle(file, trusted_keys(), BY)
    registry.deploy(registry.opened("by-load", trusted_keys()), "deploy", BY)
    engine.dispose()
    with ExitStack() as stack:
        log = io.StringIO()
        service, app = stack.enter_context(assembled(settings, make_logger(log)))
        url = stack.enter_context(listening(app))
        assert service.writer is not None and service.writer.flush()
        places = [tmp_path / f"registry.db{end}" for end in ("", "-wal", "-shm")]
        for place in places:
            if place.exists():
                place.rename(f"{place}.away")
        (tmp_path / "registry.db").mkdir()
        service.registry.engine.dispose()  # type: ignore[union-attr]
        answer = httpx2.post(url + POLL, json=poll, trust_env=False)
        assert answer.status_code == 200 and answer.json()["phase"] == 0
        service.writer.flush()
        assert httpx2.get(url + "/readyz", trust_env=False).json()["registry"] == "away"
        assert httpx2.get(url + "/v1/audit", trust_env=False).status_code == 503
        (tmp_path / "registry.db").rmdir()
        for place in places:
            if Path(f"{place}.away").exists():
                Path(f"{place}.away").rename(place)
        assert service.writer.flush()
        assert len(service.registry.decisions("B1")) == 1  # type: ignore[union-attr]
    assert log.getvalue().count("registry lost") == log.getvalue().count("registry back") == 1

"""The closed loop of real processes: SUMO + virtual controllers <- SNMP -> gateway <- HTTP ->
service + registry, all on loopback, each started with the product's own commands.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from controllers.ntcip.assignment import Assignment
from signals.bundle import write_bundle
from signals.contract import Contract, TimedPlan
from signals.detectors import Readings
from signals.junction import Junction
from signals.policy import OnnxPolicy
from signals.signing import KEYS_VARIABLE, signing_key
from signals.world import World, resolve
from tests.independent.lights import check_lights, read_lights
from tests.independent.runs import site_timing

SEOUL = Path(__file__).parents[2] / "scenarios" / "seoul"


def command(*arguments: object) -> list[str]:
    return [
        sys.executable,
        "-c",
        "import sys; from signals.cli import main; sys.exit(main())",
        *map(str, arguments),
    ]


@dataclass
class Process:
    """One of the product's processes, its output in a file."""

    name: str
    running: subprocess.Popen[bytes]
    log: Path

    def text(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def wait_for(self, pattern: str, seconds: float = 60.0) -> re.Match[str]:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = re.search(pattern, self.text())
            if found:
                return found
            assert self.running.poll() is None, f"{self.name} ended:\n{self.text()}"
            time.sleep(0.05)
        raise AssertionError(f"{self.name} never said '{pattern}':\n{self.text()}")

    def stop(self, number: int = signal.SIGTERM, seconds: float = 60.0) -> int:
        if self.running.poll() is None:
            self.running.send_signal(number)
        return self.running.wait(timeout=seconds)


@dataclass
class Loop:
    """One run.

    Attributes:
        folder: Everything it writes.
        world: What is simulated.
        policy: ONNX bytes, for every junction.
        registry: Address of the registry; empty serves the bundles without one.
        version: SNMP version.
        seed: Demand day.
        speed: Most seconds of the controllers in one second, 0 without a limit.
        lockstep: Commands drive the clock.
        interval_s: Decision interval of the bundles (s).
    """

    folder: Path
    world: World
    policy: bytes
    registry: str = ""
    version: str = "v3"
    seed: int = 1
    speed: float = 0.0
    lockstep: bool = True
    interval_s: int = 5
    processes: dict[str, Process] = field(default_factory=dict)
    url: str = ""

    def prepare(self) -> None:
        """Sign the bundles, deploy them, make keys."""
        self.bundles = []
        for junction, plan in zip(self.world.junctions, self.world.plans, strict=True):
            file = self.folder / f"{junction.id}.bundle"
            timed = TimedPlan(self.world.period, self.world.begin_s, self.world.end_s, plan)
            contract = Contract.promise(
                "closed loop", junction, (timed,), self.policy, self.interval_s
            )
            write_bundle(file, contract, self.policy, signing_key())
            self.bundles.append(file)
        if self.registry:
            self.call("registry", "init", "--registry", self.registry)
            for file in self.bundles:
                self.deploy(file)
            made = self.call(
                "registry",
                "keys",
                "add",
                "gateway",
                "--role",
                "controller",
                "--junction",
                "*",
                *("--registry", self.registry, "--why", "closed loop"),
                "--json",
            )
            key = self.folder / "gateway.key"
            key.write_text(_key(json.loads(made)), encoding="utf-8")

    def deploy(self, file: Path) -> None:
        """Put a bundle into the registry and in charge, without limits that would step back."""
        where = ("--registry", self.registry, "--why", "closed loop")
        added = json.loads(self.call("registry", "add", file, *where, "--json"))
        unlimited = ("stale=1", "vetoes=1", "drift=1", "worse=false")
        options = (part for limit in unlimited for part in ("--option", limit))
        self.call("registry", "deploy", _hash(added), "--stage", "deploy", *where, *options)

    def call(self, *arguments: object) -> str:
        done = subprocess.run(
            command(*arguments),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{arguments}\n{done.stdout}{done.stderr}"
        return done.stdout

    def start(self, name: str, *arguments: object) -> Process:
        log = self.folder / f"{name}.log"
        with log.open("ab") as stream:
            running = subprocess.Popen(
                command(*arguments),
                cwd=self.folder,
                stdout=stream,
                stderr=stream,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        self.processes[name] = Process(name, running, log)
        return self.processes[name]

    def start_service(self, port: int = 0) -> Process:
        what: tuple[object, ...] = ("--registry", self.registry, "--calls", 100_000)
        if not self.registry:
            what = tuple(part for file in self.bundles for part in ("--bundle", file))
            what += ("--record", self.folder / "decisions.jsonl")
        log = self.folder / "service.log"
        log.unlink(missing_ok=True)
        service = self.start("service", "serve", *what, "--port", port, "--log-level", "warning")
        self.url = service.wait_for(r"(http://127\.0\.0\.1:\d+)")[1]
        return service

    def start_controllers(self, *options: object, port: int = 0) -> Process:
        minutes = (self.world.end_s - self.world.begin_s) / 60
        pace: tuple[object, ...] = ("--speed", self.speed)
        if self.lockstep:
            pace += ("--lockstep", "--patience", 60)
        controllers = self.start(
            "controllers",
            "virtual-controller",
            *("--simulate", self.world.scenario, "--period", self.world.period),
            *("--seed", self.seed, "--minutes", minutes, "--port", port, *pace),
            *("--gateway-file", "controllers.yaml", "--out", "street", *options),
        )
        controllers.wait_for("ready;")
        listed = self.folder / "controllers.yaml"
        text = listed.read_text(encoding="utf-8").replace("version: v3", f"version: {self.version}")
        listed.write_text(text, encoding="utf-8")
        return controllers

    def start_gateway(self, *options: object, arm: bool = True) -> Process:
        key = ("--key", "gateway.key") if self.registry else ()
        (self.folder / "gateway.log").unlink(missing_ok=True)
        gateway = self.start(
            "gateway",
            "gateway",
            "--controllers",
            "controllers.yaml",
            "--service",
            self.url,
            *(part for file in self.bundles for part in ("--bundle", file)),
            *key,
            *(("--arm", 1440) if arm else ()),
            *(("--lockstep", "--timeout", 30) if self.lockstep else ("--speed", self.speed)),
            *options,
        )
        gateway.wait_for("watching")
        return gateway

    def lost_and_back(self) -> tuple[list[str], list[str]]:
        """The gateway's lines on losses and on recoveries."""
        lines = self.processes["gateway"].text().splitlines()
        lost = [line for line in lines if "on the local plan:" in line]
        return lost, [line for line in lines if "all is well again" in line]

    def seconds(self) -> int:
        """Seconds that the gateway has seen, by its socket."""
        return max(row["seconds"] for row in self.status())

    def status(self) -> list[dict[str, Any]]:
        import asyncio

        from controllers.gateway import ask

        found = asyncio.run(ask(self.folder / "gateway.sock", {"verb": "status"}))
        rows: list[dict[str, Any]] = found["junctions"]
        return rows

    def until(self, done: Callable[[dict[str, Any]], bool], seconds: float = 60.0) -> None:
        """Wait until the gateway's first junction is as wanted."""
        deadline = time.monotonic() + seconds
        while not done(self.status()[0]):
            assert time.monotonic() < deadline, f"{self.status()[0]}\n{self._logs()}"
            time.sleep(0.05)

    def finish(self, seconds: float = 600.0) -> dict[str, Any]:
        """Wait for the end of the period; what the controllers saw."""
        controllers = self.processes["controllers"]
        assert controllers.running.wait(timeout=seconds) == 0, self._logs()
        for name in ("gateway", "service"):
            process = self.processes.get(name)
            if process is not None and process.running.poll() is None:
                assert process.stop() == 0, self._logs()
        file = self.folder / "street" / "controllers.json"
        assert file.exists(), f"the controllers ended without {file.name}\n{self._logs()}"
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return found

    def _logs(self) -> str:
        return "\n".join(f"== {p.name}\n{p.text()[-3000:]}" for p in self.processes.values())

    def violations(self) -> list[str]:
        """What the independent checker finds; seconds out of service split the record."""
        site = SEOUL / self.world.scenario / "site.yaml"
        timing = site_timing(site) if site.exists() else None
        found = []
        for junction in self.world.junctions:
            rows = read_lights(self.folder / "street" / f"lights-{junction.id}.csv")
            for part in _in_service(rows):
                found += [
                    f"{junction.id}: {item}"
                    for item in check_lights(part, self.world.net_file, junction.id, timing)
                ]
        return found

    def asked(self) -> int:
        """Decisions that the gateway got."""
        found = re.findall(r", (\d+) decisions", self.processes["gateway"].text())
        return sum(map(int, found))

    def agreement(self, lights: list[list[str]]) -> tuple[int, int]:
        """Seconds in which the street's lights were those of another run, and all seconds."""
        same = total = 0
        for junction, other in zip(self.world.junctions, lights, strict=True):
            rows = read_lights(self.folder / "street" / f"lights-{junction.id}.csv")
            pairs = list(zip((state for _, state in rows), other, strict=False))
            same += sum(a == b for a, b in pairs)
            total += len(pairs)
        return same, total

    def recorded(self) -> int:
        """Decisions that were kept."""
        if not self.registry:
            text = (self.folder / "decisions.jsonl").read_text(encoding="utf-8")
            return len(text.splitlines())
        with self._database() as connection:
            return int(connection.exec_driver_sql("SELECT COUNT(*) FROM decisions").scalar() or 0)

    def audited(self) -> dict[str, int]:
        """What the registry's audit holds, counted."""
        with self._database() as connection:
            return tally(
                [str(row[0]) for row in connection.exec_driver_sql("SELECT what FROM audit")]
            )

    @contextmanager
    def _database(self) -> Iterator[Any]:
        from controllers.registry.database import open_engine

        engine = open_engine(self.registry)
        with engine.connect() as connection:
            yield connection
        engine.dispose()


def _hash(added: Any) -> str:
    row = added.get("bundle", added) if isinstance(added, dict) else added
    return str(row["hash"] if isinstance(row, dict) else row)


def _key(made: Any) -> str:
    return str(next(made[name] for name in ("key", "secret", "token") if name in made))


def _in_service(rows: list[tuple[int, str]]) -> Iterator[list[tuple[int, str]]]:
    part: list[tuple[int, str]] = []
    for second, lights in rows:
        if set(lights) == {"o"}:
            if part:
                yield part
            part = []
        else:
            part.append((second, lights))
    if part:
        yield part


@contextmanager
def running(loop: Loop) -> Iterator[Loop]:
    """Prepare a loop, and end its processes whatever happens."""
    if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
        # Inherited from whoever started us; every process would seem to have ended with status 0.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    before = os.environ.get(KEYS_VARIABLE)
    os.environ[KEYS_VARIABLE] = str(loop.folder / "keys")
    try:
        loop.prepare()
        yield loop
    finally:
        for process in loop.processes.values():
            if process.running.poll() is None:
                process.running.kill()
                process.running.wait()
        if before is None:
            del os.environ[KEYS_VARIABLE]
        else:
            os.environ[KEYS_VARIABLE] = before


def world_of(scenario: str, period: str | None, minutes: float | None) -> World:
    found = resolve(scenario, period)
    if minutes is None:
        return found
    return replace(found, end_s=min(found.end_s, found.begin_s + round(60 * minutes)))


def delay_s(world: World, seed: int, trips_file: Path) -> float:
    """Delay of a run (s/veh), as every result has it."""
    from signals.metrics import summarise
    from signals.schedule import Schedule

    routes = world.routes(seed)
    if len(world.junctions) == 1:
        schedule = Schedule.read(routes, world.junction, world.additional_files)
        found = summarise(trips_file, world.junction, schedule, world.begin_s, world.end_s)
    else:
        from signals.metrics import Incidents, _judged
        from signals.trips import read_trips

        schedule = Schedule.read(routes, world.junctions, world.additional_files)
        reader = read_trips(trips_file, schedule, world.end_s)
        found = _judged(reader, world.begin_s, world.end_s, Incidents(), ())
    assert found.delay_s is not None
    return found.delay_s


class TableSteps:
    """Readings in the steps of a controller's detector table, as the gateway gets them."""

    def __init__(self, junction: Junction) -> None:
        self._assignment = Assignment.of(junction)

    def __call__(self, readings: Readings) -> Readings:
        table = self._assignment.to_table(readings.values, None)
        counted = readings.values[:, 0]
        return Readings(readings.time_s, self._assignment.from_table(table, counted))


def inside_the_environment(
    world: World, bundles: list[Path], seed: int, folder: Path, steps: bool = False
) -> tuple[float, list[list[str]]]:
    """The same bundles in a plain episode: delay, and the lights of each junction.

    With ``steps`` the policies see readings in the steps of a controller's detector table.
    """
    from signals.bundle import read_bundle
    from signals.simulation.backend import RunOptions
    from signals.simulation.episode import Episode
    from signals.simulation.sumo_backend import SumoBackend

    folder.mkdir(exist_ok=True)
    read = [read_bundle(file) for file in bundles]
    (interval_s,) = {bundle.contract.decision_interval_s for bundle in read}
    policies = [OnnxPolicy(bundle) for bundle in read]
    episode = Episode(world, SumoBackend())
    rounded = [TableSteps(junction) for junction in world.junctions]
    trips = folder / "tripinfo.xml"
    lights: list[list[str]] = [[] for _ in world.junctions]
    try:
        episode.start(seed, RunOptions(trips_file=trips))
        wishes = [0] * len(policies)
        while not episode.finished:
            if (episode.clock_s - world.begin_s) % interval_s == 0:
                readings = episode.read_all()
                if steps:
                    readings = tuple(step(own) for step, own in zip(rounded, readings, strict=True))
                observations = episode.encoder.observations(readings, episode.states())
                wishes = [
                    policy.decide(seen, episode.clock_s)
                    for policy, seen in zip(policies, observations, strict=True)
                ]
            episode.tick_all(wishes)
            for own, run in zip(lights, episode.junctions, strict=True):
                own.append(run.lights)
    finally:
        episode.close()
    return delay_s(world, seed, trips), lights


def tally(values: list[str]) -> dict[str, int]:
    return dict(Counter(values))

"""What the decision service carries on this machine, its load generator beside it.

    python benchmarks/serving.py city [--junctions 5700] [--seconds 300] [--workers 2]
    python benchmarks/serving.py single [--seconds 30]

``city``: every junction is polled once a second, a hundred at a time, each hundred over a
connection and with a key of its own, spread evenly over the second; readings come in the short
form, as gateways send them (``--long`` names every detector). Junctions are those of the shipped
sites under other names, each with a signed bundle of its own; readings differ between
junctions, sequence and clock between polls. Latency counts from the moment at which a batch was
due, so that one late answer cannot hide the next; the first ten seconds are answered, recorded and
judged like the others, but their latency is told apart, since caches fill then. It asks for: no
error, p99 under 250 ms, flat memory, every decision in the registry (SQLite, or ``--registry`` for
another one, made anew).

``single``: junctions that each poll on a connection of their own, one poll after the other, in the
short form unless ``--long`` is given, against a bare FastAPI route that echoes the same body
(``async def echo(body: dict[str, Any])``), each in one process under the same server, taking turns.
It asks for at least half the echo's throughput, with keys asked and every decision recorded.

Both end with exit code 1 when something that is asked for is missed.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

import click
import httpx2
import numpy as np

from controllers.registry.change import Author
from controllers.registry.database import migrate, open_engine
from controllers.registry.retention import counts
from controllers.registry.store import Registry
from controllers.service.cli import _spool_of
from signals.bundle import write_bundle
from signals.contract import Contract, TimedPlan
from signals.junction import Junction
from signals.observation import ObservationSpec
from signals.plan import Plan
from signals.signing import public_key_of, signing_key
from signals.world import resolve

SITES = ("gangnam", "teheran", "gwanghwamun", "jamsil", "balsan")
PERIOD = "am_peak"
BATCH = 100
BY = Author("benchmark", "load")
CLOCK_S = 30_000
P99_MS = 250.0
SHARE = 0.5
GROWTH = 1.05
_WARM_S = 10
_SEQUENCE, _CLOCK = 10**12, 30_000


@dataclass(frozen=True)
class Polls:
    """The parts of a junction's polls that stay, around sequence and clock."""

    junction: str
    before: bytes
    after: bytes

    def at(self, number: int) -> bytes:
        """One poll."""
        clock = CLOCK_S + number
        head = b'{"sequence":%d,"clock_s":%d.0,"readings":{"time_s":%d.0,' % (number, clock, clock)
        return self.before + head + self.after


def polls_of(junction: Junction, seed: int, long: bool = False) -> Polls:
    """Polls with readings drawn for this junction, by name or in their short form."""
    spec = ObservationSpec(junction)
    draw = np.random.default_rng(seed)
    table: dict[str, dict[str, float]] = {}
    calls = [group.id for group in junction.groups if group.kind == "pedestrian"]
    most = {"count": 12, "stopped": 6, "queue_m": 60, "speed_mps": 14, "occupied": 1, "gap_s": 30}
    for item in spec.detectors:
        table[item.id] = {name: float(draw.integers(0, most[name] + 1)) for name in item.fields}
    lights = spec.guard.start(0)
    for second in range(int(draw.integers(60, 300))):
        if second % 15 == 0:
            wish = int(draw.choice(np.flatnonzero(spec.guard.options(lights).mask)))
        lights, _ = spec.guard.tick(
            lights, wish, frozenset(draw.choice(calls, 1)) if calls else set()
        )
    state = json.dumps(lights.to_dict(), separators=(",", ":"))
    values = [value for fields in table.values() for value in fields.values()]
    named = json.dumps({"detectors": table} if long else {"values": values}, separators=(",", ":"))
    name = json.dumps(junction.id)
    return Polls(
        junction.id,
        b'{"junction":%s,"poll":' % name.encode(),
        b'%s,"state":%s,"spec_hash":"%s"}'
        % (named[1:].encode(), state.encode(), spec.hash.encode()),
    )


def policy() -> bytes:
    """A network of the shipped shape, untrained: its cost does not depend on its weights."""
    import torch

    from agents.export import to_onnx
    from agents.learned.network import PhaseScorer

    torch.manual_seed(1)
    shapes = ObservationSpec(resolve(SITES[0], PERIOD).junctions[0]).shapes
    example = {name: np.ones((2, *shape), np.float32) for name, shape in shapes.items()}
    return to_onnx(PhaseScorer(), example)


def streets(count: int) -> list[tuple[Junction, Plan]]:
    """The junctions of the shipped sites, again and again under other names."""
    known: list[tuple[Junction, Plan]] = []
    for site in SITES:
        world = resolve(site, PERIOD)
        known += list(zip(world.junctions, world.plans, strict=True))
    return [
        (replace(known[number % len(known)][0], id=f"J{number:04d}"), known[number % len(known)][1])
        for number in range(count)
    ]


def fill(registry: Registry, found: list[tuple[Junction, Plan]], folder: Path) -> None:
    """Sign, keep and deploy a bundle for every junction."""
    network, key = policy(), signing_key()
    trusted = [public_key_of(key)]
    file = folder / "one.bundle"
    began = time.monotonic()
    for number, (junction, plan) in enumerate(found):
        timed = TimedPlan(PERIOD, 0, 86_400, plan)
        contract = Contract.promise("load", junction, (timed,), network, 1)
        bundle = write_bundle(file, contract, network, key)
        registry.add_bundle(file, trusted, BY)
        registry.deploy(bundle, "deploy", BY, {"worse": False})
        if number % 500 == 499:
            say(f"{number + 1} bundles signed and deployed, {time.monotonic() - began:.0f} s")


@contextmanager
def service(address: str, workers: int, log: Path) -> Iterator[tuple[int, Callable[[], list[int]]]]:
    """A service of its own processes; gives its port and their numbers."""
    command = [sys.executable, "-c", "import sys; from signals.cli import main; sys.exit(main())"]
    with log.open("w") as stream:
        process = subprocess.Popen(
            [
                *(*command, "serve", "--registry", address, "--port", "0"),
                *("--workers", str(workers), "--calls", "1000000"),
            ],
            stdout=subprocess.PIPE,
            stderr=stream,
            text=True,
        )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if " on http" not in line:
                raise SystemExit(f"the service did not start, see {log}")
            port = int(line.rpartition(";")[0].rpartition(":")[2])
            yield port, lambda: family(process.pid)
        finally:
            process.terminate()
            process.wait(60)


def family(parent: int) -> list[int]:
    """A process and those that it started."""
    found = [parent]
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) in found:
                found.append(int(entry.name))
    return found


def memory_mb(processes: list[int]) -> float:
    """Resident memory of processes, shared pages counted once a process (MB)."""
    total = 0
    for number in processes:
        try:
            pages = int(Path(f"/proc/{number}/statm").read_text().split()[1])
        except OSError:
            continue
        total += pages * resource.getpagesize()
    return total / 1e6


def cpu_s(processes: list[int]) -> float:
    """Processor time of processes (s)."""
    total = 0.0
    for number in processes:
        try:
            fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


async def call(
    streams: tuple[asyncio.StreamReader, asyncio.StreamWriter], path: str, key: str, body: bytes
) -> tuple[int, bytes]:
    """One POST on a connection that stays open."""
    reader, writer = streams
    head = (
        f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        f"authorization: Bearer {key}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    await writer.drain()
    answer = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1])
        for line in answer.lower().split(b"\r\n")
        if line.startswith(b"content-length")
    )
    return int(answer[9:12]), await reader.readexactly(length)


@dataclass
class Outcome:
    """What the load came to."""

    sent: int = 0
    answered: int = 0
    errors: int = 0
    latencies_ms: list[float] = field(default_factory=list)
    first_ms: list[float] = field(default_factory=list)


async def gateway(
    port: int,
    key: str,
    polls: list[Polls],
    begin: float,
    offset_s: float,
    seconds: int,
    outcome: Outcome,
) -> None:
    """One gateway: its hundred junctions once a second."""
    # Gateways of a city do not connect in the same instant.
    await asyncio.sleep(max(0.0, begin - _WARM_S / 2 + offset_s * _WARM_S / 3 - time.monotonic()))
    streams = await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)
    for number in range(seconds):
        due = begin + number + offset_s
        # Written before it is due, so that the generator's own work does not count.
        body = b'{"polls":[' + b",".join(flat(item, number) for item in polls) + b"]}"
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        outcome.sent += len(polls)
        try:
            status, answer = await asyncio.wait_for(call(streams, "/v1/decisions", key, body), 30)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            outcome.errors += len(polls)
            streams = await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)
            continue
        late_ms = 1000 * (time.monotonic() - due)
        (outcome.latencies_ms if number >= _WARM_S else outcome.first_ms).append(late_ms)
        good = answer.count(b'"status":200') if status == 200 else 0
        outcome.answered += good
        outcome.errors += len(polls) - good
    streams[1].close()


def flat(item: Polls, number: int) -> bytes:
    """A poll as an item of a batch."""
    name = item.before[len(b'{"junction":') : -len(b',"poll":')]
    return b'{"junction":' + name + b"," + item.at(number)[len(item.before) + 1 :]


async def load(port: int, keys: list[str], groups: list[list[Polls]], seconds: int) -> Outcome:
    """All gateways at once."""
    outcome = Outcome()
    begin = time.monotonic() + _WARM_S
    await asyncio.gather(
        *(
            gateway(port, key, group, begin, number / len(groups), seconds, outcome)
            for number, (key, group) in enumerate(zip(keys, groups, strict=True))
        )
    )
    return outcome


@click.group()
def main() -> None:
    """What the decision service carries, see the head of this file."""


@main.command()
@click.option("--junctions", type=click.IntRange(1), default=5700, show_default=True)
@click.option("--seconds", type=click.IntRange(1), default=300, show_default=True)
@click.option("--workers", type=click.IntRange(1, 8), default=2, show_default=True)
@click.option("--registry", "address", help="PostgreSQL to use instead of a SQLite file.")
@click.option("--long", is_flag=True, help="Readings by name instead of the short form.")
def city(junctions: int, seconds: int, workers: int, address: str | None, long: bool) -> None:
    """Poll every junction of a city once a second."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="seoul-load-")))
        os.environ["SEOUL_SIGNALS_KEYS"] = str(folder / "keys")
        address = address or str(folder / "registry.db")
        engine = open_engine(address)
        migrate(engine)
        registry = Registry(engine)
        found = streets(junctions)
        fill(registry, found, folder)
        polls = [polls_of(item, seed, long) for seed, (item, _) in enumerate(found)]
        groups = [polls[start : start + BATCH] for start in range(0, len(polls), BATCH)]
        keys = [
            registry.add_key(f"gateway {n}", "controller", BY, [p.junction for p in group])[0]
            for n, group in enumerate(groups)
        ]
        size = sum(len(flat(item, _CLOCK)) for item in polls) / len(polls)
        say(f"{len(polls)} junctions, {size / 1000:.1f} kB a poll on average")
        before = counts(registry)["decisions"]
        began = time.monotonic()
        port, members = stack.enter_context(service(address, workers, folder / "log"))
        wait(port, workers)
        say(f"the service is ready after {time.monotonic() - began:.0f} s")
        samples: list[tuple[float, float]] = []
        loader = subprocess.Popen(
            [sys.executable, __file__, "generator", str(port), str(seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert loader.stdin is not None and loader.stdout is not None
        for key, group in zip(keys, groups, strict=True):
            rows = [[p.junction, p.before.decode(), p.after.decode()] for p in group]
            loader.stdin.write(json.dumps([key, rows]) + "\n")
        loader.stdin.close()
        start, used = time.monotonic(), cpu_s(members())
        while loader.poll() is None:
            time.sleep(1.0)
            samples.append((time.monotonic() - start, memory_mb(members())))
            if len(samples) % 30 == 0:
                say(f"{len(samples)} s, {samples[-1][1]:.0f} MB")
        spent = cpu_s(members()) - used
        result = json.loads(loader.stdout.read())
        drain(registry, before + result["answered"])
        recorded = counts(registry)["decisions"] - before
        spool = sum(file.stat().st_size for file in _spool_of(address).rglob("*.rows"))
        report(result, recorded, spool, samples, spent, seconds)


def report(
    result: dict[str, Any],
    recorded: int,
    spool: int,
    samples: list[tuple[float, float]],
    spent_s: float,
    seconds: int,
) -> None:
    """Print what was found and what was missed."""
    middle = [mb for at, mb in samples if seconds * 0.3 < at - _WARM_S <= seconds * 0.5]
    end = [mb for at, mb in samples if seconds * 0.8 < at - _WARM_S <= seconds]
    growth = median(end) / median(middle) if middle and end else 1.0
    rate = result["answered"] / seconds
    missed = [
        text
        for bad, text in (
            (result["errors"], f"{result['errors']} errors"),
            (result["p99_ms"] > P99_MS, f"p99 above {P99_MS:g} ms"),
            (growth > GROWTH, "memory grows"),
            (recorded != result["answered"], "decisions not recorded"),
        )
        if bad
    ]
    print(
        f"{result['answered']} decisions in {seconds} s, {rate:.0f}/s, {result['errors']} errors; "
        f"batches of {BATCH}: median {result['p50_ms']:.0f} ms, p99 {result['p99_ms']:.0f} ms, "
        f"worst {result['worst_ms']:.0f} ms (in the first {_WARM_S} s {result['first_ms']:.0f} ms)"
    )
    print(
        f"recorded {recorded}, {spool} bytes left in the spool; memory "
        f"{median(middle) if middle else 0:.0f} MB in the middle, "
        f"{median(end) if end else 0:.0f} MB at the end (x {growth:.3f}); service "
        f"{spent_s / seconds:.2f} processors ({1e6 * spent_s / max(1, result['answered']):.0f} "
        f"microseconds a decision), generator {result['cpu_s'] / seconds:.2f}"
    )
    print("missed: " + "; ".join(missed) if missed else "all that is asked for is kept")
    raise SystemExit(1 if missed else 0)


@main.command(hidden=True)
@click.argument("port", type=int)
@click.argument("seconds", type=int)
def generator(port: int, seconds: int) -> None:
    """The load, a process of its own."""
    keys, groups = [], []
    for line in sys.stdin:
        key, rows = json.loads(line)
        keys.append(key)
        groups.append([Polls(name, head.encode(), tail.encode()) for name, head, tail in rows])
    outcome = asyncio.run(load(port, keys, groups, seconds))
    found = np.array(outcome.latencies_ms or outcome.first_ms or [np.inf])
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(
        json.dumps(
            {
                "sent": outcome.sent,
                "answered": outcome.answered,
                "errors": outcome.errors,
                "p50_ms": float(np.percentile(found, 50)),
                "p99_ms": float(np.percentile(found, 99)),
                "worst_ms": float(found.max()),
                "first_ms": max(outcome.first_ms, default=0.0),
                "cpu_s": used.ru_utime + used.ru_stime,
            }
        )
    )


def wait(port: int, workers: int) -> None:
    """Until every worker has its junctions: each answers some of many calls."""
    deadline = time.monotonic() + 900
    good = 0
    while good < 20 * workers:
        if time.monotonic() > deadline:
            raise SystemExit("the service is not ready after 15 minutes")
        try:
            answer = httpx2.get(f"http://127.0.0.1:{port}/readyz", trust_env=False, timeout=600)
            good = good + 1 if answer.status_code == 200 else 0
        except httpx2.TransportError:
            good = 0
            time.sleep(0.5)
    time.sleep(2.0)


def drain(registry: Registry, wanted: int) -> None:
    """Until the registry has them, or has been given time enough."""
    deadline = time.monotonic() + 60
    while counts(registry)["decisions"] < wanted and time.monotonic() < deadline:
        time.sleep(0.5)


ECHO = """
import sys
from typing import Any
import uvicorn
from fastapi import FastAPI
from controllers.service.server import address_of, listen
app = FastAPI()
@app.post("/echo")
async def echo(body: dict[str, Any]) -> dict[str, Any]:
    return body
with listen("127.0.0.1", 0) as sock:
    print(address_of(sock), flush=True)
    uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False)).run(sockets=[sock])
"""


@main.command()
@click.option("--seconds", type=click.IntRange(4), default=30, show_default=True)
@click.option("--connections", type=click.IntRange(1, 64), default=8, show_default=True)
@click.option("--long", is_flag=True, help="Readings by name instead of the short form.")
def single(seconds: int, connections: int, long: bool) -> None:
    """Poll one junction as fast as it answers, against an echo."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="seoul-load-")))
        os.environ["SEOUL_SIGNALS_KEYS"] = str(folder / "keys")
        address = str(folder / "registry.db")
        engine = open_engine(address)
        migrate(engine)
        registry = Registry(engine)
        found = streets(connections)
        fill(registry, found, folder)
        polls = [polls_of(junction, seed, long) for seed, (junction, _) in enumerate(found)]
        key, _ = registry.add_key("gateway", "admin", BY)
        echo = subprocess.Popen([sys.executable, "-c", ECHO], stdout=subprocess.PIPE, text=True)
        stack.callback(echo.wait, 30)
        stack.callback(echo.terminate)
        assert echo.stdout is not None
        echo_port = int(echo.stdout.readline().rpartition(":")[2])
        port, members = stack.enter_context(service(address, 1, folder / "log"))
        wait(port, 1)
        rates: dict[str, list[float]] = {"decisions": [], "echo": []}
        costs: dict[str, list[float]] = {"decisions": [], "echo": []}
        number = 0
        for turn in range(max(2, seconds // 2)):
            for name, at, own in (
                ("decisions", port, members()),
                ("echo", echo_port, [echo.pid]),
            ):
                used_s = cpu_s(own)
                done, took_s = asyncio.run(hammer(at, name == "echo", key, polls, number, 1.0))
                number += done + connections
                if turn:  # the first turn warms up
                    rates[name].append(done / took_s)
                    costs[name].append(1e6 * (cpu_s(own) - used_s) / done)
        decisions, echoes = median(rates["decisions"]), median(rates["echo"])
        # Of neighbouring turns, so that whatever else the machine does falls on both.
        ratio = median(a / b for a, b in zip(rates["decisions"], rates["echo"], strict=True))
        size = sum(len(item.at(0)) - len(item.before) for item in polls) / len(polls)
        print(
            f"polls of {size / 1000:.1f} kB, {connections} connections: "
            f"{decisions:.0f} decisions/s, {echoes:.0f} echoes/s, ratio {ratio:.2f}; "
            f"{median(costs['decisions']):.0f} and {median(costs['echo']):.0f} microseconds of "
            "processor time each"
        )
        raise SystemExit(0 if ratio >= SHARE else 1)


async def hammer(
    port: int, echo: bool, key: str, polls: list[Polls], first: int, for_s: float
) -> tuple[int, float]:
    """Calls answered, and the time they took."""
    began = time.monotonic()
    done = 0

    async def one(item: Polls) -> None:
        """One junction, poll after poll."""
        nonlocal done
        path = "/echo" if echo else f"/v1/junctions/{item.junction}/decisions"
        streams = await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)
        number = first
        while time.monotonic() < began + for_s:
            number += 1
            status, answer = await call(streams, path, key, item.at(number)[len(item.before) :])
            if status != 200:
                raise SystemExit(f"HTTP {status}: {answer[:200]!r}")
            done += 1
        streams[1].close()

    await asyncio.gather(*(one(item) for item in polls))
    return done, time.monotonic() - began


def say(line: str) -> None:
    """Progress."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()

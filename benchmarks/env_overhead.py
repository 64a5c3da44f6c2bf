"""What the environment costs beside SUMO alone.

    python benchmarks/env_overhead.py --out runs/overhead [--growth] [--quick]

For each network, wall time of the environment with detectors, observation, guard, rewards and masks
on, over a bare libsumo loop that sets the very same lights at the same seconds on the same demand
and does nothing else. The wishes are the plan's where the mask allows them, else the first open
phase; they are found once, outside the measured time. In the same run the same ratio for sumo-rl
(libsumo mode, its default observation and reward, the same net, demand, interval and number of
steps; its bare loop shows its lights). sumo-rl is needed for this alone:

    pip install sumo-rl

Every loop runs in a fresh process. The processes take turns, one chunk of simulated time after the
other, so that whatever else the machine does falls on all alike. The loops draw no random numbers,
so that a chunk is the same work in every repetition: the fastest of its repetitions counts, as what
is slower is another's doing, and times are sums of these. The first fifth is left out.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import click

from benchmarks.nets import grid
from signals.envs.network_env import NetworkEnv
from signals.simulation.backend import RunOptions, sumo_arguments
from signals.simulation.sumo_backend import SumoBackend
from signals.world import World, resolve

INTERVAL_S = 5
DAY = 1
CHUNK_S = 50
NETS = Path(tempfile.gettempdir()) / "seoul-signals-benchmark-nets"
# Columns, rows, vehicles an hour: 20 to 40 vehicles a signal, dense and still moving.
GENERATED = {
    "single": (1, 1, 1500),
    "corridor": (9, 1, 4000),
    "grid-3x3": (3, 3, 5500),
    "grid-5x5": (5, 5, 10000),
    "grid-7x7": (7, 7, 15000),
    "grid-10x10": (10, 10, 22000),
    "grid-15x15": (15, 15, 36000),
}
MAIN = ("gangnam", "teheran", "corridor", "grid-7x7", "grid-15x15")
GROWTH = ("single", "grid-3x3", "grid-5x5", "grid-7x7", "grid-10x10", "grid-15x15")

Stepper = Callable[[int], None]


def world_of(name: str, seconds: int) -> World:
    """A generated network, or a scenario of the catalogue in its busiest period."""
    if name in GENERATED:
        return grid(NETS, *GENERATED[name], seconds)
    world = resolve(name, "pm_peak")
    return replace(world, end_s=world.begin_s + seconds)


# Loops. Each runs in a process of its own: set up, then step as often as it is told to.


def ours(world: World, plan: dict[str, Any]) -> tuple[Stepper, Callable[[], int]]:
    """`NetworkEnv` under recorded wishes."""
    env = NetworkEnv(world, decision_interval_s=INTERVAL_S)
    env.reset(seed=DAY, options={"day": DAY})
    wishes: Iterator[dict[str, int]] = iter(
        [dict(zip(env.agents, row, strict=True)) for row in plan["wishes"]]
    )

    def step(seconds: int) -> None:
        for _ in range(seconds // INTERVAL_S):
            env.step(next(wishes))

    return step, _vehicles


def bare(world: World, plan: dict[str, Any]) -> tuple[Stepper, Callable[[], int]]:
    """Libsumo alone under recorded lights."""
    import libsumo

    with tempfile.TemporaryDirectory() as folder:
        empty = Path(folder) / "empty.add.xml"
        empty.write_text("<additional/>", encoding="utf-8")
        libsumo.start(["sumo", *sumo_arguments(world, DAY, Path(folder), empty, RunOptions())])
    show, advance = libsumo.trafficlight.setRedYellowGreenState, libsumo.simulationStep
    by_second = {int(second): changes for second, changes in plan["lights"].items()}
    now = 0

    def step(seconds: int) -> None:
        nonlocal now
        for _ in range(seconds):
            for light, state in by_second.get(now, ()):
                show(light, state)
            advance()
            now += 1

    return step, _vehicles


def sumo_rl_env(world: World) -> Any:
    """sumo-rl's environment on the same net and demand, its defaults otherwise.

    Its PettingZoo form does not start with present releases of PettingZoo, so that its own form for
    many agents is taken, which does less.
    """
    os.environ["LIBSUMO_AS_TRACI"] = "1"
    import sumo

    os.environ.setdefault("SUMO_HOME", sumo.SUMO_HOME)
    import sumo_rl

    options = list(world.sumo_options)
    teleport_s = -1
    if "--time-to-teleport" in options:  # its own argument, and SUMO takes no option twice
        at = options.index("--time-to-teleport")
        teleport_s = int(float(options[at + 1]))
        del options[at : at + 2]
    return sumo_rl.SumoEnvironment(
        net_file=str(world.net_file),
        route_file=str(world.routes(DAY)),
        begin_time=world.begin_s,
        num_seconds=world.end_s - world.begin_s,
        delta_time=INTERVAL_S,
        time_to_teleport=teleport_s,
        sumo_seed=DAY,
        sumo_warnings=False,
        additional_sumo_cmd=" ".join([*_additional(world), "--no-step-log", "true", *options]),
    )


def sumo_rl(world: World, plan: dict[str, Any]) -> tuple[Stepper, Callable[[], int]]:
    """sumo-rl under recorded wishes."""
    env = sumo_rl_env(world)
    env.reset(seed=DAY)
    wishes = iter(plan["wishes"])

    def step(seconds: int) -> None:
        for _ in range(seconds // INTERVAL_S):
            env.step(next(wishes))

    return step, _vehicles


LOOPS = {"ours": ours, "bare": bare, "sumo-rl": sumo_rl, "bare of sumo-rl": bare}


def _additional(world: World) -> list[str]:
    files = ",".join(str(path) for path in world.additional_files)
    return ["--additional-files", files] if files else []


def _vehicles() -> int:
    import libsumo

    return int(libsumo.vehicle.getIDCount())


def work(loop: str, name: str, seconds: int, plan_file: Path) -> None:
    """The child's side: one line with what a chunk took for each number of seconds it is given."""
    plan = json.loads(plan_file.read_text())
    begun = time.perf_counter()
    step, vehicles = LOOPS[loop](world_of(name, seconds), plan)
    print(json.dumps({"ready_s": time.perf_counter() - begun}), flush=True)
    for line in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        step(int(line))
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        rss_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            json.dumps({"wall": wall, "cpu": cpu, "rss_mb": rss_mb, "vehicles": vehicles()}),
            flush=True,
        )
    os._exit(0)


# Recording: what the loops will replay.


@contextmanager
def _lights_kept(log: dict[int, list[tuple[str, str]]], begin_s: int) -> Iterator[None]:
    """Keep every state string that is set, whoever sets it."""
    import libsumo

    shown: dict[str, str] = {}
    original = libsumo.trafficlight.setRedYellowGreenState

    def keep(light: str, state: str) -> None:
        if shown.get(light) != state:
            shown[light] = state
            log[int(libsumo.simulation.getTime()) - begin_s].append((light, state))
        original(light, state)

    libsumo.trafficlight.setRedYellowGreenState = keep
    try:
        yield
    finally:
        libsumo.trafficlight.setRedYellowGreenState = original


def record(kind: str, name: str, seconds: int, target: Path) -> None:
    """Run a loop once, choosing wishes; write wishes and lights."""
    world = world_of(name, seconds)
    lights: dict[int, list[tuple[str, str]]] = defaultdict(list)
    wishes: list[Any] = []
    with _lights_kept(lights, world.begin_s):
        if kind == "ours":
            signals = _record_ours(world, wishes)
        else:
            signals = _record_sumo_rl(world, wishes)
    target.write_text(json.dumps({"wishes": wishes, "lights": lights, "signals": signals}))


def _record_ours(world: World, wishes: list[Any]) -> int:
    env = NetworkEnv(world, decision_interval_s=INTERVAL_S)
    _, infos = env.reset(seed=DAY, options={"day": DAY})
    while env.agents:
        row = []
        for name in env.agents:
            mask, wish = infos[name]["action_mask"], infos[name]["plan_wish"]
            row.append(int(wish if mask[wish] else mask.argmax()))
        wishes.append(row)
        _, _, _, _, infos = env.step(dict(zip(env.agents, row, strict=True)))
    env.close()
    return len(env.possible_agents)


def _record_sumo_rl(world: World, wishes: list[Any]) -> int:
    """Its greens in turn, 30 s each."""
    env = sumo_rl_env(world)
    env.reset(seed=DAY)
    signals = len(env.ts_ids)
    for number in range((world.end_s - world.begin_s) // INTERVAL_S):
        row = {
            name: int(number * INTERVAL_S // 30 % env.action_spaces(name).n) for name in env.ts_ids
        }
        wishes.append(row)
        env.step(row)
    env.close()
    return signals


# The parent.


class Child:
    """A loop in a process of its own."""

    def __init__(self, loop: str, name: str, seconds: int, plan: Path) -> None:
        self._process = subprocess.Popen(
            _command("--work", loop, name, seconds, plan),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.rss_mb = 0.0
        self.wall: list[float] = []
        self.cpu: list[float] = []
        self.vehicles: list[int] = []
        self.ready_s = self._answer()["ready_s"]

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):  # sumo-rl prints what it likes
                answer: dict[str, Any] = json.loads(line)
                return answer
        raise SystemExit(f"a benchmark process ended with code {self._process.wait()}")

    def run(self, seconds: int, counted: bool) -> None:
        """Simulate a chunk."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{seconds}\n")
        self._process.stdin.flush()
        answer = self._answer()
        if counted:
            self.wall.append(answer["wall"])
            self.cpu.append(answer["cpu"])
            self.vehicles.append(answer["vehicles"])
        self.rss_mb = answer["rss_mb"]

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def measure(
    name: str, seconds: int, repeats: int, loops: tuple[str, ...], folder: Path
) -> dict[str, Any]:
    """One network: sums of the fastest repetition of each chunk."""
    plans: dict[str, Path] = {}
    for kind in ("ours", "sumo-rl"):
        if kind in loops:
            plans[kind] = folder / f"{name}-{kind}.json"
            _call("--record", kind, name, seconds, plans[kind])
    row: dict[str, Any] = {"network": name}
    row["signals"] = json.loads(plans["ours"].read_text())["signals"]
    rounds: list[dict[str, Child]] = []
    warm_s = seconds // 5 // CHUNK_S * CHUNK_S
    for _ in range(repeats):
        children = {
            loop: Child(loop, name, seconds, plans["sumo-rl" if "sumo-rl" in loop else "ours"])
            for loop in loops
        }
        for number in range(seconds // CHUNK_S):
            order = list(children.values())
            for child in order if number % 2 else order[::-1]:
                child.run(CHUNK_S, counted=number * CHUNK_S >= warm_s)
        for child in children.values():
            child.close()
        rounds.append(children)
    for loop in loops:
        row[f"{loop}_s"] = _fastest(item[loop].wall for item in rounds)
        row[f"{loop}_cpu_s"] = _fastest(item[loop].cpu for item in rounds)
        row[f"{loop}_mb"] = median(item[loop].rss_mb for item in rounds)
    counts = rounds[0]["bare"].vehicles
    row["vehicles"] = round(sum(counts) / len(counts))
    for ratio, over, under in (
        ("ratio", "ours", "bare"),
        ("sumo-rl_ratio", "sumo-rl", "bare of sumo-rl"),
    ):
        if over in loops:
            row[ratio] = row[f"{over}_s"] / row[f"{under}_s"]
            row[f"{ratio}_cpu"] = row[f"{over}_cpu_s"] / row[f"{under}_cpu_s"]
    return row


def _fastest(rounds: Iterable[list[float]]) -> float:
    return sum(min(chunk) for chunk in zip(*rounds, strict=True))


def _call(role: str, kind: str, name: str, seconds: int, plan: Path) -> None:
    subprocess.run(
        _command(role, kind, name, seconds, plan),
        check=True,
        stdout=subprocess.DEVNULL,
    )


def _command(role: str, kind: str, name: str, seconds: int, plan: Path) -> list[str]:
    own = [sys.executable, "-m", "benchmarks.env_overhead", role, kind]
    return [*own, "--network", name, "--seconds", str(seconds), "--plan", str(plan)]


def _text(row: dict[str, Any], key: str, form: str) -> str:
    return format(row[key], form) if key in row else "-"


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as text."""
    columns = (
        ("network", "network", ""),
        ("signals", "signals", "d"),
        ("vehicles", "vehicles", "d"),
        ("bare s", "bare_s", ".2f"),
        ("ours s", "ours_s", ".2f"),
        ("ratio", "ratio", ".3f"),
        ("(cpu)", "ratio_cpu", ".3f"),
        ("sumo-rl s", "sumo-rl_s", ".2f"),
        ("its bare s", "bare of sumo-rl_s", ".2f"),
        ("its ratio", "sumo-rl_ratio", ".3f"),
        ("bare MB", "bare_mb", ".0f"),
        ("ours MB", "ours_mb", ".0f"),
        ("sumo-rl MB", "sumo-rl_mb", ".0f"),
    )
    lines = [[head for head, _, _ in columns]]
    lines += [[_text(row, key, form) for _, key, form in columns] for row in rows]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        for line in lines
    )


def draw(rows: list[dict[str, Any]], target: Path) -> None:
    """Ratio and memory over the number of signals."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6))
    signals = [row["signals"] for row in rows]
    for axes, keys in (
        (left, (("ratio", "this environment"), ("sumo-rl_ratio", "sumo-rl"))),
        (right, (("bare_mb", "SUMO alone"), ("ours_mb", "this environment"))),
    ):
        for key, label in keys:
            if all(key in row for row in rows):
                axes.plot(signals, [row[key] for row in rows], marker="o", label=label)
        axes.set_xscale("log")
        axes.set_xlabel("signals")
        axes.grid(alpha=0.3)
        axes.legend()
    left.axhline(1.1, color="grey", linestyle=":")
    left.set_ylabel("wall time over bare libsumo")
    right.set_ylabel("resident memory (MB)")
    figure.tight_layout()
    for suffix in (".png", ".svg"):
        figure.savefig(target.with_suffix(suffix))


@click.command()
@click.option("--network", "networks", multiple=True, help="Default: all that are at hand.")
@click.option("--seconds", default=900, show_default=True, help="Simulated time of each run.")
@click.option("--repeats", default=4, show_default=True)
@click.option("--growth", is_flag=True, help="From one signal to 225, with a plot.")
@click.option("--without-sumo-rl", is_flag=True)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False))
@click.option("--work", "work_", hidden=True)
@click.option("--record", "record_", hidden=True)
@click.option("--plan", type=click.Path(path_type=Path), hidden=True)
def main(
    networks: tuple[str, ...],
    seconds: int,
    repeats: int,
    growth: bool,
    without_sumo_rl: bool,
    out: Path | None,
    work_: str | None,
    record_: str | None,
    plan: Path | None,
) -> None:
    """Print the table of ratios; see the module's text."""
    if plan is not None and work_:
        work(work_, networks[0], seconds, plan)
        return
    if plan is not None and record_:
        record(record_, networks[0], seconds, plan)
        return
    SumoBackend()  # says at once when SUMO is missing
    peer = not without_sumo_rl and find_spec("sumo_rl") is not None
    if not peer:
        click.echo("sumo-rl is not measured: pip install sumo-rl")
    loops = ("ours", "bare") + (("sumo-rl", "bare of sumo-rl") if peer else ())
    chosen = networks or (GROWTH if growth else MAIN)
    rows = []
    with tempfile.TemporaryDirectory(prefix="seoul-signals-overhead-") as scratch:
        for name in chosen:
            try:
                world_of(name, seconds).routes(DAY)
            except Exception as error:
                click.echo(f"{name} left out: {error}")
                continue
            rows.append(measure(name, seconds, repeats, loops, Path(scratch)))
            click.echo(table(rows[-1:]))
    text = table(rows)
    click.echo(f"\n{text}")
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        stem = "growth" if growth else "overhead"
        (out / f"{stem}.txt").write_text(text + "\n")
        (out / f"{stem}.json").write_text(json.dumps(rows, indent=1))
        if growth:
            draw(rows, out / stem)


if __name__ == "__main__":
    main()

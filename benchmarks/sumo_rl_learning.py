"""Learning beside sumo-rl with stable-baselines3, on a net of sumo-rl's own.

    python -m benchmarks.sumo_rl_learning --out runs/sumo-rl

All learn on the same net and demand days under the same SUMO, for the same number of simulated
seconds (ours: days of teachers and what is tried out included), and are judged on the same held-out
days with the same SUMO seeds by the same formula (`signals.metrics`). sumo-rl keeps its defaults
(a decision every 5 s, minimum green 5 s, yellow 2 s, no all-red) and DQN and PPO have the settings
of its own examples (DQN: its two-way single intersection; PPO: its 4x4 grid); ours keeps the law of
`signals.guard`, with longer yellows and all-reds, on every change; with ``--equal-timing`` it has
their yellow and minimum green and no all-red, so that what is left is how well either decides. The
shipped universal policy, which never saw that net, is judged beside them.
Target: our delay at most 0.80 of theirs. Exit status 0 says that the runs were made, whatever came
out.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import Any

import click
import yaml

from agents.evaluation.runner import Job, run_jobs
from scenarios.demand import HELD_OUT_SEEDS, TRAINING_SEEDS
from signals.metrics import summarise
from signals.schedule import Schedule
from signals.world import World, resolve

TARGET = 0.80
UNIVERSAL = "universal"
NET = "2way-single-intersection/single-intersection"
LENGTH_S = 3600
THEIR_TIMING = ("--yellow", "2", "--all-red", "0", "--min-green", "5")
EXAMPLES: dict[str, dict[str, Any]] = {
    "DQN": {
        "learning_rate": 0.001, "learning_starts": 0, "train_freq": 1,
        "target_update_interval": 500, "exploration_initial_eps": 0.05,
        "exploration_final_eps": 0.01,
    },
    "PPO": {
        "gamma": 0.95, "n_steps": 256, "ent_coef": 0.0905168, "learning_rate": 0.00062211,
        "vf_coef": 0.042202, "max_grad_norm": 0.9, "gae_lambda": 0.99, "n_epochs": 5,
        "clip_range": 0.3, "batch_size": 256,
    },
}  # fmt: skip
"""Settings of the examples in sumo-rl's repository (experiments/)."""


def _environment(world: World, trips: Path | None = None) -> Any:
    os.environ["LIBSUMO_AS_TRACI"] = "1"
    import sumo

    os.environ.setdefault("SUMO_HOME", sumo.SUMO_HOME)
    import sumo_rl

    options = ["--no-step-log", "true"]
    if trips is not None:
        options += ["--tripinfo-output", str(trips)]
        options += ["--tripinfo-output.write-unfinished", "true"]
        options += ["--tripinfo-output.write-undeparted", "true"]
    return sumo_rl.SumoEnvironment(
        net_file=str(world.net_file),
        route_file=str(world.routes(TRAINING_SEEDS.start)),
        single_agent=True,
        begin_time=world.begin_s,
        num_seconds=world.end_s - world.begin_s,
        sumo_warnings=False,
        additional_sumo_cmd=" ".join(options),
    )


def _peer(folder: str, algorithm: str, simulated_s: int, days: int, seed: int) -> list[float]:
    """Train sumo-rl's environment, then judge it; in a process of its own."""
    import gymnasium
    import stable_baselines3

    world = resolve(folder)

    class Days(gymnasium.Wrapper[Any, Any, Any, Any]):
        """A fresh training day, and its SUMO seed, at every reset."""

        day = TRAINING_SEEDS.start

        def reset(self, **_: Any) -> Any:
            inner = self.env.unwrapped
            inner._route, inner.sumo_seed = str(world.routes(self.day)), self.day
            self.day += 1
            return self.env.reset(seed=None)

    env = Days(_environment(world))
    make = getattr(stable_baselines3, algorithm)
    model = make("MlpPolicy", env, seed=seed, device="cpu", **EXAMPLES[algorithm])
    model.learn(simulated_s // 5)
    env.close()
    delays = []
    for day in HELD_OUT_SEEDS[:days]:
        trips = Path(folder).parent / f"{algorithm}-{day}.trips.xml"
        judged = Days(_environment(world, trips))
        judged.day = day
        seen, _ = judged.reset()
        over = False
        while not over:
            action, _ = model.predict(seen, deterministic=True)
            seen, _, ended, cut, _ = judged.step(int(action))
            over = ended or cut
        judged.close()
        schedule = Schedule.read(world.routes(day), world.junctions)
        delays.append(
            summarise(trips, world.junction, schedule, world.begin_s, world.end_s).delay_s
        )
    return delays


def _ours(
    out: Path, folder: Path, algo: str, simulated_s: int, days: int, seed: int
) -> list[float]:
    values = {"simulated_s": simulated_s, "eval_every": 10**9, "eval_seeds": 1, "teacher_runs": 1}
    file, run = out / "ours.yaml", out / f"ours-{algo}"
    file.write_text(yaml.safe_dump({"default": values}), encoding="utf-8")
    shutil.rmtree(run, ignore_errors=True)
    _signals(
        *("train", str(folder), "--algo", algo, "--seed", str(seed), "--hyperparams", str(file)),
        *("--workers", "2", "--no-baselines", "--out", str(run)),
    )
    jobs = [Job(str(folder), None, str(run), day) for day in HELD_OUT_SEEDS[:days]]
    return [result.metrics.delay_s for result in run_jobs(jobs, 2)]


def _signals(*arguments: str) -> None:
    click.echo(f"$ signals {' '.join(arguments)}")
    subprocess.run([sys.executable, "-m", "signals.cli", *arguments], check=True)


@click.command()
@click.option("--algo", default="lookahead", show_default=True, help="Our algorithm.")
@click.option("--simulated-s", type=click.IntRange(1800), default=36_000, show_default=True)
@click.option("--days", type=click.IntRange(1), default=3, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True)
@click.option("--equal-timing", is_flag=True, help="Ours with sumo-rl's yellow and minimum green.")
@click.option("--out", type=click.Path(path_type=Path), required=True)
def compare(
    algo: str, simulated_s: int, days: int, seed: int, equal_timing: bool, out: Path
) -> None:
    """Train all, judge all, print."""
    spec = find_spec("sumo_rl")
    if spec is None or spec.origin is None:
        raise click.UsageError("sumo-rl is not installed; pip install sumo-rl==1.4.5")
    nets = Path(spec.origin).parent / "nets"
    folder = out / ("scenario-equal" if equal_timing else "scenario")
    out.mkdir(parents=True, exist_ok=True)
    if not folder.exists():
        _signals(
            *("scenario", "import", "--net", str(nets / f"{NET}.net.xml")),
            *("--routes", str(nets / f"{NET}-vhvh.rou.xml")),
            *("--begin", "0", "--end", str(LENGTH_S), "--out", str(folder)),
            *(THEIR_TIMING if equal_timing else ()),
        )
    found: dict[str, list[float]] = {}
    for algorithm in EXAMPLES:
        click.echo(f"sumo-rl with {algorithm}: {simulated_s} simulated seconds")
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            name = f"sumo-rl {algorithm}"
            found[name] = pool.submit(
                _peer, str(folder), algorithm, simulated_s, days, seed
            ).result()
        click.echo(f"sumo-rl {algorithm}: {fmean(found[name]):.1f} s/veh")
    found["ours"] = _ours(out, folder, algo, simulated_s, days, seed)
    jobs = [
        Job(str(folder), None, agent, day)
        for agent in ("fixed_time", "max_pressure", UNIVERSAL)
        for day in HELD_OUT_SEEDS[:days]
    ]
    for result in run_jobs(jobs, 2):
        found.setdefault(result.agent, []).append(result.metrics.delay_s)
    (out / "result.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
    click.echo(f"\n{NET}, {days} held-out days of {LENGTH_S} s, mean delay (s/veh):")
    for name, delays in found.items():
        click.echo(f"  {name:14} {fmean(delays):7.1f}  ({', '.join(f'{d:.1f}' for d in delays)})")
    for ours, algorithm in product(("ours", UNIVERSAL), EXAMPLES):
        ratio = fmean(found[ours]) / fmean(found[f"sumo-rl {algorithm}"])
        word = "met" if ratio <= TARGET else "NOT met"
        click.echo(f"{ours} over sumo-rl {algorithm}: {ratio:.3f}, target {TARGET:.2f} {word}")


if __name__ == "__main__":
    compare()

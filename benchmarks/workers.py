"""What a second worker process gives, and what a reset costs.

    python -m benchmarks.workers --scenario teheran --period pm_peak

The same demand day runs in `NetworkVecEnv` with one simulation and with two; the two take turns,
one chunk of simulated time after the other, and of the repetitions of a chunk the fastest counts.
Twice the simulated time of one in the same wall time would be a factor of 2. Then one hour runs in
`NetworkEnv`, with the time of its reset on a demand day whose routes were never drawn, and on the
same day again.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import click
import numpy as np

from signals.envs.network_env import NetworkEnv
from signals.envs.network_vec_env import NetworkVecEnv
from signals.errors import SignalsError
from signals.world import resolve

CHUNK_STEPS = 10
DAY = 1
FRESH_DAY = 9_871


def _advance(env: NetworkVecEnv, steps: int) -> float:
    begun = time.perf_counter()
    for _ in range(steps):
        env.step(np.argmax(env.action_masks(), axis=1))
    return time.perf_counter() - begun


def speed_up(scenario: str, period: str, seconds: int, repeats: int) -> float:
    """Simulated time a second with two workers over that with one."""
    world = resolve(scenario, period)
    steps = seconds // 5
    chunks: dict[int, list[list[float]]] = {1: [], 2: []}
    for _ in range(repeats):
        envs = {count: NetworkVecEnv(scenario, period, simulations=count) for count in (1, 2)}
        for env in envs.values():
            env.set_options({"day": DAY})
            env.reset()
        took: dict[int, list[float]] = {1: [], 2: []}
        for number in range(min(steps, (world.end_s - world.begin_s) // 5 - 1) // CHUNK_STEPS):
            for count in (1, 2) if number % 2 else (2, 1):
                took[count].append(_advance(envs[count], CHUNK_STEPS))
        for count, env in envs.items():
            chunks[count].append(took[count])
            env.close()
    walls = {
        count: sum(min(chunk) for chunk in zip(*rounds, strict=True))
        for count, rounds in chunks.items()
    }
    click.echo(f"one worker {walls[1]:.2f} s, two workers {walls[2]:.2f} s")
    return 2 * walls[1] / walls[2]


def reset_costs(scenario: str, period: str) -> None:
    """Print the wall time of resets beside that of an hour."""
    world = resolve(scenario, period)
    drawn: list[float] = []

    def routes(day: int) -> Path:
        begun = time.perf_counter()
        found = world.routes(day)
        drawn.append(time.perf_counter() - begun)
        return found

    env = NetworkEnv(replace(world, routes=routes))
    env.reset(options={"day": DAY})
    begun = time.perf_counter()
    _, infos = env.reset(options={"day": FRESH_DAY})
    fresh_s = time.perf_counter() - begun
    begun = time.perf_counter()
    while env.agents:
        wishes = {name: int(np.argmax(info["action_mask"])) for name, info in infos.items()}
        _, _, _, _, infos = env.step(wishes)
    hour_s = time.perf_counter() - begun
    begun = time.perf_counter()
    env.reset(options={"day": FRESH_DAY})
    again_s = time.perf_counter() - begun
    env.close()
    click.echo(
        f"the period {hour_s:.1f} s; reset {fresh_s:.3f} s on a day never drawn "
        f"({100 * fresh_s / hour_s:.2f} %, {drawn[1]:.3f} s of it draw the routes), "
        f"{again_s:.3f} s on a known one ({100 * again_s / hour_s:.2f} %)"
    )


@click.command()
@click.option("--scenario", default="teheran", show_default=True)
@click.option("--period", default="pm_peak", show_default=True)
@click.option(
    "--seconds",
    type=click.IntRange(5 * CHUNK_STEPS),
    default=600,
    show_default=True,
    help="Simulated time of each run.",
)
@click.option("--repeats", type=click.IntRange(1), default=3, show_default=True)
def main(scenario: str, period: str, seconds: int, repeats: int) -> None:
    """Print the factor of two workers and the cost of a reset."""
    try:
        resolve(scenario, period)
    except SignalsError as error:
        raise click.UsageError(str(error)) from error
    factor = speed_up(scenario, period, seconds, repeats)
    click.echo(f"two workers give {factor:.2f} times one")
    reset_costs(scenario, period)


if __name__ == "__main__":
    main()

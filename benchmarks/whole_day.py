"""A whole day of a network in one run: does memory stay flat?

    python -m benchmarks.whole_day --scenario teheran

`NetworkEnv` with observations, rewards and masks; every junction wishes what its time-of-day plan
serves. One line an hour: vehicles on the road and waiting to enter, resident memory, wall time.
What grows with the hours of the day is vehicles; memory is flat when the end of the day needs no
more than its busiest hour.
"""

from __future__ import annotations

import time
from pathlib import Path

import click

from signals.envs.network_env import NetworkEnv
from signals.errors import SignalsError


def resident_mb() -> float:
    """Resident memory of this process (MB)."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return float("nan")


@click.command()
@click.option("--scenario", default="teheran", show_default=True)
@click.option("--period", default="day", show_default=True)
@click.option("--day", type=click.IntRange(0), default=1, show_default=True, help="Demand day.")
@click.option(
    "--every",
    "every_s",
    type=click.IntRange(5),
    default=3600,
    show_default=True,
    help="Seconds of a line.",
)
def main(scenario: str, period: str, day: int, every_s: int) -> None:
    """Run the day."""
    try:
        env = NetworkEnv(scenario, period)
    except SignalsError as error:
        raise click.UsageError(str(error)) from error
    _, infos = env.reset(options={"day": day})
    import libsumo

    begun, passed_s, lost, refused = time.perf_counter(), 0, 0.0, 0
    click.echo("clock  vehicles  waiting outside  resident MB  wall s  mean reward  refused wishes")
    while env.agents:
        wishes = {name: int(info["plan_wish"]) for name, info in infos.items()}
        refused += sum(not infos[name]["action_mask"][wish] for name, wish in wishes.items())
        _, rewards, _, _, infos = env.step(wishes)
        lost += sum(rewards.values())
        info = next(iter(infos.values()))
        passed_s += int(info["step_s"])
        if passed_s % every_s == 0:
            click.echo(
                f"{int(info['clock_s']) // 3600:02d}:{int(info['clock_s']) // 60 % 60:02d}  "
                f"{libsumo.vehicle.getIDCount():8d}  "
                f"{len(libsumo.simulation.getPendingVehicles()):15d}  {resident_mb():11.0f}  "
                f"{time.perf_counter() - begun:6.0f}  {lost / (every_s / 5):11.2f}  {refused:14d}"
            )
            lost, refused = 0.0, 0
    env.close()


if __name__ == "__main__":
    main()

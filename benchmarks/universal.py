"""The universal policy on streets it never saw: 30 generated junctions and networks, held out.

    python -m benchmarks.universal --out runs/universal-judged

Seeds 20000 and up were neither trained on nor used to choose weights. Every classical agent runs
the same held-out days of each street; the universal policy is compared with the best of them
there, which is another one from street to street. Targets: mean delay at most 0.90 of the best
classical agent's on 24 of the 30 streets, at most 1.02 on all, and no gridlock where a classical
agent has none. Exit status 0 says that the runs were made, whatever came out.
"""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean

import click

from agents.classical import NAMES
from agents.evaluation.runner import Job, RunResult, run_jobs
from scenarios.demand import HELD_OUT_SEEDS
from scenarios.generated.names import check_use, expand

STREETS = (
    "generated:junction:20000-20023",
    "generated:corridor:20000-20002",
    "generated:grid:20000-20002",
)
GOOD, BOUND, WANTED = 0.90, 1.02, 24


@click.command()
@click.option("--agent", default="universal", show_default=True)
@click.option("--rival", "rivals", multiple=True, default=tuple(NAMES), show_default=True)
@click.option("--street", "streets", multiple=True, default=STREETS, show_default=True)
@click.option("--days", type=click.IntRange(1), default=2, show_default=True)
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="Folder for universal.json.")
def judge(
    agent: str,
    rivals: tuple[str, ...],
    streets: tuple[str, ...],
    days: int,
    workers: int,
    out: Path | None,
) -> None:
    """Judge and print a table."""
    names = expand(streets)
    for name in names:
        check_use(name, HELD_OUT_SEEDS, "judging")
    click.echo(f"{'street':28} {'best classical':22} {'s/veh':>7} {'learned':>8} {'ratio':>6}")
    rows = []
    for name in names:
        jobs = [
            Job(name, None, who, HELD_OUT_SEEDS.start + day)
            for who in (*rivals, agent)
            for day in range(days)
        ]
        row = _row(name, agent, rivals, run_jobs(jobs, workers))
        rows.append(row)
        click.echo(
            f"{name:28} {row['best']:22} {row['best_s']:7.1f} {row['learned_s']:8.1f} "
            f"{row['ratio']:6.3f}{'  GRIDLOCK' if row['gridlock'] else ''}"
        )
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            (out / "universal.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")
    ratios = [float(row["ratio"]) for row in rows]
    good, bound = sum(r <= GOOD for r in ratios), sum(r <= BOUND for r in ratios)
    jams = sum(bool(row["gridlock"]) for row in rows)
    click.echo(f"\nmean ratio {fmean(ratios):.3f} over {len(rows)} streets, {days} days each")
    click.echo(
        f"at most {GOOD:.2f}: {good} of {len(rows)}, target {WANTED} "
        f"{'met' if good >= WANTED else 'NOT met'}"
    )
    click.echo(
        f"at most {BOUND:.2f}: {bound} of {len(rows)}, target all "
        f"{'met' if bound == len(rows) else 'NOT met'}"
    )
    click.echo(f"gridlock where a classical agent has none: {jams}, target none")


def _row(
    street: str, agent: str, rivals: tuple[str, ...], results: list[RunResult]
) -> dict[str, object]:
    delays: dict[str, list[float]] = {}
    jams: dict[str, int] = {}
    for result in results:
        delays.setdefault(result.agent, []).append(result.metrics.delay_s)
        jams[result.agent] = jams.get(result.agent, 0) + any(
            "gridlock" in flag for flag in result.metrics.flags
        )
    means = {name: fmean(found) for name, found in delays.items()}
    best = min(rivals, key=lambda name: means[name])
    return {
        "street": street,
        "best": best,
        "best_s": means[best],
        "learned_s": means[agent],
        "ratio": means[agent] / means[best],
        "gridlock": jams[agent] > 0 and min(jams[name] for name in rivals) == 0,
        "means": means,
        "days": delays,
    }


if __name__ == "__main__":
    judge()

"""Every agent on every shipped site and period, judged on the same held-out days.

    python -m benchmarks.quality --out results/quality
    python -m benchmarks.quality --out results/quality --sites gangnam --agents actuated,runs/mine

One table: delay with its 95 % interval over days, the ratio to the best classical agent of that
site and period (paired by day), the verdict, and beside the mean what a mean hides: people on
foot, the worst junction, the longest wait of any vehicle on any day, and the runs that gridlocked.
Besides the classical agents and SUMO's own programs (``sumo:...``, which do not pass through the
guard) `--agents` takes whatever ``signals evaluate`` takes: run folders, bundles, shipped policies.

The folder keeps every finished run in ``runs.jsonl``; the same command goes on where it stopped,
and judges anew what has changed since: a site, or a learned policy. Whose code has changed is told
with ``--again``. The runs behind the committed table are in ``benchmarks/judged``;
``--show`` runs nothing and makes the table of what is kept: of all agents, sites and periods in the
folder where none are named, and of each site and period the days that all agents were judged on.
The table is written to ``quality.md`` with the command and versions, and as ``quality.json``.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from agents.classical import NAMES
from agents.evaluation.jobs import Job, RunResult
from agents.evaluation.peers import PEERS
from agents.evaluation.request import Request
from agents.evaluation.runner import run_jobs
from agents.pretrained import POLICY, folder_of
from agents.runfolder import provenance
from benchmarks.quality_table import common, judge, markdown
from scenarios.catalog import find, names
from scenarios.demand import HELD_OUT_SEEDS
from signals.errors import InputError, WorkError

KEPT = (
    "delay_s", "vehicles", "never_inserted", "stops", "longest_wait_s", "worst_junction",
    "worst_junction_delay_s", "pedestrian_delay_s", "person_delay_s", "flags", "notes", "wall_s",
)  # fmt: skip
LONG = ("day",)
"""Periods that are left out unless they are named: a day takes an hour to simulate."""


@dataclass(frozen=True)
class Case:
    """One site at one time of day."""

    scenario: str
    period: str


def cases_of(sites: Sequence[str], periods: Sequence[str]) -> list[Case]:
    """Sites and periods to judge; without periods all but the long ones.

    Raises:
        InputError: No site has one of the periods.
    """
    found = []
    for site in sites:
        known = find(site).periods
        found += [
            Case(site, name) for name in known if (name in periods if periods else name not in LONG)
        ]
    missing = [name for name in periods if name not in {case.period for case in found}]
    if missing:
        raise InputError(
            f"no site of {', '.join(sites)} has a period '{missing[0]}'; allowed: "
            + ", ".join(sorted({name for site in sites for name in find(site).periods}))
        )
    return found


class Store:
    """Finished runs, one JSON line each.

    Args:
        folder: Where; created with the first run.

    Attributes:
        rows: The last run of each scenario, period, agent, day and content.
        unreadable: Numbers of the lines that are no runs, from 1; the last one may be that which
            was being written when a run was stopped.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / "runs.jsonl"
        self.rows: dict[tuple[str, str, str, int, str], dict[str, Any]] = {}
        self.unreadable: list[int] = []
        if self._file.is_file():
            text = self._file.read_text(encoding="utf-8", errors="replace")
            if text and not text.endswith("\n"):
                with self._file.open("a", encoding="utf-8") as stream:
                    stream.write("\n")  # what comes next is a line of its own
            for number, line in enumerate(text.split("\n"), 1):
                if not line:
                    continue
                try:
                    row = json.loads(line)
                    if not {*KEPT, "revision"} <= set(row):
                        raise ValueError("a run lacks figures")
                    self.rows[_key(row)] = row
                except (ValueError, KeyError, TypeError):
                    self.unreadable.append(number)

    def held(self) -> tuple[Sequence[str], Sequence[str], Sequence[str], int]:
        """Agents, sites and periods of the runs, and how many held-out days reach to the last."""
        there = {str(row["agent"]) for row in self.rows.values()}
        known = [name for name in (*NAMES, *PEERS) if name in there]
        sites = {str(row["scenario"]) for row in self.rows.values()}
        shipped = [name for name in names() if name in sites]
        return (
            [*known, *sorted(there - set(known))],
            [*shipped, *sorted(sites - set(shipped))],
            sorted({str(row["period"]) for row in self.rows.values()}),
            max(int(row["seed"]) for row in self.rows.values()) - HELD_OUT_SEEDS.start + 1,
        )

    def forget(self, agents: Sequence[str]) -> None:
        """Take the runs of these agents for unmade, until they are made again."""
        self.rows = {key: row for key, row in self.rows.items() if row["agent"] not in agents}

    def add(self, row: dict[str, Any]) -> None:
        """Keep a run."""
        self.rows[_key(row)] = row
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(row, ensure_ascii=False) + "\n")


def _key(row: dict[str, Any]) -> tuple[str, str, str, int, str]:
    return row["scenario"], row["period"], row["agent"], int(row["seed"]), row["content"]


def version_of(agent: str) -> str:
    """What the file of a learned agent holds, empty for others: a policy may be made anew."""
    where = folder_of(agent)
    files = (where, where / POLICY, where / "best" / "scorer.pt")
    held = next((file.read_bytes() for file in files if file.is_file()), None)
    return "" if held is None else f"/{hashlib.sha256(held).hexdigest()[:12]}"


def row_of(result: RunResult, content: str, revision: str | None) -> dict[str, Any]:
    """What is kept of a run."""
    whole = result.to_dict()
    return {
        **{name: whole[name] for name in ("scenario", "period", "agent", "seed")},
        "content": content,
        "revision": revision,
        **{name: whole[name] for name in KEPT},
    }


def _names(text: str, default: Sequence[str]) -> list[str]:
    """A comma-separated list; a part with ``=`` belongs to the agent before it."""
    found: list[str] = []
    for part in filter(None, (item.strip() for item in text.split(","))):
        if "=" in part and ":" not in part and found:
            found[-1] += f",{part}"
        else:
            found.append(part)
    return list(dict.fromkeys(found)) or list(default)


def _opened(out: Path, show: bool) -> Store:
    """The runs in the folder; what is no run there is told.

    Raises:
        UsageError: They cannot be read, or there is none to show.
    """
    try:
        store = Store(out)
    except OSError as error:
        raise click.UsageError(f"--out {out} cannot be read: {error.strerror}") from error
    if store.unreadable:
        numbers = ", ".join(map(str, store.unreadable[:5]))
        click.echo(
            f"{out / 'runs.jsonl'}: no run stands in line {numbers}"
            f"{', ...' if len(store.unreadable) > 5 else ''}; left out",
            err=True,
        )
    if show and not store.rows:
        raise click.UsageError(f"{out} keeps no run; leave --show away to make them")
    return store


def _make(
    plan: Sequence[tuple[str, Sequence[Job]]],
    versions: Mapping[str, str],
    store: Store,
    workers: int,
    total: int,
) -> list[str]:
    """Run what is missing and keep it; returns what failed."""
    revision = provenance()["git_revision"]
    done = total - sum(len(missing) for _, missing in plan)
    failed = []
    for world, missing in plan:

        def keep(result: RunResult, world: str = world) -> None:
            nonlocal done
            done += 1
            store.add(row_of(result, world + versions[result.agent], revision))
            click.echo(
                f"[{done}/{total}] {result.scenario} {result.label}: "
                f"{result.metrics.delay_s:.1f} s/veh ({result.wall_s:.0f} s)",
                err=True,
            )

        try:
            run_jobs(missing, workers, keep)
        except WorkError as error:
            failed.append(str(error))
            click.echo(f"failed: {error}", err=True)
    return failed


def _write(out: Path, rows: Sequence[dict[str, Any]], agents: Sequence[str]) -> None:
    """Write the table, and print it."""
    lines = judge(rows, agents)
    command = shlex.join(["python", "-m", "benchmarks.quality", *sys.argv[1:]])
    text = markdown(lines, rows, command)
    (out / "quality.md").write_text(text, encoding="utf-8")
    whole = {"command": command, **provenance(), "table": lines}
    (out / "quality.json").write_text(
        json.dumps(whole, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    click.echo(text)


@click.command()
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True)
@click.option("--sites", default="", help="Comma-separated scenarios. Default: all shipped.")
@click.option("--periods", default="", help="Comma-separated. Default: all but 'day'.")
@click.option(
    "--agents", default="", help="Comma-separated. Default: every classical one and SUMO's own."
)
@click.option("--again", default="", help="Comma-separated agents whose kept runs are made anew.")
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    help="Held-out days. Default: 5; with --show all that are kept.",
)
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--minutes", type=click.FloatRange(min=1), help="End each run early (a trial).")
@click.option(
    "--show",
    is_flag=True,
    help="Run nothing; write the table of the runs that are kept: of all of them, or of the sites, "
    "periods and agents that are named.",
)
def quality(
    out: Path,
    sites: str,
    periods: str,
    agents: str,
    again: str,
    seeds: int | None,
    workers: int,
    minutes: float | None,
    show: bool,
) -> None:
    """Run what is missing, then write the table."""
    store = _opened(out, show)
    agents_known, sites_known, periods_known, seeds_known = (
        store.held() if show else ((*NAMES, *PEERS), names(), (), 5)
    )
    chosen = _names(agents, agents_known)
    anew = _names(again, ())
    unknown = [name for name in anew if name not in chosen]
    if unknown:
        raise click.UsageError(
            f"--again {unknown[0]}: not among the agents; allowed: {', '.join(chosen)}"
        )
    days = range(HELD_OUT_SEEDS.start, HELD_OUT_SEEDS.start + (seeds or seeds_known))
    try:
        cases = cases_of(_names(sites, sites_known), _names(periods, periods_known))
        orders = [(case, _request(case, chosen, days, minutes)) for case in cases]
        store.forget(anew)
        if not show:
            out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.UsageError(
            f"--out {out} cannot be made: {error.strerror}; give another"
        ) from error
    except InputError as error:
        raise click.UsageError(str(error)) from error
    total, used = 0, []
    versions = {agent: version_of(agent) for agent in chosen}
    plan: list[tuple[str, list[Job]]] = []
    for case, request in orders:
        world = f"{request.worlds[case.period].content_hash}/{minutes or 'whole'}"
        missing = []
        for job in request.jobs:
            total += 1
            content = world + versions[job.agent]
            key = (case.scenario, case.period, job.agent, job.seed, content)
            used.append(key)
            if key not in store.rows:
                missing.append(job)
        plan.append((world, missing))
    done = total - sum(len(missing) for _, missing in plan)
    click.echo(f"{done} of {total} runs are there already", err=True)
    failed = [] if show else _make(plan, versions, store, workers, total)
    rows = [store.rows[key] for key in used if key in store.rows]
    if show:
        rows = common(rows, chosen)
    if show and not rows:
        raise click.UsageError(
            f"{out} keeps no day that all of these agents were judged on; leave --show away to "
            "make the runs"
        )
    if rows:
        _write(out, rows, chosen)
    if failed:
        raise click.ClickException(f"{len(failed)} sites and periods are incomplete: {failed[0]}")


def _request(case: Case, agents: Sequence[str], days: range, minutes: float | None) -> Request:
    return Request(
        scenario=case.scenario,
        periods=(case.period,),
        agents=agents,
        seeds=days,
        sumo=(),
        emissions=False,
        duration_s=None if minutes is None else round(60 * minutes),
    )


if __name__ == "__main__":
    quality()

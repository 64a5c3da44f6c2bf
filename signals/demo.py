"""``signals demo``: the whole path on one Seoul junction, by the real commands one after another.

It imports none of the other packages: everything it does, a user can type, and every command line
is shown before its output. What it knows of the results, it reads from the files that they leave.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Final

import click

from signals.errors import InputError, OutputError, WorkError
from signals.options import FiniteRange

SCENARIO: Final = "gangnam"
PERIOD: Final = "am_peak"
LEARNED: Final = "gangnam-ppo"
CLASSICAL: Final = ("fixed_time", "webster", "actuated", "max_pressure")
POLLS: Final = "polls.jsonl"
_DECISIONS: Final = re.compile(r"(\d+) by the service, (\d+) by the local")
_ADDRESS: Final = re.compile(r"http://[\d.]+:\d+")
_DEFAULT_MINUTES: Final = 2.25
_QUICK_MINUTES: Final = 0.5
_DECISIONS_A_MINUTE: Final = 3600
"""What two cores learn from in a minute, roughly."""
_SHARED_CPU: Final = 1.35
"""How much longer a run takes when another one runs beside it and a policy decides in it."""
FEWEST_DAYS: Final = 3
MOST_DAYS: Final = 8
_AFTERWARDS_S: Final = 50.0
"""Export, service, two controller runs and the page."""
_BULKY: Final = ("evaluation/runs/*/tripinfo.xml", "*/checkpoint", "*/tensorboard")


@dataclass(frozen=True)
class Pace:
    """How long the demo may take.

    Attributes:
        train_minutes: Wall-clock limit of the training.
        decisions: Most decisions taken in it.
        eval_every: Decisions between validations.
        budget_s: The whole demo; the number of demand days is fitted to it.
        run_minutes: Ends each judged run early; None judges the whole period.
        street_minutes: Simulated minutes of the controller runs.
    """

    train_minutes: float
    decisions: int
    eval_every: int
    budget_s: float
    run_minutes: int | None
    street_minutes: int


def pace(minutes: float | None, quick: bool) -> Pace:
    """The demo's pace: as given, quick, or the default of six and a half minutes."""
    chosen = minutes or (_QUICK_MINUTES if quick else _DEFAULT_MINUTES)
    decisions = max(round(_DECISIONS_A_MINUTE * chosen), 600)
    if quick:
        return Pace(chosen, decisions, decisions, 100.0 + 60.0 * chosen, 20, 10)
    budget_s = 390.0 + 60.0 * (chosen - _DEFAULT_MINUTES)
    return Pace(chosen, decisions, decisions // 2, budget_s, None, 15)


class Show:
    """Runs commands, shows them, and knows the time.

    Args:
        total: Number of steps.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._begun_s = time.monotonic()
        self._step = 0
        self._name = ""

    @property
    def elapsed_s(self) -> float:
        """Seconds since the demo began."""
        return time.monotonic() - self._begun_s

    def heading(self, name: str, words: str) -> None:
        """Announce a step: its name and what happens, in one line."""
        self._step += 1
        self._name = name
        minutes, seconds = divmod(int(self.elapsed_s), 60)
        title = f" {self._step}/{self._total} {name} "
        click.echo()
        click.secho(f"──{title:─<64} {minutes}:{seconds:02d} ──", bold=True)
        click.echo(words)

    def command(self, *arguments: str) -> list[str]:
        """Show a command line; returns how this interpreter runs it."""
        click.secho(f"$ signals {shlex.join(arguments)}", fg="cyan")
        return [sys.executable, "-m", "signals.cli", *arguments]

    def run(self, *arguments: str) -> float:
        """Show and run a command to its end.

        Returns:
            Seconds that it took.

        Raises:
            WorkError: It failed.
        """
        line = self.command(*arguments)
        begun_s = time.monotonic()
        with child(line) as process:
            code = process.wait()
        self.check(code)
        return time.monotonic() - begun_s

    def check(self, code: int) -> None:
        """Refuse to go on after a failure.

        Raises:
            WorkError: The code is not 0.
        """
        if code:
            raise WorkError(
                f"demo step {self._step} '{self._name}' failed (exit {code}); "
                "what went wrong stands above"
            )


@contextmanager
def child(line: Sequence[str], output: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A process of our own that never outlives the block.

    It leads a process group, so that ^C reaches us alone, and its workers end with it.

    Args:
        line: Command line.
        output: File for both output streams; None lets it write where we do.
    """
    sys.stdout.flush()
    stream = output.open("wb") if output is not None else None
    process = subprocess.Popen(
        line,
        stdin=subprocess.DEVNULL,
        stdout=stream,
        stderr=subprocess.STDOUT if stream is not None else None,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        stop(process)
        if stream is not None:
            stream.close()


def stop(process: subprocess.Popen[bytes], patience_s: float = 8.0) -> None:
    """End a process and its workers: ask first, insist later."""
    for kind in (signal.SIGINT, signal.SIGTERM):
        if process.poll() is not None:
            break
        with suppress(ProcessLookupError, PermissionError):
            process.send_signal(kind)
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience_s)
    # Workers that lost their parent; the group is ours alone.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def wait_for(
    found: Callable[[], bool], process: subprocess.Popen[bytes], limit_s: float = 60.0
) -> bool:
    """Wait until something is so; False when the process ended or the time is over."""
    until_s = time.monotonic() + limit_s
    while not found():
        if process.poll() is not None or time.monotonic() > until_s:
            return found()
        time.sleep(0.02)
    return True


@click.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="New folder for everything that is made. Default: demo, or demo-2, ...",
)
@click.option("--quick", is_flag=True, help="A shorter training and shorter runs.")
@click.option(
    "--minutes",
    type=FiniteRange(0.1, 60),
    help="Train for this wall-clock time. Default: 2.25.",
)
@click.option("--keep", is_flag=True, help="Keep SUMO's trip records and the checkpoint, too.")
def demo(out: Path | None, quick: bool, minutes: float | None, keep: bool) -> None:
    """Walk the whole path on one Seoul junction, in minutes.

    Shows the junction, trains a policy, judges it against four classical strategies on held-out
    days, exports it, serves it to a simulated controller, takes the service away, and ends in a
    table and a page to look at.
    """
    folder = _new_folder(out)
    chosen = pace(minutes, quick)
    _end_on_signals()
    show = Show(total=8)
    click.echo(
        f"The whole path on {SCENARIO}, {PERIOD}: about {chosen.budget_s / 60:.0f} minutes on two "
        f"cores, everything goes to {folder}/"
    )
    _walk(show, folder, chosen)
    if not keep:
        _remove_bulk(folder)
    click.echo(f"\npage: {folder / 'page.html'}")
    click.echo(f"done in {show.elapsed_s / 60:.1f} minutes")


def _end_on_signals() -> None:
    """Let SIGTERM and a closed terminal unwind like ^C: children have process groups of their own.

    The handlers stay: they end this very process.
    """
    if threading.current_thread() is threading.main_thread():
        for name in ("SIGTERM", "SIGHUP"):
            signal.signal(getattr(signal, name), _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _new_folder(out: Path | None) -> Path:
    """The folder given, or the first of demo, demo-2, ... that is free."""
    folder, number = out or Path("demo"), 2
    while out is None and folder.exists():
        folder, number = Path(f"demo-{number}"), number + 1
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise InputError(f"{folder} exists and is not empty; give a new folder with --out")
    except OSError as error:
        raise OutputError(
            f"cannot create {folder}: {error.strerror or error}; choose another --out"
        ) from error
    return folder


def _walk(show: Show, folder: Path, chosen: Pace) -> None:
    run, bundle = folder / LEARNED, folder / f"{LEARNED}.bundle"
    evaluation, page = folder / "evaluation", folder / "page.html"

    show.heading("the junction", "What stands there: legs, phases, volumes, today's plan.")
    show.run("scenario", "show", SCENARIO)

    show.heading("today", "One demand day under the time-of-day plan, as it runs today.")
    length = () if chosen.run_minutes is None else ("--minutes", str(chosen.run_minutes))
    run_s = show.run(
        "simulate", SCENARIO, "--period", PERIOD, "--agent", "fixed_time", *length
    )  # fmt: skip

    settings = folder / "hyperparameters.yaml"
    settings.write_text(hyperparameters(chosen), encoding="utf-8")
    show.heading(
        "learn", f"A policy learns for {chosen.train_minutes:g} minutes, then proves itself on "
        "validation days.",
    )  # fmt: skip
    show.run(
        "train", SCENARIO, "--period", PERIOD, "--minutes", f"{chosen.train_minutes:g}",
        "--steps", str(chosen.decisions), "--eval-every", str(chosen.eval_every),
        "--eval-seeds", "2", "--seed", "1", "--workers", "2", "--no-baselines",
        "--hyperparams", str(settings), "--out", str(run),
    )  # fmt: skip

    days = fitting_days(chosen.budget_s - show.elapsed_s, run_s, len(CLASSICAL) + 1)
    show.heading(
        "judge", f"Four classical strategies and the learned one on {days} days that none of them "
        f"has seen: as many as fit, at {run_s:.0f} s a run.",
    )  # fmt: skip
    agents = [part for agent in (*CLASSICAL, str(run)) for part in ("--agent", agent)]
    show.run(
        "evaluate", SCENARIO, "--period", PERIOD, *agents, "--seeds", str(days), "--workers", "2",
        *length, "--out", str(evaluation),
    )  # fmt: skip

    show.heading("export", "The best weights become a signed bundle, checked decision by decision.")
    show.run("export", str(run), "--out", str(bundle))

    show.heading("the street", "A service decides, a simulated controller obeys, over HTTP.")
    parity, fallback = _street(show, folder, bundle, chosen)

    show.heading("report", "Everything on one page.")
    show.run("report", str(evaluation), "--run", str(run), "--out", str(page))

    show.heading("what came out", "Delay on held-out days, and how the street behaved.")
    document = json.loads((evaluation / "evaluation.json").read_text(encoding="utf-8"))
    for line in result_lines(document, str(run)):
        click.echo(line)
    click.echo(f"\n{parity}\n{fallback}")


def hyperparameters(chosen: Pace) -> str:
    """What a short training needs to be different from a long one, as YAML for the command."""
    return (
        "# A training of minutes: few days a round, few lessons that are gone through often.\n"
        "default:\n"
        "  runs_per_round: 2\n"
        "  batch_size: 200\n"
        f"  teacher_runs: {2 if chosen.run_minutes else 4}\n"
        "  teacher_epochs: 60\n"
        "  teacher_batch_size: 128\n"
    )


def fitting_days(left_s: float, run_s: float, agents: int, workers: int = 2) -> int:
    """How many demand days can be judged in the time that is left, within bounds.

    Args:
        left_s: Time left for the whole demo.
        run_s: Time of one run, measured.
        agents: Runs a day.
        workers: Runs at once.
    """
    a_day_s = agents * run_s * _SHARED_CPU / workers
    return min(max(int((left_s - _AFTERWARDS_S) / max(a_day_s, 0.1)), FEWEST_DAYS), MOST_DAYS)


def _street(show: Show, folder: Path, bundle: Path, chosen: Pace) -> tuple[str, str]:
    """Serve the bundle, control by it, compare with the simulation, take the service away."""
    minutes, log = str(chosen.street_minutes), folder / "service.log"
    serve = show.command(
        "serve", "--bundle", str(bundle), "--port", "0", "--record", str(folder / POLLS)
    )  # fmt: skip
    with child(serve, log) as service:
        if not wait_for(lambda: _ADDRESS.search(_text(log)) is not None, service):
            click.echo(_text(log).strip(), err=True)
            show.check(service.poll() or 1)
        match = _ADDRESS.search(_text(log))
        url = match[0] if match else ""
        click.echo(f"serving on {url}; it logs to {log}")
        gateway = (
            "gateway", "--simulate", SCENARIO, "--service", url, "--period", PERIOD,
            "--seed", "20000", "--minutes", minutes,
        )  # fmt: skip
        show.run(*gateway, "--out", str(folder / "street"))
        click.echo("\nThe same day and the same bundle without HTTP between them:")
        show.run(
            "simulate", SCENARIO, "--agent", str(bundle), "--period", PERIOD, "--seed", "20000",
            "--minutes", minutes, "--out", str(folder / "simulated"),
        )  # fmt: skip
        parity = _parity(folder)
        click.echo(parity)

        click.echo("\nOnce more, and in the middle of it the service is stopped:")
        fallback = _stop_midway(show, gateway, service, folder, chosen)
        click.echo(fallback)
    return parity, fallback


def _stop_midway(
    show: Show,
    gateway: Sequence[str],
    service: subprocess.Popen[bytes],
    folder: Path,
    chosen: Pace,
) -> str:
    """Run the controller and stop the service after a third of the polls.

    Raises:
        WorkError: The controller failed, or did not go on with its own plan.
    """
    polls, said = folder / POLLS, folder / "street-alone.log"
    wanted = _lines(polls) + 4 * chosen.street_minutes
    line = show.command(*gateway, "--out", str(folder / "street-alone"))
    with child(line, said) as controller:
        if wait_for(lambda: _lines(polls) >= wanted, controller):
            service.terminate()
            service.wait(20)
        code = controller.wait()
    click.echo(_text(said).rstrip())
    show.check(code)
    counted = _DECISIONS.search(_text(said))
    by_service, by_plan = (int(counted[1]), int(counted[2])) if counted else (0, 0)
    if not by_service or not by_plan:
        raise WorkError(
            f"the controller was to take {4 * chosen.street_minutes} decisions from the service "
            f"and the others from its plan; it took {by_service} and {by_plan}"
        )
    return (
        f"service stopped: {by_service} decisions by the service, then {by_plan} by the "
        "controller's own plan, without a pause"
    )


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""


def _lines(file: Path) -> int:
    return file.read_bytes().count(b"\n") if file.is_file() else 0


def _seconds(folder: Path) -> list[str]:
    """The state string of every recorded second of a run, wherever in the folder it is kept."""
    import polars

    file = next(iter(sorted(folder.rglob("lights.parquet"))), None)
    if file is None:
        raise WorkError(f"{folder} holds no lights.parquet; the run before it kept nothing")
    return [str(state) for state in polars.read_parquet(file)["state"].to_list()]


def _parity(folder: Path) -> str:
    """Compare the lights of the street with those of the simulation.

    Raises:
        WorkError: They differ.
    """
    street, simulated = _seconds(folder / "street"), _seconds(folder / "simulated")
    equal = sum(a == b for a, b in zip(street, simulated, strict=False))
    total = max(len(street), len(simulated))
    if equal != total:
        raise WorkError(
            f"the street and the simulation showed the same lights in {equal} of {total} seconds "
            f"only; compare {folder / 'street'} with {folder / 'simulated'}"
        )
    return f"street against simulation: the same lights in {equal} of {total} seconds"


def result_lines(document: Mapping[str, Any], learned: str) -> list[str]:
    """The table at the end, shortest delay first, and the verdict on the learned agent.

    Args:
        document: ``evaluation.json``.
        learned: The learned agent, as it was asked for.
    """
    rows = sorted(document["summary"], key=lambda row: float(row["delay_s"]))
    names = {row["agent"]: Path(str(row["agent"])).name for row in rows}
    width = max(len(name) for name in names.values())
    lines = [f"{'':{width}}  {'delay s/veh':>11}  {'95 %':>16}  {'on foot s':>9}  {'bus s':>7}"]
    for row in rows:
        interval = row.get("ci95")
        text = f"{interval[0]:.1f} to {interval[1]:.1f}" if interval else "-"
        lines.append(
            f"{names[row['agent']]:{width}}  {row['delay_s']:11.1f}  {text:>16}  "
            f"{_cell(row.get('pedestrian_delay_s')):>9}  {_cell(row.get('bus_delay_s')):>7}"
        )
    for found in document.get("verdict", ()):
        if found["agent"] == learned:
            lines += ["", f"verdict: {str(found['verdict']).upper()}. {found.get('text', '')}"]
    return lines


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _remove_bulk(folder: Path) -> None:
    for pattern in _BULKY:
        for path in folder.glob(pattern):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

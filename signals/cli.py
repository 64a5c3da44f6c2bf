"""The command ``signals``: finds the verbs of the other packages and answers errors in one line.

Verbs come from the entry-point group ``seoul_signals.commands`` and are loaded when they are
called, so that ``signals --help`` needs neither torch nor SUMO.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import click

from signals import __version__
from signals.errors import InputError, MissingDependencyError, SignalsError, UnknownNameError

COMMANDS = "seoul_signals.commands"
INTERRUPTED: Final = 130
BROKEN_PIPE: Final = 1

_HELPS: Final = {
    "agents": "List the agents that can control a junction.",
    "curve": "Draw what training runs of several seeds learned.",
    "demo": "Walk the whole path on one Seoul junction, in minutes.",
    "evaluate": "Judge agents on the same demand days.",
    "export": "Turn a training run into a signed bundle.",
    "gateway": "Connect a signal controller to the policy service.",
    "registry": "Keep bundles and their deployments.",
    "report": "Make one page about judged runs.",
    "scenario": "List, show, build and check scenarios.",
    "serve": "Serve decisions over HTTP.",
    "simulate": "Run one agent through one demand day.",
    "study": "Run a planned set of evaluations.",
    "train": "Train a phase-scoring policy.",
    "tune": "Search hyperparameters of a training.",
    "tune-classical": "Tune a classical agent on training days.",
    "virtual-controller": "Run a signal controller in software.",
}
"""One line of help each, so that the list needs none of the commands themselves."""

_EXTRAS: Final = {
    "libsumo": "sim",
    "traci": "sim",
    "sumolib": "sim",
    "sumo": "sim",
    "gymnasium": "sim",
    "polars": "sim",
    "rich": "sim",
    "torch": "train",
    "stable_baselines3": "train",
    "tensorboard": "train",
    "onnx": "train",
    "onnxscript": "train",
    "matplotlib": "study",
    "jinja2": "study",
    "scipy": "sim",
    "fastapi": "serve",
    "uvicorn": "serve",
    "httpx2": "serve",
    "onnxruntime": "serve",
    "cryptography": "serve",
    "structlog": "serve",
    "sqlalchemy": "serve",
    "alembic": "serve",
    "psycopg": "postgres",
    "orjson": "serve",
    "prometheus_client": "serve",
    "pysnmp": "serve",
    "gufo": "serve",
}
"""Modules that are not everybody's, and the extra that brings each."""

_PACKAGES: Final = ("scenarios", "agents", "controllers")


class LazyGroup(click.Group):
    """A group whose commands are entry points, loaded when called."""

    @cached_property
    def _entries(self) -> dict[str, EntryPoint]:
        return {entry.name: entry for entry in entry_points(group=COMMANDS)}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands."""
        return sorted(self._entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load one command.

        Raises:
            MissingDependencyError: It needs an extra that is not installed.
        """
        entry = self._entries.get(cmd_name)
        if entry is None:
            return None
        try:
            command: click.Command = entry.load()
        except ImportError as error:
            raise missing(error, f"signals {cmd_name}") from error
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that was called.

        Raises:
            UnknownNameError: There is none of that name.
        """
        if args and not args[0].startswith("-") and args[0] not in self._entries:
            raise UnknownNameError("command", args[0], self._entries)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without loading those of our own."""
        rows = [(name, self._help(ctx, name)) for name in self.list_commands(ctx)]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)

    def _help(self, ctx: click.Context, name: str) -> str:
        if name in _HELPS:
            return _HELPS[name]
        try:
            command = self.get_command(ctx, name)
        except Exception as error:  # a plug-in of somebody else's must not break the list
            return f"(cannot be loaded: {error})"
        return command.get_short_help_str() if command is not None else ""


@click.group(
    cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]}, no_args_is_help=True
)
@click.version_option(__version__, prog_name="signals")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def root(debug: bool) -> None:
    """Traffic signal control for Seoul intersections, from SUMO to the street."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: Command line without the program's name; None takes the process's own.

    Returns:
        Exit code: 0 done, 1 the work failed, 2 bad input, 130 interrupted.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given[:1]
    try:
        check_packages()
        code: Any = root.main(given, prog_name="signals", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except (KeyboardInterrupt, click.Abort):
        return _fail("interrupted", INTERRUPTED)
    except BrokenPipeError:
        _drop_stdout()
        return BROKEN_PIPE
    except Exception as error:
        if debug:
            traceback.print_exc()
        return _answer(error)


def _answer(error: Exception) -> int:
    """Say in one line what went wrong."""
    if isinstance(error, SignalsError):
        return _fail(str(error), error.exit_code)
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        return error.exit_code
    if isinstance(error, click.ClickException):
        path = getattr(getattr(error, "ctx", None), "command_path", "signals")
        return _fail(f"{error.format_message()} See: {path} --help", error.exit_code)
    if isinstance(error, ImportError):
        return _answer(missing(error, "this command"))
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return _fail(f"unexpected {text}; for the traceback: signals --debug ...", 1)


def _fail(message: str, code: int) -> int:
    try:
        click.echo(f"signals: error: {' '.join(message.split())}", err=True)
    except BrokenPipeError:
        _drop_stdout()
    return code


def _drop_stdout() -> None:
    """Nobody reads: keep the interpreter from complaining when it flushes at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())


def missing(error: ImportError, needed_for: str) -> SignalsError:
    """The import error in words: a missing extra, or an installation that is broken."""
    name = (error.name or "").partition(".")[0]
    if isinstance(error, ModuleNotFoundError) and name in _EXTRAS:
        return MissingDependencyError(name, _EXTRAS[name], needed_for)
    return InputError(
        f"{needed_for} cannot be loaded: {error}; install seoul-signals anew: "
        "pip install --force-reinstall seoul-signals"
    )


def check_packages() -> None:
    """Refuse to run when another distribution's package hides one of ours.

    Raises:
        InputError: One of our packages is hidden or missing.
    """
    home = Path(__file__).resolve().parent.parent
    for name in _PACKAGES:
        spec = find_spec(name)
        if spec is None or spec.origin is None:
            raise InputError(
                f"the package '{name}' of seoul-signals is missing beside {home / 'signals'}; "
                "install seoul-signals anew, into an environment of its own"
            )
        found = Path(spec.origin).resolve().parent
        if found.parent != home:
            raise InputError(
                f"the package '{name}' in {found} hides the one of seoul-signals in {home}; "
                "install seoul-signals into an environment of its own, and unset PYTHONPATH"
            )


if __name__ == "__main__":
    sys.exit(main())

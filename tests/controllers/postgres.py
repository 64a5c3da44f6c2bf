"""A PostgreSQL of the tests' own: named by the environment, or started from Debian's binaries."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

VARIABLE = "SEOUL_SIGNALS_TEST_POSTGRES"
"""Address of a database that the tests may fill and empty."""


def binaries() -> Path | None:
    """Folder of initdb and pg_ctl, None when PostgreSQL is not installed."""
    found = shutil.which("pg_ctl")
    if found:
        return Path(found).resolve().parent
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: path.parts[-2])
    return places[-1] if places else None


class Cluster:
    """One server with one database, stopped and started by the tests at will."""

    def __init__(self, tools: Path, folder: Path) -> None:
        self._tools = tools
        self._data = folder / "data"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._folder = folder
        self._user: str | None = None
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            self._user = "postgres" if _known("postgres") else "nobody"
            shutil.chown(folder, self._user)
        self._run("initdb", "-D", str(self._data), "-U", "seoul", "-A", "trust", "-N")
        self.start()
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "seoul", "registry")

    @property
    def address(self) -> str:
        return f"postgresql://seoul@127.0.0.1:{self.port}/registry"

    def start(self) -> None:
        options = f"-p {self.port} -h 127.0.0.1 -k {self._folder} -c fsync=off"
        log = str(self._folder / "log")
        self._run("pg_ctl", "-D", str(self._data), "-w", "-l", log, "-o", options, "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", str(self._data), "-w", "-m", "immediate", "stop")

    def _run(self, tool: str, *arguments: str) -> None:
        subprocess.run(
            [str(self._tools / tool), *arguments],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=self._user,
            group=None if self._user is None else pwd.getpwnam(self._user).pw_gid,
            extra_groups=None if self._user is None else [],
            cwd=self._folder,
            timeout=60,
        )


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A server for the time of the block."""
    tools = binaries()
    assert tools is not None
    with tempfile.TemporaryDirectory(prefix="seoul-postgres-") as name:
        folder = Path(name)
        found = Cluster(tools, folder)
        try:
            yield found
        finally:
            found.stop()


def _known(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True

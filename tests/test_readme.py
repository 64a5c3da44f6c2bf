"""Every command of the README runs as it stands, in order, in one empty folder."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

pytest.importorskip("torch", reason="torch is not installed (extra: train)")
pytest.importorskip("libsumo", reason="libsumo is not installed (extra: sim)")
pytest.importorskip("fastapi", reason="fastapi is not installed (extra: serve)")

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
_BLOCKS = re.findall(r"```(bash|python)\n(.*?)```", README, flags=re.S)


def _steps():
    """Commands and snippets below the two install commands, which CI runs themselves."""
    for language, text in _BLOCKS:
        if language == "python":
            yield language, text
            continue
        for line in text.strip().splitlines():
            if line.startswith("signals "):
                yield language, line


def _wait_for(url):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            with urlopen(url, timeout=2):
                return
        except (URLError, OSError):
            time.sleep(0.2)
    raise AssertionError(f"{url} did not answer")


def _wait_for_file(file):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if file.exists() and file.stat().st_size:
            return
        time.sleep(0.2)
    raise AssertionError(f"{file} was not written")


def test_there_are_two_install_commands_first():
    first, second = (text for language, text in _BLOCKS[:2])
    assert "signals demo" in first
    assert "pytest" in second


def test_every_command_runs(tmp_path):
    environment = {**os.environ, "SEOUL_SIGNALS_KEYS": str(tmp_path / "keys")}
    binary = Path(sys.executable).parent
    environment["PATH"] = f"{binary}{os.pathsep}{environment['PATH']}"
    assert shutil.which("signals", path=environment["PATH"]), "the distribution is not installed"
    services = []
    ran = []
    try:
        for language, text in _steps():
            command = [sys.executable, "-c", text] if language == "python" else shlex.split(text)
            if text.startswith("signals virtual-controller"):
                services.append(subprocess.Popen(command, cwd=tmp_path, env=environment))
                _wait_for_file(tmp_path / command[command.index("--gateway-file") + 1])
                ran.append(text)
                continue
            if text.startswith("signals serve"):
                services.append(subprocess.Popen(command, cwd=tmp_path, env=environment))
                port = command[command.index("--port") + 1]
                _wait_for(f"http://127.0.0.1:{port}/readyz")
                ran.append(text)
                continue
            done = subprocess.run(
                command,
                cwd=tmp_path,
                env=environment,
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
            assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
            ran.append(text)
    finally:
        for service in services:
            service.terminate()
            assert service.wait(timeout=30) == 0
    assert len(ran) >= 12
    assert (tmp_path / "night.html").stat().st_size > 10_000

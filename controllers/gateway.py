"""The gateway: one process, one event loop, a link for each of up to hundreds of junctions."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controllers.link import JunctionLink
from signals.errors import InputError, OutputError, UnknownNameError, WorkError

_RETRY_PART = 0.05
"""Part of a second after which a controller is looked at again that was not on yet."""
_AWAY_S = 1.0
"""Pause before a controller that does not answer is tried again (s)."""
_LOCKSTEP_PAUSE_S = 0.002
_LOCKSTEP_WATCH_S = 0.02
"""The same where nothing is commanded, so that nobody waits for us."""


@dataclass(frozen=True)
class Rhythm:
    """How the gateway keeps time.

    Attributes:
        speed: Seconds of the controllers in one second.
        lockstep: Commands drive the controllers' clocks (`signals virtual-controller --lockstep`).
    """

    speed: float = 1.0
    lockstep: bool = False

    def wall(self) -> Callable[[], float] | None:
        """The clock that a controller's is compared with."""
        return None if self.lockstep else lambda: time.monotonic() * self.speed


class Gateway:
    """Runs the links.

    Args:
        links: One for each junction.
        rhythm: How it keeps time.
        log: Gets a line when something unforeseen happens.
    """

    def __init__(
        self, links: Sequence[JunctionLink], rhythm: Rhythm, log: Callable[[str], None]
    ) -> None:
        self.links = {link.junction.id: link for link in links}
        self._rhythm = rhythm
        self._log = log
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """End the run: every controller is given back to its own plan."""
        self._stop.set()

    async def run(self, seconds: float | None = None) -> None:
        """Run until `stop` is called.

        Args:
            seconds: Or until so many real seconds have passed.
        """
        tasks = [asyncio.create_task(self._keep(link)) for link in self.links.values()]
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), seconds)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.gather(
                *(link.close() for link in self.links.values()), return_exceptions=True
            )

    async def _keep(self, link: JunctionLink) -> None:
        """Follow one controller second by second, whatever happens to the others."""
        while True:
            try:
                pause_s = await self._look(link)
            except WorkError as error:
                self._log(f"{link.junction.id}: {error}")
                pause_s = _AWAY_S
            except Exception as error:  # a fault at one junction must not stop the others
                self._log(f"{link.junction.id}: unforeseen: {error!r}")
                await link.disarm("an unforeseen fault")
                pause_s = _AWAY_S
            await asyncio.sleep(pause_s)

    async def _look(self, link: JunctionLink) -> float:
        began = time.monotonic()
        seen = await link.second()
        if self._rhythm.lockstep:
            if not link.connected:
                return 0.1
            return 0.0 if seen else _LOCKSTEP_PAUSE_S if link.in_control else _LOCKSTEP_WATCH_S
        second_s = 1.0 / self._rhythm.speed
        if not link.connected:
            return _AWAY_S * second_s
        if not seen:
            return _RETRY_PART * second_s
        return max(0.0, began + (1 - _RETRY_PART) * second_s - time.monotonic())

    async def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Carry out what an operator asks: ``arm``, ``disarm`` or ``status``.

        Raises:
            InputError: Something else, or a junction that is not here.
        """
        verb = request.get("verb")
        names = request.get("junctions") or list(self.links)
        for name in names:
            if name not in self.links:
                raise UnknownNameError("junction", name, self.links)
        links = [self.links[name] for name in names]
        if verb == "arm":
            minutes = request.get("minutes")
            if not isinstance(minutes, (int, float)) or not 0 < minutes <= 24 * 60:
                raise InputError(
                    f"cannot arm for {minutes!r} minutes; give more than 0, up to 1440"
                )
            for link in links:
                link.arm(60 * minutes)
        elif verb == "disarm":
            for link in links:
                await link.disarm("by the operator")
        elif verb != "status":
            raise InputError(f"unknown request '{verb}'; allowed: arm, disarm, status")
        return {"junctions": [link.status() for link in links]}

    async def listen(self, file: Path) -> asyncio.Server:
        """Take an operator's requests on a UNIX socket that only this user may open.

        Args:
            file: The socket.

        Raises:
            OutputError: It cannot be made.
        """

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                line = await asyncio.wait_for(reader.readline(), 5)
                found = await self.answer(json.loads(line))
            except (ValueError, TimeoutError, InputError, AttributeError) as error:
                found = {"error": str(error) or type(error).__name__}
            writer.write(json.dumps(found).encode() + b"\n")
            with suppress(OSError):
                await writer.drain()
            writer.close()

        before = os.umask(0o177)
        try:
            file.unlink(missing_ok=True)
            return await asyncio.start_unix_server(serve, str(file))
        except OSError as error:
            raise OutputError(f"cannot listen on {file}: {error.strerror or error}") from error
        finally:
            os.umask(before)


async def ask(file: Path, request: dict[str, Any]) -> dict[str, Any]:
    """An operator's request to a running gateway.

    Raises:
        InputError: No gateway listens there, or it refuses.
    """
    try:
        reader, writer = await asyncio.open_unix_connection(str(file))
        writer.write(json.dumps(request).encode() + b"\n")
        found: dict[str, Any] = json.loads(await asyncio.wait_for(reader.readline(), 30))
        writer.close()
    except (OSError, ValueError, TimeoutError) as error:
        raise InputError(
            f"no gateway answers on {file} ({error or type(error).__name__}); start one with "
            "'signals gateway --controllers FILE'"
        ) from error
    if "error" in found:
        raise InputError(str(found["error"]))
    return found

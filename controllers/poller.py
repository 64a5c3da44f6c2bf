"""The controller's end of the decision service: one poll at a time, with a deadline and back-off.

An adapter keeps one `Poller` per junction and asks it whenever a decision is due. It never raises
for the network's sake: without a command there is a problem in one line, and the controller follows
its own plan.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from controllers.certificates import load_authorities, load_own
from controllers.runtime import Command, DecisionRequest
from signals.errors import InputError, MissingDependencyError, ServiceError
from signals.observation import ObservationSpec

TIMEOUT_S = 0.5
KEY_VARIABLE = "SEOUL_SIGNALS_SERVICE_KEY"
"""Environment variable with the controller's key for the service, or the file that holds it."""
_MAKE_ONE = "make a key: signals registry keys add --role controller --out FILE"
BACK_OFF_S = (1.0, 30.0)
"""Pause after the first failure and the longest one; it doubles in between (s)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one poll.

    Attributes:
        command: The command, None without one.
        problem: Why there is none, one line.
        refused: The service answered, and refused the poll (a contract or reading problem).
        asked: Whether the service was asked; False while backing off.
        withheld: The service could decide, and a stage or an override leaves the junction to its
            plan.
    """

    command: Command | None
    problem: str = ""
    refused: bool = False
    asked: bool = True
    withheld: bool = False


@dataclass(frozen=True, slots=True)
class Credentials:
    """How a controller shows who it is, and whom it believes.

    Attributes:
        key: Its key, empty where none is asked.
        authority: Certificates (PEM) that the service's must be signed by; the system's if None.
        certificate: The controller's own certificate with its key (PEM), where one is asked.
    """

    key: str = field(default="", repr=False)
    authority: Path | None = None
    certificate: Path | None = None

    @classmethod
    def given(
        cls, key: str | None, authority: Path | None = None, certificate: Path | None = None
    ) -> Credentials:
        """From options.

        Args:
            key: A key, or a file that holds one; None takes `KEY_VARIABLE`.
            authority: See the class.
            certificate: See the class.

        Raises:
            InputError: The file cannot be read, or holds no key.
        """
        text = (os.environ.get(KEY_VARIABLE, "") if key is None else key).strip()
        source = f"${KEY_VARIABLE}" if key is None else "what was given"
        if text and not text.startswith("ssk_"):
            source = f"file {text[:200]}"
            try:
                text = Path(text).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError, ValueError) as error:
                reason = getattr(error, "strerror", None) or "it is no text"
                raise InputError(
                    f"cannot read a service key from {source}: {reason}; give a key (ssk_...) or "
                    "the file that holds one"
                ) from error
            if not text:
                raise InputError(f"{source} is empty; {_MAKE_ONE}")
        if text and not (text.startswith("ssk_") and text.isascii() and text.isprintable()):
            raise InputError(f"{source} holds no service key (ssk_...); {_MAKE_ONE}")
        return cls(text, authority, certificate)

    def context(self) -> ssl.SSLContext:
        """For HTTPS.

        Raises:
            InputError: A file holds no certificates.
        """
        return _context(self.authority, self.certificate)


@cache
def _context(authority: Path | None, certificate: Path | None) -> ssl.SSLContext:
    """One for all pollers of a process: each holds hundreds of certificates."""
    found = ssl.create_default_context()
    if authority is not None:
        # Instead of the system's, not beside them.
        load_authorities(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), authority)
        found = ssl.create_default_context(cafile=authority)
    if certificate is not None:
        load_own(found, certificate)
    return found


class Exchange:
    """What both pollers share: the poll's body, the judgement of an answer, and the back-off.

    Args:
        url: The service, e.g. ``http://127.0.0.1:8080``.
        spec: The junction's observation; its hash travels with every poll.
        timeout_s: An answer that takes longer is not used (s).
        clock: Seconds for the back-off; a simulation gives its own clock.
        bundle_hash: Accept this bundle's commands only, None for any.
        credentials: For the service; the key of `KEY_VARIABLE` when not given.

    Raises:
        InputError: The URL is none, or the credentials cannot be used.
        MissingDependencyError: httpx2 is not installed.
    """

    def __init__(
        self,
        url: str,
        spec: ObservationSpec,
        timeout_s: float = TIMEOUT_S,
        clock: Callable[[], float] = time.monotonic,
        bundle_hash: str | None = None,
        credentials: Credentials | None = None,
    ) -> None:
        try:
            import httpx2
        except ImportError as error:
            raise MissingDependencyError("httpx2", "serve", "polling a decision service") from error
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise InputError(f"'{url}' is no service address; give http://HOST:PORT")
        if timeout_s <= 0:
            raise InputError(f"timeout {timeout_s:g} s is too short; give more than 0")
        self.timeout_s = timeout_s
        self._spec = spec
        self._spec_hash = spec.hash
        self._bundle_hash = bundle_hash
        self._clock = clock
        self._failures = 0
        self._not_before = float("-inf")
        self.path = f"/v1/junctions/{quote(spec.junction.id, safe='')}"
        # The count of this object begins anew: its polls are no repetitions of another's.
        self._session = secrets.token_hex(8)
        known = Credentials.given(None) if credentials is None else credentials
        headers = {"content-type": "application/json"}
        if known.key:
            headers["authorization"] = f"Bearer {known.key}"
        # A proxy of the machine's environment has no place between a controller and its service.
        self.options: dict[str, Any] = {
            "base_url": url,
            "timeout": timeout_s,
            "trust_env": False,
            "headers": headers,
            "verify": known.context(),
        }
        self.broken: tuple[type[Exception], ...] = (httpx2.HTTPError, httpx2.InvalidURL)
        self.unreadable: tuple[type[Exception], ...] = (*self.broken, ValueError)
        self.closed_under_us: type[Exception] = httpx2.RemoteProtocolError

    def waits(self) -> bool:
        """Whether the pause after the last failure is not over."""
        return self._clock() < self._not_before

    def note(self, answer: Answer) -> Answer:
        """Remember how it went: failures lengthen the pause."""
        if answer.command is not None:
            self._failures = 0
        else:
            first_s, most_s = BACK_OFF_S
            self._not_before = self._clock() + min(first_s * 2.0**self._failures, most_s)
            self._failures = min(self._failures + 1, 30)
        return answer

    def body(self, request: DecisionRequest) -> bytes:
        """The poll in JSON.

        Raises:
            ValueError: A number is not finite.
        """
        poll: dict[str, Any] = {
            "sequence": request.sequence,
            "clock_s": request.clock_s,
            "readings": {
                "time_s": request.readings.time_s,
                "values": request.readings.to_values(self._spec.detectors),
            },
            "state": request.state.to_dict(),
            "spec_hash": self._spec_hash,
            "session": self._session,
        }
        if self._bundle_hash is not None:
            poll["bundle_hash"] = self._bundle_hash
        return json.dumps(poll, allow_nan=False, separators=(",", ":")).encode()

    def failed(self, error: Exception) -> Answer:
        """The answer when there was none."""
        text = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, ValueError):
            return Answer(None, f"the poll cannot be sent: {text}")
        return Answer(None, f"no answer from the service: {text}")

    def judged(self, response: Any, request: DecisionRequest, took_s: float) -> Answer:
        """What a response is worth.

        Args:
            response: Of httpx2.
            request: What was asked.
            took_s: How long it took.
        """
        if took_s > self.timeout_s:
            # The client's timeout holds for each read; a dripping answer is late all the same.
            return Answer(None, f"the answer took {took_s:.2f} s, allowed {self.timeout_s:g} s")
        try:
            content = response.json()
        except ValueError:
            content = None
        if response.status_code != 200:
            reason = content.get("error") if isinstance(content, dict) else None
            refused = 400 <= response.status_code < 500
            return Answer(None, f"HTTP {response.status_code}: {reason or 'no reason'}", refused)
        try:
            return Answer(self._checked(content, request), withheld=content.get("withheld") is True)
        except ServiceError as error:
            return Answer(None, str(error))

    def _checked(self, content: Any, request: DecisionRequest) -> Command:
        if not isinstance(content, dict):
            raise ServiceError("the answer is no command")
        command = Command.from_dict(content)
        if command.sequence != request.sequence:
            raise ServiceError(f"the answer is to poll {command.sequence}, not {request.sequence}")
        phases = len(self._spec.junction.phases)
        if command.phase is not None and not 0 <= command.phase < phases:
            raise ServiceError(f"the answer names phase {command.phase}, there are {phases}")
        if self._bundle_hash is not None and command.bundle_hash != self._bundle_hash:
            raise ServiceError(f"the answer is by bundle {command.bundle_hash[:12]}")
        return command


class Poller(Exchange):
    """Asks a decision service for one junction, and waits for the answer; see `Exchange`."""

    def __init__(
        self,
        url: str,
        spec: ObservationSpec,
        timeout_s: float = TIMEOUT_S,
        clock: Callable[[], float] = time.monotonic,
        bundle_hash: str | None = None,
        credentials: Credentials | None = None,
    ) -> None:
        super().__init__(url, spec, timeout_s, clock, bundle_hash, credentials)
        import httpx2

        self._client = httpx2.Client(**self.options)

    def summary(self) -> Mapping[str, Any] | None:
        """What the service says about the junction, None when it does not answer."""
        try:
            response = self._client.get(self.path)
            found = response.json() if response.status_code == 200 else None
        except self.unreadable:
            return None
        return found if isinstance(found, dict) else None

    def ask(self, request: DecisionRequest) -> Answer:
        """Ask for a decision.

        Args:
            request: Readings and state of this moment.
        """
        if self.waits():
            return Answer(None, "waiting before the next try", asked=False)
        started = time.monotonic()
        try:
            response = self._post(self.body(request))
        except self.unreadable as error:
            return self.note(self.failed(error))
        return self.note(self.judged(response, request, time.monotonic() - started))

    def close(self) -> None:
        """Give the connection back."""
        self._client.close()

    def __enter__(self) -> Poller:
        """Use as a context that closes the connection."""
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _post(self, body: bytes) -> Any:
        try:
            return self._client.post(self.path + "/decisions", content=body)
        except self.closed_under_us:
            # A kept connection that the service had just closed; a poll may be sent twice.
            return self._client.post(self.path + "/decisions", content=body)


class AsyncPoller(Exchange):
    """Asks a decision service for one junction among others in one event loop; see `Exchange`."""

    def __init__(
        self,
        url: str,
        spec: ObservationSpec,
        timeout_s: float = TIMEOUT_S,
        clock: Callable[[], float] = time.monotonic,
        bundle_hash: str | None = None,
        credentials: Credentials | None = None,
    ) -> None:
        super().__init__(url, spec, timeout_s, clock, bundle_hash, credentials)
        import httpx2

        self._client = httpx2.AsyncClient(**self.options)

    async def summary(self) -> Mapping[str, Any] | None:
        """What the service says about the junction, None when it does not answer."""
        try:
            response = await self._client.get(self.path)
            found = response.json() if response.status_code == 200 else None
        except self.unreadable:
            return None
        return found if isinstance(found, dict) else None

    async def ask(self, request: DecisionRequest) -> Answer:
        """Ask for a decision.

        Args:
            request: Readings and state of this moment.
        """
        if self.waits():
            return Answer(None, "waiting before the next try", asked=False)
        started = time.monotonic()
        try:
            body = self.body(request)
            async with asyncio.timeout(self.timeout_s):
                response = await self._post(body)
        except TimeoutError:
            text = f"no answer from the service within {self.timeout_s:g} s"
            return self.note(Answer(None, text))
        except self.unreadable as error:
            return self.note(self.failed(error))
        return self.note(self.judged(response, request, time.monotonic() - started))

    async def close(self) -> None:
        """Give the connection back."""
        await self._client.aclose()

    async def _post(self, body: bytes) -> Any:
        try:
            return await self._client.post(self.path + "/decisions", content=body)
        except self.closed_under_us:
            # A kept connection that the service had just closed; a poll may be sent twice.
            return await self._client.post(self.path + "/decisions", content=body)

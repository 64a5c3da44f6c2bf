"""The exception tree.

::

    SignalsError
    ├── InputError                exit 2: what was given cannot be used
    │   ├── ScenarioError         a site or scenario file
    │   ├── UnknownNameError      a name that no catalogue holds
    │   ├── JunctionError         a net, lane, movement, group or phase
    │   ├── PlanError             a time-of-day plan
    │   ├── RunFolderError        a training run folder
    │   ├── BundleError           a policy bundle (broken, unsigned, untrusted)
    │   │   └── ContractError     a bundle or poll made for another junction or spec
    │   ├── ReadingError          detector readings that no junction could send
    │   ├── OutputError           a folder or file that cannot be written
    │   │   └── JournalFullError  a decision that cannot be kept, so that it must not act
    │   ├── PortError             an address that cannot be listened on
    │   └── MissingDependencyError  an extra that is not installed
    └── WorkError                 exit 1: the work was understood and failed
        ├── SimulationError       SUMO refused or ended early
        ├── ServiceError          a policy service that cannot be reached
        ├── LineError             a controller that does not answer, or answers nonsense
        ├── RefusedError          a controller that may not, or must not, be commanded
        └── RegistryError         a registry that cannot be reached or refuses

Every message is one line: what was given, what is allowed, what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SignalsError(Exception):
    """Root of every error this product raises on purpose."""

    exit_code = 1


class InputError(SignalsError):
    """What was given cannot be used; nothing was written."""

    exit_code = 2


class ScenarioError(InputError):
    """A site or scenario file is wrong."""


class JunctionError(InputError):
    """A net, lane, movement, signal group or phase does not exist or does not fit."""


class PlanError(InputError):
    """A time-of-day plan breaks the junction's timing or names no phase of it."""


class RunFolderError(InputError):
    """A training run folder is missing, broken, or was made for another spec."""


class BundleError(InputError):
    """A policy bundle is broken, unsigned, or signed by nobody we trust."""


class ContractError(BundleError):
    """A bundle or poll was made for another junction, spec or timing."""


class ReadingError(InputError):
    """Detector readings name an unknown detector or hold values no detector sends."""


class OutputError(InputError):
    """A folder or file cannot be written."""


class PortError(InputError):
    """An address cannot be listened on."""


class MissingDependencyError(InputError):
    """An optional part of the product is not installed.

    Args:
        what: The missing distribution, e.g. ``libsumo``.
        extra: The extra of ``seoul-signals`` that brings it.
        needed_for: What the caller was about to do.
    """

    def __init__(self, what: str, extra: str, needed_for: str) -> None:
        super().__init__(
            f"{what} is not installed, but {needed_for} needs it; "
            f"install the extra '{extra}', in the product's folder: pip install '.[{extra}]'"
        )


class UnknownNameError(InputError):
    """A name is in no catalogue; the message gives the nearest ones.

    Args:
        kind: What was looked for, e.g. ``scenario``.
        given: The name that was given.
        allowed: Every name that would have been accepted.
    """

    def __init__(self, kind: str, given: str, allowed: Iterable[str]) -> None:
        names = sorted(allowed)
        near = difflib.get_close_matches(given, names, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        super().__init__(f"unknown {kind} '{given}'; {hint}allowed: {', '.join(names) or 'none'}")
        self.kind = kind
        self.given = given
        self.nearest = tuple(near)


class WorkError(SignalsError):
    """The request was understood, and the work failed."""


class SimulationError(WorkError):
    """SUMO refused to start, ended early, or is already running in this process."""


class ServiceError(WorkError):
    """A policy service cannot be reached or answers nonsense."""


class RegistryError(WorkError):
    """The registry's database cannot be reached, or refuses what was asked."""

"""One change of the registry: who makes it and why, its rows and their audit row."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from controllers.registry.tables import Audit, Base, Deployment
from signals.errors import InputError, RegistryError

_Row = TypeVar("_Row", bound=Base)


@dataclass(frozen=True, slots=True)
class Author:
    """Who changes something, and why; both are kept for good.

    Raises:
        InputError: One of them is empty or too long.
    """

    who: str
    why: str

    def __post_init__(self) -> None:
        for what, text, most in (("who", self.who, 100), ("why", self.why, 1000)):
            if not text.strip() or len(text) > most or "\x00" in text:
                raise InputError(f"{what} is {text[:40]!r}; give 1 to {most} characters")


class Change:
    """One transaction.

    Args:
        session: What it is made in.

    Attributes:
        session: The same.
        at_ms: Its moment (ms since 1970, UTC), in all its rows.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self.at_ms = now_ms()

    def last(self, table: type[_Row], junction: str) -> _Row | None:
        """The newest row of a junction, as this transaction sees it."""
        columns = table.__table__.columns
        query = select(table).where(columns["junction"] == junction)
        found: _Row | None = self.session.scalars(
            query.order_by(columns["number"].desc()).limit(1)
        ).first()
        return found

    def add(self, row: Any, by: Author, what: str, about: str, detail: Mapping[str, Any]) -> None:
        """Add a row and its audit row.

        Raises:
            RegistryError: Somebody else added a row of the same number meanwhile.
        """
        row.at_ms, row.who, row.why = self.at_ms, by.who, by.why
        self.session.add(row)
        self.audit(what, about, by, detail)
        try:
            self.session.flush()
        except IntegrityError as error:
            raise RegistryError(
                f"{about} was changed by somebody else meanwhile; try again"
            ) from error

    def audit(self, what: str, about: str, by: Author, detail: Mapping[str, Any]) -> None:
        """Add an audit row alone."""
        self.session.add(
            Audit(
                at_ms=self.at_ms,
                who=by.who,
                why=by.why,
                what=what,
                object=about[:200],
                detail=json.dumps(detail, sort_keys=True),
            )
        )

    def deploy(
        self,
        junction: str,
        now: Deployment | None,
        bundle_hash: str | None,
        stage: str,
        options: Mapping[str, Any],
        by: Author,
    ) -> Deployment:
        """Add the deployment that follows ``now``, the junction's last one."""
        row = Deployment(
            junction=junction,
            number=1 if now is None else now.number + 1,
            bundle_hash=bundle_hash,
            stage=stage,
            options=json.dumps(options, sort_keys=True),
        )
        detail = {"bundle": bundle_hash, "stage": stage, "options": dict(options)}
        what = "rolled back" if "rollback" in options else "deployed"
        self.add(row, by, what, junction, detail)
        return row


def now_ms() -> int:
    """Milliseconds since 1970, UTC."""
    return time.time_ns() // 1_000_000

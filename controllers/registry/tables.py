"""The tables. Every row says when; every change says who and why; nothing is ever rewritten.

What holds now is the last row of its kind: the deployment or override of a junction with the
highest number. Times are milliseconds since 1970 in UTC.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

LIVE_MODES = ("shadow", "recommend", "canary", "switchback", "deploy")
"""Stages of a roll-out, in the order that a city takes them."""
WITHDRAWN = "withdrawn"
"""Stage of a junction that nobody decides for: it stays on its own plan."""
STAGES = (*LIVE_MODES, WITHDRAWN)
ROLES = ("controller", "viewer", "operator", "admin")
RELEASE = "release"
"""Kind of override that ends the one before."""
OVERRIDES = ("hold", "local_plan", "apply", RELEASE)
"""``hold`` a phase, stay on the ``local_plan``, ``apply`` a recommendation, ``release``."""


class Base(DeclarativeBase):
    """Root of the tables."""


class _Changed:
    """Who, when, why."""

    at_ms: Mapped[int] = mapped_column(BigInteger)
    who: Mapped[str] = mapped_column(String(100))
    why: Mapped[str] = mapped_column(Text)


class Audit(_Changed, Base):
    """One row for every change, in the transaction of the change."""

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    what: Mapped[str] = mapped_column(String(40))
    object: Mapped[str] = mapped_column(String(200))
    detail: Mapped[str] = mapped_column(Text, default="{}")


class StoredBundle(_Changed, Base):
    """A signed bundle, the whole file."""

    __tablename__ = "bundles"

    hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    junction: Mapped[str] = mapped_column(String(200), index=True)
    spec_hash: Mapped[str] = mapped_column(String(64))
    public_key: Mapped[str] = mapped_column(String(64))
    content: Mapped[bytes] = mapped_column(LargeBinary)


class Deployment(_Changed, Base):
    """Which bundle serves a junction, and how far it may go."""

    __tablename__ = "deployments"
    __table_args__ = (UniqueConstraint("junction", "number"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    junction: Mapped[str] = mapped_column(String(200))
    number: Mapped[int] = mapped_column(Integer)
    bundle_hash: Mapped[str | None] = mapped_column(ForeignKey("bundles.hash"))
    stage: Mapped[str] = mapped_column(String(20))
    options: Mapped[str] = mapped_column(Text, default="{}")


class Override(_Changed, Base):
    """An operator's word over the policy's."""

    __tablename__ = "overrides"
    __table_args__ = (UniqueConstraint("junction", "number"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    junction: Mapped[str] = mapped_column(String(200))
    number: Mapped[int] = mapped_column(Integer)
    kind: Mapped[str] = mapped_column(String(20))
    phase: Mapped[int | None] = mapped_column(Integer)
    until_ms: Mapped[int | None] = mapped_column(BigInteger)

    def holds(self, at_ms: int) -> bool:
        """Whether it comes before the policy at that time."""
        return self.kind != RELEASE and (self.until_ms is None or self.until_ms > at_ms)


class Key(_Changed, Base):
    """A controller's or a person's key; only a salted hash of its secret is kept."""

    __tablename__ = "keys"

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    holder: Mapped[str] = mapped_column(String(100))
    role: Mapped[str] = mapped_column(String(20))
    junctions: Mapped[str] = mapped_column(Text, default="[]")
    salt: Mapped[str] = mapped_column(String(64))
    digest: Mapped[str] = mapped_column(String(64))


class Revocation(_Changed, Base):
    """The end of a key."""

    __tablename__ = "revocations"

    key_id: Mapped[str] = mapped_column(ForeignKey("keys.id"), primary_key=True)


class Decision(Base):
    """One answered poll. ``id`` follows from the poll, so that a repeated one is one row."""

    __tablename__ = "decisions"
    __table_args__ = (Index("decisions_of_junction", "junction", "at_ms"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    at_ms: Mapped[int] = mapped_column(BigInteger)
    junction: Mapped[str] = mapped_column(String(200))
    session: Mapped[str] = mapped_column(String(64))
    sequence: Mapped[int] = mapped_column(BigInteger)
    clock_s: Mapped[float] = mapped_column(Float)
    bundle_hash: Mapped[str] = mapped_column(String(64))
    deployment: Mapped[int | None] = mapped_column(Integer)
    stage: Mapped[str] = mapped_column(String(20))
    wish: Mapped[int | None] = mapped_column(Integer)
    phase: Mapped[int | None] = mapped_column(Integer)
    granted: Mapped[int] = mapped_column(Integer)
    reason: Mapped[str] = mapped_column(String(40))
    why: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text)
    queued: Mapped[float | None] = mapped_column(Float)
    passed: Mapped[float | None] = mapped_column(Float)
    drift: Mapped[float | None] = mapped_column(Float)


class Event(Base):
    """A hi-res event of a controller, or one of a gateway's life (kind ``life``)."""

    __tablename__ = "events"

    junction: Mapped[str] = mapped_column(String(200), primary_key=True)
    at_ms: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    kind: Mapped[str] = mapped_column(String(10), primary_key=True)
    event: Mapped[int] = mapped_column(Integer, primary_key=True)
    parameter: Mapped[int] = mapped_column(Integer, primary_key=True)
    note: Mapped[str] = mapped_column(Text, default="")


DECISION_COLUMNS = tuple(column.name for column in Decision.__table__.columns)
EVENT_COLUMNS = tuple(column.name for column in Event.__table__.columns)
KEPT = ("audit", "bundles", "deployments", "overrides", "keys", "revocations")
"""Tables from which nothing is ever deleted; decisions and events have a retention."""
PRUNED = ("decisions", "events")

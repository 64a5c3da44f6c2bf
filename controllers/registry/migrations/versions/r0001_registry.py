"""The registry's first tables, with triggers that keep them append-only."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_KEPT = ("audit", "bundles", "deployments", "overrides", "keys", "revocations")
_PRUNED = ("decisions", "events")


def upgrade() -> None:
    """Create tables and triggers."""

    def by() -> tuple[sa.Column[Any], ...]:
        return (
            sa.Column("at_ms", sa.BigInteger, nullable=False),
            sa.Column("who", sa.String(100), nullable=False),
            sa.Column("why", sa.Text, nullable=False),
        )

    op.create_table(
        "audit",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("what", sa.String(40), nullable=False),
        sa.Column("object", sa.String(200), nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        *by(),
    )
    op.create_table(
        "bundles",
        sa.Column("hash", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("junction", sa.String(200), nullable=False, index=True),
        sa.Column("spec_hash", sa.String(64), nullable=False),
        sa.Column("public_key", sa.String(64), nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        *by(),
    )
    op.create_table(
        "deployments",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("junction", sa.String(200), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("bundle_hash", sa.String(64), sa.ForeignKey("bundles.hash")),
        sa.Column("stage", sa.String(20), nullable=False),
        sa.Column("options", sa.Text, nullable=False),
        *by(),
        sa.UniqueConstraint("junction", "number"),
    )
    op.create_table(
        "overrides",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("junction", sa.String(200), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("phase", sa.Integer),
        sa.Column("until_ms", sa.BigInteger),
        *by(),
        sa.UniqueConstraint("junction", "number"),
    )
    op.create_table(
        "keys",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("holder", sa.String(100), nullable=False),
        sa.Column("role", sa.String(20), nullable=False),
        sa.Column("junctions", sa.Text, nullable=False),
        sa.Column("salt", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        *by(),
    )
    op.create_table(
        "revocations",
        sa.Column("key_id", sa.String(16), sa.ForeignKey("keys.id"), primary_key=True),
        *by(),
    )
    op.create_table(
        "decisions",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("junction", sa.String(200), nullable=False),
        sa.Column("session", sa.String(64), nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("clock_s", sa.Float, nullable=False),
        sa.Column("bundle_hash", sa.String(64), nullable=False),
        sa.Column("deployment", sa.Integer),
        sa.Column("stage", sa.String(20), nullable=False),
        sa.Column("wish", sa.Integer),
        sa.Column("phase", sa.Integer),
        sa.Column("granted", sa.Integer, nullable=False),
        sa.Column("reason", sa.String(40), nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("queued", sa.Float),
        sa.Column("passed", sa.Float),
        sa.Column("drift", sa.Float),
        sa.Index("decisions_of_junction", "junction", "at_ms"),
    )
    op.create_table(
        "events",
        sa.Column("junction", sa.String(200), primary_key=True),
        sa.Column("at_ms", sa.BigInteger, primary_key=True),
        sa.Column("kind", sa.String(10), primary_key=True),
        sa.Column("event", sa.Integer, primary_key=True),
        sa.Column("parameter", sa.Integer, primary_key=True),
        sa.Column("note", sa.Text, nullable=False),
    )
    if op.get_bind().dialect.name == "postgresql":
        _guard_postgresql()
    else:
        _guard_sqlite()


def _guard_sqlite() -> None:
    for table in (*_KEPT, *_PRUNED):
        for verb in ("UPDATE", "DELETE") if table in _KEPT else ("UPDATE",):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )


def _guard_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$"
    )
    for table in (*_KEPT, *_PRUNED):
        verbs = "UPDATE OR DELETE" if table in _KEPT else "UPDATE"
        op.execute(
            f"CREATE TRIGGER {table}_kept BEFORE {verbs} ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )
        op.execute(
            f"CREATE TRIGGER {table}_whole BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )

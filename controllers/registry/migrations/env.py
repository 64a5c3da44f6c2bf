"""Runs migrations on the connection that `controllers.registry.database.migrate` hands over."""

from __future__ import annotations

from alembic import context

from controllers.registry.tables import Base

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    transactional_ddl=True,
    render_as_batch=connection.dialect.name == "sqlite",
)
with context.begin_transaction():
    context.run_migrations()

"""Alembic's entry: runs the revisions on the connection that `bapsang_api.migrate` hands over."""

from alembic import context
from sqlalchemy import Connection

from bapsang_api.tables import METADATA

connection: Connection | None = context.config.attributes.get("connection")
if connection is None:
    raise RuntimeError("run migrations with `bapsang-api migrate`: it holds the lock that keeps two runs apart")
context.configure(
    connection=connection,
    target_metadata=METADATA,
    transaction_per_migration=True,
    render_as_batch=connection.dialect.name == "sqlite",
    on_version_apply=context.config.attributes.get("on_version_apply"),
)
with context.begin_transaction():
    context.run_migrations()

"""Alembic's entry: it runs on the connection that `backstop_common.database.migrating` hands over, nowhere else."""

from __future__ import annotations

from alembic import context

from backstop_common.database.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    compare_server_default=True,
)
with context.begin_transaction():
    context.run_migrations()

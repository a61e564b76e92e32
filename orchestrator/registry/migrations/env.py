"""Runs migrations on the connection that `schema.py` hands over, inside its transaction."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from orchestrator.registry.tables import METADATA, PREFIX

VERSION_TABLE = "orch_alembic_version"


def _ours(name: str | None, type_: str, parent_names: object) -> bool:
    # The database may be shared with a tracking server.
    return type_ != "table" or bool(name and name.startswith(PREFIX) and name != VERSION_TABLE)


def run(connection: Connection) -> None:
    """Runs what Alembic was asked for."""
    context.configure(
        connection=connection,
        target_metadata=METADATA,
        version_table=VERSION_TABLE,
        include_name=_ours,
        compare_server_default=True,
        render_as_batch=True,
        # Ours is: the transaction is begun explicitly, and covers all of it.
        transactional_ddl=True,
        transaction_per_migration=False,
    )
    with context.begin_transaction():
        context.run_migrations()


run(context.config.attributes["connection"])

"""A database of somebody else's beside the registry: a file of its own, or a schema of its own."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from orchestrator.registry.engine import Database
from orchestrator.registry.location import parse


def beside(url: str, name: str) -> str:
    """Returns the address of a database beside the registry, which is made on a server that lacks it.

    Args:
        url: Of the registry.
        name: A plain word: `name.db` in the registry's folder, or the Postgres schema of that name.

    Raises:
        TargetError: The server cannot be reached, or does not let us make a schema.
    """
    parsed = parse(url)
    if parsed.get_backend_name() == "sqlite":
        file = Path(str(parsed.database)).with_name(f"{name}.db")
        return sa.URL.create("sqlite", database=str(file)).render_as_string(hide_password=False)
    database = Database(parsed)
    try:
        database.write(
            lambda connection: connection.execute(sa.schema.CreateSchema(name, if_not_exists=True))
        )
    finally:
        database.engine.dispose()
    own = parsed.update_query_dict({"options": f"-csearch_path={name}"})
    return own.render_as_string(hide_password=False)

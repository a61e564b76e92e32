"""`orch db`: the schema of the registry's database."""

from __future__ import annotations

from orchestrator.app.session import registry_url
from orchestrator.app.stores import stores_of
from orchestrator.settings import Settings


def upgrade(settings: Settings) -> tuple[str, str]:
    """Brings the registry to this version's schema; returns the schema it had ("" for none) and has.

    Raises:
        TargetError: The database cannot be reached, is not ours, or was written by a newer version.
        CorruptError: The SQLite file is damaged.
    """
    from orchestrator.registry import schema

    stores = stores_of(settings)
    if settings.registry_url is None:
        stores.create()
    before = schema.upgrade(registry_url(settings), backups=stores.layout.backups)
    return before, schema.head()


def versions(settings: Settings) -> tuple[str, str]:
    """Returns the schema that the registry has ("" for none) and the one that this version reads.

    Raises:
        TargetError: The database cannot be reached.
    """
    from orchestrator.registry import schema

    return schema.current(registry_url(settings)), schema.head()

"""What the mirror has yet to show: written with each commit, read and removed by whoever feeds the mirror."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from orchestrator.model.mirror import OutboxItem
from orchestrator.registry.engine import upsert
from orchestrator.registry.tables import MIRROR_RUNS, OUTBOX


def enqueue(connection: sa.Connection, items: Sequence[tuple[str, str, str]]) -> None:
    """Adds (study, kind, key). What waits already keeps its place and gets a new revision.

    The revision matters when the mirror is showing the item at this very moment: what it read is older
    than this change, so that `mirrored` must leave the item waiting.
    """
    rows = [
        {"study": study, "kind": kind, "key": key, "revision": 0} for study, kind, key in dict.fromkeys(items)
    ]
    if rows:
        statement = upsert(connection, OUTBOX).on_conflict_do_update(
            index_elements=["study", "kind", "key"], set_={"revision": OUTBOX.c.revision + 1}
        )
        connection.execute(statement, rows)


def waiting(connection: sa.Connection, limit: int) -> list[OutboxItem]:
    """Returns waiting items, oldest first."""
    rows = connection.execute(sa.select(OUTBOX).order_by(OUTBOX.c.id).limit(limit))
    return [
        OutboxItem(id=row.id, study=row.study, kind=row.kind, key=row.key, revision=row.revision)
        for row in rows
    ]


def mirrored(
    connection: sa.Connection, items: Sequence[OutboxItem], run_ids: Mapping[tuple[str, str], str]
) -> None:
    """Removes items that were not asked for again meanwhile, and stores the mirror's run ids."""
    if items:
        connection.execute(
            sa.delete(OUTBOX).where(
                OUTBOX.c.id == sa.bindparam("which"), OUTBOX.c.revision == sa.bindparam("as_read")
            ),
            [{"which": item.id, "as_read": item.revision} for item in items],
        )
    if run_ids:
        statement = upsert(connection, MIRROR_RUNS)
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["study", "key"], set_={"run_id": statement.excluded.run_id}
            ),
            [{"study": study, "key": key, "run_id": run} for (study, key), run in sorted(run_ids.items())],
        )


def mirror_ids(connection: sa.Connection, study: str) -> dict[str, str]:
    """Returns key -> run id of what the mirror is known to show of a study."""
    rows = connection.execute(
        sa.select(MIRROR_RUNS.c.key, MIRROR_RUNS.c.run_id).where(MIRROR_RUNS.c.study == study)
    )
    return {row.key: row.run_id for row in rows}

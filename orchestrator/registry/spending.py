"""What trials have taken: time, disk, and the code that they ran."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from orchestrator.model.forecast import Past
from orchestrator.model.plan import Resources, State
from orchestrator.registry.codec import Documents, documents
from orchestrator.registry.reading import needed
from orchestrator.registry.tables import ATTEMPTS, CHECKPOINTS, PARENTS, PARTS, TRIALS

_NOTHING = Documents().add({})


def past(connection: sa.Connection, limit: int) -> list[Past]:
    """Returns what the newest trials with a result took, newest first."""
    # Of an evaluation; the parent of a training is what decided its config.
    first = sa.and_(PARENTS.c.position == 0, TRIALS.c.stage == "evaluate")
    parent = TRIALS.alias()
    sharing = (
        sa.select(TRIALS.c.part, sa.func.count().label("trials")).group_by(TRIALS.c.part).subquery("sharing")
    )
    kept = sa.select(sa.func.sum(CHECKPOINTS.c.size_bytes)).where(CHECKPOINTS.c.trial == TRIALS.c.key)
    statement = (
        sa.select(
            TRIALS.c.stage,
            TRIALS.c.workload,
            sa.func.coalesce(parent.c.config, TRIALS.c.config).label("config"),
            TRIALS.c.family,
            TRIALS.c.parameters,
            TRIALS.c.cpu,
            TRIALS.c.gpu,
            TRIALS.c.memory_gb,
            ATTEMPTS.c.duration_s,
            ATTEMPTS.c.provenance,
            sa.func.coalesce(kept.scalar_subquery(), 0).label("kept"),
            (sa.cast(PARTS.c.size_bytes, sa.Double) / sharing.c.trials).label("share"),
        )
        .join(TRIALS, TRIALS.c.key == ATTEMPTS.c.trial)
        .outerjoin(PARENTS, sa.and_(PARENTS.c.trial == TRIALS.c.key, first))
        .outerjoin(parent, parent.c.key == PARENTS.c.parent)
        .outerjoin(PARTS, PARTS.c.id == TRIALS.c.part)
        .outerjoin(sharing, sharing.c.part == TRIALS.c.part)
        .where(
            ATTEMPTS.c.outcome.in_([state.value for state in State if state.has_result]),
            ATTEMPTS.c.duration_s > 0,
        )
        .order_by(ATTEMPTS.c.started_at.desc())
        .limit(limit)
    )
    rows = connection.execute(statement).all()
    texts = documents(
        connection, [digest for row in rows for digest in (row.config, row.parameters, row.provenance)]
    )
    return [
        Past(
            stage=row.stage,
            workload=row.workload,
            config=texts[row.config],
            family=row.family,
            parameters=texts[row.parameters],
            seconds=row.duration_s,
            resources=Resources(cpu=row.cpu, gpu=row.gpu, memory_gb=row.memory_gb),
            disk_bytes=float(row.kept) + float(row.share or 0.0),
            **_made(texts[row.provenance] if row.provenance else {}),
        )
        for row in rows
    ]


def _made(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Returns where a trial ran, and what memory it held."""
    held = provenance.get("workload", {})
    return {
        "host": str(provenance.get("host", "")),
        **{name: float(held.get(name) or 0.0) for name in ("memory_mb", "device_memory_mb")},
    }


def spent(connection: sa.Connection, study: str) -> tuple[float, int]:
    """Returns device seconds of a study's own attempts, and bytes of its trials' parts and checkpoints."""
    own = TRIALS.c.key.in_(needed(study))
    share = sa.case((TRIALS.c.gpu > 0, TRIALS.c.gpu), else_=TRIALS.c.cpu)
    # Where a worker does not say how long it took, the registry's clock does.
    took = sa.case(
        (ATTEMPTS.c.duration_s > 0, ATTEMPTS.c.duration_s), else_=ATTEMPTS.c.ended_at - ATTEMPTS.c.started_at
    )
    rows = connection.execute(
        sa.select(ATTEMPTS.c.provenance, sa.func.sum(took * share))
        .join(TRIALS, TRIALS.c.key == ATTEMPTS.c.trial)
        # A search waits for its candidates, and holds nothing meanwhile.
        .where(own, ATTEMPTS.c.ended_at.is_not(None), TRIALS.c.stage != "search")
        .group_by(ATTEMPTS.c.provenance)
    ).all()
    made = documents(connection, [digest for digest, _ in rows])
    # An attempt without any is lost: whose it was is not known, and it was tried for this study's sake too.
    seconds = sum(
        float(took)
        for digest, took in rows
        if digest is None or str(made[digest].get("submission", "")).rpartition("-")[0] in ("", study)
    )
    keys = sa.select(TRIALS.c.key).where(own)
    kept = connection.scalar(
        sa.select(sa.func.sum(CHECKPOINTS.c.size_bytes)).where(CHECKPOINTS.c.trial.in_(keys))
    )
    held = sa.select(TRIALS.c.part).where(own)
    parts = connection.scalar(sa.select(sa.func.sum(PARTS.c.size_bytes)).where(PARTS.c.id.in_(held)))
    return seconds, int(kept or 0) + int(parts or 0)


def trees(connection: sa.Connection) -> frozenset[str]:
    """Returns the names of the archives of code that the last attempt of any trial ran."""
    stamped = sa.select(ATTEMPTS.c.trial, sa.func.max(ATTEMPTS.c.epoch).label("epoch"))
    # Of a driver that died nothing is known but that it tried: NULL is never unlike anything.
    last = stamped.where(ATTEMPTS.c.provenance != _NOTHING).group_by(ATTEMPTS.c.trial).subquery()
    same = sa.and_(ATTEMPTS.c.trial == last.c.trial, ATTEMPTS.c.epoch == last.c.epoch)
    digests = connection.scalars(sa.select(ATTEMPTS.c.provenance).distinct().join(last, same)).all()
    return frozenset(str(made.get("tree", "")) for made in documents(connection, digests).values()) - {""}

"""Between model objects and rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from orchestrator.model.plan import Resources, State, Trial, TrialKey, TrialStatus
from orchestrator.model.result import PartRef
from orchestrator.model.run import CheckpointRef
from orchestrator.registry.engine import AnyRow, chunks, insert_new, upsert
from orchestrator.registry.tables import (
    CHECKPOINTS,
    DOCUMENTS,
    PARENTS,
    PARTS,
    TRIALS,
)

TEXT_LIMIT = 65_536  # characters of one message or traceback


def dump(value: Any) -> str:
    """Returns a value as compact JSON text in ASCII; the order of keys is kept."""
    return json.dumps(value, separators=(",", ":"))


def clean(text: str) -> str:
    """Returns a text that every database takes: no NUL, no lone surrogate, not endless (the end is kept)."""
    if len(text) > TEXT_LIMIT:
        text = f"[{len(text) - TEXT_LIMIT} characters left out]\n{text[-TEXT_LIMIT:]}"
    return text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode("utf-8")


class Documents:
    """JSON documents that wait to be stored once each, under their digest."""

    def __init__(self) -> None:
        """Starts empty."""
        self._waiting: dict[str, str] = {}
        self._stored: set[str] = set()

    def add(self, value: Any) -> str:
        """Returns the digest under which `flush` stores the value."""
        body = dump(value)
        digest = hashlib.sha256(body.encode("ascii")).hexdigest()[:32]
        if digest not in self._stored:
            self._waiting[digest] = body
        return digest

    def flush(self, connection: sa.Connection) -> None:
        """Stores what waits; before the rows that refer to it."""
        rows = [{"digest": digest, "body": body} for digest, body in sorted(self._waiting.items())]
        insert_new(connection, DOCUMENTS, rows)
        self._stored.update(self._waiting)
        self._waiting.clear()


def documents(connection: sa.Connection, digests: Iterable[str | None]) -> dict[str, Any]:
    """Returns digest -> value; equal documents are one object."""
    found: dict[str, Any] = {}
    for chunk in chunks(sorted({digest for digest in digests if digest is not None})):
        rows = connection.execute(
            sa.select(DOCUMENTS.c.digest, DOCUMENTS.c.body).where(DOCUMENTS.c.digest.in_(chunk))
        )
        found.update((digest, json.loads(body)) for digest, body in rows)
    return found


# --- trials -----------------------------------------------------------------------------------------------

TRIAL_COLUMNS = (
    TRIALS.c.key,
    TRIALS.c.stage,
    TRIALS.c.workload,
    TRIALS.c.config,
    TRIALS.c.family,
    TRIALS.c.parameters,
    TRIALS.c.draw,
    TRIALS.c.seed,
    TRIALS.c.gathers,
    TRIALS.c.cpu,
    TRIALS.c.gpu,
    TRIALS.c.memory_gb,
    TRIALS.c.fused,
    TRIALS.c.run_order,
    TRIALS.c.label,
)


# What a trial loses when it is to be computed again.
FORGOTTEN: Mapping[str, Any] = {
    "state": State.PENDING.value,
    "cause": "",
    "message": "",
    "blocked_by": None,
    "code": "",
    "git_commit": "",
    "cancel_requested": False,
    "part": None,
}


def trial_values(trial: Trial, waiting: Documents) -> dict[str, Any]:
    """Returns the row of a new trial; its documents are added to `waiting`."""
    return {
        "key": trial.key,
        "stage": trial.stage,
        "workload": trial.workload,
        "config": waiting.add(trial.config),
        "family": trial.family,
        "parameters": waiting.add(trial.parameters),
        "draw": trial.draw,
        "seed": trial.seed,
        "gathers": trial.gathers,
        "cpu": trial.resources.cpu,
        "gpu": trial.resources.gpu,
        "memory_gb": trial.resources.memory_gb,
        "fused": trial.group,
        "run_order": trial.order,
        "label": clean(trial.label),
        "epoch": 0,
        "driver": "",
        "lease_study": "",
        **FORGOTTEN,
    }


def trials_of(connection: sa.Connection, rows: Sequence[AnyRow]) -> list[Trial]:
    """Returns the trials of rows of `TRIAL_COLUMNS`, in their order."""
    texts = documents(connection, [digest for row in rows for digest in (row.config, row.parameters)])
    parents = _parents(connection, [row.key for row in rows])
    return [
        Trial(
            key=row.key,
            stage=row.stage,
            workload=row.workload,
            config=texts[row.config],
            family=row.family,
            parameters=texts[row.parameters],
            draw=row.draw,
            seed=row.seed,
            parents=parents.get(row.key, ()),
            gathers=row.gathers,
            resources=Resources(cpu=row.cpu, gpu=row.gpu, memory_gb=row.memory_gb),
            group=row.fused,
            order=row.run_order,
            label=row.label,
        )
        for row in rows
    ]


def _parents(connection: sa.Connection, keys: Sequence[str]) -> dict[str, tuple[TrialKey, ...]]:
    found: dict[str, list[TrialKey]] = {}
    for chunk in chunks(keys):
        rows = connection.execute(
            sa.select(PARENTS.c.trial, PARENTS.c.parent)
            .where(PARENTS.c.trial.in_(chunk))
            .order_by(PARENTS.c.trial, PARENTS.c.position)
        )
        for trial, parent in rows:
            found.setdefault(trial, []).append(TrialKey(parent))
    return {trial: tuple(parents) for trial, parents in found.items()}


# --- the rest ---------------------------------------------------------------------------------------------

STATUS_COLUMNS = (
    TRIALS.c.key,
    TRIALS.c.state,
    TRIALS.c.cause,
    TRIALS.c.message,
    TRIALS.c.blocked_by,
    TRIALS.c.epoch,
    TRIALS.c.code,
    TRIALS.c.git_commit,
    TRIALS.c.driver,
)


def statuses_of(rows: Iterable[AnyRow]) -> dict[TrialKey, TrialStatus]:
    """Returns the statuses in rows of `STATUS_COLUMNS`; equal ones, as most are, are one object."""
    found: dict[TrialKey, TrialStatus] = {}
    known: dict[tuple[Any, ...], TrialStatus] = {}
    for key, *values in rows:
        told = tuple(values)
        if (status := known.get(told)) is None:
            status = known[told] = _status(*told)
        found[TrialKey(key)] = status
    return found


def _status(
    state: str,
    cause: str,
    message: str,
    blocked_by: str | None,
    epoch: int,
    code: str,
    commit: str,
    driver: str,
) -> TrialStatus:
    """Returns a status. Every claim raised the epoch: it counts attempts."""
    return TrialStatus(
        state=State(state),
        cause=cause,
        message=message,
        blocked_by=None if blocked_by is None else TrialKey(blocked_by),
        epoch=epoch,
        attempts=epoch,
        code=code,
        commit=commit,
        driver=driver,
    )


CHECKPOINT_COLUMNS = (
    CHECKPOINTS.c.trial,
    CHECKPOINTS.c.path,
    CHECKPOINTS.c.digest,
    CHECKPOINTS.c.serial,
    CHECKPOINTS.c.step,
    CHECKPOINTS.c.size_bytes,
)
NEWEST_FIRST = (CHECKPOINTS.c.serial.desc(), CHECKPOINTS.c.id.desc())


def checkpoint_of(row: AnyRow) -> CheckpointRef:
    """Returns the checkpoint in a row of `CHECKPOINT_COLUMNS`."""
    return CheckpointRef(
        trial=TrialKey(row.trial),
        path=row.path,
        digest=row.digest,
        serial=row.serial,
        step=row.step,
        size_bytes=row.size_bytes,
    )


def checkpoint_values(checkpoint: CheckpointRef) -> Mapping[str, Any]:
    """Returns the row of a checkpoint."""
    return {
        "trial": checkpoint.trial,
        "path": checkpoint.path,
        "digest": checkpoint.digest,
        "serial": checkpoint.serial,
        "step": checkpoint.step,
        "size_bytes": checkpoint.size_bytes,
    }


PART_COLUMNS = (PARTS.c.path, PARTS.c.sha256, PARTS.c.rows, PARTS.c.size_bytes)


def part_of(row: AnyRow) -> PartRef:
    """Returns the part in a row of `PART_COLUMNS`."""
    return PartRef(path=row.path, sha256=row.sha256, rows=row.rows, size_bytes=row.size_bytes)


def part_id(connection: sa.Connection, part: PartRef, now: sa.ColumnElement[float]) -> int:
    """Returns the id of a part, which is listed if it was not."""
    values = {"path": part.path, "sha256": part.sha256, "rows": part.rows, "size_bytes": part.size_bytes}
    statement = upsert(connection, PARTS).values(created_at=now).on_conflict_do_nothing()
    connection.execute(statement, [values])
    return int(connection.execute(sa.select(PARTS.c.id).where(PARTS.c.path == part.path)).scalar_one())

"""Questions that change nothing."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence

import sqlalchemy as sa

from orchestrator.model.fusing import Verdict
from orchestrator.model.plan import Assignment, State, Trial, TrialKey, TrialStatus
from orchestrator.model.result import PartRef, Snapshot
from orchestrator.model.run import Attempt, CheckpointRef
from orchestrator.registry.codec import (
    CHECKPOINT_COLUMNS,
    NEWEST_FIRST,
    PART_COLUMNS,
    STATUS_COLUMNS,
    TRIAL_COLUMNS,
    checkpoint_of,
    documents,
    part_of,
    statuses_of,
    trials_of,
)
from orchestrator.registry.engine import AnyRow, chunks
from orchestrator.registry.tables import (
    ASSIGNMENTS,
    ATTEMPTS,
    CHECKPOINTS,
    DOCUMENTS,
    PARENTS,
    PARTS,
    TRIALS,
)

_FOUND_AT_MOST = 10


def needed(study: str) -> sa.Select[tuple[str]]:
    """Returns the selection of the keys that a study's assignments need, parents of parents too."""
    own = sa.select(ASSIGNMENTS.c.trial.label("key")).where(ASSIGNMENTS.c.study == study)
    keys = own.cte("needed", recursive=True)
    keys = keys.union(sa.select(PARENTS.c.parent).join(keys, PARENTS.c.trial == keys.c.key))
    return sa.select(keys.c.key)


def trials(connection: sa.Connection, study: str) -> dict[TrialKey, Trial]:
    """Returns the trials that a study needs, in run order."""
    statement = (
        sa.select(*TRIAL_COLUMNS)
        .where(TRIALS.c.key.in_(needed(study)))
        .order_by(TRIALS.c.run_order, TRIALS.c.key)
    )
    return {trial.key: trial for trial in trials_of(connection, connection.execute(statement).all())}


def verdicts(connection: sa.Connection) -> list[Verdict]:
    """Returns what workers found on training seeds as one network, the newest last."""
    rows = connection.execute(sa.select(DOCUMENTS.c.body).where(DOCUMENTS.c.body.contains('"fusing":{')))
    plain = (json.loads(row.body) for row in rows)
    found = [Verdict.from_plain(each["fusing"]) for each in plain if "fusing" in each]
    return sorted((each for each in found if each.together_ms), key=lambda each: each.measured_at)


def candidates(connection: sa.Connection, searches: Collection[TrialKey]) -> dict[TrialKey, Trial]:
    """Returns the trainings of the candidates of searches, by their numbers."""
    found: dict[TrialKey, Trial] = {}
    for chunk in chunks(sorted(set(searches))):
        statement = (
            sa.select(*TRIAL_COLUMNS)
            .join(PARENTS, PARENTS.c.trial == TRIALS.c.key)
            .where(PARENTS.c.parent.in_(chunk), TRIALS.c.stage == "tune")
            .order_by(TRIALS.c.draw, TRIALS.c.key)
        )
        rows = connection.execute(statement).all()
        found.update((trial.key, trial) for trial in trials_of(connection, rows))
    return found


def keys(connection: sa.Connection, study: str) -> frozenset[TrialKey]:
    """Returns the keys of the trials that a study needs."""
    return frozenset(TrialKey(row.key) for row in connection.execute(needed(study)).all())


_ASSIGNMENT_COLUMNS = (
    ASSIGNMENTS.c.study,
    ASSIGNMENTS.c.cell,
    ASSIGNMENTS.c.evaluation,
    ASSIGNMENTS.c.labels,
    ASSIGNMENTS.c.draw,
    ASSIGNMENTS.c.seed,
    ASSIGNMENTS.c.trial,
)


def _assignments(connection: sa.Connection, rows: Sequence[AnyRow]) -> list[Assignment]:
    texts = documents(connection, [row.labels for row in rows])
    return [
        Assignment(
            study=study,
            cell=cell,
            evaluation=evaluation,
            labels=texts[labels],
            draw=draw,
            seed=seed,
            trial=TrialKey(trial),
        )
        for study, cell, evaluation, labels, draw, seed, trial in rows
    ]


def assignments(connection: sa.Connection, study: str) -> list[Assignment]:
    """Returns a study's planned observations, in the plan's order."""
    statement = (
        sa.select(*_ASSIGNMENT_COLUMNS).where(ASSIGNMENTS.c.study == study).order_by(ASSIGNMENTS.c.position)
    )
    return _assignments(connection, connection.execute(statement).all())


def assigned(connection: sa.Connection, keys: Collection[TrialKey]) -> list[Assignment]:
    """Returns the assignments of any study that name one of these trials."""
    rows: list[AnyRow] = []
    for chunk in chunks(sorted(set(keys))):
        statement = (
            sa.select(*_ASSIGNMENT_COLUMNS)
            .where(ASSIGNMENTS.c.trial.in_(chunk))
            .order_by(ASSIGNMENTS.c.study, ASSIGNMENTS.c.position)
        )
        rows += connection.execute(statement).all()
    return _assignments(connection, rows)


def statuses(connection: sa.Connection, keys: Collection[TrialKey] | None) -> dict[TrialKey, TrialStatus]:
    """Returns the status of the trials that exist among `keys`, or of all."""
    statement = sa.select(*STATUS_COLUMNS)
    if keys is None:
        return statuses_of(connection.execute(statement).all())
    found: dict[TrialKey, TrialStatus] = {}
    for chunk in chunks(sorted(set(keys))):
        found.update(statuses_of(connection.execute(statement.where(TRIALS.c.key.in_(chunk))).all()))
    return found


def wanted(study: str | None) -> sa.CTE:
    """Returns the pairs (study, key) of the trials that a study needs, or each; parents of parents too."""
    own = sa.select(ASSIGNMENTS.c.study, ASSIGNMENTS.c.trial.label("key"))
    if study is not None:
        own = own.where(ASSIGNMENTS.c.study == study)
    pairs = own.cte("wanted", recursive=True)
    return pairs.union(sa.select(pairs.c.study, PARENTS.c.parent).join(pairs, PARENTS.c.trial == pairs.c.key))


def counts(connection: sa.Connection, study: str | None) -> dict[str, dict[tuple[str, State], int]]:
    """Returns study -> stage and state -> number of the trials that the study needs; of all without one."""
    needs = wanted(study)
    grouped = (needs.c.study, TRIALS.c.stage, TRIALS.c.state)
    statement = (
        sa.select(*grouped, sa.func.count())
        .select_from(needs)
        .join(TRIALS, TRIALS.c.key == needs.c.key)
        .group_by(*grouped)
    )
    found: dict[str, dict[tuple[str, State], int]] = {}
    for name, stage, state, number in connection.execute(statement):
        found.setdefault(name, {})[stage, State(state)] = number
    return found


def snapshot(connection: sa.Connection, study: str) -> Snapshot:
    """Returns what a study's tables are made from; all in the connection's one transaction."""
    own = TRIALS.c.key.in_(sa.select(ASSIGNMENTS.c.trial).where(ASSIGNMENTS.c.study == study))
    known = statuses_of(connection.execute(sa.select(*STATUS_COLUMNS).where(own)).all())
    blockers = {status.blocked_by for status in known.values() if status.blocked_by} - set(known)
    held = sa.select(TRIALS.c.part).where(own)
    parts = connection.execute(
        sa.select(PARTS.c.id, *PART_COLUMNS).where(PARTS.c.id.in_(held)).order_by(PARTS.c.id)
    ).all()
    paths = {row.id: row.path for row in parts}
    holding = sa.select(TRIALS.c.key, TRIALS.c.part).where(own, TRIALS.c.part.is_not(None))
    return Snapshot(
        assignments=assignments(connection, study),
        statuses={**known, **statuses(connection, blockers)},
        parts=[part_of(row) for row in parts],
        results={
            TrialKey(key): paths[part]
            for key, part in connection.execute(holding).all()
            if known[TrialKey(key)].state.has_result
        },
    )


def attempts(connection: sa.Connection, key: TrialKey) -> list[Attempt]:
    """Returns every try at a trial, oldest first."""
    rows = connection.execute(
        sa.select(ATTEMPTS).where(ATTEMPTS.c.trial == key).order_by(ATTEMPTS.c.epoch)
    ).all()
    texts = documents(connection, [digest for row in rows for digest in (row.worker, row.provenance)])
    return [
        Attempt(
            trial=TrialKey(row.trial),
            epoch=row.epoch,
            started_at=row.started_at,
            ended_at=row.ended_at,
            worker=texts[row.worker] if row.worker else {},
            outcome=row.outcome,
            message=row.message,
            traceback=row.traceback,
            provenance=texts[row.provenance] if row.provenance else {},
        )
        for row in rows
    ]


def find(connection: sa.Connection, prefix: str) -> list[TrialKey]:
    """Returns the trial keys that begin with `prefix`, ten at most."""
    statement = sa.select(TRIALS.c.key).where(TRIALS.c.key.startswith(prefix, autoescape=True))
    return [
        TrialKey(key) for key in connection.scalars(statement.order_by(TRIALS.c.key).limit(_FOUND_AT_MOST))
    ]


def parts(connection: sa.Connection, keys: Collection[TrialKey] | None) -> list[PartRef]:
    """Returns the parts that hold the results of these trials, or all parts, oldest first."""
    statement = sa.select(PARTS.c.id, *PART_COLUMNS)
    if keys is None:
        return [part_of(row) for row in connection.execute(statement.order_by(PARTS.c.id))]
    found: dict[int, PartRef] = {}
    for chunk in chunks(sorted(set(keys))):
        holding = sa.select(TRIALS.c.part).where(TRIALS.c.key.in_(chunk))
        rows = connection.execute(statement.where(PARTS.c.id.in_(holding)))
        found.update((row.id, part_of(row)) for row in rows)
    return [found[number] for number in sorted(found)]


def results(connection: sa.Connection, keys: Collection[TrialKey]) -> dict[TrialKey, str]:
    """Returns for each trial with a result the path of the part that holds its valid rows."""
    with_result = [state.value for state in State if state.has_result]
    found: dict[TrialKey, str] = {}
    for chunk in chunks(sorted(set(keys))):
        rows = connection.execute(
            sa.select(TRIALS.c.key, PARTS.c.path)
            .join(PARTS, PARTS.c.id == TRIALS.c.part)
            .where(TRIALS.c.key.in_(chunk), TRIALS.c.state.in_(with_result))
        )
        found.update((TrialKey(key), path) for key, path in rows)
    return found


def checkpoints(connection: sa.Connection, key: TrialKey) -> list[CheckpointRef]:
    """Returns the recorded checkpoints of a trial, newest first."""
    statement = sa.select(*CHECKPOINT_COLUMNS).where(CHECKPOINTS.c.trial == key).order_by(*NEWEST_FIRST)
    return [checkpoint_of(row) for row in connection.execute(statement)]


def all_checkpoints(connection: sa.Connection) -> list[CheckpointRef]:
    """Returns every recorded checkpoint, by trial, a trial's newest first."""
    statement = sa.select(*CHECKPOINT_COLUMNS).order_by(CHECKPOINTS.c.trial, *NEWEST_FIRST)
    return [checkpoint_of(row) for row in connection.execute(statement)]


def damage(connection: sa.Connection) -> list[str]:
    """Returns what SQLite finds wrong with its file; a database server looks after its own."""
    if connection.dialect.name != "sqlite":
        return []
    answers = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA integrity_check(10)")]
    found = [answer for answer in answers if answer != "ok"]
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
    return found + [f"a row of {row[0]} refers to one of {row[2]} that is not there" for row in broken[:10]]

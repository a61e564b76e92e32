"""Recording a plan: submission, trials, assignments, in one transaction."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from orchestrator.model.plan import Assignment, Plan, State, Trial, TrialKey
from orchestrator.model.run import Lease, Submission
from orchestrator.registry.codec import FORGOTTEN, Documents, clean, documents, dump, trial_values
from orchestrator.registry.engine import AnyRow, chunks, insert_new, upsert
from orchestrator.registry.leases import lock_study, require
from orchestrator.registry.moment import Moments
from orchestrator.registry.tables import ASSIGNMENTS, CHECKPOINTS, PARENTS, SUBMISSIONS, TRIALS

_BATCH = 5_000  # rows held in memory at a time
_TRIED = (State.FAILED.value, State.BLOCKED.value, State.CANCELLED.value)


def record(
    connection: sa.Connection,
    moments: Moments,
    submission: Submission,
    plan: Plan,
    rerun: Collection[TrialKey],
    wanted: Collection[TrialKey] | None,
    token: str,
) -> Submission:
    """Records a plan; with a token that was used before, returns what was recorded then."""
    study = submission.study
    lock_study(connection, study)
    before = connection.execute(sa.select(SUBMISSIONS).where(SUBMISSIONS.c.token == token)).first()
    if before is not None:
        return _submission(connection, [before])[0]
    waiting = Documents()
    recorded = _number(connection, moments, submission)
    row = _submission_values(recorded, waiting, token)
    waiting.flush(connection)
    connection.execute(sa.insert(SUBMISSIONS), row)
    _trials(connection, plan.trials, waiting)
    _reopen(connection, plan.trials if wanted is None else wanted, _TRIED)
    # A trial that runs at this moment ends first: its driver would only be refused later.
    _reopen(connection, rerun, tuple(state.value for state in State if state is not State.RUNNING))
    _start_over(connection, rerun)
    connection.execute(sa.delete(ASSIGNMENTS).where(ASSIGNMENTS.c.study == study))
    _assignments(connection, plan.assignments, waiting)
    return recorded


def extend(
    connection: sa.Connection,
    lease: Lease,
    trials: Mapping[TrialKey, Trial],
    assignments: Sequence[Assignment],
) -> None:
    """Adds to the plan that is driven; what is there already stays as it is."""
    require(connection, lease)
    waiting = Documents()
    _trials(connection, trials, waiting)
    _reopen(connection, trials, _TRIED)
    last = connection.scalar(
        sa.select(sa.func.max(ASSIGNMENTS.c.position)).where(ASSIGNMENTS.c.study == lease.study)
    )
    _assignments(connection, assignments, waiting, first=0 if last is None else last + 1)


def decide(connection: sa.Connection, lease: Lease, configs: Mapping[TrialKey, Mapping[str, Any]]) -> None:
    """Records what searches have chosen: the key of a training stands for it whatever it is."""
    require(connection, lease)
    waiting = Documents()
    rows = [{"which": key, "chosen": waiting.add(config)} for key, config in sorted(configs.items())]
    waiting.flush(connection)
    if rows:
        connection.execute(
            sa.update(TRIALS)
            .where(TRIALS.c.key == sa.bindparam("which"))
            .values(config=sa.bindparam("chosen")),
            rows,
        )


def regroup(connection: sa.Connection, lease: Lease, groups: Mapping[TrialKey, str]) -> None:
    """Records which trainings are fused, once that is known."""
    require(connection, lease)
    rows = [{"which": key, "group": group} for key, group in sorted(groups.items())]
    if rows:
        connection.execute(
            sa.update(TRIALS)
            .where(TRIALS.c.key == sa.bindparam("which"))
            .values(fused=sa.bindparam("group")),
            rows,
        )


def _number(connection: sa.Connection, moments: Moments, submission: Submission) -> Submission:
    last = connection.scalar(
        sa.select(sa.func.max(SUBMISSIONS.c.number)).where(SUBMISSIONS.c.study == submission.study)
    )
    number = (last or 0) + 1
    created_at = submission.created_at or float(connection.scalar(sa.select(moments.now())) or 0.0)
    return replace(submission, number=number, id=f"{submission.study}-{number}", created_at=created_at)


def _trials(connection: sa.Connection, trials: Mapping[TrialKey, Trial], waiting: Documents) -> None:
    # In the order of keys: faster for the index, and two submissions at once cannot lock each other out.
    ordered = sorted(trials)
    statement = upsert(connection, TRIALS)
    taken_over = ("cpu", "gpu", "memory_gb", "fused", "run_order", "label")
    # What a search decides is known once it has: a bundle may bring the config of a training that waits here.
    waits = TRIALS.c.state == State.PENDING.value
    config = sa.case((waits, statement.excluded.config), else_=TRIALS.c.config)
    statement = statement.on_conflict_do_update(
        index_elements=["key"],
        set_={"config": config, **{name: statement.excluded[name] for name in taken_over}},
    )
    for chunk in chunks(ordered, _BATCH):
        rows = [trial_values(trials[key], waiting) for key in chunk]
        waiting.flush(connection)
        connection.execute(statement, rows)
    for batch in chunks(ordered, _BATCH):
        insert_new(
            connection,
            PARENTS,
            [
                {"trial": key, "position": position, "parent": parent}
                for key in batch
                for position, parent in enumerate(trials[key].parents)
            ],
        )


def requeue(connection: sa.Connection, keys: Collection[TrialKey], states: Collection[State]) -> None:
    """Lets trials in these states, and what they blocked, wait for another try."""
    _reopen(connection, keys, [*(state.value for state in states), State.BLOCKED.value])


def _reopen(connection: sa.Connection, keys: Iterable[TrialKey], states: Sequence[str]) -> None:
    for chunk in chunks(sorted(keys)):
        connection.execute(
            sa.update(TRIALS).where(TRIALS.c.key.in_(chunk), TRIALS.c.state.in_(states)).values(**FORGOTTEN)
        )


def _start_over(connection: sa.Connection, keys: Iterable[TrialKey]) -> None:
    """Forgets the checkpoints of trials that wait: they hold what is to be computed anew."""
    for chunk in chunks(sorted(keys)):
        waiting = sa.select(TRIALS.c.key).where(
            TRIALS.c.key.in_(chunk), TRIALS.c.state == State.PENDING.value
        )
        connection.execute(sa.delete(CHECKPOINTS).where(CHECKPOINTS.c.trial.in_(waiting)))


def _assignments(
    connection: sa.Connection, assignments: Sequence[Assignment], waiting: Documents, *, first: int = 0
) -> None:
    for chunk in chunks(list(enumerate(assignments, start=first)), _BATCH):
        rows = [
            {
                "study": each.study,
                "position": position,
                "cell": each.cell,
                "evaluation": each.evaluation,
                "labels": waiting.add(each.labels),
                "draw": each.draw,
                "seed": each.seed,
                "trial": each.trial,
            }
            for position, each in chunk
        ]
        waiting.flush(connection)
        insert_new(connection, ASSIGNMENTS, rows)


# --- submissions ------------------------------------------------------------------------------------------


def _submission_values(submission: Submission, waiting: Documents, token: str) -> dict[str, Any]:
    return {
        "study": submission.study,
        "number": submission.number,
        "token": token,
        "file": clean(submission.file),
        "code": submission.code,
        "git_commit": submission.commit,
        "dirty": submission.dirty,
        "created_at": submission.created_at,
        "document": waiting.add(submission.document),
        "detail": dump(
            {
                "patches": submission.patches,
                "seeds": submission.seeds,
                "cells": submission.cells,
                "arguments": submission.arguments,
            }
        ),
    }


def _submission(connection: sa.Connection, rows: Sequence[AnyRow]) -> list[Submission]:
    texts = documents(connection, [row.document for row in rows])
    found = []
    for row in rows:
        detail = json.loads(row.detail)
        found.append(
            Submission(
                id=f"{row.study}-{row.number}",
                study=row.study,
                number=row.number,
                document=texts[row.document],
                file=row.file,
                patches=detail["patches"],
                seeds=None if detail["seeds"] is None else tuple(detail["seeds"]),
                cells=tuple(detail["cells"]),
                code=row.code,
                commit=row.git_commit,
                dirty=row.dirty,
                created_at=row.created_at,
                arguments=detail["arguments"],
            )
        )
    return found


def studies(connection: sa.Connection) -> list[Submission]:
    """Returns the latest submission of every study, by name."""
    latest = (
        sa.select(SUBMISSIONS.c.study, sa.func.max(SUBMISSIONS.c.number).label("number"))
        .group_by(SUBMISSIONS.c.study)
        .subquery()
    )
    rows = connection.execute(
        sa.select(SUBMISSIONS).join(
            latest,
            sa.and_(SUBMISSIONS.c.study == latest.c.study, SUBMISSIONS.c.number == latest.c.number),
        )
    ).all()
    # Sorted here: databases differ in how they order capitals and dots.
    return sorted(_submission(connection, rows), key=lambda submission: submission.study)


def submissions(connection: sa.Connection, study: str) -> list[Submission]:
    """Returns all submissions of a study, oldest first."""
    statement = sa.select(SUBMISSIONS).where(SUBMISSIONS.c.study == study).order_by(SUBMISSIONS.c.number)
    return _submission(connection, connection.execute(statement).all())

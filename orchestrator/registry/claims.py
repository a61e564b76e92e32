"""Claims and requests to cancel: which driver works on which trial, under which epoch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import sqlalchemy as sa

from orchestrator.model.plan import State, TrialKey
from orchestrator.model.run import Cause, CheckpointRef, Claim, Lease
from orchestrator.registry.codec import (
    CHECKPOINT_COLUMNS,
    NEWEST_FIRST,
    TRIAL_COLUMNS,
    checkpoint_of,
    trials_of,
)
from orchestrator.registry.engine import AnyRow, chunks
from orchestrator.registry.leases import abandoned, give_back, require
from orchestrator.registry.moment import Moments
from orchestrator.registry.tables import ATTEMPTS, CHECKPOINTS, TRIALS


def claim(
    connection: sa.Connection, moments: Moments, lease: Lease, keys: Sequence[TrialKey], token: str
) -> list[Claim]:
    """Moves PENDING trials to RUNNING under a new epoch, in the order of `keys`.

    Trials whose driver is gone are taken over; those that live drivers run are left out. With a token
    that was used before, returns what was claimed then.
    """
    require(connection, lease)
    claims: dict[TrialKey, Claim] = {}
    for chunk in chunks(sorted(set(keys))):
        rows = _lock(connection, chunk)
        if any(row.state == State.RUNNING.value for row in rows):
            claims.update(_again(connection, chunk, token))
            if give_back(connection, moments, TRIALS.c.key.in_(chunk), abandoned(moments), cause=Cause.LOST):
                rows = _lock(connection, chunk)
        waiting = [row for row in rows if row.state == State.PENDING.value]
        if waiting:
            claims.update(_take(connection, moments, lease, waiting, token))
    found = _checkpoints(connection, list(claims))
    return [
        replace(claims[key], resume=next(iter(found[key]), None), older=tuple(found[key][1:]))
        for key in dict.fromkeys(keys)
        if key in claims
    ]


def _lock(connection: sa.Connection, keys: list[TrialKey]) -> Sequence[AnyRow]:
    return connection.execute(
        sa.select(*TRIAL_COLUMNS, TRIALS.c.epoch, TRIALS.c.state)
        .where(TRIALS.c.key.in_(keys))
        .order_by(TRIALS.c.key)
        .with_for_update()
    ).all()


def _take(
    connection: sa.Connection, moments: Moments, lease: Lease, rows: Sequence[AnyRow], token: str
) -> dict[TrialKey, Claim]:
    connection.execute(
        sa.update(TRIALS)
        .where(TRIALS.c.key.in_([row.key for row in rows]), TRIALS.c.state == State.PENDING.value)
        .values(
            state=State.RUNNING.value,
            epoch=TRIALS.c.epoch + 1,
            cause="",
            message="",
            blocked_by=None,
            driver=lease.owner.driver,
            lease_study=lease.study,
        )
    )
    attempt = {
        "driver": lease.owner.driver,
        "claim_id": token,
        "commit_id": "",
        "duration_s": 0.0,
        "outcome": "",
        "message": "",
        "traceback": "",
    }
    connection.execute(
        sa.insert(ATTEMPTS).values(started_at=moments.now()),
        [{"trial": row.key, "epoch": row.epoch + 1, **attempt} for row in rows],
    )
    trials = trials_of(connection, rows)
    return {
        trial.key: Claim(trial=trial, epoch=row.epoch + 1) for trial, row in zip(trials, rows, strict=True)
    }


def _again(connection: sa.Connection, keys: list[TrialKey], token: str) -> dict[TrialKey, Claim]:
    """Returns what this very claim did before the reply to its COMMIT was lost."""
    rows = connection.execute(
        sa.select(*TRIAL_COLUMNS, TRIALS.c.epoch)
        .join(ATTEMPTS, sa.and_(ATTEMPTS.c.trial == TRIALS.c.key, ATTEMPTS.c.epoch == TRIALS.c.epoch))
        .where(TRIALS.c.key.in_(keys), TRIALS.c.state == State.RUNNING.value, ATTEMPTS.c.claim_id == token)
    ).all()
    trials = trials_of(connection, rows)
    return {trial.key: Claim(trial=trial, epoch=row.epoch) for trial, row in zip(trials, rows, strict=True)}


def _checkpoints(connection: sa.Connection, keys: list[TrialKey]) -> Mapping[TrialKey, list[CheckpointRef]]:
    """Returns the recorded checkpoints of each trial, newest first."""
    found: dict[TrialKey, list[CheckpointRef]] = defaultdict(list)
    for chunk in chunks(keys):
        statement = sa.select(*CHECKPOINT_COLUMNS).where(CHECKPOINTS.c.trial.in_(chunk))
        for row in connection.execute(statement.order_by(*NEWEST_FIRST)):
            found[TrialKey(row.trial)].append(checkpoint_of(row))
    return found


def request_cancel(connection: sa.Connection, moments: Moments, keys: Collection[TrialKey]) -> int:
    """Cancels waiting trials at once, running ones by a mark; returns how many were not final."""
    count = 0
    for chunk in chunks(sorted(set(keys))):
        give_back(connection, moments, TRIALS.c.key.in_(chunk), abandoned(moments), cause=Cause.LOST)
        among = TRIALS.c.key.in_(chunk)
        states = connection.scalars(
            sa.select(TRIALS.c.state).where(among).order_by(TRIALS.c.key).with_for_update()
        )
        count += sum(not State(state).final for state in states)
        connection.execute(
            sa.update(TRIALS)
            .where(among, TRIALS.c.state.in_([State.PENDING.value, State.BLOCKED.value]))
            .values(
                state=State.CANCELLED.value,
                cause=Cause.CANCELLED.value,
                message="",
                blocked_by=None,
                cancel_requested=False,
            )
        )
        connection.execute(
            sa.update(TRIALS)
            .where(among, TRIALS.c.state == State.RUNNING.value)
            .values(cancel_requested=True)
        )
    return count


def cancel_requests(connection: sa.Connection, lease: Lease) -> frozenset[TrialKey]:
    """Returns RUNNING trials of this driver that somebody asked to cancel."""
    keys = connection.scalars(
        sa.select(TRIALS.c.key).where(
            TRIALS.c.state == State.RUNNING.value,
            TRIALS.c.driver == lease.owner.driver,
            TRIALS.c.cancel_requested,
        )
    )
    return frozenset(TrialKey(key) for key in keys)

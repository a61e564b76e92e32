"""Commits: what happened to claimed trials, fenced by the lease and by each trial's epoch."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa

from orchestrator.errors import NotFoundError
from orchestrator.model.plan import State, TrialKey
from orchestrator.model.result import PartRef
from orchestrator.model.run import Cause, CheckpointRef, Lease, Outcome, Saved, Started
from orchestrator.registry.codec import (
    FORGOTTEN,
    NEWEST_FIRST,
    Documents,
    checkpoint_values,
    clean,
    part_id,
)
from orchestrator.registry.engine import AnyRow, chunks, insert_new
from orchestrator.registry.leases import require
from orchestrator.registry.moment import Moments
from orchestrator.registry.tables import ATTEMPTS, CHECKPOINTS, PARTS, TRIALS

KEPT = 2  # checkpoints of a trial that stay recorded
_WAITING = (State.PENDING.value, State.BLOCKED.value)


class Commit:
    """One commit in progress: the trials it names, as they are now, locked."""

    def __init__(self, connection: sa.Connection, moments: Moments, lease: Lease, token: str) -> None:
        """Locks the lease.

        Args:
            connection: Inside a transaction that writes.
            moments: The clocks.
            lease: The driver's.
            token: Names this commit; with one that was used before, its outcomes count as accepted.

        Raises:
            LeaseLostError: It is not ours any more.
        """
        require(connection, lease)
        self._connection = connection
        self._moments = moments
        self._lease = lease
        self._token = token
        self._trials: dict[str, AnyRow] = {}
        self._documents = Documents()

    def lock(self, keys: Collection[TrialKey]) -> None:
        """Reads and locks the trials that the events name."""
        for chunk in chunks(sorted(set(keys))):
            rows = self._connection.execute(
                sa.select(
                    TRIALS.c.key,
                    TRIALS.c.epoch,
                    TRIALS.c.state,
                    TRIALS.c.driver,
                    TRIALS.c.cancel_requested,
                )
                .where(TRIALS.c.key.in_(chunk))
                .order_by(TRIALS.c.key)
                .with_for_update()
            )
            self._trials.update((row.key, row) for row in rows)

    def started(self, events: Sequence[Started]) -> None:
        """Notes which worker began, and when."""
        rows = [
            {"which": event.trial, "at": event.epoch, "by": self._documents.add(event.worker)}
            for event in events
            if self._ours(event.trial, event.epoch)
        ]
        self._documents.flush(self._connection)
        if rows:
            self._connection.execute(
                sa.update(ATTEMPTS)
                .where(ATTEMPTS.c.trial == sa.bindparam("which"), ATTEMPTS.c.epoch == sa.bindparam("at"))
                .values(worker=sa.bindparam("by"), started_at=self._moments.now()),
                rows,
            )

    def saved(self, events: Sequence[Saved]) -> None:
        """Records checkpoints, of which the newest two of a trial stay."""
        self._checkpoints([event.checkpoint for event in events if self._ours(event.trial, event.epoch)])

    def outcomes(self, outcomes: Sequence[Outcome], part: PartRef | None) -> frozenset[TrialKey]:
        """Applies new states, those of stale epochs excepted; returns the trials that were accepted."""
        number = None if part is None else part_id(self._connection, part, self._moments.now())
        applied: dict[TrialKey, Outcome] = {}
        for outcome in outcomes:
            if outcome.trial not in applied and self._applies(outcome):
                applied[outcome.trial] = outcome
        rows = list(applied.values())
        self._end_attempts([outcome for outcome in rows if outcome.epoch is not None])
        if rows:
            self._connection.execute(_CHANGE, [self._change(outcome, number) for outcome in rows])
        self._checkpoints([outcome.checkpoint for outcome in rows if outcome.checkpoint is not None])
        refused = [outcome for outcome in outcomes if outcome.trial not in applied]
        return frozenset(applied) | self._before(refused)

    def _ours(self, key: TrialKey, epoch: int | None) -> bool:
        row = self._trials.get(key)
        return (
            row is not None
            and row.epoch == epoch
            and row.state == State.RUNNING.value
            and row.driver == self._lease.owner.driver
        )

    def _applies(self, outcome: Outcome) -> bool:
        row = self._trials.get(outcome.trial)
        if outcome.epoch is not None or row is None:
            return self._ours(outcome.trial, outcome.epoch)
        if outcome.state is State.PENDING:  # also from a result, when a parent is made again
            return bool(row.state != State.RUNNING.value)
        return row.state in _WAITING

    def _change(self, outcome: Outcome, part: int | None) -> dict[str, Any]:
        failure, state = outcome.failure, outcome.state
        cause = failure.cause if failure else None
        if state is State.PENDING and self._trials[outcome.trial].cancel_requested:
            # It lost its worker, say, before it could be cancelled: it must not be tried again.
            state, cause = State.CANCELLED, Cause.CANCELLED
        return {
            "which": outcome.trial,
            "becomes": state.value,
            "why": cause.value if cause else "",
            "says": clean(failure.message) if failure else "",
            "blocker": outcome.blocked_by,
            "made_by": str(outcome.provenance.get("code", "")) if state.has_result else "",
            "made_at": str(outcome.provenance.get("commit", "")) if state.has_result else "",
            "listed": part if state.has_result else None,
        }

    def _before(self, outcomes: Sequence[Outcome]) -> frozenset[TrialKey]:
        """Returns what this very commit recorded before the reply to its COMMIT was lost."""
        wanted = {outcome.trial: outcome.epoch for outcome in outcomes if outcome.epoch is not None}
        found: set[TrialKey] = set()
        for chunk in chunks(sorted(wanted)):
            rows = self._connection.execute(
                sa.select(ATTEMPTS.c.trial, ATTEMPTS.c.epoch).where(
                    ATTEMPTS.c.trial.in_(chunk), ATTEMPTS.c.commit_id == self._token
                )
            )
            found.update(TrialKey(trial) for trial, epoch in rows if wanted[TrialKey(trial)] == epoch)
        return frozenset(found)

    def _end_attempts(self, outcomes: Sequence[Outcome]) -> None:
        rows = []
        for outcome in outcomes:
            failure = outcome.failure
            rows.append(
                {
                    "which": outcome.trial,
                    "at": outcome.epoch,
                    "ended": failure.cause.value if failure else outcome.state.value,
                    "why": clean(failure.message) if failure else "",
                    "trace": clean(failure.traceback) if failure else "",
                    "seconds": outcome.duration_s,
                    "made_by": self._documents.add(outcome.provenance),
                }
            )
        self._documents.flush(self._connection)
        if not rows:
            return
        now = self._moments.now()
        self._connection.execute(
            sa.update(ATTEMPTS)
            .where(ATTEMPTS.c.trial == sa.bindparam("which"), ATTEMPTS.c.epoch == sa.bindparam("at"))
            .values(
                # The clock may have been set back meanwhile.
                ended_at=sa.case((now > ATTEMPTS.c.started_at, now), else_=ATTEMPTS.c.started_at),
                outcome=sa.bindparam("ended"),
                message=sa.bindparam("why"),
                traceback=sa.bindparam("trace"),
                duration_s=sa.bindparam("seconds"),
                provenance=sa.bindparam("made_by"),
                commit_id=self._token,
            ),
            rows,
        )

    def _checkpoints(self, checkpoints: Sequence[CheckpointRef]) -> None:
        insert_new(self._connection, CHECKPOINTS, [checkpoint_values(each) for each in checkpoints])
        for chunk in chunks(sorted({checkpoint.trial for checkpoint in checkpoints})):
            rank = sa.func.row_number().over(partition_by=CHECKPOINTS.c.trial, order_by=NEWEST_FIRST)
            ranked = (
                sa.select(CHECKPOINTS.c.id, rank.label("rank"))
                .where(CHECKPOINTS.c.trial.in_(chunk))
                .subquery()
            )
            older = sa.select(ranked.c.id).where(ranked.c.rank > KEPT)
            self._connection.execute(sa.delete(CHECKPOINTS).where(CHECKPOINTS.c.id.in_(older)))


_CHANGE = (
    sa.update(TRIALS)
    .where(TRIALS.c.key == sa.bindparam("which"))
    .values(
        state=sa.bindparam("becomes"),
        cause=sa.bindparam("why"),
        message=sa.bindparam("says"),
        blocked_by=sa.bindparam("blocker"),
        code=sa.bindparam("made_by"),
        git_commit=sa.bindparam("made_at"),
        part=sa.bindparam("listed"),
        driver="",
        lease_study="",
        cancel_requested=False,
    )
)


def replace_parts(connection: sa.Connection, moments: Moments, old: Sequence[PartRef], new: PartRef) -> None:
    """Lists `new` in place of `old`; nothing happens when that is done already."""
    paths = {part.path for part in old}
    found: dict[str, int] = {}
    for chunk in chunks(sorted(paths)):
        rows = connection.execute(
            sa.select(PARTS.c.path, PARTS.c.id).where(PARTS.c.path.in_(chunk)).with_for_update()
        )
        found.update((path, number) for path, number in rows)
    listed = connection.scalar(sa.select(PARTS.c.id).where(PARTS.c.path == new.path))
    if listed is not None and not found:
        return
    if missing := sorted(paths - set(found)):
        raise NotFoundError(
            f"{len(missing)} of {len(paths)} parts are not listed any more ({missing[0]}): another "
            "compaction came first; list the parts again"
        )
    number = part_id(connection, new, moments.now())
    for numbers in chunks(sorted(found.values())):
        connection.execute(sa.update(TRIALS).where(TRIALS.c.part.in_(numbers)).values(part=number))
        connection.execute(sa.delete(PARTS).where(PARTS.c.id.in_(numbers)))


def drop_parts(connection: sa.Connection, parts: Sequence[PartRef]) -> list[TrialKey]:
    """Forgets parts and the results they held; returns the trials, which wait for another try."""
    paths = {part.path for part in parts}
    waiting: list[TrialKey] = []
    for chunk in chunks(sorted(paths)):
        numbers = connection.scalars(
            sa.select(PARTS.c.id).where(PARTS.c.path.in_(chunk)).with_for_update()
        ).all()
        held = TRIALS.c.part.in_(numbers)
        waiting += [TrialKey(key) for key in connection.scalars(sa.select(TRIALS.c.key).where(held))]
        connection.execute(sa.update(TRIALS).where(held).values(**FORGOTTEN))
        connection.execute(sa.delete(PARTS).where(PARTS.c.id.in_(numbers)))
    return sorted(waiting)

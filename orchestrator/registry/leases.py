"""Who drives a study: a lease with an epoch, that expires when it is not renewed."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from orchestrator.errors import HeldError, LeaseLostError
from orchestrator.model.plan import State
from orchestrator.model.run import Cause, Lease, Owner
from orchestrator.registry.engine import AnyRow, insert_new
from orchestrator.registry.moment import Moments
from orchestrator.registry.reading import needed
from orchestrator.registry.tables import ATTEMPTS, LEASES, TRIALS


def lock_study(connection: sa.Connection, study: str) -> AnyRow:
    """Returns the lease's row, made when missing, locked to the transaction's end."""
    free = {"driver": "", "host": "", "pid": 0, "epoch": 0, "acquired_at": 0.0, "expires_at": 0.0, "boot": ""}
    insert_new(connection, LEASES, [{"study": study, **free}])
    return connection.execute(sa.select(LEASES).where(LEASES.c.study == study).with_for_update()).one()


def acquire(
    connection: sa.Connection, moments: Moments, study: str, owner: Owner, duration_s: float
) -> Lease:
    """Takes the right to drive a study; see `ports.Registry.acquire`."""
    row = lock_study(connection, study)
    now, lease_now = connection.execute(sa.select(moments.now(), moments.lease_now())).one()
    held = row.driver not in ("", owner.driver) and row.boot == moments.boot and row.expires_at > lease_now
    if held and not moments.ended(boot=row.boot, host=row.host, pid=row.pid):
        raise HeldError(
            f"the study {study!r} is driven by process {row.pid} on {row.host}, since "
            f"{max(0.0, now - row.acquired_at):.0f} s; wait until it ends, stop it (kill {row.pid}), or, "
            f"when it is gone, try again in {row.expires_at - lease_now:.0f} s"
        )
    connection.execute(
        sa.update(LEASES)
        .where(LEASES.c.study == study)
        .values(
            driver=owner.driver,
            host=owner.host,
            pid=owner.pid,
            epoch=row.epoch + 1,
            acquired_at=now,
            expires_at=lease_now + duration_s,
            boot=moments.boot,
        )
    )
    give_back(connection, moments, TRIALS.c.key.in_(needed(study)), abandoned(moments), cause=Cause.LOST)
    return Lease(study=study, owner=owner, epoch=row.epoch + 1, duration_s=duration_s)


def renew(connection: sa.Connection, moments: Moments, lease: Lease) -> None:
    """Prolongs a lease; also one that has expired, as long as nobody took it."""
    done = connection.execute(
        sa.update(LEASES)
        .where(*_ours(lease))
        .values(expires_at=moments.lease_now() + lease.duration_s, boot=moments.boot)
    )
    if done.rowcount != 1:
        raise _lost(connection, lease)


def release(connection: sa.Connection, moments: Moments, lease: Lease) -> None:
    """Gives a lease back; nothing happens when it is not ours any more."""
    if not connection.execute(sa.select(LEASES.c.study).where(*_ours(lease)).with_for_update()).first():
        return
    give_back(
        connection,
        moments,
        TRIALS.c.driver == lease.owner.driver,
        TRIALS.c.lease_study == lease.study,
        cause=Cause.INTERRUPTED,
    )
    connection.execute(
        sa.update(LEASES).where(*_ours(lease)).values(driver="", host="", pid=0, expires_at=0.0)
    )


def require(connection: sa.Connection, lease: Lease) -> None:
    """Locks the lease to the transaction's end, so that nobody takes it meanwhile.

    Raises:
        LeaseLostError: It is not ours any more.
    """
    if not connection.execute(sa.select(LEASES.c.study).where(*_ours(lease)).with_for_update()).first():
        raise _lost(connection, lease)


def driver(connection: sa.Connection, moments: Moments, study: str) -> Owner | None:
    """Returns the live driver of a study."""
    row = connection.execute(
        sa.select(LEASES.c.driver, LEASES.c.host, LEASES.c.pid, LEASES.c.boot).where(
            LEASES.c.study == study, *_live(moments)
        )
    ).first()
    if row is None or moments.ended(boot=row.boot, host=row.host, pid=row.pid):
        return None
    return Owner(driver=row.driver, host=row.host, pid=row.pid)


def live(connection: sa.Connection, moments: Moments) -> list[tuple[str, float, float]]:
    """Returns for each study with a live driver its name, the lease's age, and the seconds it has left."""
    columns = (LEASES.c.study, LEASES.c.host, LEASES.c.pid, LEASES.c.boot)
    age = (moments.now() - LEASES.c.acquired_at).label("age")
    left = (LEASES.c.expires_at - moments.lease_now()).label("left")
    rows = connection.execute(sa.select(*columns, age, left).where(*_live(moments)))
    return [
        (row.study, max(0.0, row.age), row.left)
        for row in rows
        if not moments.ended(boot=row.boot, host=row.host, pid=row.pid)
    ]


def abandoned(moments: Moments) -> sa.ColumnElement[bool]:
    """Returns the condition that no live lease stands behind a RUNNING trial."""
    behind = sa.select(LEASES.c.study).where(
        LEASES.c.study == TRIALS.c.lease_study, LEASES.c.driver == TRIALS.c.driver, *_live(moments)
    )
    return ~behind.exists()


def give_back(
    connection: sa.Connection, moments: Moments, *which: sa.ColumnElement[bool], cause: Cause
) -> Sequence[str]:
    """Ends the attempts of RUNNING trials; these wait again, or are cancelled if somebody asked for it.

    Returns:
        The keys of the trials.
    """
    rows = connection.execute(
        sa.select(TRIALS.c.key, TRIALS.c.epoch, TRIALS.c.driver)
        .where(TRIALS.c.state == State.RUNNING.value, *which)
        .order_by(TRIALS.c.key)
        .with_for_update()
    ).all()
    if rows:
        connection.execute(
            sa.update(ATTEMPTS)
            .where(
                ATTEMPTS.c.trial == sa.bindparam("which"),
                ATTEMPTS.c.epoch == sa.bindparam("at"),
                ATTEMPTS.c.ended_at.is_(None),
            )
            .values(
                ended_at=sa.case(
                    (moments.now() > ATTEMPTS.c.started_at, moments.now()), else_=ATTEMPTS.c.started_at
                ),
                outcome=cause.value,
                message=sa.bindparam("why"),
            ),
            [{"which": row.key, "at": row.epoch, "why": _why(cause, row.driver)} for row in rows],
        )
        connection.execute(
            sa.update(TRIALS)
            .where(TRIALS.c.key == sa.bindparam("which"))
            .values(
                state=sa.case((TRIALS.c.cancel_requested, State.CANCELLED.value), else_=State.PENDING.value),
                cause=sa.case((TRIALS.c.cancel_requested, Cause.CANCELLED.value), else_=""),
                message="",
                driver="",
                lease_study="",
                cancel_requested=False,
            ),
            [{"which": row.key} for row in rows],
        )
    return [row.key for row in rows]


def _why(cause: Cause, driver_id: str) -> str:
    return f"its driver {driver_id} " + ("is gone" if cause is Cause.LOST else "gave the study back")


def _ours(lease: Lease) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        LEASES.c.study == lease.study,
        LEASES.c.driver == lease.owner.driver,
        LEASES.c.epoch == lease.epoch,
    )


def _live(moments: Moments) -> tuple[sa.ColumnElement[bool], ...]:
    return (LEASES.c.driver != "", LEASES.c.boot == moments.boot, LEASES.c.expires_at > moments.lease_now())


def _lost(connection: sa.Connection, lease: Lease) -> LeaseLostError:
    row = connection.execute(sa.select(LEASES).where(LEASES.c.study == lease.study)).first()
    now = f"process {row.pid} on {row.host} drives it now" if row and row.driver else "nobody drives it now"
    return LeaseLostError(
        f"this process lost its lease on the study {lease.study!r}: {now}. What it finished since then was "
        "not recorded and will be done again; `orch resume` goes on when no other driver runs"
    )

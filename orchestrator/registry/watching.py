"""Questions of somebody who watches: small answers, asked often."""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa

from orchestrator.model.plan import State, Trial, TrialKey
from orchestrator.model.watch import Ended, Pulse
from orchestrator.registry import leases
from orchestrator.registry.codec import TRIAL_COLUMNS, trials_of
from orchestrator.registry.engine import chunks
from orchestrator.registry.moment import Moments
from orchestrator.registry.reading import needed
from orchestrator.registry.tables import ASSIGNMENTS, ATTEMPTS, SUBMISSIONS, TRIALS

_WITH_RESULT = [state.value for state in State if state.has_result]
# Where a worker does not say how long it took, the registry's clock does.
_TOOK = sa.case(
    (ATTEMPTS.c.duration_s > 0, ATTEMPTS.c.duration_s), else_=ATTEMPTS.c.ended_at - ATTEMPTS.c.started_at
)


def pulse(connection: sa.Connection, moments: Moments, study: str | None) -> Pulse:
    """Returns a study, or the store, in a few numbers: what a page asks every second."""
    latest = sa.select(sa.func.count(), sa.func.max(SUBMISSIONS.c.created_at)).select_from(SUBMISSIONS)
    lines = sa.select(sa.func.count()).select_from(ASSIGNMENTS)
    # Epochs only grow, and the sum tells of claims that left all counts as they were.
    states = sa.select(TRIALS.c.state, sa.func.count(), sa.func.sum(TRIALS.c.epoch)).group_by(TRIALS.c.state)
    if study is not None:
        latest = latest.where(SUBMISSIONS.c.study == study)
        lines = lines.where(ASSIGNMENTS.c.study == study)
        states = states.where(
            TRIALS.c.key.in_(sa.select(ASSIGNMENTS.c.trial).where(ASSIGNMENTS.c.study == study))
        )
    number, newest = connection.execute(latest).one()
    planned = f"{number}.{newest or 0:.3f}.{connection.scalar(lines)}"
    found = connection.execute(states.order_by(TRIALS.c.state)).all()
    driven = [study] if study is not None else [name for name, _, _ in leases.live(connection, moments)]
    drivers = [leases.driver(connection, moments, name) for name in driven]
    who = ",".join(each.driver for each in drivers if each is not None)
    told = ",".join(f"{state}:{count}:{epochs}" for state, count, epochs in found)
    return Pulse(
        mark=f"{planned}|{told}|{who}",
        planned=planned,
        submitted=number,
        counts={State(state): int(count) for state, count, _ in found},
    )


def ended(connection: sa.Connection, study: str, limit: int) -> list[Ended]:
    """Returns the attempts that made the newest results of a study, newest first and at most so many."""
    rows = connection.execute(
        sa.select(TRIALS.c.stage, ATTEMPTS.c.started_at, ATTEMPTS.c.ended_at, _TOOK.label("took"))
        .join(TRIALS, TRIALS.c.key == ATTEMPTS.c.trial)
        .where(TRIALS.c.key.in_(needed(study)), ATTEMPTS.c.outcome.in_(_WITH_RESULT))
        .order_by(ATTEMPTS.c.ended_at.desc())
        .limit(limit)
    ).all()
    return [
        Ended(stage=row.stage, started_at=row.started_at, ended_at=row.ended_at, seconds=row.took)
        for row in rows
    ]


def described(connection: sa.Connection, keys: Collection[TrialKey]) -> dict[TrialKey, Trial]:
    """Returns the recorded trials of these keys, of any study or none, in run order."""
    found: list[Trial] = []
    for chunk in chunks(sorted(set(keys))):
        rows = connection.execute(sa.select(*TRIAL_COLUMNS).where(TRIALS.c.key.in_(chunk))).all()
        found += trials_of(connection, rows)
    return {trial.key: trial for trial in sorted(found, key=lambda each: (each.order, each.key))}

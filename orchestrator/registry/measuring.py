"""How a store stands, in numbers: a few grouped questions for all studies together."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from orchestrator.model.measure import Measures, StudyMeasures
from orchestrator.model.plan import State
from orchestrator.registry import leases, reading
from orchestrator.registry.moment import Moments
from orchestrator.registry.tables import ATTEMPTS, CHECKPOINTS, OUTBOX, PARTS, SUBMISSIONS, TRIALS

_WITH_RESULT = frozenset(state.value for state in State if state.has_result)


def measures(connection: sa.Connection, moments: Moments) -> Measures:
    """Returns how every study stands, and what the store holds; see `ports.Registry.measures`."""
    submitted = sa.select(SUBMISSIONS.c.study, sa.func.max(SUBMISSIONS.c.created_at).label("at"))
    found: dict[str, dict[str, Any]] = {
        row.study: {"submitted_at": row.at}
        for row in connection.execute(submitted.group_by(SUBMISSIONS.c.study).order_by(SUBMISSIONS.c.study))
    }
    for study, numbers in reading.counts(connection, None).items():
        found.setdefault(study, {})["trials"] = numbers
    for study, ended in _ended(connection).items():
        found.setdefault(study, {}).update(ended)
    for study, age, left in leases.live(connection, moments):
        found.setdefault(study, {}).update(lease_age_s=age, lease_left_s=left)
    waiting = sa.select(OUTBOX.c.study, sa.func.count()).group_by(OUTBOX.c.study)
    for study, number in connection.execute(waiting):
        found.setdefault(study, {})["outbox"] = number
    return Measures(
        studies={study: StudyMeasures(**values) for study, values in found.items()},
        parts=_held(connection, PARTS),
        checkpoints=_held(connection, CHECKPOINTS),
    )


def _ended(connection: sa.Connection) -> dict[str, dict[str, Any]]:
    """Returns study -> what its attempts came to; one that two studies need is counted in both."""
    wanted = reading.wanted(None)
    grouped = (wanted.c.study, TRIALS.c.stage, ATTEMPTS.c.outcome)
    statement = (
        sa.select(
            *grouped,
            sa.func.count().label("number"),
            sa.func.sum(ATTEMPTS.c.duration_s).label("seconds"),
            sa.func.max(ATTEMPTS.c.ended_at).label("last"),
        )
        .select_from(wanted)
        .join(TRIALS, TRIALS.c.key == wanted.c.key)
        .join(ATTEMPTS, ATTEMPTS.c.trial == wanted.c.key)
        .where(ATTEMPTS.c.ended_at.is_not(None))
        .group_by(*grouped)
    )
    found: dict[str, dict[str, Any]] = {}
    for row in connection.execute(statement):
        values = found.setdefault(row.study, {"failures": {}, "results": {}, "result_at": None})
        if row.outcome in _WITH_RESULT:
            number, seconds = values["results"].get(row.stage, (0, 0.0))
            values["results"][row.stage] = (number + row.number, seconds + float(row.seconds))
            values["result_at"] = max(row.last, values["result_at"] or 0.0)
        else:
            values["failures"][row.outcome] = values["failures"].get(row.outcome, 0) + row.number
    return found


def _held(connection: sa.Connection, table: sa.Table) -> tuple[int, int]:
    number, size = connection.execute(sa.select(sa.func.count(), sa.func.sum(table.c.size_bytes))).one()
    return int(number), int(size or 0)

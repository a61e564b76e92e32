"""Replies that get lost, connections that are cut, locks held by others."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any

import psycopg

from orchestrator.model.plan import State
from orchestrator.model.run import Outcome
from orchestrator.registry.registry import SqlRegistry
from tests.contracts.storage_fixtures import (
    Place,
    Server,
    key,
    owner,
    part,
    place,
    plan_of,
    postgres,
    registry,
    submission,
    training,
)

__all__ = ["place", "postgres", "registry"]


def lose_reply(registry: SqlRegistry) -> Callable[[], int]:
    """The next COMMIT succeeds, but its sender hears of a broken connection; returns a counter."""
    dialect: Any = registry._database.engine.dialect
    real, lost = dialect.do_commit, []

    def commit(connection: Any) -> None:
        real(connection)
        if not lost:
            lost.append(1)
            if dialect.name == "sqlite":
                error: Exception = sqlite3.OperationalError("database is locked")
                error.sqlite_errorname = "SQLITE_BUSY"  # type: ignore[attr-defined]
            else:
                error = psycopg.OperationalError("server closed the connection unexpectedly")
            raise error

    dialect.do_commit = commit
    return lambda: len(lost)


class TestLostReplies:
    def test_record(self, registry: SqlRegistry) -> None:
        lost = lose_reply(registry)
        assert registry.record(submission("s"), plan_of("s", training(0))).number == 1
        assert lost() == 1
        assert [s.number for s in registry.submissions("s")] == [1]

    def test_claim(self, registry: SqlRegistry) -> None:
        registry.record(submission("s"), plan_of("s", training(0), training(1)))
        lease = registry.acquire("s", owner("d"), 60)
        lost = lose_reply(registry)
        claims = registry.claim(lease, [key(1), key(0)])
        assert lost() == 1
        assert [(c.trial.key, c.epoch) for c in claims] == [(key(1), 1), (key(0), 1)]

    def test_commit(self, registry: SqlRegistry) -> None:
        registry.record(submission("s"), plan_of("s", training(0), training(1)))
        lease = registry.acquire("s", owner("d"), 60)
        registry.claim(lease, [key(0), key(1)])
        for number, which in ((0, part("p")), (1, None)):
            lost = lose_reply(registry)
            state = State.SUCCEEDED if which else State.FAILED
            outcome = Outcome(trial=key(number), epoch=1, state=state)
            given = [] if which is None else [which]
            assert registry.commit(lease, outcomes=[outcome], part=which) == {key(number)}
            assert lost() == 1
            assert [p for p in registry.parts() if p in given] == given
            assert [a.outcome for a in registry.attempts(key(number))] == [state.value]

    def test_acquire_and_release(self, registry: SqlRegistry) -> None:
        lost = lose_reply(registry)
        lease = registry.acquire("s", owner("d"), 60)
        assert lost() == 1
        registry.renew(lease)
        lost = lose_reply(registry)
        registry.release(lease)
        assert lost() == 1
        assert registry.driver("s") is None


def test_a_writer_waits_for_a_foreign_transaction(place: Place) -> None:
    if not place.url.startswith("sqlite"):
        holder: Any = psycopg.connect(place.url)
        lock, unlock = "LOCK TABLE orch_leases IN ACCESS EXCLUSIVE MODE", holder.commit
    else:
        place.open()
        holder = sqlite3.connect(
            place.url.removeprefix("sqlite:///"), isolation_level=None, check_same_thread=False
        )
        lock, unlock = "BEGIN IMMEDIATE", lambda: holder.execute("COMMIT")
    registry = place.open()
    with closing(holder):
        holder.execute(lock)
        entered = threading.Event()
        outcome: list[Any] = []

        def work() -> None:
            entered.set()
            outcome.append(registry.acquire("s", owner("d"), 60))

        thread = threading.Thread(target=work)
        thread.start()
        entered.wait(10)
        thread.join(0.3)
        assert thread.is_alive()
        unlock()
        thread.join(30)
    assert [lease.epoch for lease in outcome] == [1]


def test_a_server_that_cuts_connections_is_asked_again(postgres: Server) -> None:
    url = postgres.database()
    place = Place(url)
    registry = place.open()
    registry.record(submission("s"), plan_of("s", *(training(n) for n in range(30))))
    lease = registry.acquire("s", owner("d"), 60)
    stop = threading.Event()
    cut: list[int] = []

    def cutter() -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            # Ever more slowly: however slow the machine is, something gets through in the end.
            while not stop.wait(0.02 * (1 + len(cut))):
                found = connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                ).fetchall()
                cut.extend(1 for _ in found)

    thread = threading.Thread(target=cutter)
    thread.start()
    try:
        for number in range(30):
            (claim,) = registry.claim(lease, [key(number)])
            done = Outcome(trial=key(number), epoch=claim.epoch, state=State.SUCCEEDED)
            assert registry.commit(lease, outcomes=[done], part=part(f"p{number}")) == {key(number)}
    finally:
        stop.set()
        thread.join()
    assert cut, "no connection was cut: the test tested nothing"
    statuses = registry.statuses()
    assert {(s.state, s.epoch) for s in statuses.values()} == {(State.SUCCEEDED, 1)}
    assert len(registry.parts()) == 30
    registry.close()
    postgres.drop(url)

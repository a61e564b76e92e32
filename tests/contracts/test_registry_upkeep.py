"""What upkeep asks of every registry: parts forgotten with their results, all checkpoints, its own damage."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from orchestrator.model.plan import State
from orchestrator.model.run import Cause, Failure, Outcome, Saved
from orchestrator.registry.registry import SqlRegistry, open_registry
from tests.contracts.storage_fixtures import (
    checkpoint,
    evaluation,
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


def done(registry: SqlRegistry, names: tuple[str, ...], where: str, state: State = State.SUCCEEDED) -> None:
    lease = registry.acquire("s", owner("d"), 60)
    claims = registry.claim(lease, [key(name) for name in names])
    outcomes = [Outcome(trial=claim.trial.key, epoch=claim.epoch, state=state) for claim in claims]
    assert len(registry.commit(lease, outcomes=outcomes, part=part(where))) == len(names)
    registry.release(lease)


def test_a_parts_trials_wait_again_when_it_is_dropped(registry: SqlRegistry) -> None:
    registry.record(
        submission("s"), plan_of("s", training("a"), training("b"), training("c"), evaluation("e", "a"))
    )
    done(registry, ("a", "b"), "one")
    done(registry, ("c",), "two", State.DIVERGED)
    one, two = registry.parts()
    assert registry.drop_parts([one]) == sorted([key("a"), key("b")])
    assert registry.parts() == [two]
    states = {each: status.state for each, status in registry.statuses().items()}
    assert (states[key("a")], states[key("b")], states[key("c")]) == (
        *(State.PENDING, State.PENDING, State.DIVERGED),
    )
    assert registry.results([key("a"), key("b")]) == {}
    assert registry.drop_parts([one]) == []
    # and they can be computed again
    done(registry, ("a", "b"), "three")
    assert set(registry.results([key("a"), key("b")]).values()) == {part("three").path}


def test_all_checkpoints_come_newest_first_by_trial(registry: SqlRegistry) -> None:
    registry.record(submission("s"), plan_of("s", training("a"), training("b")))
    lease = registry.acquire("s", owner("d"), 60)
    claims = registry.claim(lease, [key("a"), key("b")])
    for serial in (1, 2):
        saved = [
            Saved(
                trial=claim.trial.key,
                epoch=claim.epoch,
                checkpoint=checkpoint(name, serial),
            )
            for claim, name in zip(claims, ("a", "b"), strict=True)
        ]
        registry.commit(lease, saved=saved)
    found = registry.all_checkpoints()
    assert [(each.trial, each.serial) for each in found] == [
        (trial, serial) for trial in sorted([key("a"), key("b")]) for serial in (2, 1)
    ]
    assert registry.checkpoints(key("a")) == [each for each in found if each.trial == key("a")]


def test_the_code_that_trials_were_last_tried_in_is_known(registry: SqlRegistry) -> None:
    registry.record(submission("s"), plan_of("s", training("a"), training("b")))
    assert registry.trees() == frozenset()
    lease = registry.acquire("s", owner("d"), 60)
    for names, tree in ((("a", "b"), "old.zip"), (("a",), "new.zip"), (("b",), "")):
        for claim in registry.claim(lease, [key(name) for name in names]):
            outcome = Outcome(
                trial=claim.trial.key,
                epoch=claim.epoch,
                state=State.PENDING,
                failure=Failure(cause=Cause.LOST, message="gone"),
                provenance={"tree": tree, "host": "h"} if tree else {},
            )
            registry.commit(lease, outcomes=[outcome])
    assert registry.trees() == {"old.zip", "new.zip"}
    for claim in registry.claim(lease, [key("b")]):
        made = Outcome(
            trial=key("b"), epoch=claim.epoch, state=State.SUCCEEDED, provenance={"tree": "new.zip"}
        )
        registry.commit(lease, outcomes=[made], part=part("one"))
    assert registry.trees() == {"new.zip"}


def test_a_whole_registry_has_no_damage(registry: SqlRegistry) -> None:
    registry.record(submission("s"), plan_of("s", training("a")))
    assert registry.damage() == []


def test_a_row_that_refers_to_nothing_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "registry.db"
    opened = open_registry(str(path))
    opened.record(submission("s"), plan_of("s", training("a")))
    opened.close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE orch_trials SET part = 77")
    opened = open_registry(str(path))
    try:
        assert opened.damage() == ["a row of orch_trials refers to one of orch_parts that is not there"]
    finally:
        opened.close()


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.DIVERGED])
def test_requeue_takes_back_results(registry: SqlRegistry, state: State) -> None:
    registry.record(submission("s"), plan_of("s", training("a")))
    done(registry, ("a",), "one", state)
    registry.requeue([key("a")], [State.SUCCEEDED, State.DIVERGED])
    assert registry.statuses()[key("a")].state is State.PENDING
    assert registry.results([key("a")]) == {}

"""What an attempt's end leads to, over a real registry."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.driver.outcomes import Outcomes
from orchestrator.driver.retry import LIMITS
from orchestrator.model.plan import State
from orchestrator.model.run import Cause, Failed, Failure, Lease
from orchestrator.registry.registry import SqlRegistry, open_registry
from tests.contracts.storage_fixtures import key, owner, plan_of, submission, training


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[SqlRegistry]:
    found = open_registry(str(tmp_path / "registry.db"))
    found.record(submission("s"), plan_of("s", training("a")))
    yield found
    found.close()


def failed(registry: SqlRegistry, lease: Lease, cause: Cause) -> Failed:
    (claim,) = registry.claim(lease, [key("a")])
    return Failed(trial=key("a"), epoch=claim.epoch, failure=Failure(cause=cause, message="m"))


@pytest.mark.parametrize("cause", [Cause.LOST, Cause.ERROR])
def test_attempts_of_this_driver_are_counted_up_to_the_limit(registry: SqlRegistry, cause: Cause) -> None:
    outcomes = Outcomes(registry=registry, needed=())
    lease = registry.acquire("s", owner("d"), 60)
    states = []
    for _ in range(LIMITS[cause]):
        outcome = outcomes.of(failed(registry, lease, cause), since=1)
        registry.commit(lease, outcomes=[outcome])
        states.append(outcome.state)
    assert states == [State.PENDING] * (LIMITS[cause] - 1) + [State.FAILED]


def test_drivers_that_died_are_not_charged_to_the_trial(registry: SqlRegistry) -> None:
    for number in range(LIMITS[Cause.LOST] + 1):
        lease = registry.acquire("s", owner(f"d{number}"), 0.0)  # expires at once: the next takes over
        registry.claim(lease, [key("a")])
    lease = registry.acquire("s", owner("last"), 60)
    assert {each.outcome for each in registry.attempts(key("a"))} == {"lost"}
    event = failed(registry, lease, Cause.LOST)
    assert Outcomes(registry=registry, needed=()).of(event, since=event.epoch).state is State.PENDING


def test_a_full_disk_is_never_the_trials_fault(registry: SqlRegistry) -> None:
    outcomes = Outcomes(registry=registry, needed=())
    lease = registry.acquire("s", owner("d"), 60)
    for _ in range(LIMITS[Cause.DISK] + 1):
        outcome = outcomes.of(failed(registry, lease, Cause.DISK), since=1)
        registry.commit(lease, outcomes=[outcome])
        assert outcome.state is State.PENDING


@pytest.mark.parametrize("cause", [Cause.NODE_LOST, Cause.PREEMPTED])
def test_nodes_that_go_are_never_charged(registry: SqlRegistry, cause: Cause) -> None:
    outcomes = Outcomes(registry=registry, needed=())
    lease = registry.acquire("s", owner("d"), 60)
    for _ in range(12):
        outcome = outcomes.of(failed(registry, lease, cause), since=1)
        registry.commit(lease, outcomes=[outcome])
        assert outcome.state is State.PENDING

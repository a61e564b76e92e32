"""What monitoring is told of a registry."""

from __future__ import annotations

import pytest

from orchestrator.model.measure import Measures, StudyMeasures
from orchestrator.model.plan import State
from orchestrator.model.run import Cause, Failure, Outcome, Saved
from orchestrator.registry.registry import SqlRegistry
from tests.contracts.storage_fixtures import (
    MovableClock,
    Place,
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


def test_nothing_is_measured_of_an_empty_registry(registry: SqlRegistry) -> None:
    assert registry.measures() == Measures(studies={})


def test_states_failures_seconds_and_sizes_are_by_study(place: Place) -> None:
    clock = MovableClock(1000.0)
    registry = place.open(clock)
    plan = plan_of("s", training("a"), training("b"), evaluation("e", "a"))
    registry.record(submission("s"), plan)
    registry.record(submission("t"), plan_of("t", evaluation("e", "a")))
    lease = registry.acquire("s", owner("d"), 60)

    def end(name: str, state: State, **values: object) -> None:
        (claim,) = registry.claim(lease, [key(name)])
        done = Outcome(trial=key(name), epoch=claim.epoch, state=state, **values)  # type: ignore[arg-type]
        registry.commit(
            lease,
            outcomes=[done],
            part=part(f"p{name}") if state.has_result else None,
            mirror=[("s", "trial", key(name))],
        )

    lost = Failure(cause=Cause.LOST, message="gone")
    end("a", State.PENDING, failure=lost)
    clock.seconds += 10
    end("a", State.SUCCEEDED, duration_s=2.5)
    clock.seconds += 10
    end("b", State.DIVERGED, duration_s=1.5)
    end("e", State.FAILED, failure=Failure(cause=Cause.ERROR, message="no"))
    registry.commit(lease, saved=[Saved(trial=key("a"), epoch=2, checkpoint=checkpoint("a", 1))])

    found = registry.measures()
    size = part("pa").size_bytes
    assert (found.parts, found.checkpoints) == ((2, 2 * size), (0, 0))  # of a trial that ended: refused
    assert found.studies == {
        "s": StudyMeasures(
            trials={
                ("train", State.SUCCEEDED): 1,
                ("train", State.DIVERGED): 1,
                ("evaluate", State.FAILED): 1,
            },
            failures={"lost": 1, "error": 1},
            results={"train": (2, pytest.approx(4.0))},  # type: ignore[dict-item]
            submitted_at=12.5,
            result_at=1020.0,
            lease_age_s=20.0,
            lease_left_s=40.0,
            outbox=3,
        ),
        "t": StudyMeasures(
            trials={("train", State.SUCCEEDED): 1, ("evaluate", State.FAILED): 1},
            failures={"lost": 1, "error": 1},
            results={"train": (1, pytest.approx(2.5))},  # type: ignore[dict-item]
            submitted_at=12.5,
            result_at=1010.0,
        ),
    }


def test_a_driver_that_is_silent_or_gave_back_its_lease_is_not_counted(place: Place) -> None:
    clock = MovableClock(1000.0)
    registry = place.open(clock)
    registry.record(submission("s"), plan_of("s", training("a")))
    lease = registry.acquire("s", owner("d"), 60)
    assert registry.measures().studies["s"].lease_left_s == 60.0
    clock.seconds += 61
    assert registry.measures().studies["s"].lease_age_s is None
    registry.renew(lease)
    assert registry.measures().studies["s"].lease_age_s == 61.0
    registry.release(lease)
    assert registry.measures().studies["s"].lease_age_s is None

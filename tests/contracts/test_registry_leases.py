"""Several drivers: leases, takeover, fencing, and processes that die in the middle."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from orchestrator.errors import HeldError, LeaseLostError
from orchestrator.model.plan import State, TrialKey
from orchestrator.model.run import Cause, Failure, Outcome, Owner, Saved
from orchestrator.registry.registry import SqlRegistry
from tests.contracts.storage_fixtures import (
    ROOT,
    MovableClock,
    Place,
    checkpoint,
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


class TestLeases:
    def test_one_driver_at_a_time(self, place: Place) -> None:
        clock = MovableClock()
        registry = place.open(clock)
        lease = registry.acquire("s", owner("first"), 60)
        assert registry.driver("s") == owner("first")
        clock.seconds += 30
        with pytest.raises(HeldError, match=rf"'s'.* {os.getpid()} on some-host, since 30 s.* in 30 s"):
            place.open(clock).acquire("s", owner("second"), 60)
        registry.acquire("other study", owner("second"), 60)
        clock.seconds += 29
        registry.renew(lease)
        clock.seconds += 59
        with pytest.raises(HeldError):
            registry.acquire("s", owner("second"), 60)
        registry.release(lease)
        assert registry.driver("s") is None
        assert registry.acquire("s", owner("second"), 60).epoch > lease.epoch

    def test_takeover_after_expiry_fences_the_first_driver(self, place: Place) -> None:
        clock = MovableClock()
        registry = place.open(clock)
        registry.record(submission("s"), plan_of("s", training(0), training(1)))
        old = registry.acquire("s", owner("first"), 60)
        registry.claim(old, [key(0)])
        clock.seconds += 60.5
        assert registry.driver("s") is None
        new = registry.acquire("s", owner("second"), 60)
        assert new.epoch == old.epoch + 1
        assert registry.statuses()[key(0)].state is State.PENDING
        (attempt,) = registry.attempts(key(0))
        assert (attempt.outcome, attempt.ended_at) == ("lost", clock.seconds)
        (claim,) = registry.claim(new, [key(0)])
        assert claim.epoch == 2
        stale = Outcome(trial=key(0), epoch=1, state=State.SUCCEEDED)
        for use in (
            lambda: registry.commit(old, outcomes=[stale], part=part("zombie")),
            lambda: registry.claim(old, [key(1)]),
            lambda: registry.renew(old),
        ):
            with pytest.raises(LeaseLostError, match="some-host drives it now"):
                use()
        registry.release(old)
        assert registry.driver("s") == owner("second")
        assert registry.statuses()[key(0)].state is State.RUNNING
        assert registry.parts() == []

    def test_an_expired_lease_that_nobody_took_goes_on(self, place: Place) -> None:
        clock = MovableClock()
        registry = place.open(clock)
        registry.record(submission("s"), plan_of("s", training(0)))
        lease = registry.acquire("s", owner("late"), 60)
        registry.claim(lease, [key(0)])
        clock.seconds += 3600
        registry.renew(lease)
        done = Outcome(trial=key(0), epoch=1, state=State.SUCCEEDED)
        assert registry.commit(lease, outcomes=[done], part=part("p")) == {key(0)}

    def test_a_clock_set_back_gives_no_negative_duration(self, place: Place) -> None:
        clock = MovableClock()
        registry = place.open(clock)
        registry.record(submission("s"), plan_of("s", training(0)))
        lease = registry.acquire("s", owner("d"), 60)
        registry.claim(lease, [key(0)])
        clock.seconds -= 3600
        registry.commit(lease, outcomes=[Outcome(trial=key(0), epoch=1, state=State.SUCCEEDED)])
        (attempt,) = registry.attempts(key(0))
        assert attempt.ended_at == attempt.started_at

    def test_a_shared_trial_is_left_to_its_live_driver_and_taken_from_a_dead_one(self, place: Place) -> None:
        clock = MovableClock()
        registry = place.open(clock)
        for study in ("one", "two"):
            registry.record(submission(study), plan_of(study, training(0)))
        one = registry.acquire("one", owner("d1"), 60)
        registry.claim(one, [key(0)])
        two = registry.acquire("two", owner("d2"), 600)
        assert registry.statuses()[key(0)].driver == "d1"
        assert registry.claim(two, [key(0)]) == []
        clock.seconds += 61
        (claim,) = registry.claim(two, [key(0)])
        assert claim.epoch == 2
        # Nobody took the first driver's lease, but its trial is gone: the epoch fences it.
        late = Outcome(trial=key(0), epoch=1, state=State.SUCCEEDED)
        saved = Saved(trial=key(0), epoch=1, checkpoint=checkpoint(0, 1))
        assert registry.commit(one, saved=[saved], outcomes=[late], part=part("late")) == frozenset()
        assert registry.checkpoints(key(0)) == []
        registry.release(one)
        assert registry.statuses()[key(0)].state is State.RUNNING

    def test_cancelling_what_a_dead_driver_ran(self, place: Place) -> None:
        clock = MovableClock()
        registry = place.open(clock)
        registry.record(submission("s"), plan_of("s", training(0), training(1)))
        lease = registry.acquire("s", owner("d"), 60)
        registry.claim(lease, [key(0), key(1)])
        assert registry.request_cancel([key(0)]) == 1
        clock.seconds += 61
        assert registry.request_cancel([key(1)]) == 1
        assert registry.statuses()[key(1)].state is State.CANCELLED
        registry.acquire("s", owner("next"), 60)
        assert registry.statuses()[key(0)].state is State.CANCELLED

    def test_a_driver_may_take_its_own_lease_again(self, registry: SqlRegistry) -> None:
        registry.record(submission("s"), plan_of("s", training(0)))
        first = registry.acquire("s", owner("d"), 60)
        registry.claim(first, [key(0)])
        second = registry.acquire("s", owner("d"), 60)
        assert second.epoch == first.epoch + 1
        assert registry.statuses()[key(0)].state is State.RUNNING
        with pytest.raises(LeaseLostError):
            registry.renew(first)


class TestConcurrency:
    def test_each_trial_is_claimed_once(self, place: Place) -> None:
        trials = [training(n) for n in range(60)]
        names = [f"study{n}" for n in range(4)]
        registries = [place.open() for _ in names]
        for study in names:
            registries[0].record(submission(study), plan_of(study, *trials))
        leases = [r.acquire(study, owner(study), 60) for r, study in zip(registries, names, strict=True)]

        def grab(number: int) -> list[TrialKey]:
            taken: list[TrialKey] = []
            for start in range(0, 60, 3):
                wanted = [key(n) for n in range(start, start + 3)]
                taken += [c.trial.key for c in registries[number].claim(leases[number], wanted)]
            return taken

        with ThreadPoolExecutor(len(names)) as pool:
            counted = Counter(k for taken in pool.map(grab, range(len(names))) for k in taken)
        assert counted == Counter(trial.key for trial in trials)
        assert {status.epoch for status in registries[0].statuses().values()} == {1}

    def test_one_of_many_acquires_a_study(self, place: Place) -> None:
        registries = [place.open() for _ in range(6)]

        def attempt(number: int) -> bool:
            try:
                registries[number].acquire("s", owner(str(number)), 60)
            except HeldError:
                return False
            return True

        with ThreadPoolExecutor(6) as pool:
            assert sum(pool.map(attempt, range(6))) == 1

    def test_submitting_at_once_numbers_submissions_without_gap(self, place: Place) -> None:
        plan = plan_of("s", *(training(n) for n in range(20)))
        registries = [place.open() for _ in range(4)]
        with ThreadPoolExecutor(4) as pool:
            made = list(
                pool.map(lambda r: [r.record(submission("s"), plan).number for _ in range(3)], registries)
            )
        assert sorted(n for numbers in made for n in numbers) == list(range(1, 13))
        assert len(registries[0].assignments("s")) == 20


# A driver that claims and commits as fast as it can: bundles of two, one of which is given back now and then.
DRIVER = """
import sys, uuid
sys.path.insert(0, {root!r})
from orchestrator.model.plan import State
from orchestrator.model.result import PartRef
from orchestrator.model.run import Cause, CheckpointRef, Failure, Outcome, Owner, Saved
from orchestrator.registry.registry import open_registry

registry = open_registry(sys.argv[1])
lease = registry.acquire("s", Owner(driver=uuid.uuid4().hex, host="crash", pid=1), 0.5)
keys = list(registry.trials("s"))
number = 0
print("ready", flush=True)
while True:
    waiting = [k for k, s in registry.statuses(keys).items() if s.state is State.PENDING][:2]
    claims = registry.claim(lease, waiting)
    outcomes, saved = [], []
    for claim in claims:
        number += 1
        name = uuid.uuid4().hex
        ref = CheckpointRef(trial=claim.trial.key, path=name, digest=name, serial=claim.epoch, step=1)
        saved.append(Saved(trial=claim.trial.key, epoch=claim.epoch, checkpoint=ref))
        if number % 7 == 0:
            failure = Failure(cause=Cause.LOST, message="")
            state = State.PENDING
        else:
            failure, state = None, State.SUCCEEDED
        outcomes.append(Outcome(trial=claim.trial.key, epoch=claim.epoch, state=state, failure=failure))
    good = [o for o in outcomes if o.state is State.SUCCEEDED]
    part = PartRef(path=uuid.uuid4().hex, sha256="", rows=len(good), size_bytes=1) if good else None
    mirror = [("s", "cell", outcome.trial) for outcome in good]
    registry.commit(lease, saved=saved, outcomes=outcomes, part=part, mirror=mirror)
    registry.renew(lease)
"""


def assert_invariants(registry: SqlRegistry) -> None:
    statuses = registry.statuses()
    results = registry.results(statuses)
    paths = {part.path for part in registry.parts()}
    for trial, status in statuses.items():
        attempts = registry.attempts(trial)
        assert [a.epoch for a in attempts] == list(range(1, status.epoch + 1))
        ended = [a.outcome for a in attempts if a.ended_at is not None]
        open_ = len(attempts) - len(ended)
        assert open_ == (1 if status.state is State.RUNNING else 0)
        assert ended.count("succeeded") == (1 if status.state is State.SUCCEEDED else 0)
        assert (trial in results) == (status.state is State.SUCCEEDED)
        # Checkpoint and outcome of an epoch were one commit; of a lost attempt nothing was recorded.
        recorded = {c.serial for c in registry.checkpoints(trial)}
        committed = [a.epoch for a in attempts if a.outcome == "succeeded" or a.message == ""]
        committed = [e for e in committed if attempts[e - 1].ended_at is not None]
        assert recorded == set(committed[-2:])
    assert set(results.values()) == paths
    assert {item.key for item in registry.outbox(10_000)} == set(results)


@pytest.mark.parametrize("kills", [2, pytest.param(5, marks=pytest.mark.slow)])
def test_a_driver_killed_at_any_moment_leaves_whole_commits(place: Place, kills: int) -> None:
    registry = place.open()
    total = 150
    registry.record(submission("s"), plan_of("s", *(training(n, order=n) for n in range(total))))
    everything = [key(n) for n in range(total)]
    done: set[TrialKey] = set()
    script = DRIVER.format(root=str(ROOT))
    for kill in range(kills):
        process = subprocess.Popen(
            [sys.executable, "-c", script, place.url],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n", process.communicate()[1]
            # Some time into its loop, another one every time, measured by its own progress.
            wanted = min(total, len(done) + 5 + 7 * kill)
            until(lambda wanted=wanted: len(registry.results(everything)) >= wanted)
        finally:
            process.send_signal(signal.SIGKILL)
            process.communicate()
        assert_invariants(registry)
        now = set(registry.results(everything))
        assert done <= now
        done = now
        until(lambda: registry.driver("s") is None)
        lease = registry.acquire("s", Owner(driver=f"check{kill}", host="x", pid=1), 60)
        assert State.RUNNING not in {s.state for s in registry.statuses().values()}
        registry.release(lease)
    assert done


def until(holds: object, *, within_s: float = 60.0) -> None:
    deadline = time.monotonic() + within_s
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def test_an_attempt_that_was_given_back_is_not_charged_to_the_trial(registry: SqlRegistry) -> None:
    registry.record(submission("s"), plan_of("s", training(0)))
    lease = registry.acquire("s", owner("d"), 60)
    registry.claim(lease, [key(0)])
    stop = Failure(cause=Cause.INTERRUPTED, message="asked to stop")
    registry.commit(lease, outcomes=[Outcome(trial=key(0), epoch=1, state=State.PENDING, failure=stop)])
    assert [a.outcome for a in registry.attempts(key(0))] == ["interrupted"]
    assert registry.statuses()[key(0)].cause == "interrupted"

"""Any sequence of what drivers do, crashes, slow drivers and moving clocks among it, against a dict."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from orchestrator.errors import HeldError, LeaseLostError
from orchestrator.model.plan import State, TrialKey
from orchestrator.model.run import Cause, Failure, Lease, Outcome, Saved
from tests.contracts.storage_fixtures import (
    MovableClock,
    Place,
    Server,
    checkpoint,
    key,
    owner,
    part,
    plan_of,
    postgres,
    submission,
    training,
)

__all__ = ["postgres"]

NAMES = ("a", "b", "c")
DRIVERS = st.integers(0, 2)
TRIALS = st.sampled_from(NAMES)
LEASE_S = 60.0
ENDS = (State.SUCCEEDED, State.DIVERGED, State.FAILED, State.PENDING)


@dataclass
class Known:
    """What the model knows of a trial."""

    state: State = State.PENDING
    epoch: int = 0
    asked: bool = False  # to be cancelled
    serials: list[int] = field(default_factory=list)  # of recorded checkpoints, newest first


class Machine(RuleBasedStateMachine):
    """Three drivers over three trials of one study; a driver that crashed comes back as another one."""

    place: Place

    def __init__(self) -> None:
        super().__init__()
        self.clock = MovableClock()
        self.registry = self.place.open(self.clock)
        self.leases: dict[int, Lease] = {}
        self.claims: dict[tuple[int, str], int] = {}
        self.holder: int | None = None
        self.expires = 0.0
        self.known = {name: Known() for name in NAMES}
        self.results = 0
        self.number = 0

    @initialize()
    def submit(self) -> None:
        self.registry.record(submission("s"), plan_of("s", *(training(name) for name in NAMES)))

    def teardown(self) -> None:
        self.registry.close()

    # --- the model ------------------------------------------------------------------------------------

    @property
    def live(self) -> bool:
        return self.holder is not None and self.clock.seconds < self.expires

    def give_back(self) -> None:
        """The running trials' driver is gone, or gave them back."""
        for each in self.known.values():
            if each.state is State.RUNNING:
                each.state = State.CANCELLED if each.asked else State.PENDING
                each.asked = False

    def ours(self, driver: int, name: str) -> bool:
        each = self.known[name]
        return (
            self.holder == driver
            and each.state is State.RUNNING
            and self.claims.get((driver, name)) == each.epoch
        )

    # --- what happens ---------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from((1.0, 20.0, 59.0, 61.0, 3600.0, -30.0)))
    def time_goes_by(self, seconds: float) -> None:
        self.clock.seconds += seconds

    @rule(driver=DRIVERS)
    def acquire(self, driver: int) -> None:
        self.number += 1
        who = owner(f"d{driver}-{self.number}")
        if self.live:
            with pytest.raises(HeldError):
                self.registry.acquire("s", who, LEASE_S)
            return
        self.leases[driver] = self.registry.acquire("s", who, LEASE_S)
        self.holder, self.expires = driver, self.clock.seconds + LEASE_S
        self.give_back()

    @rule(driver=DRIVERS)
    def renew(self, driver: int) -> None:
        if driver not in self.leases:
            return
        if self.holder == driver:
            self.registry.renew(self.leases[driver])
            self.expires = self.clock.seconds + LEASE_S
        else:
            with pytest.raises(LeaseLostError):
                self.registry.renew(self.leases[driver])

    @rule(driver=DRIVERS)
    def release(self, driver: int) -> None:
        if driver not in self.leases:
            return
        self.registry.release(self.leases[driver])  # of a lease that was lost: nothing happens
        if self.holder == driver:
            self.give_back()
            self.holder = None

    @rule(driver=DRIVERS, name=TRIALS)
    def claim(self, driver: int, name: str) -> None:
        if driver not in self.leases:
            return
        lease, each = self.leases[driver], self.known[name]
        if self.holder != driver:
            with pytest.raises(LeaseLostError):
                self.registry.claim(lease, [key(name)])
            return
        if each.state is State.RUNNING and not self.live:  # its own, but nobody vouches for it any more
            each.state = State.CANCELLED if each.asked else State.PENDING
            each.asked = False
        claimed = self.registry.claim(lease, [key(name)])
        if each.state is not State.PENDING:
            assert claimed == []
            return
        each.state, each.epoch = State.RUNNING, each.epoch + 1
        self.claims[driver, name] = each.epoch
        (found,) = claimed
        assert found.epoch == each.epoch
        newest = each.serials[0] if each.serials else None
        assert (found.resume.serial if found.resume else None) == newest

    @rule(driver=DRIVERS, name=TRIALS)
    def save(self, driver: int, name: str) -> None:
        if (driver, name) not in self.claims:
            return
        self.number += 1
        saved = Saved(
            trial=key(name), epoch=self.claims[driver, name], checkpoint=checkpoint(name, self.number)
        )
        if self.holder != driver:
            with pytest.raises(LeaseLostError):
                self.registry.commit(self.leases[driver], saved=[saved])
            return
        self.registry.commit(self.leases[driver], saved=[saved])
        if self.ours(driver, name):
            self.known[name].serials = [self.number, *self.known[name].serials][:2]

    @rule(driver=DRIVERS, name=TRIALS, state=st.sampled_from(ENDS), again=st.booleans())
    def end(self, driver: int, name: str, state: State, again: bool) -> None:
        """An attempt ends; the driver may ask twice, as after a lost reply."""
        if (driver, name) not in self.claims:
            return
        self.number += 1
        failure = None if state.has_result else Failure(cause=Cause.ERROR, message="no")
        outcome = Outcome(trial=key(name), epoch=self.claims[driver, name], state=state, failure=failure)
        where = part(f"p{self.number}") if state.has_result else None
        lease = self.leases[driver]
        if self.holder != driver:
            with pytest.raises(LeaseLostError):
                self.registry.commit(lease, outcomes=[outcome], part=where)
            return
        ours = self.ours(driver, name)
        assert self.registry.commit(lease, outcomes=[outcome], part=where) == ({key(name)} if ours else set())
        if again and where is not None:
            repeated = self.registry.commit(lease, outcomes=[outcome], part=where)
            assert repeated == ({key(name)} if ours else set())
        if ours:
            each = self.known[name]
            each.state = State.CANCELLED if state is State.PENDING and each.asked else state
            each.asked = False

    @rule(name=TRIALS)
    def cancel(self, name: str) -> None:
        each = self.known[name]
        if each.state is State.RUNNING and not self.live:
            each.state = State.CANCELLED if each.asked else State.PENDING
            each.asked = False
        count = self.registry.request_cancel([key(name)])
        assert count == (0 if each.state.final else 1)
        if each.state in (State.PENDING, State.BLOCKED):
            each.state = State.CANCELLED
        elif each.state is State.RUNNING:
            each.asked = True

    @rule(name=TRIALS)
    def try_again(self, name: str) -> None:
        """`orch resume --failed --include-cancelled`."""
        self.registry.requeue([key(name)], [State.FAILED, State.CANCELLED])
        if self.known[name].state in (State.FAILED, State.CANCELLED):
            self.known[name].state = State.PENDING

    @rule()
    def the_process_starts_anew(self) -> None:
        """Nothing that counts is in memory."""
        self.registry.close()
        self.registry = self.place.open(self.clock)

    # --- what always holds ----------------------------------------------------------------------------

    @invariant()
    def the_registry_says_what_the_model_says(self) -> None:
        statuses = self.registry.statuses()
        assert {name: statuses[key(name)].state for name in NAMES if key(name) in statuses} == {
            name: each.state for name, each in self.known.items() if key(name) in statuses
        }
        with_result: set[TrialKey] = set()
        for name, each in self.known.items():
            assert [found.serial for found in self.registry.checkpoints(key(name))] == each.serials
            attempts = self.registry.attempts(key(name))
            assert [attempt.epoch for attempt in attempts] == list(range(1, each.epoch + 1))
            assert sum(not attempt.outcome for attempt in attempts) == (each.state is State.RUNNING)
            if each.state.has_result:
                with_result.add(key(name))
        assert set(self.registry.results([key(name) for name in NAMES])) == with_result
        assert (self.registry.driver("s") is not None) == self.live
        assert self.registry.damage() == []


@pytest.fixture(params=["sqlite", "postgres"])
def machine(request: pytest.FixtureRequest) -> Iterator[type[Machine]]:
    """A machine with a fresh database for each example."""
    server: Server | None = None
    if request.param == "postgres":
        server = request.getfixturevalue("postgres")
        server.drop(server.database())  # it starts here, or the test is not run
    with tempfile.TemporaryDirectory() as folder:
        count = iter(range(10**6))

        class Fresh(Machine):
            def __init__(self) -> None:
                url = f"sqlite:///{Path(folder) / str(next(count)) / 'registry.db'}"
                self.place = Place(server.database() if server is not None else url)
                super().__init__()

            def teardown(self) -> None:
                super().teardown()
                for opened in self.place.opened:
                    opened.close()
                if server is not None:
                    server.drop(self.place.url)

        yield Fresh


@pytest.mark.slow
def test_any_sequence_leaves_what_the_model_has(machine: type[Machine]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=25,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )

"""Any sequence of what drivers do, crashes, slow drivers and moving clocks among it, against a dict."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

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

NAMES = ("a", "b")
DRIVERS = st.integers(0, 2)
TRIALS = st.sampled_from(NAMES)
LEASE_S = 60.0
EVENTS = (
    *("acquire", "acquire", "renew", "release", "time_goes_by", "the_process_starts_anew"),
    *("claim", "claim", "claim", "save", "end", "end", "lose_a_worker", "cancel", "try_again"),
)
Draw = Callable[[Any], Any]
ENDS = (State.SUCCEEDED, State.DIVERGED, State.FAILED, State.PENDING)


@dataclass
class Known:
    """What the model knows of a trial."""

    state: State = State.PENDING
    epoch: int = 0
    asked: bool = False  # to be cancelled
    serials: list[int] = field(default_factory=list)  # of recorded checkpoints, newest first


class Machine(RuleBasedStateMachine):
    """Three drivers over two trials of one study; a driver that crashed comes back as another one."""

    place: Place

    def __init__(self) -> None:
        super().__init__()
        self.clock = MovableClock()
        self.registry = self.place.open(self.clock)
        self.leases: dict[int, Lease] = {}
        self.claims: dict[tuple[int, str], list[int]] = {}  # epochs, newest last
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

    def ours(self, driver: int, name: str, epoch: int) -> bool:
        each = self.known[name]
        mine = epoch in self.claims[driver, name]
        return self.holder == driver and each.state is State.RUNNING and mine and epoch == each.epoch

    def a_claim(self, draw: Draw) -> tuple[int, str, int]:
        """Returns driver, trial and epoch of a claim: the newest, or what a worker given up still has."""
        driver, name = draw(st.sampled_from(sorted(self.claims)))
        return driver, name, draw(st.sampled_from(self.claims[driver, name][-2:]))

    # --- what happens ---------------------------------------------------------------------------------

    @rule(data=st.data(), what=st.sampled_from(EVENTS))
    def something_happens(self, data: st.DataObject, what: str) -> None:
        """One rule for all: of many, Hypothesis would leave most out of an example."""
        getattr(self, what)(data.draw)

    def time_goes_by(self, draw: Draw) -> None:
        self.clock.seconds += draw(st.sampled_from((1.0, 20.0, 59.0, 61.0, 3600.0, -30.0)))

    def acquire(self, draw: Draw) -> None:
        driver = draw(DRIVERS)
        self.number += 1
        who = owner(f"d{driver}-{self.number}")
        if self.live:
            with pytest.raises(HeldError):
                self.registry.acquire("s", who, LEASE_S)
            return
        self.leases[driver] = self.registry.acquire("s", who, LEASE_S)
        self.holder, self.expires = driver, self.clock.seconds + LEASE_S
        self.give_back()

    def renew(self, draw: Draw) -> None:
        if not self.leases:
            return
        driver = draw(st.sampled_from(sorted(self.leases)))
        if self.holder == driver:
            self.registry.renew(self.leases[driver])
            self.expires = self.clock.seconds + LEASE_S
        else:
            with pytest.raises(LeaseLostError):
                self.registry.renew(self.leases[driver])

    def release(self, draw: Draw) -> None:
        if not self.leases:
            return
        driver = draw(st.sampled_from(sorted(self.leases)))
        self.registry.release(self.leases[driver])  # of a lease that was lost: nothing happens
        if self.holder == driver:
            self.give_back()
            self.holder = None

    def claim(self, draw: Draw) -> None:
        if not self.leases:
            return
        # mostly who holds the lease
        who = [*sorted(self.leases), *([self.holder] * 3 if self.holder is not None else [])]
        self.try_to_claim(draw(st.sampled_from(who)), draw(TRIALS))

    def try_to_claim(self, driver: int, name: str) -> None:
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
        self.claims.setdefault((driver, name), []).append(each.epoch)
        (found,) = claimed
        assert found.epoch == each.epoch
        newest = each.serials[0] if each.serials else None
        assert (found.resume.serial if found.resume else None) == newest

    def save(self, draw: Draw) -> None:
        if not self.claims:
            return
        driver, name, epoch = self.a_claim(draw)
        self.number += 1
        saved = Saved(trial=key(name), epoch=epoch, checkpoint=checkpoint(name, self.number))
        if self.holder != driver:
            with pytest.raises(LeaseLostError):
                self.registry.commit(self.leases[driver], saved=[saved])
            return
        self.registry.commit(self.leases[driver], saved=[saved])
        if self.ours(driver, name, epoch):
            self.known[name].serials = [self.number, *self.known[name].serials][:2]

    def end(self, draw: Draw) -> None:
        """An attempt ends; the driver may ask twice, as after a lost reply."""
        if self.claims:
            self.try_to_end(*self.a_claim(draw), draw(st.sampled_from(ENDS)), draw(st.booleans()))

    def lose_a_worker(self, draw: Draw) -> None:
        """Its trial is tried again at once, by the same driver; what the worker still sends comes late."""
        running = self.running_here()
        if self.holder is None or not running:
            return
        name = draw(st.sampled_from(running))
        self.try_to_end(self.holder, name, self.known[name].epoch, State.PENDING, again=False)
        self.try_to_claim(self.holder, name)

    def running_here(self) -> list[str]:
        return [
            name
            for name, each in self.known.items()
            if self.holder is not None
            and (self.holder, name) in self.claims
            and self.ours(self.holder, name, each.epoch)
        ]

    def try_to_end(self, driver: int, name: str, epoch: int, state: State, again: bool) -> None:
        self.number += 1
        failure = None if state.has_result else Failure(cause=Cause.ERROR, message="no")
        outcome = Outcome(trial=key(name), epoch=epoch, state=state, failure=failure)
        where = part(f"p{self.number}") if state.has_result else None
        lease = self.leases[driver]
        if self.holder != driver:
            with pytest.raises(LeaseLostError):
                self.registry.commit(lease, outcomes=[outcome], part=where)
            return
        ours = self.ours(driver, name, epoch)
        assert self.registry.commit(lease, outcomes=[outcome], part=where) == ({key(name)} if ours else set())
        if again and where is not None:
            repeated = self.registry.commit(lease, outcomes=[outcome], part=where)
            assert repeated == ({key(name)} if ours else set())
        if ours:
            each = self.known[name]
            each.state = State.CANCELLED if state is State.PENDING and each.asked else state
            each.asked = False

    def cancel(self, draw: Draw) -> None:
        name = draw(TRIALS)
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

    def try_again(self, draw: Draw) -> None:
        """`orch resume --failed --include-cancelled`."""
        name = draw(TRIALS)
        self.registry.requeue([key(name)], [State.FAILED, State.CANCELLED])
        if self.known[name].state in (State.FAILED, State.CANCELLED):
            self.known[name].state = State.PENDING

    def the_process_starts_anew(self, draw: Draw) -> None:
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


@pytest.mark.parametrize("examples", [4, pytest.param(40, marks=pytest.mark.slow)])
def test_any_sequence_leaves_what_the_model_has(machine: type[Machine], examples: int) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )

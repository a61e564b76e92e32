"""What every registry does: plans, claims, commits, results, checkpoints, outbox."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from orchestrator.errors import LeaseLostError, NotFoundError
from orchestrator.model.plan import Resources, State
from orchestrator.model.run import Cause, Failure, Lease, Outcome, Saved, Started
from orchestrator.registry.registry import SqlRegistry
from tests.contracts.storage_fixtures import (
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


def succeed(registry: SqlRegistry, lease: Lease, name: object, where: str) -> None:
    (claim,) = registry.claim(lease, [key(name)])
    done = Outcome(trial=key(name), epoch=claim.epoch, state=State.SUCCEEDED)
    assert registry.commit(lease, outcomes=[done], part=part(where)) == {key(name)}


class TestPlans:
    def test_what_was_recorded_comes_back(self, registry: SqlRegistry) -> None:
        trials = [
            training("a", order=2, resources=Resources(cpu=2, gpu=0.5, memory_gb=4), group="g"),
            training("b", order=0),
            evaluation("e", "b", "a", gathers=True, draw=3, order=1, label="members of b, a"),
        ]
        plan = plan_of("s", *trials)
        recorded = registry.record(submission("s"), plan)
        assert recorded == replace(submission("s"), number=1, id="s-1")
        assert list(registry.trials("s").items()) == [(t.key, t) for t in (trials[1], trials[2], trials[0])]
        assert registry.assignments("s") == plan.assignments
        assert [list(a.labels) for a in registry.assignments("s")] == [["z", "a", "–"]] * 3
        assert registry.submissions("s") == [recorded]
        assert {status.state for status in registry.statuses().values()} == {State.PENDING}

    def test_recording_again_changes_nothing_but_the_number(self, registry: SqlRegistry) -> None:
        plan = plan_of("s", training("a"), evaluation("e", "a"))
        registry.record(submission("s"), plan)
        before = (registry.trials("s"), registry.assignments("s"), registry.statuses())
        assert registry.record(submission("s"), plan).id == "s-2"
        assert (registry.trials("s"), registry.assignments("s"), registry.statuses()) == before
        assert [s.number for s in registry.submissions("s")] == [1, 2]

    def test_studies_are_listed_by_name_with_their_latest_submission(self, registry: SqlRegistry) -> None:
        for study in ("b", "a", "B", "b"):
            registry.record(submission(study), plan_of(study, training(1)))
        assert [s.id for s in registry.studies()] == ["B-1", "a-1", "b-2"]
        assert registry.submissions("nobody") == []
        assert registry.trials("nobody") == {}
        assert not registry.keys("nobody")

    def test_a_new_plan_replaces_assignments_and_takes_over_order_and_resources(
        self, registry: SqlRegistry
    ) -> None:
        registry.record(submission("s"), plan_of("s", training("a"), training("b")))
        changed = training("b", order=7, resources=Resources(gpu=1), group="x", label="renamed")
        registry.record(submission("s"), plan_of("s", changed, training("c", order=9)))
        assert list(registry.trials("s").values()) == [changed, training("c", order=9)]
        assert set(registry.statuses()) == {key("a"), key("b"), key("c")}  # nothing computed is forgotten

    def test_how_long_trials_took_comes_newest_first(self, registry: SqlRegistry) -> None:
        registry.record(submission("s"), plan_of("s", training("a"), training("b"), evaluation("e", "a")))
        lease = registry.acquire("s", owner("d1"), 60)
        for name, seconds in (("a", 3.0), ("e", 0.5), ("b", 0.0)):
            (claim,) = registry.claim(lease, [key(name)])
            held = {"host": "h", "workload": {"memory_mb": 640}} if name == "a" else {}
            done = Outcome(
                trial=key(name),
                epoch=claim.epoch,
                state=State.SUCCEEDED,
                duration_s=seconds,
                provenance=held,
            )
            registry.commit(lease, outcomes=[done])
        trials = registry.trials("s")
        found = {(each.stage, each.seconds): each for each in registry.past()}
        assert set(found) == {("train", 3.0), ("evaluate", 0.5)}  # what took no time at all tells nothing
        assert found["train", 3.0].config == trials[key("a")].config
        trained, measured = found["train", 3.0], found["evaluate", 0.5]
        assert (trained.host, trained.memory_mb, trained.device_memory_mb) == ("h", 640, 0)
        assert (measured.host, measured.memory_mb) == ("", 0)
        assert (measured.config, measured.family) == (trials[key("a")].config, trials[key("e")].family)
        assert len(registry.past(1)) == 1

    def test_what_a_study_spent_is_its_own_attempts(self, registry: SqlRegistry) -> None:
        half = Resources(cpu=4, gpu=0.5)
        registry.record(submission("s"), plan_of("s", training("a"), training("b", resources=half)))
        registry.record(submission("t"), plan_of("t", training("a"), training("c")))
        for study, name, seconds in (("s", "a", 3.0), ("s", "b", 8.0), ("t", "c", 5.0)):
            lease = registry.acquire(study, owner(f"d{name}"), 60)
            (claim,) = registry.claim(lease, [key(name)])
            done = Outcome(
                trial=key(name),
                epoch=claim.epoch,
                state=State.SUCCEEDED,
                duration_s=seconds,
                provenance={"submission": f"{study}-1"},
                checkpoint=checkpoint(name, claim.epoch),
            )
            registry.commit(lease, outcomes=[done], part=part(f"p{name}"))
            registry.release(lease)
        size = checkpoint("a", 1).size_bytes + part("pa").size_bytes
        assert registry.spent("s") == (3.0 + 0.5 * 8.0, 2 * size)  # of a GPU where one is held
        assert registry.spent("t") == (5.0, 2 * size)  # what the other trained costs its disk alone
        assert registry.spent("nobody") == (0.0, 0)

    def test_the_pulse_tells_of_every_change(self, registry: SqlRegistry) -> None:
        assert registry.pulse("s").submitted == 0
        registry.record(submission("s"), plan_of("s", training("a"), training("b", order=1)))
        registry.record(submission("t"), plan_of("t", training("a")))
        marks = [registry.pulse("s").mark]
        whole = [registry.pulse().mark]
        assert registry.pulse("s").counts == {State.PENDING: 2}
        assert registry.pulse("t").counts == {State.PENDING: 1}

        def changed() -> None:
            marks.append(registry.pulse("s").mark)
            whole.append(registry.pulse().mark)

        lease = registry.acquire("s", owner("d"), 60)
        changed()
        (claim,) = registry.claim(lease, [key("a")])
        changed()
        again = Outcome(trial=key("a"), epoch=claim.epoch, state=State.PENDING)
        registry.commit(lease, outcomes=[again])
        changed()
        succeed(registry, lease, "a", "p1")
        changed()
        registry.request_cancel([key("b")])
        changed()
        registry.record(submission("s"), plan_of("s", training("a"), training("b"), training("c")))
        changed()
        registry.release(lease)
        changed()
        assert len(set(marks)) == len(set(whole)) == 8
        assert registry.pulse("s").mark == marks[-1]  # nothing happened since
        assert registry.pulse("s").submitted == 2
        assert registry.pulse("s").planned != registry.pulse("t").planned

    def test_what_ended_lately_tells_the_pace(self, registry: SqlRegistry) -> None:
        registry.record(submission("s"), plan_of("s", training("a"), training("b"), evaluation("e", "a")))
        lease = registry.acquire("s", owner("d"), 60)
        for name, state in (("a", State.SUCCEEDED), ("b", State.FAILED), ("e", State.SUCCEEDED)):
            (claim,) = registry.claim(lease, [key(name)])
            done = Outcome(trial=key(name), epoch=claim.epoch, state=state, duration_s=2.5)
            registry.commit(lease, outcomes=[done], part=part(f"p{name}") if state.has_result else None)
        found = registry.ended("s")
        assert [(each.stage, each.seconds) for each in found] == [("evaluate", 2.5), ("train", 2.5)]
        assert all(each.ended_at >= each.started_at > 0 for each in found)
        assert len(registry.ended("s", limit=1)) == 1
        assert registry.ended("nobody") == []

    def test_trials_are_described_by_their_keys(self, registry: SqlRegistry) -> None:
        trials = [training("b", order=2), training("a", order=1), evaluation("e", "a", order=3)]
        registry.record(submission("s"), plan_of("s", *trials))
        found = registry.described([key("e"), key("a"), key("nobody")])
        assert list(found.values()) == [trials[1], trials[2]]

    def test_a_driven_plan_grows(self, registry: SqlRegistry) -> None:
        whole = plan_of("s", training("a"), training("b", order=1), evaluation("e", "b", order=2))
        first = plan_of("s", training("a"))
        registry.record(submission("s"), first)
        lease = registry.acquire("s", owner("d1"), 60)
        succeed(registry, lease, "a", "p1")
        new = {each: whole.trials[each] for each in (key("b"), key("e"))}
        for _ in range(2):  # who does not know whether it was recorded says it again
            registry.extend(lease, new, whole.assignments[1:])
            assert registry.assignments("s") == whole.assignments
            assert registry.trials("s") == whole.trials
        assert registry.statuses([key("a")])[key("a")].state is State.SUCCEEDED
        assert registry.statuses([key("b")])[key("b")].state is State.PENDING
        assert [each.number for each in registry.submissions("s")] == [1]

    def test_who_lost_the_study_cannot_let_it_grow(self, registry: SqlRegistry) -> None:
        registry.record(submission("s"), plan_of("s", training("a")))
        lease = registry.acquire("s", owner("d1"), 60)
        whole = plan_of("s", training("a"), training("b"))
        with pytest.raises(LeaseLostError):
            registry.extend(replace(lease, epoch=lease.epoch + 1), whole.trials, whole.assignments)
        assert set(registry.trials("s")) == {key("a")}

    def test_two_studies_share_a_trial(self, registry: SqlRegistry) -> None:
        registry.record(submission("one"), plan_of("one", training("a")))
        lease = registry.acquire("one", owner("d1"), 60)
        succeed(registry, lease, "a", "p1")
        registry.record(submission("two"), plan_of("two", training("a"), training("b")))
        assert registry.statuses([key("a")])[key("a")].state is State.SUCCEEDED
        assert {a.study for a in registry.assigned([key("a")])} == {"one", "two"}
        assert {a.study for a in registry.assigned([key("b")])} == {"two"}
        assert registry.claim(registry.acquire("two", owner("d2"), 60), [key("a")]) == []

    def test_parents_belong_to_a_study_though_unassigned(self, registry: SqlRegistry) -> None:
        plan = plan_of("s", training("root"), evaluation("mid", "root"), evaluation("leaf", "mid"))
        registry.record(submission("s"), replace(plan, assignments=plan.assignments[2:]))
        assert set(registry.trials("s")) == {key("root"), key("mid"), key("leaf")}
        assert set(registry.keys("s")) == {key("root"), key("mid"), key("leaf")}

    @pytest.mark.parametrize("state", [State.FAILED, State.BLOCKED, State.CANCELLED, State.SUCCEEDED])
    def test_submitting_again_reopens_what_has_no_result(self, registry: SqlRegistry, state: State) -> None:
        plan = plan_of("s", training("a"))
        registry.record(submission("s"), plan)
        lease = registry.acquire("s", owner("d"), 60)
        failure = None if state.has_result else Failure(cause=Cause.ERROR, message="no")
        if state is State.BLOCKED:
            outcome = Outcome(trial=key("a"), epoch=None, state=state, blocked_by=key("x"))
        else:
            (claim,) = registry.claim(lease, [key("a")])
            outcome = Outcome(trial=key("a"), epoch=claim.epoch, state=state, failure=failure)
        assert registry.commit(lease, outcomes=[outcome], part=part("p") if state.has_result else None)
        assert registry.statuses()[key("a")].state is state
        registry.record(submission("s"), plan)
        after = registry.statuses()[key("a")]
        assert after.state is (state if state.has_result else State.PENDING)
        assert (after.cause, after.message, after.blocked_by) == ("", "", None)

    def test_only_wanted_trials_are_tried_again(self, registry: SqlRegistry) -> None:
        plan = plan_of("s", training("a"), training("b"))
        registry.record(submission("s"), plan)
        lease = registry.acquire("s", owner("d"), 60)
        for claim in registry.claim(lease, [key("a"), key("b")]):
            outcome = Outcome(trial=claim.trial.key, epoch=claim.epoch, state=State.FAILED)
            assert registry.commit(lease, outcomes=[outcome], part=None)
        registry.record(submission("s"), plan, wanted=[key("b")])
        assert registry.statuses()[key("a")].state is State.FAILED
        assert registry.statuses()[key("b")].state is State.PENDING

    def test_rerun_forgets_a_result_but_not_the_attempts(self, registry: SqlRegistry) -> None:
        plan = plan_of("s", training("a"), training("b"))
        registry.record(submission("s"), plan)
        lease = registry.acquire("s", owner("d"), 60)
        succeed(registry, lease, "a", "p1")
        succeed(registry, lease, "b", "p2")
        registry.record(submission("s"), plan, rerun=[key("a")])
        assert registry.statuses()[key("a")].state is State.PENDING
        assert registry.results([key("a"), key("b")]) == {key("b"): part("p2").path}
        assert len(registry.attempts(key("a"))) == 1
        succeed(registry, lease, "a", "p3")
        assert registry.results([key("a")]) == {key("a"): part("p3").path}

    def test_find_by_prefix_takes_it_literally(self, registry: SqlRegistry) -> None:
        registry.record(submission("s"), plan_of("s", *(training(n) for n in range(300))))
        keys = sorted(key(n) for n in range(300))
        assert registry.find(keys[5]) == [keys[5]]
        wanted = [k for k in keys if k.startswith("a")][:10]
        assert registry.find("a") == wanted
        assert registry.find("%") == registry.find("_") == registry.find("zz") == []

    def test_a_plan_is_recorded_whole_or_not_at_all(self, registry: SqlRegistry) -> None:
        orphan = plan_of("s", training("a"), evaluation("e", "not planned"))
        with pytest.raises(Exception, match=r"FOREIGN KEY|foreign key"):
            registry.record(submission("s"), orphan)
        assert registry.studies() == []
        assert registry.statuses() == {}


class TestClaimsAndCommits:
    @pytest.fixture
    def lease(self, registry: SqlRegistry) -> Lease:
        registry.record(submission("s"), plan_of("s", *(training(n, order=n) for n in range(4))))
        return registry.acquire("s", owner("d"), 60)

    def test_a_claim_raises_the_epoch_and_names_the_newest_checkpoint(
        self, registry: SqlRegistry, lease: Lease
    ) -> None:
        first, second = registry.claim(lease, [key(1), key(0)])
        assert (first.trial, first.epoch, first.resume) == (training(1, order=1), 1, None)
        assert second.trial.key == key(0)
        assert registry.claim(lease, [key(1), key("unknown")]) == []
        status = registry.statuses([key(1)])[key(1)]
        assert (status.state, status.epoch, status.driver) == (State.RUNNING, 1, "d")
        saved = [Saved(trial=key(1), epoch=1, checkpoint=checkpoint(1, n)) for n in (1, 3, 2)]
        back = Outcome(
            trial=key(1), epoch=1, state=State.PENDING, failure=Failure(cause=Cause.LOST, message="gone")
        )
        assert registry.commit(lease, saved=saved, outcomes=[back]) == {key(1)}
        assert registry.checkpoints(key(1)) == [checkpoint(1, 3), checkpoint(1, 2)]
        (again,) = registry.claim(lease, [key(1)])
        assert (again.epoch, again.resume) == (2, checkpoint(1, 3))
        registry.drop_checkpoint(checkpoint(1, 3))
        assert registry.checkpoint(key(1)) == checkpoint(1, 2)
        assert [a.outcome for a in registry.attempts(key(1))] == ["lost", ""]

    def test_a_commit_records_all_it_is_given(self, registry: SqlRegistry, lease: Lease) -> None:
        registry.claim(lease, [key(0), key(1), key(2)])
        trouble = Failure(cause=Cause.ERROR, message="bad \0 \ud800 text", traceback="T" * 200_000 + "end")
        accepted = registry.commit(
            lease,
            started=[Started(trial=key(0), epoch=1, worker={"host": "h", "pid": 7})],
            outcomes=[
                Outcome(
                    trial=key(0),
                    epoch=1,
                    state=State.DIVERGED,
                    checkpoint=checkpoint(0, 4),
                    provenance={"code": "c0de", "commit": "g1t", "torch": "2"},
                ),
                Outcome(trial=key(1), epoch=1, state=State.FAILED, failure=trouble),
                Outcome(trial=key(3), epoch=None, state=State.BLOCKED, blocked_by=key(1)),
            ],
            part=part("p", rows=9),
        )
        assert accepted == {key(0), key(1), key(3)}
        statuses = registry.statuses()
        assert [statuses[key(n)].state for n in range(4)] == ["diverged", "failed", "running", "blocked"]
        assert (statuses[key(0)].code, statuses[key(0)].commit) == ("c0de", "g1t")
        assert statuses[key(1)].cause == "error"
        assert "bad" in statuses[key(1)].message
        assert statuses[key(3)].blocked_by == key(1)
        assert registry.checkpoint(key(0)) == checkpoint(0, 4)
        assert registry.parts() == registry.parts([key(0)]) == [part("p", rows=9)]
        assert registry.parts([key(1)]) == []
        assert registry.results(statuses) == {key(0): part("p").path}
        (attempt,) = registry.attempts(key(0))
        assert (attempt.epoch, attempt.outcome, dict(attempt.worker)) == (
            1,
            "diverged",
            {"host": "h", "pid": 7},
        )
        assert attempt.provenance["torch"] == "2"
        assert attempt.ended_at is not None
        assert attempt.ended_at >= attempt.started_at > 1_600_000_000
        assert registry.attempts(key(1))[0].traceback.endswith("end")

    def test_what_is_over_is_not_changed_by_late_news(self, registry: SqlRegistry, lease: Lease) -> None:
        registry.claim(lease, [key(0)])
        lost = Failure(cause=Cause.LOST, message="no answer")
        registry.commit(lease, outcomes=[Outcome(trial=key(0), epoch=1, state=State.PENDING, failure=lost)])
        registry.claim(lease, [key(0)])
        late = Outcome(trial=key(0), epoch=1, state=State.SUCCEEDED, checkpoint=checkpoint(0, 8))
        accepted = registry.commit(
            lease,
            started=[Started(trial=key(0), epoch=1, worker={"late": 1})],
            saved=[Saved(trial=key(0), epoch=1, checkpoint=checkpoint(0, 9))],
            outcomes=[late],
            part=part("late"),
        )
        assert accepted == frozenset()
        assert registry.statuses()[key(0)].state is State.RUNNING
        assert registry.checkpoints(key(0)) == []
        assert registry.results([key(0)]) == {}
        assert registry.parts() == [part("late")]  # listed; no trial points to it
        assert [a.outcome for a in registry.attempts(key(0))] == ["lost", ""]
        now = Outcome(trial=key(0), epoch=2, state=State.SUCCEEDED)
        assert registry.commit(lease, outcomes=[now], part=part("now")) == {key(0)}
        assert registry.results([key(0)]) == {key(0): part("now").path}

    def test_the_same_commit_again_is_accepted_and_changes_nothing(
        self, registry: SqlRegistry, lease: Lease
    ) -> None:
        registry.claim(lease, [key(0)])
        done = Outcome(trial=key(0), epoch=1, state=State.SUCCEEDED, checkpoint=checkpoint(0, 1))
        for _ in range(2):
            assert registry.commit(lease, outcomes=[done], part=part("p")) == {key(0)}
        assert registry.parts() == [part("p")]
        assert len(registry.attempts(key(0))) == 1
        # Another part is another commit: it comes too late.
        assert registry.commit(lease, outcomes=[done], part=part("q")) == frozenset()
        assert registry.results([key(0)]) == {key(0): part("p").path}

    def test_a_parent_is_made_again(self, registry: SqlRegistry, lease: Lease) -> None:
        succeed(registry, lease, 0, "p")
        again = Outcome(trial=key(0), epoch=None, state=State.PENDING)
        assert registry.commit(lease, outcomes=[again]) == {key(0)}
        assert registry.results([key(0)]) == {}
        (claim,) = registry.claim(lease, [key(0)])
        assert claim.epoch == 2
        # A running trial is not changed from outside.
        blocked = Outcome(trial=key(0), epoch=None, state=State.BLOCKED, blocked_by=key(1))
        assert registry.commit(lease, outcomes=[again, blocked]) == frozenset()

    def test_nothing_is_recorded_without_the_lease(self, registry: SqlRegistry, lease: Lease) -> None:
        registry.claim(lease, [key(0)])
        registry.release(lease)
        assert registry.statuses()[key(0)].state is State.PENDING
        assert registry.attempts(key(0))[0].outcome == "interrupted"
        done = Outcome(trial=key(0), epoch=1, state=State.SUCCEEDED)
        for use in (
            lambda: registry.commit(lease, outcomes=[done], part=part("p"), mirror=[("s", "cell", "k")]),
            lambda: registry.claim(lease, [key(1)]),
            lambda: registry.renew(lease),
        ):
            with pytest.raises(LeaseLostError, match="'s'"):
                use()
        assert registry.parts() == []
        assert registry.outbox() == []
        registry.release(lease)  # twice is once

    def test_cancel_in_each_state(self, registry: SqlRegistry, lease: Lease) -> None:
        succeed(registry, lease, 0, "p")
        registry.claim(lease, [key(1)])
        blocked = Outcome(trial=key(2), epoch=None, state=State.BLOCKED, blocked_by=key(1))
        registry.commit(lease, outcomes=[blocked])
        assert registry.request_cancel([key(n) for n in range(4)]) == 2
        states = [registry.statuses()[key(n)].state for n in range(4)]
        assert states == ["succeeded", "running", "cancelled", "cancelled"]
        assert registry.cancel_requests(lease) == {key(1)}
        stopped = Failure(cause=Cause.CANCELLED, message="asked")
        registry.commit(
            lease, outcomes=[Outcome(trial=key(1), epoch=1, state=State.CANCELLED, failure=stopped)]
        )
        assert registry.cancel_requests(lease) == frozenset()
        assert registry.statuses()[key(1)].state is State.CANCELLED
        assert registry.request_cancel([key(1)]) == 0

    @pytest.mark.parametrize("end", ["release", "worker lost"])
    def test_a_cancelled_trial_is_not_tried_again(
        self, registry: SqlRegistry, lease: Lease, end: str
    ) -> None:
        registry.claim(lease, [key(1)])
        registry.request_cancel([key(1)])
        if end == "release":
            registry.release(lease)
        else:
            lost = Failure(cause=Cause.LOST, message="gone")
            retry = Outcome(trial=key(1), epoch=1, state=State.PENDING, failure=lost)
            assert registry.commit(lease, outcomes=[retry]) == {key(1)}
            assert registry.claim(lease, [key(1)]) == []
        assert registry.statuses()[key(1)].state is State.CANCELLED

    def test_requeue_reopens_the_states_it_is_given_and_what_they_blocked(
        self, registry: SqlRegistry, lease: Lease
    ) -> None:
        plan = plan_of("s", *(training(n) for n in ("f", "c", "ok")), evaluation("e", "f"))
        registry.record(submission("s"), plan)
        (claim,) = registry.claim(lease, [key("f")])
        failed = Outcome(trial=key("f"), epoch=claim.epoch, state=State.FAILED)
        blocked = Outcome(trial=key("e"), epoch=None, state=State.BLOCKED, blocked_by=key("f"))
        registry.commit(lease, outcomes=[failed, blocked])
        registry.request_cancel([key("c")])
        succeed(registry, lease, "ok", "p")
        everything = list(plan.trials)
        registry.requeue(everything, {State.CANCELLED})
        states = {k: status.state for k, status in registry.statuses().items()}
        assert states[key("c")] is State.PENDING
        assert (states[key("f")], states[key("ok")]) == (State.FAILED, State.SUCCEEDED)
        registry.requeue(everything, {State.FAILED})
        states = {k: status.state for k, status in registry.statuses().items()}
        assert (states[key("f")], states[key("e")]) == (State.PENDING, State.PENDING)
        assert states[key("ok")] is State.SUCCEEDED

    def test_compaction_moves_trials_to_the_new_part(self, registry: SqlRegistry, lease: Lease) -> None:
        for n in range(3):
            succeed(registry, lease, n, f"p{n}")
        registry.replace_parts([part("p0"), part("p1")], part("joined", rows=2))
        assert {p.path for p in registry.parts()} == {part("p2").path, part("joined").path}
        assert registry.results([key(0), key(1), key(2)]) == {
            key(0): part("joined").path,
            key(1): part("joined").path,
            key(2): part("p2").path,
        }
        registry.replace_parts([part("p0"), part("p1")], part("joined", rows=2))  # the reply was lost
        with pytest.raises(NotFoundError, match="not listed any more"):
            registry.replace_parts([part("p0"), part("p2")], part("other"))
        assert {p.path for p in registry.parts()} == {part("p2").path, part("joined").path}


class TestOutbox:
    def test_items_wait_once_in_order_until_shown(self, registry: SqlRegistry) -> None:
        registry.record(submission("s"), plan_of("s", training("a")))
        lease = registry.acquire("s", owner("d"), 60)
        first, second = ("s", "submission", "s-1"), ("s", "cell", "k")
        registry.commit(lease, mirror=[first, second, first])
        registry.commit(lease, mirror=[second])
        items = registry.outbox()
        assert [(i.study, i.kind, i.key) for i in items] == [first, second]
        assert items[0].id < items[1].id
        assert registry.outbox(limit=1) == items[:1]
        registry.mirrored(items[:1], {("s", "s-1"): "run1"})
        assert registry.outbox() == items[1:]
        registry.mirrored(items, {("s", "s-1"): "run1", ("s", "k"): "run2"})
        assert registry.outbox() == []
        assert registry.mirror_ids("s") == {"s-1": "run1", "k": "run2"}
        assert registry.mirror_ids("t") == {}
        registry.commit(lease, mirror=[first])
        assert registry.outbox()[0].id > items[1].id

    def test_a_change_while_an_item_is_being_shown_is_not_lost(self, registry: SqlRegistry) -> None:
        registry.record(submission("s"), plan_of("s", training("a")))
        lease = registry.acquire("s", owner("d"), 60)
        item = ("s", "cell", "k")
        registry.commit(lease, mirror=[item])
        read = registry.outbox()
        registry.commit(lease, mirror=[item])
        registry.mirrored(read, {})
        assert [(i.study, i.kind, i.key) for i in registry.outbox()] == [item]


class TestWhatTablesAreMadeFrom:
    def test_a_snapshot_holds_what_a_study_planned_and_its_results(self, registry: SqlRegistry) -> None:
        trials = [training("a"), training("b"), evaluation("e", "a"), training("other")]
        registry.record(submission("s"), plan_of("s", *trials[:3]))
        registry.record(submission("t"), plan_of("t", trials[3]))
        lease = registry.acquire("s", owner("d"), 60)
        succeed(registry, lease, "a", "p1")
        succeed(registry, registry.acquire("t", owner("o"), 60), "other", "p2")
        blocked = Outcome(trial=key("e"), epoch=None, state=State.BLOCKED, blocked_by=key("other"))
        registry.commit(lease, outcomes=[blocked])
        found = registry.snapshot("s")
        assert found.assignments == registry.assignments("s")
        keys = [key(name) for name in ("a", "b", "e", "other")]
        assert found.statuses == registry.statuses(keys)  # the blocker of another study is told
        assert (found.parts, found.results) == ([part("p1")], {key("a"): part("p1").path})

    def test_a_snapshot_of_nothing_is_empty(self, registry: SqlRegistry) -> None:
        found = registry.snapshot("nobody")
        assert (found.assignments, found.statuses, found.parts, found.results) == ([], {}, [], {})

    def test_a_snapshot_lists_every_part_it_names_while_parts_are_joined(self, place: Place) -> None:
        registry, other = place.open(), place.open()
        registry.record(submission("s"), plan_of("s", training("a"), training("b")))
        lease = registry.acquire("s", owner("d"), 60)
        succeed(registry, lease, "a", "p0")
        succeed(registry, lease, "b", "p0")

        def join() -> None:
            for number in range(60):
                other.replace_parts([part(f"p{number}")], part(f"p{number + 1}"))

        with ThreadPoolExecutor(1) as pool:
            joining = pool.submit(join)
            while True:
                last = joining.done()
                found = registry.snapshot("s")
                assert set(found.results) == {key("a"), key("b")}
                assert set(found.results.values()) == {each.path for each in found.parts}
                if last:
                    break
            joining.result()

    def test_counts_are_by_study_stage_and_state_and_include_parents(self, registry: SqlRegistry) -> None:
        registry.record(submission("s"), plan_of("s", training("a"), training("b"), evaluation("e", "a")))
        registry.record(submission("t"), plan_of("t", evaluation("e", "a")))
        succeed(registry, registry.acquire("s", owner("d"), 60), "a", "p")
        both = {("train", State.SUCCEEDED): 1, ("evaluate", State.PENDING): 1}
        assert registry.counts() == {"s": {**both, ("train", State.PENDING): 1}, "t": both}
        assert registry.counts("t") == {"t": both}
        assert registry.counts("nobody") == {}

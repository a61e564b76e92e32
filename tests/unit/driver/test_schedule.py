"""The schedule against a slow reference that looks at everything each time."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.driver.schedule import Schedule
from orchestrator.model.fusing import Verdict
from orchestrator.model.plan import Resources, State, Trial, TrialKey

ONE, TWO = Resources(cpu=1), Resources(cpu=2)


def key(text: str) -> TrialKey:
    return TrialKey(text)


def training(name: str, order: int, *, group: str = "", resources: Resources = ONE) -> Trial:
    return Trial(key=key(name), stage="train", workload="w", order=order, group=group, resources=resources)


def evaluation(name: str, order: int, *parents: str, resources: Resources = ONE) -> Trial:
    return Trial(
        key=key(name),
        stage="evaluate",
        workload="w",
        order=order,
        parents=tuple(map(key, parents)),
        resources=resources,
    )


def schedule_of(*trials: Trial, **states: State) -> Schedule:
    return Schedule({t.key: t for t in trials}, {key(k): v for k, v in states.items()})


def names(trials: list[Trial]) -> list[str]:
    return [str(trial.key) for trial in trials]


def test_evaluations_go_before_trainings_and_share_a_bundle() -> None:
    schedule = schedule_of(
        training("a", 0),
        training("b", 1),
        evaluation("x", 2, "a"),
        evaluation("y", 3, "a"),
        a=State.SUCCEEDED,
    )
    assert schedule.demand() == {ONE: 2}
    assert names(schedule.take(ONE)) == ["x", "y"]
    assert names(schedule.take(ONE)) == ["b"]
    assert schedule.take(ONE) == []
    assert schedule.unfinished() == {ONE: 3}


def test_fused_seeds_leave_together_and_classes_stay_apart() -> None:
    schedule = schedule_of(
        training("a0", 0, group="a"), training("b0", 1, resources=TWO), training("a1", 2, group="a")
    )
    assert names(schedule.take(ONE)) == ["a0", "a1"]
    assert schedule.take(ONE) == []
    assert names(schedule.take(TWO)) == ["b0"]


def measured(pace: str, *, fused: bool, together_ms: float = 1.0) -> Verdict:
    return Verdict(pace=pace, fused=fused, replicas=2, alone_ms=1.0, together_ms=together_ms)


def test_a_measurement_settles_all_groups_that_waited_for_it() -> None:
    def waiting() -> Schedule:
        return schedule_of(
            *(training(f"a{n}", n, group="undecided-p-a0") for n in range(2)),
            *(training(f"b{n}", 2 + n, group="undecided-p-b0") for n in range(2)),
            *(training(f"c{n}", 4 + n, group="undecided-q-c0") for n in range(2)),
        )

    schedule = waiting()
    assert names(schedule.take(ONE)) == ["a0", "a1"]
    assert schedule.demand() == {ONE: 2}
    groups = schedule.regroup(key("a0"), measured("p", fused=False))
    assert groups == dict.fromkeys(map(key, ("a0", "a1", "b0", "b1")), "")
    assert schedule.demand() == {ONE: 3}
    schedule.update(key("a1"), State.PENDING)  # given back
    left = [names(schedule.take(ONE)) for _ in range(4)]
    assert left == [["a1"], ["b0"], ["b1"], ["c0", "c1"]]
    assert schedule.regroup(key("a1"), measured("p", fused=False)) == {}

    schedule = waiting()
    schedule.take(ONE)
    groups = schedule.regroup(key("a0"), measured("p", fused=True))
    assert groups == {
        **dict.fromkeys(map(key, ("a0", "a1")), "fused-p-a0"),
        **dict.fromkeys(map(key, ("b0", "b1")), "fused-p-b0"),
    }
    assert names(schedule.take(ONE)) == ["b0", "b1"]

    schedule = waiting()
    schedule.take(ONE)  # of a group that was tried without all of its seeds
    groups = schedule.regroup(key("a0"), measured("of fewer", fused=False))
    assert groups == dict.fromkeys(map(key, ("a0", "a1")), "")

    schedule = waiting()
    schedule.take(ONE)  # what was not measured says nothing of other groups
    groups = schedule.regroup(key("a0"), measured("p", fused=False, together_ms=0.0))
    assert groups == dict.fromkeys(map(key, ("a0", "a1")), "")


def test_a_gather_waits_for_all_its_parents_and_is_blocked_by_name() -> None:
    schedule = schedule_of(training("a", 0), training("b", 1), evaluation("vote", 2, "a", "b"))
    assert names(schedule.take(ONE)) == ["a"]
    schedule.update(key("a"), State.SUCCEEDED)
    assert names(schedule.take(ONE)) == ["b"]
    schedule.update(key("b"), State.DIVERGED)
    (blocked,) = schedule.newly_blocked()
    assert (blocked.trial, blocked.by, blocked.because) == ("vote", "b", State.DIVERGED)
    assert schedule.unfinished() == {}
    assert schedule.newly_blocked() == []


def test_a_failed_attempt_that_may_be_retried_is_ready_again() -> None:
    schedule = schedule_of(training("a", 0))
    schedule.take(ONE)
    schedule.update(key("a"), State.PENDING)
    assert names(schedule.take(ONE)) == ["a"]


def test_unwanted_trials_do_not_run() -> None:
    trials = {t.key: t for t in (training("a", 0), training("b", 1))}
    schedule = Schedule(trials, {}, wanted={key("b")})
    assert schedule.unfinished() == {ONE: 1}
    assert names(schedule.take(ONE)) == ["b"]
    assert schedule.take(ONE) == []


def test_a_trial_that_another_driver_runs_is_waited_for() -> None:
    schedule = schedule_of(training("a", 0), evaluation("x", 1, "a"), a=State.RUNNING)
    assert schedule.elsewhere == {"a"}
    assert schedule.take(ONE) == []
    schedule.update(key("a"), State.SUCCEEDED)
    assert names(schedule.take(ONE)) == ["x"]


def test_many_conditions_spread_over_bundles() -> None:
    schedule = schedule_of(
        training("a", 0), *(evaluation(f"x{n}", n + 1, "a") for n in range(150)), a=State.SUCCEEDED
    )
    left = [(schedule.demand().get(ONE, 0), len(schedule.take(ONE))) for _ in range(4)]
    assert left == [(3, 64), (2, 64), (1, 22), (0, 0)]


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Trial], list[tuple[int, State]]]:
    parents = draw(st.integers(1, 5))
    trials = [training(f"t{n}", n) for n in range(parents)]
    for n in range(draw(st.integers(0, 6))):
        chosen = draw(st.lists(st.integers(0, parents - 1), min_size=1, max_size=3, unique=True))
        trials.append(evaluation(f"e{n}", parents + n, *(f"t{p}" for p in chosen)))
    ends = draw(
        st.lists(
            st.tuples(
                st.integers(0, 99),
                st.sampled_from([State.SUCCEEDED, State.DIVERGED, State.FAILED, State.PENDING]),
            ),
            max_size=60,
        )
    )
    return trials, ends


@settings(max_examples=200, deadline=None)
@given(histories())
def test_agrees_with_a_slow_reference(history: tuple[list[Trial], list[tuple[int, State]]]) -> None:
    """Whatever ends how, exactly the trials run that may run, and nothing is left waiting."""
    trials, ends = history
    by_key = {trial.key: trial for trial in trials}
    schedule = Schedule(by_key, {})
    state = dict.fromkeys(by_key, State.PENDING)
    retries = dict.fromkeys(by_key, 0)

    def reference_ready() -> set[TrialKey]:
        return {
            k
            for k, t in by_key.items()
            if state[k] is State.PENDING and all(state[p] is State.SUCCEEDED for p in t.parents)
        }

    answers = iter(ends)
    while True:
        ready = reference_ready()
        groups = {by_key[k].parents or (by_key[k].group or k,) for k in ready}
        assert schedule.demand() == ({ONE: len(groups)} if groups else {})
        group = schedule.take(ONE)
        assert bool(group) == bool(ready)
        if not group:
            break
        assert {t.key for t in group} <= ready
        if any(by_key[k].stage == "evaluate" for k in ready):
            assert group[0].stage == "evaluate"
        for trial in group:
            _, end = next(answers, (0, State.SUCCEEDED))
            if end is State.PENDING and retries[trial.key] > 2:
                end = State.FAILED
            retries[trial.key] += 1
            state[trial.key] = end
            schedule.update(trial.key, end)
        for k, t in by_key.items():
            bad = [p for p in t.parents if state[p].final and state[p] is not State.SUCCEEDED]
            if state[k] is State.PENDING and bad:
                state[k] = State.BLOCKED
        assert {b.trial for b in schedule.newly_blocked()} <= {
            k for k, s in state.items() if s is State.BLOCKED
        }
    assert all(s.final for s in state.values())
    assert schedule.states() == state
    assert schedule.unfinished() == {}


def test_a_parent_that_is_made_again_and_its_children_are_no_group() -> None:
    """Both may be ready at once: the child because it failed, the parent because its checkpoint is gone."""
    parent, child = training("p", 0), evaluation("e", 1, "p")
    schedule = Schedule(
        {each.key: each for each in (parent, child)}, {parent.key: State.SUCCEEDED}, wanted={child.key}
    )
    assert schedule.unfinished() == {child.resources: 1}
    assert schedule.take(child.resources) == [child]
    schedule.update(child.key, State.PENDING)
    schedule.remake([parent.key])
    assert schedule.unfinished() == {child.resources: 2}
    assert [schedule.take(child.resources) for _ in range(3)] == [[child], [parent], []]
    schedule.update(child.key, State.PENDING)  # what the claims do with it, as the parent has not succeeded
    assert schedule.take(child.resources) == []
    schedule.update(parent.key, State.SUCCEEDED)
    assert schedule.take(child.resources) == [child]
    schedule.update(child.key, State.SUCCEEDED)
    assert not any(schedule.unfinished().values())


def test_trials_that_nobody_wanted_are_wanted_after_all() -> None:
    trials = [training("a", 0), training("b", 1), training("c", 2), evaluation("x", 3, "b")]
    schedule = Schedule({each.key: each for each in trials}, {}, wanted={key("a")})
    assert names(schedule.take(ONE)) == ["a"]
    schedule.update(key("a"), State.SUCCEEDED)
    assert not schedule.unfinished()
    # Another study has trained one of them meanwhile, and a third runs there.
    schedule.want({key("x"): State.PENDING, key("b"): State.SUCCEEDED, key("c"): State.RUNNING})
    assert schedule.unfinished() == {ONE: 2}
    assert schedule.elsewhere == {key("c")}
    assert names(schedule.take(ONE)) == ["x"]
    schedule.want({key("a"): State.PENDING})  # which it was before: nothing is forgotten
    assert schedule.state(key("a")) is State.SUCCEEDED

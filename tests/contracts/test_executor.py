"""One suite over both executors: what `ports.Executor` promises."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import TargetError
from orchestrator.execution.inline import InlineExecutor
from orchestrator.execution.ray_cluster import connected
from orchestrator.execution.ray_tune import RayTuneExecutor
from orchestrator.model.plan import Resources, State, Trial
from orchestrator.model.run import Cause, Event, Failed, Saved, Started
from orchestrator.ports import Executor
from tests.contracts.execution_fixtures import ListWork, curve, drive, evaluation, training, worker
from tests.toy_workload import draw_value, value

Make = Callable[..., Executor]
CPUS = 2


@pytest.fixture(scope="session")
def cluster() -> Iterator[None]:
    """One local cluster for all tests; executors find this process connected to it."""
    with connected(cpus=CPUS, gpus=0):
        yield


# What happens within a worker, whoever runs it.
FEW_ON_RAY = pytest.mark.parametrize(
    "make", ["inline", pytest.param("ray", marks=pytest.mark.slow)], indirect=True
)


@pytest.fixture(params=["inline", "ray"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    if request.param == "inline":
        return lambda **options: InlineExecutor(worker(tmp_path), gpus=0)
    request.getfixturevalue("cluster")
    return lambda **options: RayTuneExecutor(worker(tmp_path), **options)


@pytest.fixture
def ray_executor(cluster: None, tmp_path: Path) -> Callable[..., RayTuneExecutor]:
    return lambda **options: RayTuneExecutor(worker(tmp_path), **options)


def mixed() -> list[Trial]:
    alone = training(0, x=0.5)
    fused = [training(seed, x=0.25, steps=4, group="g") for seed in (1, 2)]
    scaled = [evaluation(alone, by=float(by)) for by in range(1, 4)]
    drawn = [evaluation(fused[0], "noise", draw=draw) for draw in range(3)]
    spread = evaluation(alone, points=3)
    vote = evaluation(fused, "vote")
    return [alone, *fused, *scaled, *drawn, spread, vote]


def causes(work: ListWork, trial: Trial) -> list[Cause]:
    return [event.failure.cause for event in work.failed[trial.key]]


def test_every_trial_ends_once_with_the_values_of_its_seed(make: Make) -> None:
    trials = mixed()
    work = drive(make(), ListWork(trials=trials))
    assert set(work.states.values()) == {State.SUCCEEDED}
    alone, first, second, *rest = trials
    for trial, x, steps in ((alone, 0.5, 3), (first, 0.25, 4), (second, 0.25, 4)):
        finished = work.finished[trial.key]
        assert curve(finished) == [(step, value(x, trial.seed, step)) for step in range(1, steps + 1)]
        found = {(row.evaluation, row.metric): row.value for row in finished.rows}
        assert found["test", "test_error"] == value(x, trial.seed, steps)
        assert found["network", "parameters"] == 10 * steps
        assert ("network", "flops") not in found
        assert finished.checkpoint is not None
        assert work.saves[trial.key] == steps + 1
        assert {row.seed for row in finished.rows} == {trial.seed}
    base = value(0.5, 0, 3)
    assert [work.finished[t.key].rows[0].value for t in rest[:3]] == [base * by for by in (1, 2, 3)]
    drawn = [work.finished[t.key].rows[0] for t in rest[3:6]]
    assert [row.value for row in drawn] == [value(0.25, 1, 4) + draw_value(1, "noise", d) for d in range(3)]
    assert [row.draw for row in drawn] == [0, 1, 2]
    spread = work.finished[rest[6].key].rows
    assert [(row.coords["layer"], row.value) for row in spread] == [(i, base + i) for i in range(3)]
    vote = work.finished[rest[7].key].rows
    assert [row.value for row in vote] == [(value(0.25, 1, 4) + value(0.25, 2, 4)) / 2]
    assert {row.evaluation for row in vote} == {"vote"}
    assert Counter(event.trial for event in work.started) == Counter(trial.key for trial in trials)
    assert {event.worker["threads"] for event in work.started} == {1}


def test_executors_agree_bit_for_bit(ray_executor: Callable[..., RayTuneExecutor], tmp_path: Path) -> None:
    trials = mixed()
    there = drive(ray_executor(), ListWork(trials=trials))
    here = drive(InlineExecutor(worker(tmp_path / "inline")), ListWork(trials=trials))
    for trial in trials:
        assert there.finished[trial.key].rows == here.finished[trial.key].rows


def test_faults_end_only_the_trials_at_fault(make: Make) -> None:
    good = training(0)
    bad = {
        fault: training(9, x=float(number), fault=fault, fault_at=2)
        for number, fault in enumerate(["raise", "memory", "disk", "exit", "text", "silent", "no report"])
    }
    fused = [training(s, x=7.0, group="f", fault="text", fault_seed=5) for s in (4, 5)]
    one = [evaluation(good, by=float(by)) for by in range(3)]
    faulty = evaluation(good, fault="raise")
    more = [evaluation(good, "noise", draw=draw) for draw in range(3)]
    work = drive(make(), ListWork(trials=[good, *bad.values(), *fused, *one, faulty, *more]))
    assert {work.states[t.key] for t in (good, *one, *more, fused[0])} == {State.SUCCEEDED}
    assert {work.states[t.key] for t in (*bad.values(), faulty, fused[1])} == {State.FAILED}
    found = {fault: work.failed[trial.key] for fault, trial in bad.items()}
    assert {len(events) for events in found.values()} == {1}
    failures = {fault: events[0].failure for fault, events in found.items()}
    assert {fault: failure.cause for fault, failure in failures.items()} == {
        "raise": Cause.ERROR,
        "memory": Cause.OUT_OF_MEMORY,
        "disk": Cause.DISK,
        "exit": Cause.ERROR,
        "text": Cause.ERROR,
        "silent": Cause.ERROR,
        "no report": Cause.ERROR,
    }
    assert failures["raise"].message == "ValueError: the toy was told to raise"
    assert "strike(config.fault)" in failures["raise"].traceback
    assert "orchestrator/execution" not in failures["raise"].traceback
    assert "metrics['error']: got str 'good'" in failures["text"].message
    assert "NoneType" in failures["no report"].message
    assert '"test"' in failures["silent"].message
    assert work.failed[faulty.key][0].failure.message == "ValueError: the toy was told to raise"
    # The neighbour in the fused training is untouched.
    assert curve(work.finished[fused[0].key]) == [(s, value(7.0, 4, s)) for s in (1, 2, 3)]


@FEW_ON_RAY
def test_a_diverged_training_is_a_result(make: Make) -> None:
    diverged = training(0, fault="diverge", fault_at=2, steps=5)
    fused = [training(s, x=1.0, group="f", fault="diverge", fault_seed=2) for s in (1, 2)]
    child = evaluation(diverged)
    work = drive(make(), ListWork(trials=[diverged, *fused, child]))
    assert work.states[diverged.key] is State.DIVERGED
    finished = work.finished[diverged.key]
    assert [step for step, _ in curve(finished)] == [1, 2]
    assert {row.outcome for row in finished.rows} == {"diverged"}
    assert finished.checkpoint is not None
    assert work.states[fused[0].key] is State.SUCCEEDED
    assert work.states[fused[1].key] is State.DIVERGED
    assert work.states[child.key] is State.PENDING  # blocked: never claimed
    assert work.epochs[child.key] == 0


def test_interrupted_trainings_continue_where_they_stopped(make: Make, tmp_path: Path) -> None:
    gate, trace = tmp_path / "gate", tmp_path / "trace"
    options: dict[str, Any] = {"steps": 5, "gate": str(gate), "gate_at": 4, "trace": str(trace)}
    alone = training(0, **options)
    fused = [training(seed, x=1.0, group="f", **options) for seed in (1, 2)]
    work = ListWork(trials=[alone, *fused])

    def stop(batch: Sequence[Event]) -> None:
        work.stop = work.stop or any(isinstance(e, Saved) and e.checkpoint.step == 3 for e in batch)

    drive(make(), work, watch=stop)
    begun = [trial for trial in work.trials if work.epochs[trial.key]]
    assert begun
    for trial in begun:
        assert causes(work, trial) == [Cause.INTERRUPTED]
        assert work.saved[trial.key].step <= 3

    gate.touch()
    later = work.restarted()
    drive(make(), later)
    for trial in work.trials:
        assert later.states[trial.key] is State.SUCCEEDED
        x = trial.config["x"]
        assert curve(later.finished[trial.key]) == [(s, value(x, trial.seed, s)) for s in range(1, 6)]
    # Not one step was computed twice: each run left a checkpoint at its last step.
    lines = [tuple(line.split()[:2]) for line in trace.read_text().splitlines()]
    assert Counter(lines) == Counter((str(s), str(step)) for s in range(3) for step in range(1, 6))


def test_cancelled_trials_end_and_others_go_on(make: Make, tmp_path: Path) -> None:
    gate = tmp_path / "never"
    stuck = training(0, gate=str(gate), gate_at=2)
    fused = [training(s, x=1.0, group="f", gate=str(tmp_path / "gate")) for s in (1, 2)]
    other = training(3)
    work = ListWork(trials=[stuck, *fused, other])

    def cancel(batch: Sequence[Event]) -> None:
        for event in batch:
            if isinstance(event, Started) and event.trial in (stuck.key, fused[0].key):
                work.cancel.add(event.trial)
            if isinstance(event, Failed) and event.trial == fused[0].key:
                (tmp_path / "gate").touch()

    drive(make(), work, watch=cancel)
    assert causes(work, stuck) == [Cause.CANCELLED]
    assert causes(work, fused[0]) == [Cause.CANCELLED]
    assert work.states[fused[1].key] is State.SUCCEEDED
    assert work.states[other.key] is State.SUCCEEDED


def test_evaluations_that_become_ready_go_before_trainings(make: Make) -> None:
    first, second, third = (training(seed) for seed in range(3))
    children = [evaluation(first), evaluation(second)]
    work = drive(make(max_concurrent=1), ListWork(trials=[first, second, third, *children]))
    order = [bundle.claims[0].trial.key for bundle in work.bundles]
    assert order == [t.key for t in (first, children[0], second, children[1], third)]


@pytest.mark.slow
def test_classes_that_do_not_fit_together_follow_each_other(make: Make) -> None:
    wide, narrow = Resources(cpu=2), Resources(cpu=1)
    trainings = [training(seed, resources=wide) for seed in range(3)]
    small = [evaluation(parent, resources=narrow) for parent in trainings]
    votes = evaluation(trainings[:2], "vote", resources=wide)
    # Needs a wide lane after narrow ones have run: the classes change places more than once.
    work = drive(make(), ListWork(trials=[*trainings, *small, votes]), limit_s=90)
    assert set(work.states.values()) == {State.SUCCEEDED}
    threads = {event.trial: event.worker["threads"] for event in work.started}
    assert {threads[t.key] for t in trainings} == {min(2, os.cpu_count() or 1)}
    assert {threads[t.key] for t in small} == {1}


@FEW_ON_RAY
def test_a_damaged_checkpoint_means_a_start_from_0_that_is_told(make: Make, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    trial = training(0, steps=4, gate=str(gate), gate_at=3)
    work = ListWork(trials=[trial])

    def stop(batch: Sequence[Event]) -> None:
        work.stop = work.stop or any(isinstance(e, Saved) and e.checkpoint.step == 2 for e in batch)

    drive(make(), work, watch=stop)
    gate.touch()
    checkpoint = work.saved[trial.key]
    state = tmp_path / checkpoint.path / "state.json"
    content = bytearray(state.read_bytes())
    content[-3] ^= 1
    state.write_bytes(content)
    later = drive(make(), work.restarted())
    finished = later.finished[trial.key]
    assert curve(finished) == [(step, value(0.0, 0, step)) for step in range(1, 5)]
    assert "started from 0" in finished.provenance["restarted"]
    assert checkpoint.path in finished.provenance["restarted"]


@FEW_ON_RAY
def test_a_damaged_parent_fails_its_evaluations_as_corrupt(make: Make, tmp_path: Path) -> None:
    parent = training(0)
    work = drive(make(), ListWork(trials=[parent]))
    (tmp_path / work.saved[parent.key].path / "state.json").write_text("{}")
    children = [evaluation(parent, by=float(by)) for by in range(2)]
    later = ListWork(trials=[parent, *children], states=dict(work.states), saved=dict(work.saved))
    drive(make(), later)
    assert [causes(later, child) for child in children] == [[Cause.CORRUPT]] * 2


def test_what_no_machine_can_hold_is_refused_before_anything_runs(make: Make) -> None:
    fits, large = training(0), training(1, resources=Resources(cpu=1, gpu=1))
    work = ListWork(trials=[fits, large])
    with pytest.raises(TargetError, match=r"1 CPU \+ 1 GPU"):
        drive(make(), work)
    assert work.bundles == []


def test_a_first_empty_batch_says_that_the_executor_is_up(make: Make) -> None:
    work = ListWork(trials=[training(0)])
    batches = make().run(work)
    assert list(next(iter(batches))) == []
    assert work.bundles == []
    batches.close()  # type: ignore[attr-defined]


# --- Ray only -----------------------------------------------------------------------------------------


def gone(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True
    return status.rpartition(")")[2].split()[0] == "Z"


def wait_until(true: Callable[[], bool], limit_s: float) -> float:
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < limit_s, f"not within {limit_s} s"
        time.sleep(0.01)
    return time.monotonic() - began


def test_a_killed_worker_loses_only_what_it_had_not_committed(
    ray_executor: Callable[..., RayTuneExecutor], tmp_path: Path
) -> None:
    gate, trace = tmp_path / "gate", tmp_path / "trace"
    victim = training(0, steps=5, gate=str(gate), gate_at=4, trace=str(trace))
    others = [training(seed) for seed in range(1, 7)]
    work = ListWork(trials=[victim, *others])
    pids: list[int] = []
    lost_at: list[float] = []
    back_at: list[float] = []

    def kill(batch: Sequence[Event]) -> None:
        for event in batch:
            if isinstance(event, Started) and event.trial == victim.key:
                pids.append(event.worker["pid"])
            saved = isinstance(event, Saved) and event.trial == victim.key and event.checkpoint.step == 3
            if saved and not gate.exists():  # it is saved again and again while it waits there
                gate.touch()
                os.kill(pids[0], signal.SIGKILL)
            if isinstance(event, Failed):
                lost_at.append(time.monotonic())
            if lost_at and isinstance(event, Started) and event.worker["pid"] not in pids[:1]:
                back_at.append(time.monotonic())

    drive(ray_executor(), work, watch=kill)
    assert set(work.states.values()) == {State.SUCCEEDED}
    assert causes(work, victim) in ([Cause.LOST], [])  # [] when it was quicker than the signal
    assert all(causes(work, other) == [] for other in others)
    assert curve(work.finished[victim.key]) == [(s, value(0.0, 0, s)) for s in range(1, 6)]
    repeated = Counter(line.rsplit(" ", 1)[0] for line in trace.read_text().splitlines())
    assert all(repeated[f"0 {step}"] == 1 for step in (1, 2, 3))  # these were saved
    assert work.epochs[victim.key] == 1 + len(work.failed[victim.key])


@pytest.mark.slow
def test_a_worker_that_dies_in_a_bundle_of_evaluations_costs_the_unfinished_ones(
    ray_executor: Callable[..., RayTuneExecutor],
) -> None:
    parent = training(0)
    good = [evaluation(parent, by=float(by)) for by in range(2)]
    deadly = evaluation(parent, fault="kill")
    after = evaluation(parent, by=9.0)
    work = ListWork(trials=[parent, *good, deadly, after], group=False)
    drive(ray_executor(max_concurrent=1), work, limit_s=90)
    assert causes(work, deadly) == [Cause.LOST] * 3
    assert work.states[deadly.key] is State.FAILED
    assert {work.states[t.key] for t in (*good, after)} == {State.SUCCEEDED}
    assert "pid" in work.failed[deadly.key][0].failure.message


@pytest.mark.slow
def test_a_worker_that_makes_no_progress_is_ended_as_hung(
    ray_executor: Callable[..., RayTuneExecutor],
) -> None:
    hung = training(0, steps=3, step_s=3600.0)
    other = training(1, x=1.0, steps=4, step_s=0.05)
    work = ListWork(trials=[hung, other])
    drive(ray_executor(hang_s=2.0), work)
    assert causes(work, hung) == [Cause.HUNG]
    assert work.states[other.key] is State.SUCCEEDED


@pytest.mark.slow
def test_no_more_bundles_at_once_than_asked_for(
    ray_executor: Callable[..., RayTuneExecutor],
) -> None:
    work = ListWork(trials=[training(seed) for seed in range(6)])
    most = 0

    def watch(batch: Sequence[Event]) -> None:
        nonlocal most
        most = max(most, sum(state is State.RUNNING for state in work.states.values()))

    drive(ray_executor(max_concurrent=1), work, watch=watch)
    assert len({event.worker["pid"] for event in work.started}) == 1
    assert most <= 1
    both = drive(ray_executor(), replace_states(work))
    assert len({event.worker["lane"] for event in both.started}) <= CPUS


def replace_states(work: ListWork) -> ListWork:
    return ListWork(trials=[replace(trial, label="again") for trial in work.trials])


@pytest.mark.parametrize("how", ["close", pytest.param("raise", marks=pytest.mark.slow)])
def test_leaving_early_leaves_no_worker(
    ray_executor: Callable[..., RayTuneExecutor], tmp_path: Path, how: str
) -> None:
    stuck = [training(seed, gate=str(tmp_path / "never")) for seed in range(2)]
    work = ListWork(trials=stuck)
    pids: set[int] = set()
    batches: Any = ray_executor().run(work)
    for batch in batches:
        work.commit(batch)
        pids |= {event.worker["pid"] for event in batch if isinstance(event, Started)}
        if len(pids) == 2:
            break
    if how == "close":
        batches.close()
    else:
        with pytest.raises(RuntimeError, match="commit failed"):
            batches.throw(RuntimeError("commit failed"))
    wait_until(lambda: all(gone(pid) for pid in pids), 10.0)

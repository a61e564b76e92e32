"""Bundles in this process: stops, resumes, and what a faulty evaluation costs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.execution.effort import (
    SERIALS_PER_EPOCH,
    Control,
    Site,
    Worker,
    placement_of,
    resolve_by_name,
)
from orchestrator.execution.training import STOP_GRACE_S
from orchestrator.execution.worker import describe, run_bundle, run_trials
from orchestrator.model.plan import Resources, State, Trial
from orchestrator.model.run import (
    Bundle,
    Cause,
    CheckpointRef,
    Claim,
    Event,
    Failed,
    Finished,
    Reported,
    Saved,
    Started,
)
from orchestrator.store.checkpoints import DirectoryCheckpoints
from orchestrator.store.logs import DirectoryLogs
from tests.contracts.execution_fixtures import evaluation, training
from tests.toy_workload import SPEC
from workloads.api import Condition, Placement, Report, Spec

SITE = Site(placement=Placement())


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Scripted:
    """A workload that plays reports; an exception among them is raised."""

    script: Sequence[Any]
    calls: list[list[Condition]] = field(default_factory=list)
    closed: int = 0
    before: Callable[[int], None] = lambda number: None

    def train(
        self, config: Any, *, seeds: Sequence[int], resume: Mapping[int, Path], **_: Any
    ) -> Iterator[Any]:
        try:
            for number, each in enumerate(self.script):
                self.before(number)
                if isinstance(each, BaseException):
                    raise each
                yield each
        finally:
            self.closed += 1

    def evaluate(
        self, checkpoints: Sequence[Path], conditions: Sequence[Condition], **_: Any
    ) -> Iterator[Report]:
        self.calls.append(list(conditions))
        for index, condition in enumerate(conditions):
            if condition.draw in self.script:
                raise ValueError(f"draw {condition.draw} is bad")
            yield Report(index=index, metrics={"value": float(condition.draw)})
            if condition.draw + 0.5 in self.script:
                raise ValueError(f"draw {condition.draw} is bad after its report")


PLAYED = Scripted([])  # what the Spec below names; set by each test


def spec(name: str, *, modules: Any = ()) -> Spec:
    return replace(SPEC, runtime=f"{__name__}:PLAYED", describe="")


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Scripted]:
    def play(*script: Any, before: Callable[[int], None] = lambda number: None) -> Scripted:
        played = Scripted(script, before=before)
        monkeypatch.setitem(globals(), "PLAYED", played)
        return played

    return play


def bundle(*trials: Trial, resume: CheckpointRef | None = None, epoch: int = 1, **fields: Any) -> Bundle:
    claims = tuple(Claim(trial=trial, epoch=epoch, resume=resume) for trial in trials)
    return Bundle(id="b", stage=trials[0].stage, claims=claims, **fields)


def run(
    work: Bundle,
    root: Path,
    *,
    clock: Callable[[], float] | None = None,
    control: Callable[[], Control] = Control,
    resolve: Callable[..., Spec] = spec,
) -> list[Event]:
    worker = Worker(checkpoints=DirectoryCheckpoints(root), logs=DirectoryLogs(root), resolve=resolve)
    events: list[Event] = []
    options = {} if clock is None else {"clock": clock}
    run_bundle(work, worker, site=SITE, emit=events.append, control=control, **options)
    return events


def write(directory: Path) -> None:
    (directory / "weights").write_bytes(b"w")


def of(kind: type, events: Sequence[Event]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def test_trainings_that_are_computed_together_share_the_time(
    play: Callable[..., Scripted], tmp_path: Path
) -> None:
    clock = Clock()

    def tick(number: int) -> None:
        clock.now += 4.0

    play(
        *[
            Report(index=index, evaluation="test", step=1, metrics={"test_error": 0.5}, save=write)
            for index in range(2)
        ],
        before=tick,
    )
    one, other = (replace(training(seed), group="g") for seed in (0, 1))
    events = run(bundle(one, other), tmp_path, clock=clock)
    assert [finished.duration_s for finished in of(Finished, events)] == [2.0, 4.0]


def test_checkpoints_are_as_far_apart_as_asked_and_serials_grow_over_attempts(
    play: Callable[..., Scripted], tmp_path: Path
) -> None:
    clock = Clock()

    def tick(number: int) -> None:
        clock.now += 4.0

    play(
        *[Report(step=step, metrics={"error": 0.5}, save=write) for step in range(1, 9)],
        Report(evaluation="test", step=8, metrics={"test_error": 0.5}, save=write),
        before=tick,
    )
    trial = training()
    events = run(bundle(trial, checkpoint_interval_s=10.0), tmp_path, clock=clock)
    assert [saved.checkpoint.step for saved in of(Saved, events)] == [3, 6]
    (finished,) = of(Finished, events)
    assert finished.duration_s == 36.0
    later = run(bundle(trial, resume=finished.checkpoint, epoch=2, checkpoint_interval_s=0.0), tmp_path)
    assert len(of(Finished, later)) == 1
    assert of(Started, later)[0].epoch == 2
    other = run(bundle(trial, epoch=3, checkpoint_interval_s=0.0), tmp_path)
    serials = [saved.checkpoint.serial for saved in of(Saved, other)]
    assert serials[0] > finished.checkpoint.serial
    assert serials == sorted(set(serials))
    assert serials[0] // SERIALS_PER_EPOCH == 3


def test_a_training_that_had_ended_is_not_run_again(play: Callable[..., Scripted], tmp_path: Path) -> None:
    test = Report(evaluation="test", step=1, metrics={"test_error": 0.25}, save=write)
    play(test)
    trial = training()
    (first,) = of(Finished, run(bundle(trial), tmp_path))
    played = play(AssertionError("must not run"))
    (again,) = of(Finished, run(bundle(trial, resume=first.checkpoint, epoch=2), tmp_path))
    assert again.rows == first.rows
    assert again.checkpoint == first.checkpoint
    assert played.closed == 0


def test_a_stop_waits_a_while_for_a_checkpoint(play: Callable[..., Scripted], tmp_path: Path) -> None:
    clock = Clock()

    def tick(number: int) -> None:
        clock.now += 3.0

    asked = Control(stopping=True)
    played = play(Report(step=1), Report(step=1), Report(step=2, save=write), Report(step=3), before=tick)
    events = run(bundle(training()), tmp_path, clock=clock, control=lambda: asked)
    assert [type(event) for event in events] == [Started, Reported, Reported, Reported, Saved, Failed]
    assert events[-1].failure.cause is Cause.INTERRUPTED  # type: ignore[union-attr]
    assert played.closed == 1

    play(*[Report(step=1)] * 10, before=tick)
    events = run(bundle(training(1)), tmp_path, clock=clock, control=lambda: asked)
    assert of(Saved, events) == []
    (failed,) = of(Failed, events)
    assert failed.failure.cause is Cause.INTERRUPTED
    assert STOP_GRACE_S < failed.duration_s < STOP_GRACE_S + 10


def test_a_candidate_ends_before_its_test_is_asked_for(play: Callable[..., Scripted], tmp_path: Path) -> None:
    trial = replace(training(), stage="tune")
    last = Report(step=2, metrics={"error": 0.25}, progress=1.0, save=write)
    played = play(
        Report(step=1, metrics={"error": 0.5}, progress=0.5),
        Report(step=1, progress=0.75),
        last,
        AssertionError("the test split was looked at"),
    )
    events = run(bundle(trial), tmp_path, clock=Clock())
    # Every point is told, however fast they come: what prunes must not miss one.
    assert [(event.step, dict(event.metrics)) for event in of(Reported, events)] == [
        (1, {"error": 0.5}),
        (2, {"error": 0.25}),
    ]
    (finished,) = of(Finished, events)
    assert finished.state is State.SUCCEEDED
    assert finished.checkpoint is None
    assert {(row.evaluation, row.step, row.value) for row in finished.rows} == {
        ("train", 1, 0.5),
        ("train", 2, 0.25),
    }
    assert played.closed == 1
    play(Report(evaluation="test", metrics={"test_error": 0.5}, save=write))
    (failed,) = of(Failed, run(bundle(trial), tmp_path))
    assert "cannot end this training before its test" in failed.failure.message


def test_a_candidate_that_goes_on_tells_what_it_reported_before(
    play: Callable[..., Scripted], tmp_path: Path
) -> None:
    trial = replace(training(), stage="tune")
    play(Report(step=1, metrics={"error": 0.5}, save=write), Report(step=2, save=write))
    (saved, *_) = of(Saved, run(bundle(trial, checkpoint_interval_s=0.0), tmp_path))
    play(Report(step=2, metrics={"error": 0.25}, progress=1.0))
    events = run(bundle(trial, resume=saved.checkpoint, epoch=2), tmp_path)
    assert [event.step for event in of(Reported, events)] == [1, 2]
    assert {row.step for row in of(Finished, events)[0].rows} == {1, 2}


def test_a_report_that_is_final_wins_over_a_stop(play: Callable[..., Scripted], tmp_path: Path) -> None:
    play(Report(evaluation="test", metrics={"test_error": 0.5}, save=write))
    events = run(bundle(training()), tmp_path, control=lambda: Control(stopping=True))
    assert [event.state for event in of(Finished, events)] == [State.SUCCEEDED]


@pytest.mark.parametrize(
    "report", [Report(diverged=True, save=write), Report(metrics={"error": float("inf")}, save=write)]
)
def test_divergence_is_told_by_flag_or_by_value(
    play: Callable[..., Scripted], tmp_path: Path, report: Report
) -> None:
    played = play(report, AssertionError("nothing is asked for after that"))
    (finished,) = of(Finished, run(bundle(training()), tmp_path))
    assert finished.state is State.DIVERGED
    assert finished.checkpoint is not None
    assert played.closed == 1


@pytest.mark.parametrize(
    ("bad", "calls"),
    [
        ([], [[0, 1, 2, 3, 4, 5]]),
        ([0], [[0, 1, 2, 3, 4, 5], [0], [1], [2, 3, 4, 5]]),
        ([3], [[0, 1, 2, 3, 4, 5], [2], [3], [4, 5]]),
        ([5], [[0, 1, 2, 3, 4, 5], [4], [5]]),
        ([2, 3], [[0, 1, 2, 3, 4, 5], [1], [2], [3, 4, 5], [3], [4], [5]]),
        ([2.5], [[0, 1, 2, 3, 4, 5], [2], [3], [4, 5]]),
        ([0, 1, 2, 3, 4, 5], None),
    ],
)
def test_only_faulty_evaluations_fail(
    play: Callable[..., Scripted], tmp_path: Path, bad: list[float], calls: list[list[int]] | None
) -> None:
    store = DirectoryCheckpoints(tmp_path)
    parent = training()
    saved = store.save(parent.key, serial=1, step=1, write=write)
    played = play(*bad)
    trials = [evaluation(parent, "noise", draw=draw) for draw in range(6)]
    events = run(bundle(*trials, parents=(saved,)), tmp_path)
    failed = {event.trial for event in of(Failed, events)}
    assert failed == {trials[int(draw)].key for draw in bad}
    finished = of(Finished, events)
    assert {event.trial for event in finished} == {t.key for t in trials} - failed
    assert all(len(event.rows) == 1 for event in finished)  # no report of a broken call is kept twice
    assert len(of(Started, events)) == 6
    if calls is not None:
        assert [[condition.draw for condition in call] for call in played.calls] == calls


def test_a_condition_without_a_report_fails(play: Callable[..., Scripted], tmp_path: Path) -> None:
    store = DirectoryCheckpoints(tmp_path)
    parent = training()
    saved = store.save(parent.key, serial=1, step=1, write=write)
    played = play()
    played.evaluate = lambda *args, **kwargs: iter([Report(index=1, metrics={"v": 1.0})])  # type: ignore
    trials = [evaluation(parent, "noise", draw=draw) for draw in range(3)]
    events = run(bundle(*trials, parents=(saved,)), tmp_path)
    assert [event.trial for event in of(Failed, events)] == [trials[0].key, trials[2].key]
    assert "reported nothing" in of(Failed, events)[0].failure.message


def test_an_unknown_workload_fails_the_trials_with_its_message(tmp_path: Path) -> None:
    def missing(name: str, *, modules: Any = ()) -> Spec:
        raise ImportError("No module named 'mine'")

    events = run(bundle(training()), tmp_path, resolve=missing)
    assert [type(event) for event in events] == [Started, Failed]
    assert events[1].failure.message == "ImportError: No module named 'mine'"  # type: ignore[union-attr]


def test_progress_is_told_a_few_times_a_second_only(play: Callable[..., Scripted], tmp_path: Path) -> None:
    clock = Clock()

    def tick(number: int) -> None:
        clock.now += 0.01

    play(
        *[Report(step=step, metrics={"error": 0.5}) for step in range(100)],
        Report(evaluation="test", metrics={"test_error": 0.5}, save=write),
        before=tick,
    )
    events = run(bundle(training()), tmp_path, clock=clock)
    assert 4 <= len(of(Reported, events)) <= 6
    assert len(of(Finished, events)[0].rows) == 101


def test_the_log_says_what_happened(play: Callable[..., Scripted], tmp_path: Path) -> None:
    def speak(number: int) -> None:
        print("the workload speaks")
        logging.getLogger("mine").info("and logs")

    play(Report(step=1), ValueError("broken"), before=speak)
    trial = training()
    run(bundle(trial), tmp_path)
    text = (tmp_path / "logs" / f"{trial.key}.log").read_text()
    for part in ("started, epoch 1", "the workload speaks", "INFO mine: and logs", "ValueError: broken"):
        assert part in text


def test_the_caller_may_leave_at_any_time(play: Callable[..., Scripted], tmp_path: Path) -> None:
    played = play(Report(step=1), Report(step=2))
    worker = Worker(checkpoints=DirectoryCheckpoints(tmp_path), resolve=spec)
    events = run_trials(bundle(training()), worker, site=SITE, control=Control)
    next(iter(events))
    next(iter(events))
    events.close()  # type: ignore[attr-defined]
    assert played.closed == 1


def test_placement() -> None:
    assert placement_of(Resources(cpu=0.5)) == Placement(threads=1)
    assert placement_of(Resources(gpu=2)).devices == ("cuda:0", "cuda:1")
    shared = placement_of(Resources(gpu=0.25))
    assert (shared.devices, shared.memory_fraction) == (("cuda:0",), 0.25)


def test_workloads_are_found_by_the_study_languages_rules() -> None:
    assert resolve_by_name("tests.toy_workload:SPEC", modules=["tests"]) is SPEC


def test_a_description_beyond_any_float_is_left_out() -> None:
    deep = replace(SPEC, describe=f"{__name__}:astronomical")
    assert describe(deep, None) == {"parameters": 7.0, "paths": float(2**1023)}


def astronomical(config: Any) -> dict[str, Any]:
    return {"parameters": 7, "paths": 2**1023, "more": 2**1024, "less": -(2**1100), "none": None}

"""Fused trainings that are continued: from the newest step that all of them have."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.execution.abreast import abreast
from orchestrator.execution.effort import Control, Effort, Site, Worker
from orchestrator.execution.history import History, Point
from orchestrator.execution.training import restore
from orchestrator.execution.worker import run_bundle
from orchestrator.model.run import Bundle, Cause, CheckpointRef, Claim, Event, Failed, Saved
from orchestrator.store.checkpoints import DirectoryCheckpoints
from tests.contracts.execution_fixtures import training
from tests.toy_workload import SPEC
from workloads.api import Placement, Report

TRIALS = [training(seed, group="fused-x") for seed in (0, 1, 2)]


def saved(store: DirectoryCheckpoints, number: int, marks: Sequence[str]) -> Effort:
    """Returns a training with a checkpoint of each mark, the oldest first, set to go on from its newest."""
    trial = TRIALS[number]
    found: list[CheckpointRef] = []
    for step, mark in enumerate(marks, start=1):
        point = Point(evaluation="train", step=step, coords={}, metrics={"error": 1 / step})

        def write(folder: Path, mark: str = mark, point: Point = point) -> None:
            History(points=[point], mark=mark).write(folder)

        found.insert(0, store.save(trial.key, serial=step, step=step, write=write))
    claim = Claim(trial=trial, epoch=2, resume=found[0] if found else None, older=tuple(found[1:]))
    effort = Effort(claim=claim, site=Site(placement=Placement()))
    assert restore(effort, store) is None
    return effort


def together(tmp_path: Path, *marks: Sequence[str]) -> tuple[list[Effort], list[list[int]]]:
    store = DirectoryCheckpoints(tmp_path)
    efforts = [saved(store, number, each) for number, each in enumerate(marks)]
    groups = abreast(efforts, store)
    return efforts, [[effort.claim.trial.seed for effort in group] for group in groups]


def mark_of(effort: Effort) -> str:
    assert effort.resume is not None
    document = json.loads((effort.resume / "reports.json").read_text())
    assert document["mark"] == effort.history.mark
    return effort.history.mark


def test_all_that_were_saved_in_the_same_round_go_on_together(tmp_path: Path) -> None:
    efforts, groups = together(tmp_path, ["a", "b"], ["a", "b"])
    assert groups == [[0, 1]]
    assert [mark_of(effort) for effort in efforts] == ["b", "b"]
    assert [effort.notes["fused"] for effort in efforts] == [[0, 1], [0, 1]]
    assert all("restarted" not in effort.notes for effort in efforts)


def test_who_was_saved_last_goes_back_to_the_others(tmp_path: Path) -> None:
    efforts, groups = together(tmp_path, ["a", "b"], ["a"], ["a", "b"])
    assert groups == [[0, 1, 2]]
    assert [mark_of(effort) for effort in efforts] == ["a", "a", "a"]
    assert [effort.notes["resumed_at_step"] for effort in efforts] == [1, 1, 1]
    assert "all went on from step 1" in efforts[0].notes["restarted"]
    assert "restarted" not in efforts[1].notes
    assert [point.step for point in efforts[0].history.points] == [1]


def test_after_half_a_first_round_all_begin_anew(tmp_path: Path) -> None:
    efforts, groups = together(tmp_path, ["a"], [])
    assert groups == [[0, 1]]
    assert all(effort.resume is None and not effort.history.points for effort in efforts)
    assert "from the start" in efforts[0].notes["restarted"]


def test_without_a_common_step_near_each_goes_on_by_itself(tmp_path: Path) -> None:
    efforts, groups = together(tmp_path, ["c", "d"], ["a"], ["c", "d"])
    assert groups == [[0, 2], [1]]
    assert [mark_of(effort) for effort in efforts] == ["d", "a", "d"]
    assert "fused" not in efforts[1].notes


def test_what_was_saved_alone_stays_alone(tmp_path: Path) -> None:
    efforts, groups = together(tmp_path, [""], [""])
    assert groups == [[0], [1]]
    assert all("fused" not in effort.notes for effort in efforts)


class Rounds:
    """A workload of two trainings; a second passes with each report, and with each save."""

    def __init__(self) -> None:
        self.now, self.reports = 0.0, 0

    def save(self, folder: Path) -> None:
        self.now += 1.0

    def train(self, config: Any, *, seeds: Sequence[int], placement: Placement, **_: Any) -> Iterator[Report]:
        assert placement.fused
        for step in range(1, 13):
            for index in range(len(seeds)):
                self.now, self.reports = self.now + 1.0, self.reports + 1
                yield Report(index=index, step=step, metrics={"error": 1.0}, save=self.save)
        for index in range(len(seeds)):
            yield Report(index=index, evaluation="test", step=12, metrics={"test_error": 1.0})


WORKLOAD = Rounds()


def test_trainings_of_a_group_are_saved_and_stopped_in_the_same_round(tmp_path: Path) -> None:
    played = WORKLOAD
    spec = replace(SPEC, runtime=f"{__name__}:WORKLOAD", describe="")
    worker = Worker(checkpoints=DirectoryCheckpoints(tmp_path), resolve=lambda name, modules: spec)
    claims = tuple(Claim(trial=trial, epoch=1) for trial in TRIALS[:2])
    bundle = Bundle(id="b", stage="train", claims=claims, checkpoint_interval_s=5.5)
    events: list[Event] = []

    def control() -> Control:
        return Control(stopping=played.reports >= 16)  # between the two reports of a round

    run_bundle(
        bundle,
        worker,
        site=Site(placement=Placement()),
        emit=events.append,
        control=control,
        clock=lambda: played.now,
    )
    steps = [
        [each.checkpoint.step for each in events if isinstance(each, Saved) and each.trial == trial.key]
        for trial in TRIALS[:2]
    ]
    assert steps[0] == steps[1]
    assert len(steps[0]) >= 3
    ends = [each for each in events if isinstance(each, Failed)]
    assert [each.failure.cause for each in ends] == [Cause.INTERRUPTED] * 2
    marks = {
        History.read(DirectoryCheckpoints(tmp_path).open(each.checkpoint)).mark
        for each in events
        if isinstance(each, Saved) and each.checkpoint.step == steps[0][-1]
    }
    assert len(marks) == 1
    assert marks != {""}

"""The mirror against a real registry and a real MLflow: counts, contents, outages, restarts."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import signal
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from orchestrator.app.mirror_items import items_by_outcome, mirror_items, opening_items
from orchestrator.app.mirror_lock import held
from orchestrator.errors import TargetError
from orchestrator.model.mirror import MirrorRun
from orchestrator.model.plan import State
from orchestrator.model.run import Outcome
from orchestrator.tracking.mlflow import MlflowTracker
from tests.artifacts import artifact
from tests.unit.app.mirror_desk import GATHERS, MEMBERS, SEEDS, STUDY, Desk, error_of, key, plan


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    opened = Desk(tmp_path)
    yield opened
    opened.registry.close()


def until(happened: Callable[[], bool], timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not happened():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)


PLANNED = {"submission": 1, "training": 6, "gather": 3, "cell": 2}


def test_counts_by_kind_equal_the_plans(desk: Desk) -> None:
    desk.run_all()
    desk.close_submission()
    with desk.mirror() as mirror:
        assert mirror.drain(60) == 0
        assert Counter(run.data.tags["orch.kind"] for run in desk.runs()) == PLANNED
        assert {run.info.status for run in desk.runs()} == {"FINISHED"}
        # Asked for again, all of it: nothing is doubled.
        desk.commit(opening_items(desk.submission))
        desk.close_submission()
        assert mirror.drain(60) == 0
    assert Counter(run.data.tags["orch.kind"] for run in desk.runs()) == PLANNED
    assert {run.info.status for run in desk.runs()} == {"FINISHED"}
    assert desk.registry.outbox() == []


def test_what_the_runs_show(desk: Desk) -> None:
    desk.run_all()
    desk.close_submission()
    with desk.mirror(texts=lambda study: {"tables/main.md": f"| {study} |"}) as mirror:
        assert mirror.drain(60) == 0
    client: Any = MlflowClient(desk.uri)
    (parent,) = desk.runs("submission")
    assert parent.data.params["depth"] == "14, 26"
    assert parent.data.params["count/trainings"] == "6"
    assert parent.data.tags["orch.trials.succeeded"] == str(len(desk.plan.trials))
    files = {
        entry.path for folder in ("", "tables") for entry in client.list_artifacts(parent.info.run_id, folder)
    }
    assert {"study.yaml", "tables/main.md"} <= files

    (run,) = (run for run in desk.runs("training") if run.data.tags["orch.key"] == "depth=26|s2")
    assert run.data.params == {"depth": "26", "seed": "2"}
    assert run.data.metrics == pytest.approx(
        {"test_error": 0.264, "train/loss": 0.25, "network/parameters": 9.0}
    )
    curve = client.get_metric_history(run.info.run_id, "train/loss")
    assert [(point.step, point.value) for point in curve] == [(step, 1 / (step + 1)) for step in range(4)]
    tags = run.data.tags
    assert tags["mlflow.parentRunId"] == parent.info.run_id
    assert tags["orch.trial_key"] == key("t262")
    assert tags["orch.state"] == "succeeded"
    assert tags["orch.host"] == "w1"
    assert json.loads(tags["orch.config"]) == {"network": {"depth": 26}}
    table = json.loads(artifact(client, run.info.run_id, "conditions/members.json"))
    assert table == {
        "columns": ["member", "draw", "step", "metric", "value", "state"],
        "data": [[member, 0, 0, "test_error", 0.25, "succeeded"] for member in MEMBERS],
    }

    gather = desk.runs("gather")[0]
    assert gather.data.params["depth"] == "Overall"
    assert gather.data.metrics == {"test_error": 0.5}

    for cell in desk.runs("cell"):
        errors = [error_of(cell.data.params["depth"], seed) for seed in SEEDS]
        assert cell.data.metrics["n"] == 3
        assert cell.data.metrics["test_error_mean"] == pytest.approx(statistics.mean(errors))
        assert cell.data.metrics["test_error_std"] == pytest.approx(statistics.stdev(errors))

    experiment = client.get_experiment_by_name(f"orch/{STUDY}").tags
    assert experiment["mlflow.experiment.primaryMetric.name"] == "test_error"
    assert experiment["mlflow.experiment.primaryMetric.greaterIsBetter"] == "false"
    assert experiment["mlflow.note.content"].startswith("## Fusion")
    assert "| dfn |" in experiment["mlflow.note.content"]


def test_states_and_their_statuses(desk: Desk) -> None:
    trials = desk.plan.trials
    desk.run(trials[key("t140")])
    desk.run(trials[key("t141")], state=State.DIVERGED)
    desk.run(trials[key("t142")], state=State.FAILED)
    desk.registry.request_cancel([key("t260")])
    blocked = Outcome(trial=key("g2"), epoch=None, state=State.BLOCKED, blocked_by=key("t142"))
    desk.registry.commit(desk.lease, outcomes=[blocked])
    desk.close_submission()
    with desk.mirror() as mirror:
        assert mirror.drain(60) == 0
    shown = {run.data.tags["orch.key"]: run for run in desk.runs()}
    assert {k: (shown[f"depth={k}"].info.status) for k in ("14|s0", "14|s1", "14|s2", "26|s0")} == {
        "14|s0": "FINISHED",
        "14|s1": "FINISHED",  # an outcome
        "14|s2": "FAILED",
        "26|s0": "KILLED",
    }
    assert shown["depth=14|s1"].data.tags["orch.state"] == "diverged"
    assert "boom" in shown["depth=14|s2"].data.tags["orch.error"]
    assert shown["vote|depth=Overall,member=–|s2"].info.status == "KILLED"
    assert shown["depth=14"].data.metrics["n"] == 1
    assert shown["depth=14"].data.metrics["n_diverged"] == 1
    assert "RUNNING" not in {run.info.status for run in shown.values()}


def test_a_failed_training_that_succeeds_later_is_the_same_run(desk: Desk) -> None:
    trial = desk.plan.trials[key("t140")]
    with desk.mirror() as mirror:
        desk.run(trial, state=State.FAILED)
        assert mirror.drain(60) == 0
        (before,) = desk.runs("training")
        desk.submission = desk.submit()  # FAILED goes back to PENDING
        desk.run(trial)
        assert mirror.drain(60) == 0
        (after,) = desk.runs("training")
    assert before.info.run_id == after.info.run_id
    assert (before.info.status, after.info.status) == ("FAILED", "FINISHED")
    assert "orch.error" not in after.data.tags
    assert after.data.metrics["test_error"] == error_of("14", 0)


def test_the_run_of_a_killed_driver_is_ended_by_the_next_submission(desk: Desk) -> None:
    with desk.mirror() as mirror:
        assert mirror.drain(60) == 0
        assert [run.info.status for run in desk.runs("submission")] == ["RUNNING"]
        desk.submission = desk.submit()
        desk.commit(opening_items(desk.submission))
        assert mirror.drain(60) == 0
        desk.run_all()
        desk.close_submission()
        assert mirror.drain(60) == 0
    statuses = {run.data.tags["orch.key"]: run.info.status for run in desk.runs("submission")}
    assert statuses == {"dfn-1": "KILLED", "dfn-2": "FINISHED"}


class Faulty:
    """A tracker that refuses while it is down, and hangs while it is held."""

    def __init__(self, real: MlflowTracker) -> None:
        self.real, self.down, self.calls = real, True, 0
        self.gate = threading.Event()
        self.gate.set()

    def _ask(self) -> None:
        self.calls += 1
        assert self.gate.wait(30)
        if self.down:
            raise TargetError("MLflow does not answer")

    def describe(self, study: str, *, note: str, tags: Mapping[str, str]) -> None:
        self._ask()
        self.real.describe(study, note=note, tags=tags)

    def apply(self, run: MirrorRun, *, parent_id: str = "") -> str:
        self._ask()
        return self.real.apply(run, parent_id=parent_id)

    def close(self) -> None:
        pass


def test_an_outage_is_one_line_and_heals_by_itself(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    faulty = Faulty(MlflowTracker(desk.uri))
    desk.run_all()
    desk.close_submission()
    with caplog.at_level(logging.INFO, "orchestrator"), desk.mirror(tracker=lambda: faulty) as mirror:
        until(lambda: faulty.calls >= 4)
        assert mirror.drain(0.0) == len(desk.registry.outbox(1000)) > 0
        assert len(caplog.records) == 1
        faulty.down = False
        assert mirror.drain(60) == 0
    assert Counter(run.data.tags["orch.kind"] for run in desk.runs()) == PLANNED
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]  # down, up again


def test_what_has_not_changed_is_not_applied_again(desk: Desk) -> None:
    counting = Faulty(MlflowTracker(desk.uri))
    counting.down = False
    desk.run_all()
    with desk.mirror(tracker=lambda: counting) as mirror:
        assert mirror.drain(60) == 0
        before = counting.calls
        desk.close_submission()
        assert mirror.drain(60) == 0
    assert counting.calls - before == 4  # two cells, the submission, the note: no training, no gather
    assert Counter(run.data.tags["orch.kind"] for run in desk.runs()) == PLANNED


def test_a_mirror_that_hangs_delays_no_commit_and_no_end(desk: Desk) -> None:
    faulty = Faulty(MlflowTracker(desk.uri))
    faulty.gate.clear()
    mirror = desk.mirror(tracker=lambda: faulty)
    mirror.start()
    until(lambda: faulty.calls == 1)
    desk.run_all()  # commits while the mirror's thread is stuck
    desk.close_submission()
    assert mirror.drain(0.2) > 0
    mirror.stop(timeout_s=0.2)
    faulty.gate.set()


def test_a_damaged_part_holds_no_other_item_back(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    trials = desk.plan.trials
    desk.run(trials[key("t140")])
    part = desk.root / desk.results.written[0].path
    content = part.read_bytes()
    part.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    desk.run(trials[key("t260")])
    with desk.mirror() as mirror:
        assert mirror.drain(5) == 1
        assert [run.data.tags["orch.key"] for run in desk.runs("training")] == ["depth=26|s0"]
    assert part.name in caplog.text
    part.write_bytes(content)
    with desk.mirror() as mirror:  # the next process takes it up again
        assert mirror.drain(60) == 0
    assert len(desk.runs("training")) == 2


def test_rows_are_read_in_batches(desk: Desk) -> None:
    desk.run_all()
    desk.close_submission()
    with desk.mirror() as mirror:
        assert mirror.drain(60) == 0
    assert desk.results.reads <= 4  # 11 items with rows, two parts


def test_items_dropped_from_the_study_leave_the_outbox(desk: Desk) -> None:
    desk.commit([(STUDY, "training", "depth=99|s0"), ("no such study", "training", "x|s0")])
    with desk.mirror() as mirror:
        assert mirror.drain(60) == 0
    assert desk.runs("training") == []


def test_one_process_mirrors_while_the_others_wait_for_it(desk: Desk) -> None:
    desk.run_all()
    desk.close_submission()
    with held(desk.lock) as ours:
        assert ours
        with desk.mirror() as waiting:
            assert waiting.drain(0.3) > 0
            assert desk.runs() == []
            with desk.mirror(lock=None) as working:
                assert working.drain(60) == 0
            assert waiting.drain(10) == 0  # it sees that the other one has done it


def _hold(path: Path, taken: Any) -> None:
    with held(path) as ours:
        taken.put(ours)
        time.sleep(600)


def test_the_lock_dies_with_its_process(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    taken = context.Queue()
    other = context.Process(target=_hold, args=(tmp_path / "lock", taken))
    other.start()
    assert taken.get(timeout=30) is True
    with held(tmp_path / "lock") as ours:
        assert not ours
    other.kill()
    other.join()
    with held(tmp_path / "lock") as ours:
        assert ours


def test_items_of_an_outcome() -> None:
    assignments = list(plan().assignments)
    # A second study shares a training: it shows there too.
    first = next(each for each in assignments if each.trial == key("t140"))
    assignments.append(replace(first, study="other", cell="d=14"))

    def outcome(name: str, state: State) -> Outcome:
        return Outcome(trial=key(name), epoch=1, state=state)

    outcomes = [
        outcome("t140", State.SUCCEEDED),
        outcome("e14LLL0", State.SUCCEEDED),  # shown by its training's run: no second item
        outcome("t260", State.PENDING),  # will be tried again
        outcome("g0", State.BLOCKED),
        outcome("unknown", State.SUCCEEDED),
    ]
    expected = [
        (STUDY, "training", "depth=14|s0"),
        ("other", "training", "d=14|s0"),
        (STUDY, "gather", "vote|depth=Overall,member=–|s0"),
    ]
    assert mirror_items(assignments, outcomes, gathers=GATHERS) == expected
    assert items_by_outcome(assignments, gathers=GATHERS)(outcomes) == expected


def _mirror_until_killed(root: Path, applied: int) -> None:
    """Mirrors a store and dies, hard, in the middle of the run after so many."""
    desk = Desk(root, submit=False)
    real = MlflowTracker(desk.uri)

    class Deadly(Faulty):
        def apply(self, run: MirrorRun, *, parent_id: str = "") -> str:
            if self.calls >= applied:
                client = self.real._client
                self.real._client = _DiesAfterCreating(client)
            return super().apply(run, parent_id=parent_id)

    deadly = Deadly(real)
    deadly.down = False
    mirror = desk.mirror(tracker=lambda: deadly)
    mirror.start()
    mirror.drain(60)


class _DiesAfterCreating:
    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        if name == "log_batch":
            os.kill(os.getpid(), signal.SIGKILL)
        return getattr(self._client, name)


@pytest.mark.slow
def test_a_mirror_killed_in_the_middle_doubles_nothing(desk: Desk) -> None:
    desk.run_all()
    desk.close_submission()
    context = multiprocessing.get_context("spawn")
    waiting = len(desk.registry.outbox(1000))
    process = context.Process(target=_mirror_until_killed, args=(desk.root, 7))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    assert 0 < len(desk.registry.outbox(1000)) <= waiting
    assert [run.info.status for run in desk.runs()].count("RUNNING") >= 1  # a half-made run
    with desk.mirror() as mirror:
        assert mirror.drain(60) == 0
    assert Counter(run.data.tags["orch.kind"] for run in desk.runs()) == PLANNED
    assert {run.info.status for run in desk.runs()} == {"FINISHED"}
    assert {len(run.data.metrics) for run in desk.runs("training")} == {3}

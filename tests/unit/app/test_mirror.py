"""The mirror against a real registry and a real MLflow: counts, contents, outages, restarts."""

from __future__ import annotations

import json
import logging
import multiprocessing
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from orchestrator.app.mirror import Mirror
from orchestrator.app.mirror_items import closing_items, items_by_outcome, mirror_items, opening_items
from orchestrator.app.mirror_lock import held
from orchestrator.errors import CorruptError, TargetError
from orchestrator.model.mirror import MirrorRun
from orchestrator.model.plan import Assignment, Cell, Dimension, Plan, State, Trial, TrialKey
from orchestrator.model.result import PartRef, ResultRow
from orchestrator.model.run import Cause, Failure, Outcome, Owner, Started, Submission
from orchestrator.registry.registry import open_registry
from orchestrator.tracking.mlflow import MlflowTracker

STUDY = "dfn"
OWNER = Owner(driver="d1", host="here", pid=1)
DEPTHS, SEEDS, MEMBERS = ("14", "26"), (0, 1, 2), ("LLL", "RRR")


class MemoryResults:
    """A result store that keeps rows in memory; a damaged part is refused as the real one refuses it."""

    def __init__(self) -> None:
        self.rows: dict[str, tuple[ResultRow, ...]] = {}
        self.damaged: set[str] = set()
        self.reads = 0

    def write(self, rows: Sequence[ResultRow]) -> PartRef:
        path = f"parts/{len(self.rows)}.parquet"
        self.rows[path] = tuple(rows)
        return PartRef(path=path, sha256="0" * 64, rows=len(rows), size_bytes=1)

    def read(self, parts: Sequence[PartRef], keys: Collection[TrialKey] | None = None) -> Sequence[ResultRow]:
        self.reads += 1
        for part in parts:
            if part.path in self.damaged:
                raise CorruptError(f"{part.path} has changed")
        return [
            row for part in parts for row in self.rows[part.path] if keys is None or row.trial in set(keys)
        ]

    def compact(self, parts: Sequence[PartRef]) -> PartRef:
        raise NotImplementedError

    def sweep(self, listed: Sequence[PartRef], *, older_than_s: float) -> Sequence[str]:
        raise NotImplementedError


def key(text: str) -> TrialKey:
    return TrialKey(text.ljust(32, "0"))


GATHERS = frozenset(key(f"g{seed}") for seed in SEEDS)


def plan() -> Plan:
    """Two depths x three seeds, two members of each net, and one gather a seed over both depths."""
    trials: dict[TrialKey, Trial] = {}
    assignments = []

    def add(trial: Trial, cell: str, evaluation: str, depth: str, member: str) -> None:
        trials[trial.key] = trial
        labels = {"depth": depth, "member": member}
        assignments.append(
            Assignment(
                study=STUDY,
                cell=cell,
                evaluation=evaluation,
                labels=labels,
                seed=trial.seed,
                trial=trial.key,
            )
        )

    for seed in SEEDS:
        for depth in DEPTHS:
            parent = key(f"t{depth}{seed}")
            config = {"network": {"depth": int(depth)}}
            training = Trial(key=parent, stage="train", workload="toy", config=config, seed=seed)
            add(training, f"depth={depth}", "test", depth, "–")
            for member in MEMBERS:
                condition = Trial(
                    key=key(f"e{depth}{member}{seed}"),
                    stage="evaluate",
                    workload="toy",
                    family="members",
                    parameters={"member": member},
                    seed=seed,
                    parents=(parent,),
                )
                add(condition, f"depth={depth}", "members", depth, member)
        vote = Trial(
            key=key(f"g{seed}"),
            stage="evaluate",
            workload="toy",
            family="vote",
            seed=seed,
            parents=tuple(key(f"t{depth}{seed}") for depth in DEPTHS),
            gathers=True,
        )
        add(vote, "", "vote", "Overall", "–")
    cells = [
        Cell(index=i, name=f"depth={depth}", labels={"depth": depth}, config={})
        for i, depth in enumerate(DEPTHS)
    ]
    dimensions = [
        Dimension(name="depth", labels=(*DEPTHS, "Overall")),
        Dimension(name="member", labels=(*MEMBERS, "–")),
    ]
    return Plan(study=STUDY, cells=cells, dimensions=dimensions, trials=trials, assignments=assignments)


def error_of(depth: str, seed: int) -> float:
    return 0.01 * int(depth) + 0.001 * seed**2


def rows_of(trial: Trial) -> list[ResultRow]:
    if trial.stage == "train":
        depth = trial.key[1:3]
        error = error_of(depth, trial.seed)
        curve = [
            ResultRow(
                trial=trial.key,
                evaluation="train",
                seed=trial.seed,
                step=step,
                metric="loss",
                value=1.0 / (step + 1),
            )
            for step in range(4)
        ]
        return [
            *curve,
            ResultRow(trial=trial.key, evaluation="test", seed=trial.seed, metric="test_error", value=error),
            ResultRow(trial=trial.key, evaluation="network", seed=trial.seed, metric="parameters", value=9.0),
        ]
    value = 0.5 if trial.family == "vote" else 0.25
    return [
        ResultRow(trial=trial.key, evaluation=trial.family, seed=trial.seed, metric="test_error", value=value)
    ]


class Desk:
    """A store with a submitted study, and what a driver does to it."""

    def __init__(self, root: Path) -> None:
        self.url = f"sqlite:///{root}/registry.db"
        self.database = root / "mlflow.db"
        self.uri = f"sqlite:///{self.database}"
        self.registry = open_registry(self.url)
        self.results = MemoryResults()
        self.lock = root / "mirror.lock"
        self.plan = plan()
        self.submission = self.submit()
        self.lease = self.registry.acquire(STUDY, OWNER, 600.0)
        self.commit(opening_items(self.submission))

    def submit(self) -> Submission:
        document = {"title": "Fusion", "tables": {"main": {"metric": "test_error", "best": "min"}}}
        new = Submission(id="", study=STUDY, document=document, created_at=1_700_000_000.0, commit="abc")
        return self.registry.record(new, self.plan)

    def commit(self, items: Sequence[tuple[str, str, str]]) -> None:
        self.registry.commit(self.lease, mirror=items)

    def run(self, *trials: Trial, state: State = State.SUCCEEDED) -> None:
        """Claims and finishes trials, and asks for their runs, as the driver does."""
        claims = self.registry.claim(self.lease, [trial.key for trial in trials])
        assert len(claims) == len(trials)
        rows = [row for claim in claims for row in rows_of(claim.trial)] if state.has_result else []
        failure = None if state.has_result else Failure(cause=Cause.ERROR, message="boom", traceback="Trace")
        outcomes = [
            Outcome(trial=claim.trial.key, epoch=claim.epoch, state=state, failure=failure)
            for claim in claims
        ]
        started = [
            Started(trial=claim.trial.key, epoch=claim.epoch, worker={"host": "w1"}) for claim in claims
        ]
        self.registry.commit(
            self.lease,
            started=started,
            outcomes=outcomes,
            part=self.results.write(rows) if rows else None,
            mirror=mirror_items(self.plan.assignments, outcomes, gathers=GATHERS),
        )

    def run_all(self) -> None:
        everything = list(self.plan.trials.values())
        for stage in ("train", "evaluate"):
            self.run(*(trial for trial in everything if trial.stage == stage))

    def close_submission(self) -> None:
        self.commit(closing_items(self.submission, self.plan.assignments, gathers=GATHERS))

    def mirror(self, **changes: Any) -> Mirror:
        options: dict[str, Any] = {
            "registry": lambda: open_registry(self.url),
            "results": self.results,
            "tracker": lambda: MlflowTracker(self.uri),
            "lock": self.lock,
            "round_s": 0.05,
            "back_off_s": (0.05,),
        }
        return Mirror(**{**options, **changes})

    def runs(self, kind: str = "") -> list[Any]:
        if not self.database.exists():
            return []
        client: Any = MlflowClient(self.uri)
        experiment = client.get_experiment_by_name(f"orch/{STUDY}")
        found = client.search_runs([experiment.experiment_id], max_results=1000) if experiment else []
        return [run for run in found if kind in ("", run.data.tags["orch.kind"])]


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
    table = json.loads(
        Path(client.download_artifacts(run.info.run_id, "conditions/members.json")).read_text()
    )
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
    desk.results.damaged.add("parts/0.parquet")
    desk.run(trials[key("t260")])
    with desk.mirror() as mirror:
        assert mirror.drain(5) == 1
        assert [run.data.tags["orch.key"] for run in desk.runs("training")] == ["depth=26|s0"]
    assert "parts/0.parquet has changed" in caplog.text
    desk.results.damaged.clear()
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

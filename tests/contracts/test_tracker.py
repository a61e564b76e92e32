"""The contract of `ports.Tracker`, against a real MLflow store."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from orchestrator.errors import TargetError
from orchestrator.model.mirror import MirrorMetric, MirrorRun
from orchestrator.tracking import direct
from orchestrator.tracking.mlflow import SINGLE_SEARCHES, MlflowTracker
from tests.artifacts import artifact

STUDY = "dfn"


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/mlflow.db"


@pytest.fixture(params=[True, False], ids=["direct", "client"])
def tracker(uri: str, request: pytest.FixtureRequest) -> Iterator[MlflowTracker]:
    opened = MlflowTracker(uri, direct=request.param)
    yield opened
    opened.close()


@pytest.fixture
def client(uri: str, tracker: MlflowTracker) -> Any:
    return MlflowClient(uri)


def point(name: str, value: float, step: int = 0) -> MirrorMetric:
    return MirrorMetric(name=name, value=value, step=step, timestamp_ms=1000 * step)


def training(seed: int = 0, **changes: Any) -> MirrorRun:
    run = MirrorRun(
        study=STUDY,
        key=f"depth=26,sharing=W/|s{seed}",
        kind="training",
        name=f"depth=26 s{seed}",
        params={"depth": "26", "sharing": "W/", "seed": str(seed)},
        tags={"orch.state": "succeeded", "orch.cell": "depth=26,sharing=W/"},
        metrics=[
            *(point("train/loss", 1.0 / (step + 1), step) for step in range(5)),
            point("test_error", 0.07),
        ],
        texts={"notes/readme.md": "# hello\n"},
        tables={"conditions/members.json": {"member": ["LLL", "RRR"], "value": [0.25, 0.5]}},
        start_ms=1_700_000_000_000,
        end_ms=1_700_000_060_000,
    )
    return replace(run, **changes)


def runs(client: Any, study: str = STUDY) -> list[Any]:
    experiment = client.get_experiment_by_name(f"orch/{study}")
    return [] if experiment is None else list(client.search_runs([experiment.experiment_id]))


def picture(client: Any, run_id: str) -> dict[str, Any]:
    """Everything MLflow shows of a run, read through MLflow alone."""
    run = client.get_run(run_id)
    return {
        "status": run.info.status,
        "times": (run.info.start_time, run.info.end_time),
        "name": run.info.run_name,
        "params": run.data.params,
        "tags": run.data.tags,
        "metrics": {
            name: sorted((m.step, m.timestamp, m.value) for m in client.get_metric_history(run_id, name))
            for name in run.data.metrics
        },
        "files": {
            entry.path: artifact(client, run_id, entry.path)
            for folder in client.list_artifacts(run_id)
            for entry in (client.list_artifacts(run_id, folder.path) if folder.is_dir else [folder])
        },
    }


def test_a_run_shows_everything_it_was_given(tracker: MlflowTracker, client: Any) -> None:
    shown = picture(client, tracker.apply(training(), parent_id="f" * 32))
    assert shown["status"] == "FINISHED"
    assert shown["times"] == (1_700_000_000_000, 1_700_000_060_000)
    assert shown["name"] == "depth=26 s0"
    assert shown["params"] == {"depth": "26", "sharing": "W/", "seed": "0"}
    assert shown["metrics"]["test_error"] == [(0, 0, 0.07)]
    assert shown["metrics"]["train/loss"] == [(step, 1000 * step, 1.0 / (step + 1)) for step in range(5)]
    expected = {
        "orch.kind": "training",
        "orch.study": STUDY,
        "orch.key": "depth=26,sharing=W/|s0",
        "orch.state": "succeeded",
        "mlflow.parentRunId": "f" * 32,
    }
    assert expected.items() <= shown["tags"].items()
    assert shown["files"]["notes/readme.md"] == "# hello\n"


def test_a_table_is_one_that_mlflow_loads(tracker: MlflowTracker, client: Any) -> None:
    run_id = tracker.apply(training())
    path = "conditions/members.json"
    text = artifact(client, run_id, path)
    assert json.loads(text) == {"columns": ["member", "value"], "data": [["LLL", 0.25], ["RRR", 0.5]]}
    assert json.loads(client.get_run(run_id).data.tags["mlflow.loggedArtifacts"]) == [
        {"path": path, "type": "table"}
    ]


@pytest.mark.parametrize("fresh", [False, True], ids=["same process", "new process"])
def test_replay_changes_nothing(tracker: MlflowTracker, client: Any, uri: str, fresh: bool) -> None:
    run_id = tracker.apply(training())
    before = picture(client, run_id)
    again = MlflowTracker(uri) if fresh else tracker
    assert again.apply(training()) == run_id
    assert again.apply(training(run_id=run_id)) == run_id
    assert picture(client, run_id) == before
    assert len(runs(client)) == 1


def test_what_changes_is_updated_in_place(tracker: MlflowTracker, client: Any) -> None:
    run_id = tracker.apply(training(status="FAILED", metrics=(), tags={"orch.error": "boom"}, tables={}))
    assert tracker.apply(training()) == run_id
    shown = picture(client, run_id)
    assert shown["status"] == "FINISHED"
    assert "orch.error" not in shown["tags"]
    assert len(shown["metrics"]["train/loss"]) == 5
    assert "conditions/members.json" in shown["files"]


def test_a_submission_runs_and_ends_and_runs_again(tracker: MlflowTracker, client: Any) -> None:
    run = MirrorRun(study=STUDY, key="dfn-1", kind="submission", name="dfn-1", start_ms=5)
    states = []
    for status in ("RUNNING", "FINISHED", "RUNNING", "KILLED"):
        run_id = tracker.apply(replace(run, status=status))
        states.append(client.get_run(run_id).info.status)
    assert states == ["RUNNING", "FINISHED", "RUNNING", "KILLED"]
    assert len(runs(client)) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"metrics": [point("test_error", 0.05)]},  # a rerun measured something else
        {"params": {"depth": "26", "seed": "0", "sharing": "other"}},
    ],
    ids=["point", "param"],
)
def test_what_mlflow_cannot_change_is_a_new_run(
    tracker: MlflowTracker, client: Any, changes: dict[str, Any]
) -> None:
    old = tracker.apply(training())
    new = tracker.apply(training(run_id=old, **changes))
    assert new != old
    assert [run.info.run_id for run in runs(client)] == [new]
    assert picture(client, new)["metrics"]["test_error"] == [(0, 0, 0.05 if "metrics" in changes else 0.07)]


def test_more_points_than_one_batch_holds(tracker: MlflowTracker, client: Any) -> None:
    metrics = [point(f"m{name}", float(step), step) for name in range(5) for step in range(501)]
    shown = picture(client, tracker.apply(training(metrics=metrics)))
    assert sum(len(points) for points in shown["metrics"].values()) == 5 * 501


def test_values_mlflow_would_alter_are_told_in_a_tag(tracker: MlflowTracker, client: Any) -> None:
    metrics = [point("loss", float("nan"), 3), point("loss", float("inf"), 4), point("loss", 1.0, 2)]
    shown = picture(client, tracker.apply(training(metrics=metrics)))
    assert shown["metrics"] == {"loss": [(2, 2000, 1.0)]}
    assert shown["tags"]["orch.non_finite"] == "loss=nan at step 3, loss=inf at step 4"


def test_limits_and_odd_names_are_taken(tracker: MlflowTracker, client: Any) -> None:
    odd = training(
        key='label=it\'s "both" – ü|s0',
        params={"long": "x" * 7000, **{f"p{number}": "1" for number in range(150)}},
        tags={"orch.error": "y" * 9000, "tag (odd)": "1"},
        metrics=[point("error@W/", 1.0), point("a//b", 2.0), point("../x", 3.0)],
    )
    run_id = tracker.apply(odd)
    assert tracker.apply(odd) == run_id
    shown = picture(client, run_id)
    assert len(shown["params"]) == 151
    assert len(shown["params"]["long"]) == 6000
    assert len(shown["tags"]["orch.error"]) == 8000
    assert sorted(point[0][2] for point in shown["metrics"].values()) == [1.0, 2.0, 3.0]


def test_an_emptied_mlflow_is_filled_again(tracker: MlflowTracker, client: Any) -> None:
    new = tracker.apply(training(run_id="0" * 32))
    assert [run.info.run_id for run in runs(client)] == [new]


def test_a_run_deleted_by_hand_comes_back(tracker: MlflowTracker, client: Any) -> None:
    old = tracker.apply(training())
    client.delete_run(old)
    new = tracker.apply(training(run_id=old))
    assert [run.info.run_id for run in runs(client)] == [new]


def test_many_unknown_keys_are_found(tracker: MlflowTracker, client: Any, uri: str) -> None:
    small = [training(seed, texts={}, tables={}, metrics=()) for seed in range(SINGLE_SEARCHES + 5)]
    ids = [tracker.apply(run) for run in small]
    assert [MlflowTracker(uri).apply(run) for run in small] == ids  # one instance: searched, then loaded
    again = MlflowTracker(uri)
    assert [again.apply(run) for run in small] == ids
    assert len(runs(client)) == len(small)


def test_describe_sets_note_and_tags(tracker: MlflowTracker, client: Any) -> None:
    for note in ("first", "second"):
        tracker.describe(STUDY, note=note, tags={"mlflow.experiment.primaryMetric.name": "test_error"})
    tags = client.get_experiment_by_name(f"orch/{STUDY}").tags
    assert tags["mlflow.note.content"] == "second"
    assert tags["mlflow.experiment.primaryMetric.name"] == "test_error"
    assert tags["orch.study"] == STUDY


def test_artifacts_lie_beside_the_database(tracker: MlflowTracker, client: Any, tmp_path: Path) -> None:
    run_id = tracker.apply(training())
    assert list((tmp_path / "artifacts").rglob(f"{run_id}/artifacts/notes/readme.md"))


TABLES = ("runs", "tags", "params", "metrics", "latest_metrics")


def rows(database: Path) -> dict[str, list[tuple[object, ...]]]:
    """Returns all that a database says of runs, with the runs' names in place of their ids."""
    with closing(sqlite3.connect(database)) as connection:
        names = dict(connection.execute("SELECT run_uuid, name FROM runs").fetchall())
        found = {}
        for table in TABLES:
            lines = connection.execute(f"SELECT * FROM {table}").fetchall()
            plain = [[names.get(each, each) for each in line] for line in lines]
            for run_id, name in names.items():
                plain = [
                    [each.replace(run_id, name) if isinstance(each, str) else each for each in line]
                    for line in plain
                ]
            found[table] = sorted((tuple(line) for line in plain), key=repr)
    return found


def test_one_transaction_leaves_what_the_clients_calls_leave(tmp_path: Path) -> None:
    curve = [point("b", value, step) for step, value in ((3, 1.0), (7, -0.0), (7, 2.0), (7, 2.0), (1, 9.0))]
    told = [
        training(0),
        training(1, name="bare", texts={}, tables={}, metrics=(), params={}),
        training(2, name="failed", status="FAILED", texts={}, tables={}),
        training(3, name="goes on", status="RUNNING", end_ms=None),
        training(4, name="curve", texts={}, tables={}, metrics=[*curve, point("c", float("nan"), 1)]),
        training(5, name="x" * 300, params={"a b/c": "y" * 7000}, tags={"t" * 300: "z" * 9000}, start_ms=0),
        training(6, name="child", parent="p", texts={}, tables={}, tags={"mlflow.user": "somebody"}),
        training(7, name="large", metrics=[point("m", 1e308, step) for step in range(1200)]),
    ]
    found = []
    for way in (True, False):
        path = tmp_path / str(way) / "mlflow.db"
        tracker = MlflowTracker(f"sqlite:///{path}", str(tmp_path / "artifacts"), direct=way)
        assert (tracker._direct is not None) is way
        for run in told:
            tracker.apply(run, parent_id="p" * 32 if run.parent else "")
        tracker.close()
        found.append(rows(path))
    assert len(found[0]["runs"]) == len(told)
    for table in TABLES:
        assert found[0][table] == found[1][table], table


def test_a_schema_that_is_not_known_is_left_to_the_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(direct, "REVISION", "of another MLflow")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    tracker = MlflowTracker(uri, direct=True)
    tracker.apply(training())
    tracker.close()
    assert tracker._direct is None
    assert len(runs(MlflowClient(uri))) == 1


def test_an_experiment_deleted_by_hand_is_made_again(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    tracker = MlflowTracker(uri, direct=True)
    tracker.apply(training(0))
    client = MlflowClient(uri)
    client.delete_experiment(client.get_experiment_by_name(f"orch/{STUDY}").experiment_id)
    with pytest.raises(TargetError, match="was deleted"):
        tracker.apply(training(1))
    tracker.close()
    MlflowTracker(uri, direct=True).apply(training(1))
    assert len(runs(client)) == 2


def test_a_locked_file_is_waited_for_and_then_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    tracker = MlflowTracker(uri, direct=True)
    tracker.describe(STUDY, note="", tags={})
    monkeypatch.setattr(direct, "BUSY_S", 0.05)
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(TargetError, match="locked"):
            tracker.apply(training())
        other.rollback()
    assert runs(MlflowClient(uri)) == []
    tracker.apply(training())
    assert len(runs(MlflowClient(uri))) == 1


def test_an_unreachable_server_is_a_target_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    gone = MlflowTracker("http://user:hunter2@127.0.0.1:9")  # discard: nobody listens
    with pytest.raises(TargetError, match="does not answer") as caught:
        gone.apply(training())
    assert "hunter2" not in str(caught.value)


def test_a_damaged_database_is_a_target_error(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"garbage" * 1000)
    with pytest.raises(TargetError, match="does not answer"):
        MlflowTracker(f"sqlite:///{tmp_path}/mlflow.db")


# One process imports MLflow, which takes seconds, and forks a child for each number of calls to survive.
KILLED = """
import os, signal, sys
sys.path.insert(0, {tests!r})
import test_tracker
from orchestrator.tracking import mlflow

def apply(uri, survive):
    tracker = mlflow.MlflowTracker(uri, direct={way!r})
    calls = 0
    class Counting:
        def __init__(self, counted):
            self.counted = counted
        def __getattr__(self, name):
            def call(*args, **kwargs):
                nonlocal calls
                calls += name in ("create", "create_run", "log_batch", "log_artifacts", "set_terminated")
                if calls > survive:
                    os.kill(os.getpid(), signal.SIGKILL)
                return getattr(self.counted, name)(*args, **kwargs)
            return call
    tracker._client = Counting(tracker._client)
    tracker._direct = tracker._direct and Counting(tracker._direct)
    tracker.apply(test_tracker.training())

for survive in range(10):
    child = os.fork()
    if not child:
        apply({folder!r} % survive, survive)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(code, flush=True)
    if code != -signal.SIGKILL:
        break
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("way", "calls"), [(True, 3), (False, 4)], ids=["run, artifacts, end", "create, batch, artifacts, end"]
)
def test_killed_between_any_two_calls_then_replayed(tmp_path: Path, way: bool, calls: int) -> None:
    """As many calls as survive: none, 1, 2, ... until the run completes; a replay mends each."""
    folder = f"sqlite:///{tmp_path}/%d.db"
    script = KILLED.format(tests=str(Path(__file__).parent), folder=folder, way=way)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    codes = [int(line) for line in done.stdout.split()]
    assert codes == [-signal.SIGKILL] * calls + [0], done.stderr
    reference = None
    for survive in range(len(codes)):
        uri = folder % survive
        client = MlflowClient(uri)
        run_id = MlflowTracker(uri, str(tmp_path / "artifacts")).apply(training())
        shown = picture(client, run_id)
        shown["files"] = sorted(shown["files"])
        reference = reference or shown
        assert shown == reference
        assert [run.info.run_id for run in runs(client)] == [run_id]

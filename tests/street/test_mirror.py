"""What MLflow shows of a study that ran through the command line."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from tests.street.orch import Orch
from tests.street.test_street import STUDY


@pytest.fixture
def orch(tmp_path: Path) -> Orch:
    return Orch(directory=tmp_path, environment={"ORCH_MLFLOW_URI": f"sqlite:///{tmp_path}/mirror.db"})


def runs(orch: Orch, study: str) -> list[Any]:
    client = MlflowClient(orch.env["ORCH_MLFLOW_URI"])
    experiment = client.get_experiment_by_name(f"orch/{study}")
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id], max_results=1000))


def kinds(orch: Orch, study: str) -> Counter[str]:
    return Counter(run.data.tags["orch.kind"] for run in runs(orch, study))


def progress(orch: Orch, study: str) -> list[tuple[int, float, int]]:
    (run,) = [run for run in runs(orch, study) if run.data.tags["orch.kind"] == "submission"]
    history = MlflowClient(orch.env["ORCH_MLFLOW_URI"]).get_metric_history(run.info.run_id, "progress")
    assert all(run.info.start_time <= point.timestamp <= run.info.end_time for point in history)
    return [(point.step, point.value, point.timestamp) for point in history]


def test_counts_by_kind_equal_the_plans(orch: Orch) -> None:
    file = orch.study(STUDY)
    planned = orch("plan", file, "--json").json["runs"]
    assert orch("submit", file, "--json").json["unmirrored"] == 0
    assert kinds(orch, "demo") == {**planned, "submission": 1}
    assert {run.info.status for run in runs(orch, "demo")} == {"FINISHED"}
    # one point for each of the two cells, when its last training ended
    curve = progress(orch, "demo")
    assert [(step, value) for step, value, _ in curve] == [(1, 0.5), (2, 1.0)]
    # a second submission of the same adds nothing
    orch("submit", file)
    assert progress(orch, "demo") == curve
    assert kinds(orch, "demo") == {**planned, "submission": 1}
    # a study all of whose trials are cached is shown all the same
    other = orch.study(STUDY.replace("study: demo", "study: other"), "other.yaml")
    assert orch("submit", other, "--json").json["trained"] == 0
    assert kinds(orch, "other") == {**planned, "submission": 1}


def test_a_training_shows_its_labels_curve_and_conditions(orch: Orch) -> None:
    orch("submit", orch.study(STUDY))
    (run,) = [
        run
        for run in runs(orch, "demo")
        if run.data.tags["orch.kind"] == "training"
        and run.data.params == {"x": "1", "fault": "none", "by": "one", "seed": "2"}
    ]
    assert run.data.tags["orch.state"] == "succeeded"
    assert set(run.data.tags) >= {
        "orch.study",
        "orch.cell",
        "orch.seed",
        "orch.trial_key",
        "mlflow.parentRunId",
    }
    client = MlflowClient(orch.env["ORCH_MLFLOW_URI"])
    assert [point.step for point in client.get_metric_history(run.info.run_id, "train/error")] == [1, 2]
    assert [each.path for each in client.list_artifacts(run.info.run_id)] == ["conditions"]
    (cell,) = [
        run
        for run in runs(orch, "demo")
        if run.data.tags["orch.kind"] == "cell" and run.data.params["x"] == "1"
    ]
    assert cell.data.metrics["n"] == 3
    assert {"test_error_mean", "test_error_std"} <= set(cell.data.metrics)


@pytest.mark.slow
def test_a_mirror_that_cannot_be_reached_costs_nothing_and_catches_up(tmp_path: Path) -> None:
    down = Orch(
        directory=tmp_path,
        spawn=True,
        environment={"ORCH_MLFLOW_URI": "http://127.0.0.1:9", "ORCH_MIRROR_WAIT_S": "0.5"},
    )
    file = down.study(STUDY)
    done = down("submit", file, "--json").json
    assert done["counts"]["succeeded"] == 21
    assert done["unmirrored"] > 0
    up = Orch(directory=tmp_path, environment={"ORCH_MLFLOW_URI": f"sqlite:///{tmp_path}/mirror.db"})
    assert up("submit", file, "--json").json["unmirrored"] == 0
    assert kinds(up, "demo") == {**up("plan", file, "--json").json["runs"], "submission": 1}

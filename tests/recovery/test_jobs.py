"""Submit and leave: the driver lives in the cluster, over Postgres; everything works from outside of it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from orchestrator.app.launch import without_password
from orchestrator.errors import NotFoundError, TargetError, UsageError
from orchestrator.execution.ray_cluster import read_token_again
from orchestrator.execution.ray_jobs import RayJobs
from orchestrator.model.job import Job, JobState
from tests.contracts.storage_fixtures import Server, postgres
from tests.recovery.invariants import assert_invariants, finished, golden
from tests.recovery.ray_nodes import Nodes, cluster, free_port
from tests.recovery.test_cluster import study_of, workers
from tests.street.orch import Orch, until

__all__ = ["postgres"]

TARGET = """
[targets.lab]
jobs_address = "http://127.0.0.1:PORT"
registry_url = "REGISTRY"
store = "STORE"
mlflow_uri = "off"
workload_modules = ["tests.toy_workload"]
checkpoint_interval_s = 1
lease_s = 12
"""


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    with cluster() as found:
        yield found


@pytest.fixture
def laptop(nodes: Nodes, postgres: Server, tmp_path: Path) -> Orch:
    """The command line on a machine that is not of the cluster, with the target `lab`."""
    (tmp_path / "lab").mkdir()
    text = TARGET.replace("PORT", str(nodes.jobs)).replace("REGISTRY", postgres.database())
    (tmp_path / "orch.toml").write_text(text.replace("STORE", str(tmp_path / "lab")))
    return Lab(directory=tmp_path, environment=dict(nodes.access))


class Lab(Orch):
    """The command line with the target `lab`."""

    @property
    def env(self) -> dict[str, str]:
        # What the target says must not be said by the environment, which is stronger.
        ours = ("ORCH_STORE", "ORCH_EXECUTOR", "ORCH_MLFLOW_URI", "ORCH_WORKLOAD_MODULES")
        found = {name: value for name, value in super().env.items() if name not in ours}
        return {**found, "ORCH_TARGET": "lab"}


def job_of(laptop: Orch) -> tuple[str, str]:
    job = laptop("status", "demo", "--json").json["studies"][0]["job"]
    return job["id"], job["state"]


@pytest.mark.slow
def test_a_study_runs_while_nobody_is_there(laptop: Orch, tmp_path: Path) -> None:
    """Its driver is killed, resumed, cancelled, and resumed to the end; the table is that of a laptop."""
    file, gate, trace = study_of(laptop)
    done = laptop("submit", file, "--no-wait", "--json").json
    assert (done["job"], done["left"], done["new"]) == ("orch-demo-1-1", 18, True)
    again = laptop("resume", "demo", "--no-wait", "--json", code=None)
    if again.code == 0:  # the driver has not come up yet: its job is found
        assert (again.json["job"], again.json["new"]) == ("orch-demo-1-1", False)
    else:
        assert again.code == 7
    until(lambda: len(workers(trace)) == 1, timeout_s=120, what="a training in the cluster")

    # The driver dies with its job.
    (driver,) = {each["driver"]["pid"] for each in laptop("status", "demo", "--json").json["studies"]}
    assert laptop("submit", file, "--no-wait", code=7).err  # it is held
    os.kill(driver, signal.SIGKILL)
    until(lambda: job_of(laptop)[1] == "failed", what="the end of the job")
    gate.touch()
    until(lambda: laptop("resume", "demo", "--no-wait", code=None).code == 0, timeout_s=90, what="a lease")
    assert job_of(laptop)[0] == "orch-demo-1-2"
    until(lambda: len(finished(laptop, "demo")) >= 3, timeout_s=120, what="results")
    gate.unlink()
    until(lambda: laptop("status", "demo", "--json").json["studies"][0]["driver"], what="the driver")

    # What runs and what waits is cancelled from outside, and what is done is kept.
    laptop("cancel", "demo")
    until(lambda: job_of(laptop)[1] == "succeeded", what="the end of the cancelled study")
    before = finished(laptop, "demo")
    assert "cells" in laptop("logs", "demo", "--driver").out
    gate.touch()
    laptop("resume", "demo", "--no-wait", "--include-cancelled")
    laptop("watch", "demo")  # to the end
    assert laptop("status", "demo", "--json").json["studies"][0]["status"] == "done"
    assert laptop("submit", file, "--no-wait", "--json").json["job"] is None

    (tmp_path / "alone").mkdir()
    undisturbed = Orch(directory=tmp_path / "alone")
    undisturbed("submit", file)
    assert_invariants(laptop, "demo", golden(undisturbed, "demo"), before=before)


@pytest.mark.slow
def test_jobs_of_a_cluster(nodes: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `ports.Launcher` promises."""
    import zipfile

    for name, value in nodes.access.items():
        monkeypatch.setenv(name, value)
    code = tmp_path / "code.zip"
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("hello.py", "import os; print('hello', os.environ['WORD'])")
        archive.writestr("wait.py", "import time; time.sleep(600)")
    launcher = RayJobs(f"http://127.0.0.1:{nodes.jobs}")
    assert launcher.jobs("s") == []

    def job(number: int, script: str) -> Job:
        return Job(
            id=f"orch-s-{number}",
            study="s",
            command=("python", script),
            code=code,
            environment={"WORD": "world"},
        )

    assert launcher.launch(job(1, "hello.py"))
    assert not launcher.launch(job(1, "hello.py"))
    until(lambda: launcher.jobs("s")[0].state is JobState.SUCCEEDED, what="the job's end")
    assert launcher.log("orch-s-1").endswith("hello world\n")  # after what Ray says of its own
    launcher.stop("orch-s-1")  # it is over: nothing happens
    assert launcher.launch(job(2, "wait.py"))
    launcher.stop("orch-s-2")
    until(lambda: launcher.jobs("s")[1].state is JobState.STOPPED, what="the job's end")
    assert [each.id for each in launcher.jobs("s")] == ["orch-s-1", "orch-s-2"]
    assert launcher.jobs("another") == []
    with pytest.raises(NotFoundError, match="orch-s-3"):
        launcher.log("orch-s-3")

    stranger = tmp_path / "token"
    stranger.write_text("0" * 64)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(stranger))
    with pytest.raises(TargetError, match="token"):
        launcher.jobs("s")
    monkeypatch.undo()
    read_token_again()


def test_a_server_that_is_not_there() -> None:
    with pytest.raises(TargetError, match="cannot be reached"):
        RayJobs(f"http://127.0.0.1:{free_port()}").jobs("s")


@pytest.mark.slow
def test_a_head_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    """Ray alone would go on asking for a quarter of an hour, deaf to SIGTERM."""
    orch = Orch(directory=tmp_path, executor="ray")
    orch.environment["ORCH_RAY_ADDRESS"] = f"127.0.0.1:{free_port()}"
    said = orch("submit", study_of(orch)[0], code=5).err
    assert "cannot be joined" in said
    assert "ray status" in said
    assert orch("status", "demo", "--json").json["studies"][0]["driver"] is None


@pytest.mark.parametrize(
    "address", ["127.0.0.1:8265", "ray://host:10001", "http://me:secret@host:8265", "http://"]
)
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(UsageError, match="http://HOST:8265") as error:
        RayJobs(address)
    assert "secret" not in str(error.value)


def test_a_study_has_a_status_although_the_cluster_is_gone(tmp_path: Path) -> None:
    orch = Orch(directory=tmp_path)
    file, gate, _ = study_of(orch)
    gate.touch()
    orch("submit", file)
    orch.environment["ORCH_JOBS_ADDRESS"] = f"http://127.0.0.1:{free_port()}"
    for verb in ("status", "watch"):
        done = orch(verb, "demo", "--json")
        assert (done.json["studies"][0]["status"], done.json["studies"][0]["job"]) == ("done", None)
        assert "cannot be reached" in done.err


def test_what_a_driver_elsewhere_needs_is_said(tmp_path: Path) -> None:
    orch = Orch(directory=tmp_path)
    file = study_of(orch)[0]
    assert "jobs_address" in orch("submit", file, "--no-wait", code=2).err
    orch.environment["ORCH_JOBS_ADDRESS"] = "http://127.0.0.1:1"
    assert "registry_url" in orch("submit", file, "--no-wait", code=2).err
    assert "--executor inline" in orch("submit", file, "--no-wait", "--executor", "inline", code=2).err
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("url", "plain"),
    [
        ("postgresql+psycopg://me:secret@host:5432/orch", "postgresql+psycopg://me@host:5432/orch"),
        ("postgresql+psycopg://me@host/orch", "postgresql+psycopg://me@host/orch"),
        ("postgresql+psycopg:///orch?host=%2Ftmp&user=me", "postgresql+psycopg:///orch?host=%2Ftmp&user=me"),
        ("postgresql+psycopg://host/orch?password=secret&user=me", "postgresql+psycopg://host/orch?user=me"),
    ],
)
def test_passwords_do_not_travel(url: str, plain: str) -> None:
    assert without_password(url) == plain
    if "///" not in url:
        assert psycopg.conninfo.conninfo_to_dict(plain.replace("+psycopg", ""))["dbname"] == "orch"

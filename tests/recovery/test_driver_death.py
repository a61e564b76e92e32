"""The driver dies, or is asked to stop: `orch resume` ends with the table of an undisturbed run."""

from __future__ import annotations

import dataclasses
import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.street.orch import Orch, until

STUDY = """
api_version: 1
study: demo
workload: tests.toy_workload:SPEC
config: {steps: 3, gate: GATE, gate_at: 2, trace: TRACE}
design:
  type: factorial
  factors: {x: {path: x, levels: [1, 2, 3]}}
seeds: 2
evaluate: {scaled: {family: scale, vary: {by: {levels: [2, 3], otherwise: one}}}}
tables:
  errors: {from: [test, scaled], rows: x, columns: by, metric: test_error}
"""


def files_in(directory: Path) -> tuple[Path, Path]:
    return directory / "gate", directory / "trace"


def study_of(orch: Orch) -> Path:
    gate, trace = files_in(orch.directory)
    return orch.study(STUDY.replace("GATE", str(gate)).replace("TRACE", str(trace)))


def golden_csv(directory: Path, like: Orch) -> str:
    """Returns the table of a study that nothing disturbed, from the same file text."""
    undisturbed = Orch(directory=directory, executor="inline")
    # The gate is open, and the paths in the config are those of the other run: the same trials.
    files_in(like.directory)[0].touch()
    text = (like.directory / "study.yaml").read_text()
    undisturbed("submit", undisturbed.study(text))
    return undisturbed("table", "demo", "--format", "csv").out


def steps_run(orch: Orch) -> Counter[tuple[str, str]]:
    _, trace = files_in(orch.directory)
    lines = trace.read_text().splitlines() if trace.exists() else []
    return Counter((line.split()[0], line.split()[1]) for line in lines)


@pytest.mark.parametrize("executor", ["inline", pytest.param("ray", marks=pytest.mark.slow)])
def test_kill_9_half_way_then_resume(tmp_path: Path, executor: str) -> None:
    """On Ray the resumed driver is stopped in its turn, and the end runs inline: clusters start slowly."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    orch = Orch(directory=tmp_path / "a", executor=executor)
    file = study_of(orch)
    gate, _ = files_in(orch.directory)
    # Four of six trainings go through the open gate, one after the other; then it closes.
    gate.touch()
    inline = dataclasses.replace(orch, executor="inline")  # the same results, without waiting for Ray
    inline("submit", file, "--cells", "x=1", "--cells", "x=2")
    gate.unlink()
    before = {
        each["trial"]: each
        for each in orch("show", "demo", "--json").json["trials"]
        if each["state"] == "succeeded"
    }
    assert len(before) == 4 + 8
    reports = {key: orch("show", key, "--json").json for key in before}
    with orch.start("submit", file) as driver:
        until(
            lambda: steps_run(orch)[("0", "1")] + steps_run(orch)[("1", "1")] > 4, what="a training under way"
        )
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
    if executor == "ray":
        # Its workers live some seconds longer, and may write a step: their cluster's folder goes last.
        until(lambda: not list(Path("/tmp").glob(f"orch-ray-{driver.pid}-*")), what="the cluster's end")
        stopped_again(orch)
    gate.touch()
    steps = steps_run(orch)
    resumed = inline("resume", "demo", "--json").json
    assert resumed["counts"]["succeeded"] == 6 + 12
    assert resumed["trained"] == 2
    if executor == "ray":
        # What was done before the stop is in the checkpoint: only what the gate held back ran.
        seeds_and_steps = {(str(seed), str(step)) for seed in (0, 1) for step in (2, 3)}
        assert steps_run(orch) - steps == dict.fromkeys(seeds_and_steps, 1)
    for key, report in reports.items():
        assert orch("show", key, "--json").json == report, "a finished trial was touched"
    assert orch("table", "demo", "--format", "csv").out == golden_csv(tmp_path / "b", orch)
    assert inline("resume", "demo", "--json").json["trained"] == 0
    assert not list((orch.directory / "store").rglob(".tmp-*"))


def stopped_again(orch: Orch) -> None:
    """Resumes, waits until both trainings are at the gate again, and asks for a stop."""
    before = sum(steps_run(orch).values())
    with orch.start("resume", "demo") as driver:
        until(lambda: sum(steps_run(orch).values()) == before + 2, what="the trainings under way again")
        os.kill(driver.pid, signal.SIGINT)
        out, _ = driver.communicate(timeout=60)
    assert driver.returncode == 130, out
    assert "orch resume demo" in out
    assert orch("status", "demo", "--json").json["studies"][0]["status"] == "interrupted"


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow)]
)
def test_asked_to_stop_it_is_resumable_and_says_how(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    orch = Orch(directory=tmp_path / "a")
    file = study_of(orch)
    gate, _ = files_in(orch.directory)
    with orch.start("submit", file) as driver:
        until(lambda: sum(steps_run(orch).values()) > 0, what="a training under way")
        os.kill(driver.pid, number)
        out, _ = driver.communicate(timeout=60)
    assert driver.returncode == code, out
    assert "orch resume demo" in out
    assert orch("status", "demo", "--json").json["studies"][0]["status"] == "interrupted"
    gate.touch()
    resumed = orch("resume", "demo", "--json").json
    assert resumed["counts"]["succeeded"] == 18
    # What was done before the stop is in the checkpoint: no step of any training ran twice.
    assert set(steps_run(orch).values()) == {3}, "each (seed, step) belongs to three cells"
    assert orch("table", "demo", "--format", "csv").out == golden_csv(tmp_path / "b", orch)


def test_a_second_driver_is_told_who_holds_the_study(tmp_path: Path) -> None:
    orch = Orch(directory=tmp_path)
    file = study_of(orch)
    with orch.start("submit", file) as driver:
        until(lambda: sum(steps_run(orch).values()) > 0, what="a training under way")
        refused = orch("resume", "demo", code=7)
        assert str(driver.pid) in refused.err
        orch("submit", file, code=7)
        files_in(tmp_path)[0].touch()
        driver.communicate(timeout=60)
        assert driver.returncode == 0


@pytest.mark.slow
def test_what_a_dead_driver_left_of_another_study_is_taken_over(tmp_path: Path) -> None:
    orch = Orch(directory=tmp_path, environment={"ORCH_LEASE_S": "4"})
    file = study_of(orch)
    other = orch.study(file.read_text().replace("study: demo", "study: other"), "other.yaml")
    with orch.start("submit", file) as driver:
        until(lambda: sum(steps_run(orch).values()) > 0, what="a training under way")
        with orch.start("submit", other, "--json") as second:
            # It finds the training RUNNING, and soon works on another.
            until(lambda: len(running(orch)) == 2, what="a second training under way")
            os.kill(driver.pid, signal.SIGKILL)
            driver.wait()
            files_in(tmp_path)[0].touch()
            out, _ = second.communicate(timeout=60)
    assert second.returncode == 0, out
    assert '"succeeded": 18' in out


def running(orch: Orch) -> set[str]:
    return {each["trial"] for each in trials(orch) if each["state"] == "running"}


def test_a_driver_that_slept_through_its_lease_records_nothing_more(tmp_path: Path) -> None:
    orch = Orch(directory=tmp_path, environment={"ORCH_LEASE_S": "2"})
    file = study_of(orch)
    with orch.start("submit", file) as sleeper:
        until(lambda: sum(steps_run(orch).values()) > 0, what="a training under way")
        os.kill(sleeper.pid, signal.SIGSTOP)
        files_in(tmp_path)[0].touch()
        until(lambda: orch("resume", "demo", code=None).code == 0, what="the end of the lease")
        before = orch("show", "demo", "--json").out
        os.kill(sleeper.pid, signal.SIGCONT)
        out, _ = sleeper.communicate(timeout=60)
    assert sleeper.returncode == 7, out
    assert "lost its lease" in out
    assert "Traceback" not in out
    assert orch("show", "demo", "--json").out == before
    assert orch("status", "demo", "--json").json["studies"][0]["status"] == "done"


@pytest.mark.slow
def test_asked_to_stop_while_mlflow_catches_up_it_prints_what_it_has(tmp_path: Path) -> None:
    # Nobody listens on the discard port: the mirror would be waited for in vain.
    down = {"ORCH_MLFLOW_URI": "http://127.0.0.1:9", "ORCH_MIRROR_WAIT_S": "600"}
    orch = Orch(directory=tmp_path, environment=down)
    file = study_of(orch)
    files_in(tmp_path)[0].touch()
    with orch.start("submit", file) as driver:
        until(
            lambda: {each["state"] for each in trials(orch)} == {"succeeded"},
            what="the end of all trials",
        )
        os.kill(driver.pid, signal.SIGINT)
        out, _ = driver.communicate(timeout=60)
    assert driver.returncode == 130, out
    assert "errors" in out
    assert "6 trained, 12 evaluated" in out
    assert "MLflow has yet to show" in out


def trials(orch: Orch) -> list[dict[str, str]]:
    done = orch("show", "demo", "--json", code=None)
    return list(done.json["trials"]) if done.code == 0 else []

"""The command line where users trip: files for names, pipes, full disks, narrowed submissions, JSON."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import subprocess
from pathlib import Path
from unittest import mock

import pytest

from orchestrator.store.results import ParquetResults
from tests.street.orch import Orch, until
from tests.street.test_street import STUDY

GATED = STUDY.replace("steps: 2", "steps: 2, gate: GATE, gate_at: 1")


@pytest.fixture
def orch(tmp_path: Path) -> Orch:
    return Orch(directory=tmp_path)


def gated(orch: Orch) -> Path:
    return orch.study(GATED.replace("GATE", str(orch.directory / "gate")))


def test_a_narrowed_submission_counts_only_its_own(orch: Orch) -> None:
    file = orch.study(STUDY)
    out = orch("submit", file, "--cells", "x=1").out
    assert "1 cells, seeds 0, 1, 2, 9 trials: 3 trainings, 6 evaluations; 0 cached, 9 to run" in out
    assert "cells 0/1, trials 0/9" in out
    # What it did not ask for does not make it unfinished.
    assert orch("status", "demo", "--json").json["studies"][0]["status"] == "done"
    orch("submit", file)
    assert "2 cells" in orch("plan", file).out


def test_failures_are_named_again_when_nothing_is_left_to_run(orch: Orch) -> None:
    text = STUDY.replace('{none: ""}', '{none: "", ugly: raise}').replace("seeds: 3", "seeds: 1")
    first = orch("submit", orch.study(text), "--json", code=1).json
    assert len(first["failures"]) == 2
    again = orch("resume", "demo", "--json", code=1).json
    assert again["trained"] == 0
    assert again["failures"] == first["failures"]


def test_standard_output_holds_one_json_document_whatever_happens(orch: Orch) -> None:
    orch("submit", orch.study(STUDY), "--cells", "x=1")
    lacking = orch("table", "demo", "--strict", "--json", code=6)
    assert lacking.json["kind"] == "table"
    assert "no complete result" in lacking.err
    usage = orch("plan", "--frobnicate", "--json", code=2)
    assert (usage.json["kind"], usage.json["exit_code"]) == ("error", 2)
    lines = orch("watch", "demo", "--json").out.splitlines()
    assert [json.loads(line)["studies"][0]["study"] for line in lines] == ["demo"]


def test_a_study_file_stands_for_its_study(orch: Orch) -> None:
    file = orch.study(STUDY)
    orch("submit", file, "--cells", "x=1")
    assert orch("status", file, "--json").json["studies"][0]["study"] == "demo"
    assert orch("cancel", file, "--json").json["cancelled"] == 12
    assert orch("resume", file, "--json").json["trained"] == 0


def test_a_trial_is_cancelled_in_its_own_study_only(orch: Orch) -> None:
    orch("submit", orch.study(STUDY), "--cells", "x=1")
    other = STUDY.replace("study: demo", "study: other").replace("levels: [1, 2]}", "levels: [8, 9]}")
    orch("submit", orch.study(other, "other.yaml"), "--cells", "x=8")
    trial = next(
        each for each in orch("show", "other", "--json").json["trials"] if each["state"] == "pending"
    )
    assert "no trial" in orch("cancel", "demo", "--trial", trial["trial"], code=3).err
    assert orch("cancel", "other", "--trial", trial["trial"], "--json").json["cancelled"] == 1


def test_a_trial_that_no_study_plans_any_more_is_told_as_such(orch: Orch) -> None:
    orch("submit", orch.study(STUDY))
    before = {each["trial"] for each in orch("show", "demo", "--json").json["trials"]}
    orch("submit", orch.study(STUDY.replace("levels: [1, 2]}", "levels: [1, 3]}")))
    after = {each["trial"] for each in orch("show", "demo", "--json").json["trials"]}
    gone = sorted(before - after)
    assert gone
    assert "in the plan of no study any more" in orch("show", gone[0], code=3).err


def test_a_full_disk_is_one_message_and_resumable(orch: Orch) -> None:
    file = orch.study(STUDY)
    full = OSError(errno.ENOSPC, "No space left on device", "/store/results")
    with mock.patch.object(ParquetResults, "write", side_effect=full):
        done = orch("submit", file, code=5)
    assert "No space left on device" in done.err
    assert "orch resume demo" in done.err
    assert "Traceback" not in done.err
    resumed = orch("resume", "demo", "--json").json
    assert resumed["counts"]["succeeded"] == 21


@pytest.mark.parametrize(("name", "mirror"), [("a b #1 é", ""), ("100%25?x=y", "off")])
def test_a_store_may_have_any_name(tmp_path: Path, name: str, mirror: str) -> None:
    # An empty address means the default: the mirror is in the store.
    odd = Orch(
        directory=tmp_path, environment={"ORCH_STORE": f"{tmp_path}/{name}", "ORCH_MLFLOW_URI": mirror}
    )
    done = odd("submit", odd.study(STUDY), "--seeds", "1", "--json").json
    assert (done["counts"]["succeeded"], done["unmirrored"]) == (7, 0)
    assert odd("status", "demo", "--json").json["studies"][0]["status"] == "done"
    seen = {path.name for path in tmp_path.iterdir() if not path.name.startswith(".")}
    assert seen == {name, "study.yaml"}
    assert (tmp_path / name / "registry.db").is_file()
    assert (tmp_path / name / "mlflow.db").is_file() == (mirror != "off")


@pytest.mark.parametrize(
    "arguments", [("list",), ("plan", "study.yaml", "--json"), ("table", "demo", "-f", "md")]
)
def test_a_reader_that_goes_away_is_no_failure(orch: Orch, arguments: tuple[str, ...]) -> None:
    orch("submit", orch.study(STUDY))
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        orch.command(*arguments), cwd=orch.directory, env=orch.env, stdout=writing, stderr=subprocess.PIPE
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_terminal_without_the_signs_of_tables_shows_question_marks(orch: Orch) -> None:
    orch("submit", orch.study(STUDY))
    done = subprocess.run(
        orch.command("table", "demo", "-f", "md"),
        cwd=orch.directory,
        env={**orch.env, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    assert b" ? " in done.stdout


def test_a_study_cancelled_under_way_is_cancelled_in_every_count(orch: Orch) -> None:
    file = gated(orch)
    with orch.start("submit", file, "--json") as driver:
        until(
            lambda: (
                (orch.directory / "store" / "registry.db").exists()
                and any(each["state"] == "running" for each in trials(orch))
            ),
            what="a training under way",
        )
        orch("cancel", "demo")
        out, _ = driver.communicate(timeout=60)
    assert driver.returncode == 0, out
    document = json.loads(out[out.index('{\n  "schema_version"') :])
    assert document["counts"] | {"cancelled": 21, "blocked": 0} == document["counts"]
    assert {each["state"] for each in trials(orch)} == {"cancelled"}


def trials(orch: Orch) -> list[dict[str, str]]:
    done = orch("show", "demo", "--json", code=None)
    return done.json["trials"] if done.code == 0 else []


def test_a_submission_says_whose_it_is_and_why(orch: Orch) -> None:
    file = orch.study(STUDY)
    orch("submit", file, "--note", "first try; [bold]", code=None)
    (listed,) = orch("list", "--json").json["studies"]
    assert (listed["note"], listed["submission"]) == ("first try; [bold]", "demo-1")
    assert listed["user"]
    shown = orch("list").out
    assert "first try; [bold]" in shown
    assert listed["user"] in shown
    orch("submit", file, code=None)  # the same again: nothing new to record
    assert orch("list", "--json").json["studies"] == [listed]
    orch("submit", file, "--note", "second", code=None)
    (listed,) = orch("list", "--json").json["studies"]
    assert (listed["note"], listed["submission"]) == ("second", "demo-2")


def test_somebody_elses_study_is_not_cancelled_by_mistake(orch: Orch) -> None:
    bob = dataclasses.replace(orch, environment={**orch.environment, "LOGNAME": "bob"})
    alice = dataclasses.replace(orch, environment={**orch.environment, "LOGNAME": "alice"})
    alice("submit", alice.study(STUDY), code=None)
    assert "trials cancelled" in alice("cancel", "demo").out
    refused = bob("cancel", "demo", code=2).err
    assert "submitted by alice, and you are bob" in refused
    assert "orch cancel demo --yes" in refused
    assert "trials cancelled" in bob("cancel", "demo", "--yes").out

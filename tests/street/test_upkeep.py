"""Damage on the disk, as a user meets it: named, repaired, and the same tables afterwards."""

from __future__ import annotations

import csv
import os
import time
from pathlib import Path

import pytest

from orchestrator.app import fsck, run
from orchestrator.app.session import open_session
from orchestrator.driver import drive
from orchestrator.errors import TargetError
from orchestrator.settings import load_settings
from tests.street.orch import Orch, until

STUDY = """
api_version: 1
study: demo
workload: tests.toy_workload:SPEC
config: {steps: 3, trace: trace.txt}
design: {type: factorial, factors: {x: {path: x, levels: [1, 2]}}}
seeds: 3
evaluate:
  scaled: {family: scale, vary: {by: {levels: [2, 3], otherwise: one}}}
tables:
  errors: {from: [test, scaled], rows: x, columns: by, metric: test_error}
  curve: {from: train, rows: x, metric: error, at: last}
"""


@pytest.fixture
def orch(tmp_path: Path) -> Orch:
    found = Orch(directory=tmp_path)
    found("submit", found.study(STUDY))
    return found


def flip(path: Path, at: int = 40) -> None:
    """Changes one bit."""
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def parts(orch: Orch) -> list[Path]:
    return sorted((orch.directory / "store" / "results").glob("*.parquet"))


def tables(orch: Orch) -> list[str]:
    return [orch("table", "demo", name, "--format", "csv").out for name in ("errors", "curve")]


def test_nothing_is_damaged(orch: Orch) -> None:
    found = orch("--json", "fsck").json
    assert (found["parts"] > 0, found["checkpoints"], found["damage"]) == (True, 6, [])
    assert orch("gc").out.startswith("0 things")


def test_a_part_that_is_listed_meanwhile_is_no_damage(orch: Orch, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_session(load_settings({"store": orch.directory / "store"})) as session:
        listed = session.registry.parts()
        monkeypatch.setattr(type(session.registry), "parts", lambda registry, keys=None: listed[:-1])
        found = fsck.examine(session, session.stores.results, session.stores.checkpoints)
    assert (found.parts, found.damage) == (len(listed) - 1, [])


@pytest.mark.parametrize("harm", ["flipped", "cut", "gone"])
def test_a_damaged_part_is_named_and_its_trials_are_computed_again(orch: Orch, harm: str) -> None:
    before = tables(orch)
    for path in parts(orch):
        if harm == "flipped":
            flip(path)
        elif harm == "cut":
            path.write_bytes(path.read_bytes()[:-9])
        else:
            path.unlink()
    refused = orch("table", "demo", "errors", code=6)
    assert "orch fsck" in refused.err
    found = orch("--json", "fsck", code=6).json
    assert {each["kind"] for each in found["damage"]} == {"part"}
    assert len({trial for each in found["damage"] for trial in each["trials"]}) == 6 + 12
    said = orch("fsck", "--repair").out
    assert "18 trials wait to be computed again" in said
    assert "orch resume demo" in said
    trained = (orch.directory / "trace.txt").read_text()
    finished = orch("--json", "resume", "demo").json
    assert finished["counts"]["succeeded"] == 18
    assert tables(orch) == before
    # the checkpoints hold the histories: no step was trained twice
    assert (orch.directory / "trace.txt").read_text() == trained
    assert orch("--json", "fsck").json["damage"] == []


def test_one_damaged_part_costs_only_its_own_trials(orch: Orch) -> None:
    (file,) = [orch.directory / "study.yaml"]
    file.write_text(STUDY.replace("levels: [1, 2]", "levels: [1, 2, 4]"), encoding="utf-8")
    old = set(parts(orch))
    orch("submit", file)
    before = tables(orch)
    (new, *_) = sorted(set(parts(orch)) - old)
    flip(new)
    (damage,) = orch("--json", "fsck", code=6).json["damage"]
    assert damage["place"] == f"results/{new.name}"
    repaired = orch("--json", "fsck", "--repair").json["repaired"]
    assert sorted(repaired["waiting"]) == sorted(damage["trials"])
    finished = orch("--json", "resume", "demo").json
    assert finished["trained"] + finished["evaluated"] == len(damage["trials"])
    assert tables(orch) == before


def test_a_damaged_checkpoint_is_forgotten_and_results_stay(orch: Orch) -> None:
    before = tables(orch)
    folder = next(iter(sorted((orch.directory / "store" / "checkpoints").glob("*/[0-9]*-*"))))
    flip(next(path for path in sorted(folder.iterdir()) if path.name != "digests.json"), at=0)
    (damage,) = orch("--json", "fsck", code=6).json["damage"]
    assert damage["kind"] == "checkpoint"
    assert "digest" in damage["problem"]
    assert folder.exists()  # looking changes nothing
    assert orch("--json", "fsck", "--repair").json["repaired"]["forgotten"] == 1
    assert not folder.exists()
    assert orch("--json", "fsck").json["damage"] == []
    assert tables(orch) == before
    # an evaluation that is new needs the parent's checkpoint, which is made again
    file = orch.study(STUDY.replace("levels: [2, 3]", "levels: [2, 3, 5]"))
    finished = orch("--json", "submit", file).json
    assert finished["counts"]["succeeded"] == 6 + 18
    assert finished["evaluated"] == 6


def test_a_training_goes_on_from_an_older_checkpoint(tmp_path: Path) -> None:
    """Of a finished training an older checkpoint is where it goes on from, never what is evaluated."""
    orch = Orch(directory=tmp_path, environment={"ORCH_CHECKPOINT_INTERVAL_S": "0"})
    orch("submit", orch.study(STUDY))
    before = tables(orch)
    folders = [
        sorted(folder.glob("[0-9]*-*")) for folder in (orch.directory / "store" / "checkpoints").iterdir()
    ]
    assert [len(each) for each in folders] == [3] * 6  # the newest two are recorded
    for each in folders:
        flip(next(path for path in sorted(each[-1].iterdir()) if path.name != "digests.json"), at=0)
    repaired = orch("--json", "fsck", "--repair").json["repaired"]
    assert (repaired["forgotten"], len(repaired["waiting"])) == (6, 6)
    finished = orch("--json", "resume", "demo").json
    assert (finished["trained"], finished["evaluated"]) == (6, 0)
    assert tables(orch) == before


def test_evaluations_wait_while_a_damaged_parent_is_made_again(orch: Orch) -> None:
    """Nobody looked for damage: the evaluation finds it, its parent is trained again, the rest goes on."""
    for folder in sorted((orch.directory / "store" / "checkpoints").glob("*/[0-9]*-*")):
        flip(next(path for path in sorted(folder.iterdir()) if path.name != "digests.json"), at=0)
    before = tables(orch)
    file = orch.study(STUDY.replace("levels: [2, 3]", "levels: [2, 3, 5, 6]"))
    finished = orch("--json", "submit", file).json
    assert finished["counts"]["succeeded"] == 6 + 24
    assert (finished["trained"], finished["evaluated"]) == (6, 12)
    after = tables(orch)
    assert after[1] == before[1]
    columns = {
        column: list(values) for column, *values in zip(*csv.reader(after[0].splitlines()), strict=True)
    }
    for column, *values in zip(*csv.reader(before[0].splitlines()), strict=True):
        assert columns[column] == values
    assert orch("--json", "fsck").json["damage"] == []


def test_repair_waits_for_no_driver(orch: Orch) -> None:
    flip(parts(orch)[0])
    slow = STUDY.replace("study: demo", "study: slow").replace("steps: 3", "steps: 6000, step_s: 0.05")
    with orch.start("submit", orch.study(slow, "slow.yaml")) as process:
        deadline = time.monotonic() + 60
        while "running" not in orch("list").out:
            assert time.monotonic() < deadline
            assert process.poll() is None
        refused = orch("fsck", "--repair", code=7)
        assert "study slow is driven by process" in refused.err
    assert orch("fsck", code=6).out.count("part results/") == 1


def test_compaction_changes_no_number_and_gc_takes_the_old_files(orch: Orch) -> None:
    file = orch.directory / "study.yaml"
    file.write_text(STUDY.replace("levels: [1, 2]", "levels: [1, 2, 4]"), encoding="utf-8")
    orch("submit", file)
    before, old = tables(orch), set(parts(orch))
    assert len(old) > 1
    counts = orch("--json", "compact").json
    assert (counts["before"], counts["after"]) == (len(old), 1)
    assert tables(orch) == before
    assert old < set(parts(orch))
    assert orch("gc").out.startswith("0 things")  # too young
    named = orch("--json", "gc", "--grace", "0").json
    assert {each["path"] for each in named["strays"]} == {f"results/{path.name}" for path in old}
    assert named["bytes"] == sum(path.stat().st_size for path in old)
    assert old < set(parts(orch))
    assert orch("--json", "gc", "--grace", "0", "--delete").json["deleted"] is True
    assert len(parts(orch)) == 1
    assert tables(orch) == before
    assert orch("--json", "fsck").json["damage"] == []
    assert orch("--json", "compact").json["after"] == 1


def test_gc_names_what_dead_writers_left(orch: Orch) -> None:
    store = orch.directory / "store"
    trial = next((store / "checkpoints").iterdir())
    (trial / ".tmp-1").mkdir()
    (trial / ".tmp-1" / "half").write_bytes(b"12345")
    (store / "results" / ".tmp-2").write_bytes(b"123")
    (store / "backups" / ".tmp-3.db").write_bytes(b"1234")
    long_ago = time.time() - 7200
    for path in (trial / ".tmp-1", store / "results" / ".tmp-2", store / "backups" / ".tmp-3.db"):
        os.utime(path, (long_ago, long_ago))
    found = orch("--json", "gc").json
    assert {each["path"]: each["bytes"] for each in found["strays"]} == {
        f"checkpoints/{trial.name}/.tmp-1": 5,
        "results/.tmp-2": 3,
        "backups/.tmp-3.db": 4,
    }
    orch("gc", "--delete")
    assert not (trial / ".tmp-1").exists()
    assert orch("gc").out.startswith("0 things")
    assert orch("gc", "--grace", "-1", code=2).err


def test_gc_takes_code_that_nothing_needs(orch: Orch) -> None:
    folder = orch.directory / "store" / "code"
    (needed,) = folder.iterdir()
    old = folder / "code-0123456789abcdef.zip"
    old.write_bytes(b"12345")
    assert orch("gc").out.startswith("0 things")  # too young
    long_ago = time.time() - 7200
    for path in (needed, old):
        os.utime(path, (long_ago, long_ago))
    found = orch("--json", "gc").json
    assert found["code"] == [{"path": f"code/{old.name}", "bytes": 5}]
    assert found["bytes"] == 5
    slow = STUDY.replace("study: demo", "study: slow").replace("steps: 3", "steps: 6000, step_s: 0.05")
    with orch.start("submit", orch.study(slow, "slow.yaml")) as process:
        until(lambda: "running" in orch("list").out, what="a driver")
        # Whoever drives may run what it has not recorded yet; and it has said that it does.
        assert orch("--json", "gc", "--grace", "0").json["code"] == []
        until(lambda: time.time() - needed.stat().st_mtime < 3600, what="its code to count as new")
        process.kill()
        process.wait()
    until(lambda: orch("--json", "list").json["studies"][1]["driver"] is None, what="the end of its lease")
    assert "code that no result came from" in orch("gc", "--delete").out
    assert list(folder.iterdir()) == [needed]


@pytest.mark.slow
def test_the_registry_is_copied_as_time_goes_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    orch, backups = Orch(directory=tmp_path), tmp_path / "store" / "backups"
    slow = STUDY.replace("steps: 3", "steps: 3, step_s: 0.2")
    orch("submit", orch.study(slow))
    assert len(list(backups.iterdir())) == 1  # at submit
    monkeypatch.setattr(drive, "BACKUP_S", 0.0)
    orch("submit", orch.study(slow.replace("levels: [1, 2]", "levels: [1, 2, 4]")))
    assert len(list(backups.iterdir())) > 2

    # a copy that fails costs the study nothing
    def full(session: object) -> None:
        raise TargetError("no room for it")

    monkeypatch.setattr(run, "back_up", full)
    file = orch.study(slow.replace("levels: [1, 2]", "levels: [5]"))
    assert orch("submit", file, "--json").json["trained"] == 3
    assert "the registry could not be copied: no room for it" in caplog.text


def test_the_schema_is_told_and_upgraded(tmp_path: Path) -> None:
    orch = Orch(directory=tmp_path)
    nothing = orch("--json", "db", "version").json
    assert nothing["schema"] == ""
    assert not (tmp_path / "store").exists()  # asking makes nothing
    made = orch("--json", "db", "upgrade").json
    assert (made["before"], made["after"]) == ("", nothing["expected"])
    assert orch("db", "upgrade").out.startswith("the registry has schema")
    assert orch("--json", "db", "version").json["schema"] == nothing["expected"]

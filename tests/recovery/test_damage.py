"""Checkpoints, the registry's file and the study's file are damaged, or change, before a study is resumed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from orchestrator.app.session import open_session
from orchestrator.settings import load_settings
from tests.recovery.invariants import assert_invariants, finished, golden, reports
from tests.recovery.nursery import Fault, memory, warm
from tests.recovery.small_study import OFTEN, STUDY, at, undisturbed
from tests.street.orch import Orch

__all__ = ["memory"]
ONE = (
    STUDY.replace("steps: 2", "steps: 8")
    .replace("levels: [1, 2]", "levels: [1]")
    .replace("seeds: 2", "seeds: 1")
)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def recorded(orch: Orch, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, Path]]:
    """Returns trial, step and folder of each recorded checkpoint, newest first."""
    for name, value in orch.env.items():
        monkeypatch.setenv(name, value)
    with open_session(load_settings()) as session:
        found = session.registry.all_checkpoints()
        return [(each.trial, each.step, session.stores.layout.root / each.path) for each in found]


@pytest.mark.parametrize(
    "harm",
    [
        "newest flipped",
        "all gone",
        *(pytest.param(each, marks=pytest.mark.slow) for each in ("newest cut", "all flipped")),
    ],
)
def test_a_training_goes_on_from_what_is_whole(
    memory: Path, monkeypatch: pytest.MonkeyPatch, harm: str
) -> None:
    undamaged = Orch(directory=memory / "golden", environment=OFTEN)
    undamaged.directory.mkdir()
    ended = warm()(undamaged, "submit", undamaged.study(ONE))
    expected = golden(undamaged, "demo")
    for step in range(ended.steps // 2, ended.steps, 10):
        orch = Orch(directory=memory / str(step), environment=OFTEN)
        orch.directory.mkdir()
        assert warm()(orch, "submit", orch.study(ONE), fault=Fault(step=step)).killed
        found = recorded(orch, monkeypatch)
        if len(found) == 2 and not finished(orch, "demo"):
            break
    else:
        pytest.fail("it was never killed with two checkpoints")
    (trial, newest, _), (_, older, _) = found
    assert newest > older
    for _, _, folder in found if harm.startswith("all") else found[:1]:
        if harm.endswith("gone"):
            shutil.rmtree(folder)
        elif harm.endswith("cut"):
            (folder / "state.json").write_bytes(b"")
        else:
            flip(folder / "state.json")
    orch("resume", "demo")
    assert_invariants(orch, "demo", expected, before={})
    provenance = reports(orch, [trial])[trial]["attempts"][-1]["provenance"]
    if harm.startswith("all"):
        assert "started from 0" in provenance["restarted"]
        assert "resumed_at_step" not in provenance
    else:
        assert provenance["resumed_at_step"] == older
        assert f"went on from step {older}" in provenance["restarted"]


@pytest.mark.parametrize(
    "harm", ["cut", *(pytest.param(each, marks=pytest.mark.slow) for each in ("garbage", "emptied"))]
)
def test_a_damaged_registry_names_the_copy_that_takes_its_place(tmp_path: Path, harm: str) -> None:
    orch = at(tmp_path)
    # Each in a process that is gone afterwards: the copy says that it drives the study.
    assert warm()(orch, "submit", "study.yaml", "--cells", "x=1").code == 0
    assert warm()(orch, "submit", "study.yaml").code == 0
    store = tmp_path / "store"
    registry = store / "registry.db"
    for name in ("-wal", "-shm"):
        (store / f"registry.db{name}").unlink(missing_ok=True)
    content = registry.read_bytes()
    damaged = {"cut": content[: len(content) // 2], "garbage": b"no database" * 5000, "emptied": b""}[harm]
    registry.write_bytes(damaged)
    copy = sorted((store / "backups").glob("registry-*.db"))[-1]
    for arguments in (("status", "demo"), ("submit", "study.yaml"), ("resume", "demo"), ("fsck", "--repair")):
        refused = orch(*arguments, code=6)
        assert "is damaged" in refused.err
        assert str(copy) in refused.err.replace("\n", ""), "the copy is not named"
    assert registry.read_bytes() == damaged, "it was written to"
    shutil.copy(copy, registry)
    for name in ("-wal", "-shm"):
        (store / f"registry.db{name}").unlink(missing_ok=True)
    orch("fsck", "--repair")
    before = finished(orch, "demo")
    assert before, "what was done before the copy is lost"
    orch("submit", "study.yaml")
    assert_invariants(orch, "demo", undisturbed().golden, before=before)


def test_resume_runs_the_recorded_plan_whatever_the_file_says_now(memory: Path) -> None:
    orch = at(memory)
    assert warm()(orch, "submit", "study.yaml", fault=Fault(step=undisturbed().steps // 2)).killed
    before = finished(orch, "demo")
    orch.study(STUDY.replace("levels: [1, 2]", "levels: [1, 7]").replace("seeds: 2", "seeds: 3"))
    orch("resume", "study.yaml")
    assert_invariants(orch, "demo", undisturbed().golden, before=before)
    # `submit` reconciles: what is new runs, what both ask for is there.
    finish = orch("submit", "study.yaml", "--json").json
    assert (finish["trained"], finish["counts"]["succeeded"]) == (4, 18)

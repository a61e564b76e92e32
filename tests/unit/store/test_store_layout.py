"""A store's folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.errors import TargetError
from orchestrator.registry.registry import open_registry
from orchestrator.store.checkpoints import FOLDER as CHECKPOINTS
from orchestrator.store.layout import Layout
from orchestrator.store.results import FOLDER as RESULTS


def test_asking_makes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    layout = Layout(Path("mine"))
    assert layout.root == tmp_path / "mine"
    assert not layout.exists()
    assert [p.name for p in tmp_path.iterdir()] == []


def test_names_are_those_that_the_stores_use(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    assert layout.results == tmp_path / RESULTS
    assert layout.checkpoints == tmp_path / CHECKPOINTS
    layout.create()
    layout.create()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["backups", "checkpoints", "logs", "results"]
    open_registry(str(layout.registry)).close()
    assert layout.exists()


def test_a_store_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(TargetError, match=r"file/store cannot be written: Not a directory.*--store"):
        Layout(tmp_path / "file" / "store").create()

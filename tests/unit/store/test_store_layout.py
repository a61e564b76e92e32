"""A store's folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.errors import TargetError
from orchestrator.registry.registry import open_registry
from orchestrator.store.digests import FOLDER as CHECKPOINTS
from orchestrator.store.layout import Layout
from orchestrator.store.part_files import FOLDER as RESULTS


def test_asking_makes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    layout = Layout(Path("mine"))
    assert layout.root == tmp_path / "mine"
    assert [p.name for p in tmp_path.iterdir()] == []


def test_folders_are_made_once(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.create([RESULTS, CHECKPOINTS])
    layout.create([RESULTS, CHECKPOINTS])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["backups", "checkpoints", "results"]
    open_registry(str(layout.registry)).close()
    assert (tmp_path / "registry.db").is_file()


def test_a_store_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(TargetError, match=r"file/store cannot be written: Not a directory.*--store"):
        Layout(tmp_path / "file" / "store").create()

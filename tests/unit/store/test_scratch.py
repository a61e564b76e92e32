"""Folders for copies of objects: private, and gone with the process or soon after."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.errors import TargetError
from orchestrator.store import scratch
from tests.contracts.dying import ROOT

_MAKE = """
import os, signal, sys
from orchestrator.store import scratch
(scratch.new_folder() / "copy").write_bytes(b"x")
if sys.argv[1] == "die":
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(scratch, "_own", None)
    return tmp_path / f"orch-{os.getuid()}"


def another(tmp_path: Path, how: str) -> int:
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, "-c", _MAKE, how], env=environment, check=False).returncode


def test_a_folder_is_new_and_private(root: Path) -> None:
    first, second = scratch.new_folder(), scratch.new_folder()
    assert first != second
    assert list(first.iterdir()) == []
    assert first.is_relative_to(root)
    assert root.stat().st_mode & 0o077 == 0
    scratch.discard(first)
    scratch.discard(first)
    assert not first.exists()


def test_a_process_takes_its_own_away(root: Path, tmp_path: Path) -> None:
    assert another(tmp_path, "end") == 0
    assert list(root.iterdir()) == []


def test_what_a_killed_process_left_goes_and_what_a_living_one_has_stays(root: Path, tmp_path: Path) -> None:
    mine = scratch.new_folder()
    assert another(tmp_path, "die") == -signal.SIGKILL
    assert len([path for path in root.iterdir() if path.is_dir()]) == 2
    assert another(tmp_path, "end") == 0
    assert [path for path in root.iterdir() if path.is_dir()] == [mine.parent]
    assert mine.is_dir()


def test_somebody_elses_folder_is_not_used(root: Path, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    root.symlink_to(tmp_path / "theirs")
    with pytest.raises(TargetError, match="TMPDIR"):
        scratch.new_folder()

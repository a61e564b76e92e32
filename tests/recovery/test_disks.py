"""The disk of the store is full, or becomes read-only: a real one, mounted for the test."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.recovery.invariants import Golden, assert_invariants, finished, golden
from tests.recovery.nursery import Fault, warm
from tests.recovery.small_study import OFTEN, STUDY, at, undisturbed
from tests.street.orch import ROOT, Orch

HEAVY = STUDY.replace("steps: 2", "steps: 2, ballast_kb: 600")


def mount(*arguments: str) -> None:
    """Mounts, or skips the test where this user or machine may not."""
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"not run here: cannot mount: {done.stderr.strip()}")


def unmount(place: Path) -> None:
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A disk of 4 MB."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("not run here: only root may mount a small disk")
    place = tmp_path / "disk"
    place.mkdir()
    monkeypatch.setenv("ORCH_MIN_FREE_GB", "0")
    mount("-t", "tmpfs", "-o", "size=4m", "none", str(place))
    yield place
    unmount(place)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    mount("--bind", str(folder), str(folder))
    try:
        mount("-o", "remount,ro,bind", str(folder))
        yield
    finally:
        unmount(folder)


def golden_of(directory: Path, text: str) -> Golden:
    orch = at(directory)
    orch("submit", orch.study(text))
    return golden(orch, "demo")


@pytest.mark.slow
def test_checkpoints_fill_the_disk(disk: Path, tmp_path: Path) -> None:
    orch = Orch(directory=disk, environment=OFTEN)
    ended = warm()(orch, "submit", orch.study(HEAVY), fault=Fault())
    assert ended.code == 5, ended
    assert "No space left on device" in ended.out + ended.err
    assert "orch resume demo" in ended.out + ended.err
    before = finished(orch, "demo")
    assert before, "it ran full at once"
    again = warm()(orch, "resume", "demo")  # nothing was freed: the same again, and nothing is lost
    assert again.code in (0, 5)
    mount("-o", "remount,size=64m", str(disk))
    orch("resume", "demo")
    assert_invariants(orch, "demo", golden_of(tmp_path / "golden", HEAVY), before=before)


@pytest.mark.parametrize("left_kb", [40, *(pytest.param(kb, marks=pytest.mark.slow) for kb in (0, 150))])
def test_registry_parts_and_logs_find_no_room(disk: Path, left_kb: int) -> None:
    orch = Orch(directory=disk, environment=OFTEN)
    file = orch.study(STUDY)
    orch("submit", file, "--cells", "x=1")
    before = finished(orch, "demo")
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as out, contextlib.suppress(OSError):
        while out.write(bytes(4096)):
            pass
    os.truncate(filler, max(0, filler.stat().st_size - 1024 * left_kb))
    ended = warm()(orch, "submit", file)
    assert ended.code in (0, 5), ended
    assert ended.code == 5 or left_kb
    assert "Traceback" not in ended.err
    if ended.code == 5:
        assert any(words in ended.out + ended.err for words in ("full", "No space left", "cannot be written"))
    filler.unlink()
    with closing(sqlite3.connect(disk / "store" / "registry.db")) as connection:
        assert connection.execute("PRAGMA quick_check").fetchall() == [("ok",)]
    orch("submit", file)
    assert_invariants(orch, "demo", undisturbed().golden, before=before)


@pytest.mark.parametrize("folder", ["results", "checkpoints"])
def test_a_folder_becomes_read_only(tmp_path: Path, folder: str) -> None:
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("not run here: only root may make a folder read-only for itself")
    orch = at(tmp_path)
    orch("submit", "study.yaml", "--cells", "x=1")
    before = finished(orch, "demo")
    with read_only(tmp_path / "store" / folder):
        ended = warm()(orch, "submit", "study.yaml")
        assert ended.code == 5, ended
        assert "Read-only file system" in ended.out + ended.err
        assert folder in ended.out + ended.err
        assert "Traceback" not in ended.err
    orch("resume", "demo")
    assert_invariants(orch, "demo", undisturbed().golden, before=before)


# A small disk at /tmp, seen by the command alone; what it needs of the real one is put back.
SMALL_TMP = """
for each in $KEEP; do mkdir -p "$PLACE$each" && mount --bind "$each" "$PLACE$each"; done
mount -t tmpfs -o size=8m none /tmp
for each in $KEEP; do mkdir -p "$each" && mount --bind "$PLACE$each" "$each"; done
exec "$@"
"""


@pytest.mark.slow
def test_there_is_no_room_for_ray(tmp_path: Path) -> None:
    """Ray's folder lies in /tmp."""
    small = ["unshare", "--mount", "sh", "-ec", SMALL_TMP, "sh"]
    home = Path("/var/tmp") / f"orch-{os.getpid()}"  # where /tmp's new disk does not hide it
    home.mkdir()
    keep = [path for path in (sys.prefix, str(ROOT)) if path.startswith("/tmp/")]
    around = {**os.environ, "KEEP": " ".join(keep), "PLACE": str(home / "keep")}
    try:
        if subprocess.run([*small, "true"], env=around, capture_output=True, check=False).returncode != 0:
            pytest.skip("not run here: no mount namespaces without privileges")
        orch = Orch(directory=home, executor="ray", environment=OFTEN)
        command = [*small, *orch.command("submit", orch.study(STUDY))]
        environment = {**around, **orch.env}
        done = subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, check=False)
        assert done.returncode == 5, done.stderr
        assert "needs 64 MiB in /tmp, which has 8 MiB free" in done.stderr
        before = finished(orch, "demo")
        inline = Orch(directory=home, environment=OFTEN)
        inline("resume", "demo")
        assert_invariants(inline, "demo", golden_of(tmp_path, STUDY), before=before)
    finally:
        shutil.rmtree(home)

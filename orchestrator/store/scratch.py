"""Folders on this machine's own disk for copies of objects; they go when they are done with.

They lie in the system's place for temporary files (TMPDIR), a folder for each process. A process that died
without a word is noticed by the next one: the kernel frees its lock.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import shutil
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import TargetError


@dataclass(frozen=True, slots=True, kw_only=True)
class _Own:
    pid: int
    root: Path
    folder: Path
    lock: int


_own: _Own | None = None


def new_folder() -> Path:
    """Returns a new empty folder that only this user reads.

    Raises:
        TargetError: The place for temporary files belongs to somebody else.
        OSError: The disk is full or failing.
    """
    global _own
    root = Path(tempfile.gettempdir()) / f"orch-{os.getuid()}"
    if _own is None or _own.pid != os.getpid() or _own.root != root or not _own.folder.is_dir():
        _own = _begin(root)
    folder = _own.folder / uuid.uuid4().hex
    folder.mkdir(mode=0o700)
    return folder


def discard(folder: Path) -> None:
    """Deletes a folder that `new_folder` gave."""
    shutil.rmtree(folder, ignore_errors=True)


def _begin(root: Path) -> _Own:
    root.mkdir(mode=0o700, exist_ok=True)
    if root.is_symlink() or root.stat().st_uid != os.getuid():
        raise TargetError(f"{root} belongs to another user; set TMPDIR to a directory of your own")
    _sweep(root)
    name = f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
    # The lock first: a folder without one is a dead process's.
    lock = os.open(root / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    (root / name).mkdir(mode=0o700)
    found = _Own(pid=os.getpid(), root=root, folder=root / name, lock=lock)
    atexit.register(_end, found)
    return found


def _end(own: _Own) -> None:
    if own.pid == os.getpid():  # a fork has nothing to take away
        discard(own.folder)
        (own.root / f"{own.folder.name}.lock").unlink(missing_ok=True)


def _sweep(root: Path) -> None:
    """Takes away what dead processes left."""
    for folder in [path for path in root.iterdir() if path.is_dir()]:
        lock = root / f"{folder.name}.lock"
        try:
            handle = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            discard(folder)
            continue
        try:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                discard(folder)
                lock.unlink(missing_ok=True)
        finally:
            os.close(handle)

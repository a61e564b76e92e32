"""A lock file, so that one process at a time mirrors a store."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def held(path: Path | None) -> Iterator[bool]:
    """Yields whether the lock is ours; the kernel frees it when the process dies.

    Args:
        path: The lock file, made where it is missing; None for no lock, which is always ours.
    """
    if path is None:
        yield True
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)

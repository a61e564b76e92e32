"""Ends what a local cluster leaves behind when its driver is gone: run as a script, standard library only.

Ray's own processes die with the driver, but its agents linger for a minute, and so may processes that a
workload has started. All of them carry the cluster's mark in their environment.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import time
from pathlib import Path

MARK = "ORCH_RAY_CLUSTER"
GRACE_S = 2.0  # to end by themselves
LIMIT_S = 10.0


def belonging(directory: str, spared: set[int]) -> list[int]:
    """Returns the cluster's processes: they carry its mark, or are Ray's with a file of it open.

    Args:
        directory: The cluster's.
        spared: Processes that are left out: the driver has files of it open too.
    """
    # Ray writes process titles over the environment of some, so the mark alone would miss them.
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        pid = int(path.name)
        with contextlib.suppress(OSError):
            if pid not in spared and (_is_marked(path, directory) or _has_open(path, directory)):
                found.append(pid)
    return found


def _is_marked(process: Path, directory: str) -> bool:
    return f"{MARK}={directory}".encode() in (process / "environ").read_bytes().split(b"\0")


def _has_open(process: Path, directory: str) -> bool:
    if not (process / "cmdline").read_bytes().startswith(b"ray::"):
        return False  # such as somebody's pager on a log
    for link in (process / "fd").iterdir():
        with contextlib.suppress(OSError):
            if os.readlink(link).startswith(directory + os.sep):
                return True
    return False


def reap(directory: str, spared: set[int]) -> None:
    """Ends all processes of a cluster but some."""
    began = time.monotonic()
    while time.monotonic() - began < LIMIT_S:
        left = belonging(directory, spared)
        if not left:
            return
        if time.monotonic() - began > GRACE_S:
            for pid in left:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)


def main(directory: str) -> None:
    """Waits for the driver's end, then ends the cluster's processes and removes its directory."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the driver's end is what counts
    spared = {os.getpid(), os.getppid()}
    sys.stdin.read()  # ends when the driver closes it, however it dies
    reap(directory, spared)
    shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1])

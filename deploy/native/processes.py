"""Servers as process groups that outlive the command that started them, and are found again by it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

START_S = 120.0
END_S = 10.0


class StackError(Exception):
    """A server did not start, or is not there; the message is for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A started server.

    Attributes:
        name: For people and for its log.
        pid: Of the first process, which leads a process group.
        born: When the kernel says it began, so that another process of that number is not taken for it.
    """

    name: str
    pid: int
    born: str

    def alive(self) -> bool:
        """Returns whether it still runs."""
        return bool(self.born) and _born(self.pid) == self.born

    def end(self, grace_s: float = END_S) -> None:
        """Asks its group to end, and ends what does not listen within seconds."""
        if not self.alive():
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)
            until = time.monotonic() + grace_s
            while self.alive() and time.monotonic() < until:
                with contextlib.suppress(ChildProcessError):  # it may be our own child, or nobody's
                    os.waitpid(self.pid, os.WNOHANG)
                time.sleep(0.1)
        # Its children may have stayed behind.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)


def start(
    name: str,
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    directory: Path,
    ready: Callable[[], bool],
) -> Server:
    """Starts a server and waits until it answers.

    Args:
        name: Its log is NAME.log.
        command: What is run.
        environment: All of it.
        directory: Working directory, and place of the log.
        ready: Whether it answers.

    Raises:
        StackError: It ended, or did not answer in time; says what it printed last.
    """
    log = directory / f"{name}.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            list(command),
            env=dict(environment),
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = Server(name=name, pid=process.pid, born=_born(process.pid))
    until = time.monotonic() + START_S
    while not ready():
        if process.poll() is not None or time.monotonic() > until:
            server.end()
            said = "\n  ".join(log.read_text(errors="replace").splitlines()[-15:])
            what = f"ended with {process.returncode}" if process.returncode else "did not answer in time"
            raise StackError(f"{name} {what}; {log} ends with\n  {said}")
        time.sleep(0.2)
    return server


def _born(pid: int) -> str:
    """Returns the start time of a process that runs, "" for none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] in ("Z", "X") else fields[19]

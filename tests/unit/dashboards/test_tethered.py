"""What serves beside the page ends with the page, however that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dashboards import tethered
from tests.street.orch import until

SERVER = """
import os, pathlib, subprocess, sys, time
worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
pathlib.Path(sys.argv[1]).write_text(f"{os.getpid()} {worker.pid}\\n")
time.sleep(600)
"""
STARTER = """
import subprocess, sys
subprocess.Popen([sys.executable, "-I", *sys.argv[1:]], stdin=subprocess.PIPE).wait()
"""


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_command_ends_with_who_started_it(tmp_path: Path, how: signal.Signals) -> None:
    note = tmp_path / "pids"
    command = [tethered.__file__, sys.executable, "-c", SERVER, str(note)]
    starter = subprocess.Popen([sys.executable, "-c", STARTER, *command])
    try:
        until(lambda: note.exists() and note.read_text().endswith("\n"), what="the server")
        pids = [int(pid) for pid in note.read_text().split()]
        assert all(alive(pid) for pid in pids)
    finally:
        os.kill(starter.pid, how)
        starter.wait()
    until(lambda: not any(alive(pid) for pid in pids), what="the end of the server and its worker")


def test_its_exit_code_is_the_commands() -> None:
    command = [sys.executable, "-I", tethered.__file__, sys.executable, "-c", "raise SystemExit(7)"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        assert process.wait(60) == 7

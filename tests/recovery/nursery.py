"""Commands in children of one warm process, each killed, or struck by an error, at a chosen moment.

A fresh interpreter takes two seconds to import what a submission needs; a fork of one that has imported it
takes milliseconds. The child is a process of its own: a kill takes it as it would take any driver.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import functools
import importlib
import itertools
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.street.orch import ROOT, Orch

KILL = "kill"
LIMIT_S = 120.0
REHEARSAL = """
api_version: 1
study: rehearsal
workload: tests.toy_workload:SPEC
design: {type: factorial, factors: {x: {path: x, levels: [1, 2]}}}
tables: {errors: {from: test, rows: x, metric: test_error}}
"""
# A full disk still renames and deletes.
WRITES = ("fsync", "mkdir", "write")
STEPS = (*WRITES, "rename", "unlink", "rmdir")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What happens to a command, and when.

    A step is an fsync, a rename, a new or removed name, or a transaction; with `statements` also each SQL
    statement. There are two numbers for each: odd ones are the moment before it, even ones the one after.

    Attributes:
        kind: "kill", or the name of an errno: the step raises it instead.
        step: The number of the moment; 0 for none.
        ever: Whether every later step that writes fails as well: a disk that stays full.
        after_s: Kills after so many seconds; 0 for never.
        statements: Whether SQL statements count as steps.
        strace: "SYSCALL:NUMBER": the error comes from the kernel, in the n-th such call of a thread (with
            `ever`, in all later ones); with kind "kill", the call is the process's last.
        setup: "module:function" that is called in the child before the command.
    """

    kind: str = KILL
    step: int = 0
    ever: bool = False
    after_s: float = 0.0
    statements: bool = False
    strace: str = ""
    setup: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended.

    Attributes:
        code: Exit code, negative for a signal.
        out: Standard output; err: standard error.
        steps: The last moment's number, 0 when it was killed.
        struck: Whether the fault happened.
        seconds: How long it took.
    """

    code: int
    out: str
    err: str
    steps: int
    struck: bool
    seconds: float

    @property
    def killed(self) -> bool:
        """Whether it was killed."""
        return self.code == -signal.SIGKILL


class Nursery:
    """The warm process, from outside."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.recovery.nursery"],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, orch: Orch, *arguments: object, fault: Fault | None = None) -> Ended:
        """Runs a command to whatever end it comes to."""
        fault = fault or Fault()
        request = {
            "arguments": [str(each) for each in arguments],
            "directory": str(orch.directory),
            "environment": orch.env,
            "fault": asdict(fault),
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        ready, _, _ = select.select([self._process.stdout], [], [], LIMIT_S + 30)
        assert ready, f"{arguments} did not end"
        ended = Ended(**json.loads(self._process.stdout.readline()))
        assert ended.code >= 0 or ended.killed, f"{arguments}: {ended}"
        return ended

    def close(self) -> None:
        """Ends the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)
        assert self._process.stdout is not None
        self._process.stdout.close()


@functools.cache
def warm() -> Nursery:
    """Returns this process's nursery: it takes some seconds to start."""
    found = Nursery()
    atexit.register(found.close)
    return found


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder in memory where there is such a place: no fsync there waits for a disk."""
    with tempfile.TemporaryDirectory(
        prefix="orch-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    ) as name:
        yield Path(name)


def every() -> bool:
    """Returns whether the long form of the tests was asked for (`make recovery`)."""
    return os.environ.get("ORCH_SWEEP") == "all"


def spread(count: int, few: int) -> list[int]:
    """Returns some numbers from 1 to `count`, all over the range and both odd and even, or all of them."""
    if every() or few >= count:
        return list(range(1, count + 1))
    return [max(1, 1 + (count - 1) * i // (few - 1) - i % 2) for i in range(few)]


# --- inside -----------------------------------------------------------------------------------------------


def serve() -> None:
    """Answers requests until its standard input ends."""
    _rehearse()
    for line in sys.stdin:
        request = json.loads(line)
        with tempfile.TemporaryDirectory() as name:
            print(json.dumps(_answer(request, Path(name))), flush=True)


def _rehearse() -> None:
    """Imports what a submission in a child has imported; here nothing runs, so that no thread starts."""
    with tempfile.TemporaryDirectory() as name:
        orch = Orch(directory=Path(name))
        file = orch.study(REHEARSAL)
        request = {"arguments": ["submit", str(file)], "directory": name, "environment": orch.env}
        done = _answer(request | {"fault": {"setup": "tests.recovery.nursery:tell_modules"}}, Path(name))
        assert done["code"] == 0, done
        for module in (Path(name) / "modules").read_text().split():
            # Some are made up as a library goes, and cannot be imported.
            with contextlib.suppress(ImportError):
                importlib.import_module(module)


def tell_modules() -> None:
    """Lets a child write down, at its end, what it has imported."""
    place = Path.cwd() / "modules"
    from orchestrator.cli import main

    real = main.run

    def run(arguments: Any = None) -> int:
        code = real(arguments)
        place.write_text("\n".join(sorted(sys.modules)))
        return code

    main.run = run


def _answer(request: dict[str, Any], directory: Path) -> dict[str, Any]:
    fault = Fault(**request["fault"])
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        code = 70
        try:
            code = _child(request, fault, directory)
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            with contextlib.suppress(BaseException):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)
    tracer = _traced(child, fault, directory) if fault.strace else None
    status = _awaited(child, began, fault)
    if tracer is not None:
        tracer.wait(10)
    steps = directory / "steps"
    struck = (directory / "struck").exists()
    if tracer is not None:
        struck = "INJECTED" in _text(directory / "trace") or os.WIFSIGNALED(status)
    return {
        "code": os.waitstatus_to_exitcode(status),
        "out": _text(directory / "out"),
        "err": _text(directory / "err"),
        "steps": int(steps.read_text()) if steps.exists() else 0,
        "struck": struck,
        "seconds": time.monotonic() - began,
    }


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""  # it may have died at once


def _awaited(child: int, began: float, fault: Fault) -> int:
    """Returns the child's status; kills it when its time has come."""
    limit_s = fault.after_s or LIMIT_S
    while time.monotonic() - began < limit_s:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return status
        time.sleep(0.0005)
    os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


def _traced(child: int, fault: Fault, directory: Path) -> subprocess.Popen[bytes]:
    call, _, number = fault.strace.partition(":")
    what = "signal=SIGKILL" if fault.kind == KILL else f"error={fault.kind}"
    when = f"{number}+" if fault.ever else number
    inject = f"inject={call}:{what}:when={when}"
    command = ["strace", "-f", "-qq", "-o", str(directory / "trace"), "-e", f"trace={call}", "-e", inject]
    tracer = subprocess.Popen([*command, "-p", str(child)], stdin=subprocess.DEVNULL)
    while _tracer_of(child) == "0" and tracer.poll() is None:
        time.sleep(0.001)
    (directory / "go").touch()
    return tracer


def _tracer_of(pid: int) -> str:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith("TracerPid"))


def _child(request: dict[str, Any], fault: Fault, directory: Path) -> int:
    os.setsid()
    for number, name in ((1, "out"), (2, "err")):
        handle = os.open(directory / name, os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(handle, number)
        os.close(handle)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["directory"])
    if fault.setup:
        from workloads.api import load_object

        load_object(fault.setup)()
    last = _count_steps(fault, directory / "struck") if not fault.strace else lambda: 0
    while fault.strace and not (directory / "go").exists():
        time.sleep(0.001)
    from orchestrator.cli.main import run

    code = run(request["arguments"])
    (directory / "steps").write_text(str(last()))
    return code


def _count_steps(fault: Fault, struck: Path) -> Callable[[], int]:
    """Makes every step look whether it is the chosen one; returns what tells the last number."""
    import sqlalchemy as sa

    from orchestrator.registry.engine import Database

    steps = itertools.count(1, 2)
    last = 0
    touch = os.open(struck.parent, os.O_RDONLY)

    def strike() -> None:
        os.close(os.open(struck.name, os.O_WRONLY | os.O_CREAT, 0o600, dir_fd=touch))
        if fault.kind == KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        code = getattr(errno, fault.kind)
        raise OSError(code, os.strerror(code), "injected")

    def stepping(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal last
            step = last = next(steps)
            if fault.step and (step == fault.step or (fault.ever and step > fault.step and name in WRITES)):
                strike()
            result = real(*args, **kwargs)
            if step + 1 == fault.step:
                strike()
            return result

        return call

    for name in STEPS:
        if name != "write":
            setattr(os, name, stepping(name, getattr(os, name)))
    Database.write = stepping("write", Database.write)  # type: ignore[method-assign]
    if fault.statements:
        numbers: list[int] = []

        @sa.event.listens_for(sa.Engine, "before_cursor_execute")
        def _before(*args: Any) -> None:
            nonlocal last
            last = next(steps)
            numbers.append(last)
            if last == fault.step:
                strike()

        @sa.event.listens_for(sa.Engine, "after_cursor_execute")
        def _after(*args: Any) -> None:
            if numbers.pop() + 1 == fault.step:
                strike()

    return lambda: last + 1


if __name__ == "__main__":
    serve()

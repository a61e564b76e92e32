"""The real command line over a store and study files in a directory of the test."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from orchestrator.cli.main import run

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 240.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A finished command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as one JSON document."""
        return json.loads(self.out)


@dataclass(frozen=True, slots=True, kw_only=True)
class Orch:
    """The command line in a directory; trials run inline unless a test says otherwise.

    Attributes:
        directory: Working directory, home and place of the store.
        executor: Where trials run.
        spawn: Whether every command gets a process of its own.
        environment: Further environment variables.
    """

    directory: Path
    executor: str = "inline"
    spawn: bool = False
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def env(self) -> dict[str, str]:
        """Returns the commands' environment."""
        return {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "ORCH_STORE": str(self.directory / "store"),
            "ORCH_EXECUTOR": self.executor,
            "ORCH_WORKLOAD_MODULES": "tests.toy_workload",
            "ORCH_MLFLOW_URI": "off",
            "HOME": str(self.directory),
            **self.environment,
        }

    def command(self, *arguments: object) -> list[str]:
        """Returns the argument vector."""
        return [sys.executable, "-m", "orchestrator.cli.main", *map(str, arguments)]

    def __call__(self, *arguments: object, code: int | None = 0) -> Done:
        """Runs one command to its end and checks its exit code (None accepts any).

        Commands that need no Ray run in this process: starting a fresh one costs most of their time.
        """
        ray = self.executor == "ray" and arguments[0] in ("submit", "resume")
        done = self._spawned(arguments) if self.spawn or ray else self._called(arguments)
        assert code is None or done.code == code, f"{arguments}: exit {done.code}\n{done.out}\n{done.err}"
        return done

    def _spawned(self, arguments: tuple[object, ...]) -> Done:
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.directory,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        return Done(code=done.returncode, out=done.stdout, err=done.stderr)

    def _called(self, arguments: tuple[object, ...]) -> Done:
        out, err = io.StringIO(), io.StringIO()
        with (
            mock.patch.dict(os.environ, self.env, clear=True),
            contextlib.chdir(self.directory),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            code = run([str(argument) for argument in arguments])
        return Done(code=code, out=out.getvalue(), err=err.getvalue())

    @contextmanager
    def start(self, *arguments: object) -> Iterator[subprocess.Popen[str]]:
        """Starts a command in a process group of its own; ends it, if need be, when the block ends."""
        process = subprocess.Popen(
            self.command(*arguments),
            cwd=self.directory,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate()

    def study(self, text: str, name: str = "study.yaml") -> Path:
        """Writes a study file."""
        path = self.directory / name
        path.write_text(text, encoding="utf-8")
        return path


def until(true: Callable[[], bool], *, timeout_s: float = 60.0, what: str = "it") -> None:
    """Polls until something holds."""
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, f"{what} did not happen in {timeout_s:g} s"
        time.sleep(0.02)

"""Runs the real command line in processes of their own, over a store and study files in a directory."""

from __future__ import annotations

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
    """The command line in a directory; trials run inline unless a test says otherwise."""

    directory: Path
    executor: str = "inline"
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

    def __call__(self, *arguments: object, code: int | None = 0, env: dict[str, str] | None = None) -> Done:
        """Runs one command to its end and checks its exit code (None accepts any)."""
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.directory,
            env={**self.env, **(env or {})},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        assert code is None or done.returncode == code, (
            f"{arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        )
        return Done(code=done.returncode, out=done.stdout, err=done.stderr)

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

"""`orch bench`: the suite of benchmarks on this machine, in processes of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orchestrator
from orchestrator.errors import UsageError

SUITE = "benchmarks.suite"


def bench(only: Sequence[str], *, small: bool, as_json: bool) -> tuple[int, dict[str, Any]]:
    """Returns the suite's exit code (1 where a goal is missed) and, as JSON, what it found.

    Args:
        only: Names of parts; empty for all.
        small: Tiny sizes: whether it runs at all.
        as_json: Whether to return the figures; otherwise they are printed as they come.

    Raises:
        UsageError: The suite is not installed, or knows no such part.
    """
    root = Path(orchestrator.__file__).parents[1]
    if not (root / "benchmarks" / "suite.py").exists():
        raise UsageError(f"the benchmarks are not beside this installation ({root}); run from a checkout")
    command = [sys.executable, "-m", SUITE, *(part for name in only for part in ("--only", name))]
    command += ["--small"] * small + ["--json"] * as_json
    paths = [str(root), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE if as_json else None, text=True, check=False
    )
    if done.returncode not in (0, 1):
        raise UsageError(f"the benchmarks ended with {done.returncode}; above is what they said")
    return done.returncode, json.loads(done.stdout) if as_json else {}

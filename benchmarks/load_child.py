"""Runs one function, and writes what it returned and cost.

python -m benchmarks.load_child ANSWER MODULE:NAME ARGUMENTS
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path


def orch(arguments: Sequence[str]) -> int:
    """Returns the exit code of one command line.

    Raises:
        RuntimeError: It was not 0.
    """
    from orchestrator.cli.main import main as command

    os.environ["ORCH_WORKLOAD_MODULES"] = "benchmarks"
    sys.argv = ["orch", *arguments]
    try:
        command()
    except SystemExit as stop:
        if stop.code:
            raise RuntimeError(f"orch {' '.join(arguments)} ended with {stop.code}") from None
    return 0


def peak_mb() -> float:
    """Returns the most memory that this process held, in MiB."""
    # getrusage would count the parent's memory at the fork too.
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def main() -> None:
    answer, function, arguments = sys.argv[1:]
    module, _, name = function.partition(":")
    result = getattr(importlib.import_module(module), name)(*json.loads(arguments))
    used = {"result": result, "cpu_s": time.process_time(), "peak_mb": peak_mb()}
    Path(answer).write_text(json.dumps(used))


if __name__ == "__main__":
    main()

"""Processes that kill themselves at their n-th durable step."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

# Dies before the n-th call that makes something durable (odd numbers), or after it (even ones).
_DYING = """
import itertools, os, signal, sys
sys.path.insert(0, {root!r})
from pathlib import Path
store, steps, wanted = Path(sys.argv[1]), itertools.count(1, 2), int(sys.argv[2])

{prepare}

def dying(real):
    def call(*args, **kwargs):
        step = next(steps)  # a thread may sync while another one hashes
        if step == wanted:
            os.kill(os.getpid(), signal.SIGKILL)
        try:
            return real(*args, **kwargs)
        finally:
            if step + 1 == wanted:
                os.kill(os.getpid(), signal.SIGKILL)
    return call

os.fsync, os.rename, os.mkdir = dying(os.fsync), dying(os.rename), dying(os.mkdir)
{attempt}
print("done")
"""


def killed_at(root: Path, number: int, *, prepare: str, attempt: str) -> bool:
    """Returns whether code was killed at its n-th step; False when it ended before.

    Args:
        root: Bound to `store` in the code.
        number: The step.
        prepare: Code before the counting begins: imports.
        attempt: The code.
    """
    code = _DYING.format(root=str(ROOT), prepare=prepare, attempt=attempt)
    command = [sys.executable, "-c", code, str(root), str(number)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.stdout == "done\n":
        return False
    assert done.returncode == -signal.SIGKILL, done.stderr
    return True

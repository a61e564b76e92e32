"""Processes that kill themselves at their n-th durable step, or at their n-th request to an object store."""

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
store, steps, wanted = sys.argv[1], itertools.count(1, 2), int(sys.argv[2])

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


def killed_at(store: str, number: int, *, prepare: str, attempt: str) -> bool:
    """Returns whether code was killed at its n-th step; False when it ended before.

    Args:
        store: Bound to `store` in the code.
        number: The step.
        prepare: Code before the counting begins: imports.
        attempt: The code.
    """
    code = _DYING.format(root=str(ROOT), prepare=prepare, attempt=attempt)
    command = [sys.executable, "-c", code, store, str(number)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.stdout == "done\n":
        return False
    assert done.returncode == -signal.SIGKILL, done.stderr
    return True


# A file system that dies before its n-th call (odd numbers), or after it (even ones). One process forks for
# each number, since imports take longer than all the rest; what is open before a fork is not used after it.
_DYING_REQUESTS = """
import itertools, os, signal, sys
sys.path.insert(0, {root!r})
store = sys.argv[1]

{prepare}

from orchestrator.store import objects
real = objects._file_system

class Dying:
    def __init__(self, thing):
        self._thing = thing
    def __enter__(self):
        return self
    def __exit__(self, *error):
        self.close()
    def __getattr__(self, name):
        found = getattr(self._thing, name)
        if name not in ("open_output_stream", "write", "close", "delete_file", "delete_dir", "copy_file"):
            return found
        def call(*args, **kwargs):
            step = next(steps)  # several threads upload
            if step == wanted:
                os.kill(os.getpid(), signal.SIGKILL)
            try:
                made = found(*args, **kwargs)
                return Dying(made) if name == "open_output_stream" else made
            finally:
                if step + 1 == wanted:
                    os.kill(os.getpid(), signal.SIGKILL)
        return call

def dying(*args):
    system, root = real(*args)
    return Dying(system), root

objects._file_system = dying
for wanted in itertools.count(1):
    steps = itertools.count(1, 2)
    child = os.fork()
    if child == 0:
        {attempt}
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status):
        assert status == 0, status
        print(wanted)
        break
"""


def killed_everywhere(store: str, *, prepare: str, attempt: str) -> int:
    """Runs code again and again, killed at its first request to an object store, its second, and so on.

    Args:
        store: Bound to `store` in the code.
        prepare: Code before the counting begins: imports.
        attempt: The code.

    Returns:
        The number of times, the last of which came to its end.
    """
    code = _DYING_REQUESTS.format(
        root=str(ROOT), prepare=prepare, attempt=attempt.strip().replace("\n", "\n        ")
    )
    done = subprocess.run([sys.executable, "-c", code, store], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)

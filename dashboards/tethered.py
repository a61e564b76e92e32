"""Runs a command for as long as whoever started this lives: run as a script, standard library only.

    python tethered.py COMMAND [ARGUMENT ...]

The starter holds the other end of the standard input, which closes when it is done and however it dies.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading

END_S = 10.0


def main(command: list[str]) -> int:
    """Returns the command's exit code, once it has ended or was ended."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    threading.Thread(target=_end_with_input, args=(process,), daemon=True).start()
    return process.wait()


def _end_with_input(process: subprocess.Popen[bytes]) -> None:
    """Ends a command with all that it has started, which is of one session, when the input closes."""
    while os.read(sys.stdin.fileno(), 1024):  # without a lock that the interpreter's end would miss
        pass
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

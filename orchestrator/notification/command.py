"""A command of the user's, run for each notice: JSON on its standard input, the same in its environment."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from typing import IO, final

from orchestrator.errors import TargetError
from orchestrator.model.notice import Notice
from orchestrator.notification.content import as_json
from orchestrator.ports.notifier import Notifier


@final
class CommandNotifier:
    """Runs a program, without a shell."""

    def __init__(self, command: Sequence[str]) -> None:
        """Takes the program and its arguments."""
        self._command = list(command)

    def send(self, notice: Notice, *, limit_s: float) -> None:
        """Runs the command to its end; past the limit it is killed, with what it started."""
        environment = {**os.environ, **_variables(notice)}
        # Standard error goes into a file: a pipe that a grandchild holds open would have to be waited for.
        with tempfile.TemporaryFile() as errors:
            try:
                process = subprocess.Popen(
                    self._command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=errors,
                    env=environment,
                    start_new_session=True,  # Ctrl-C is for the study, not for who tells of it
                )
            except (OSError, ValueError) as error:
                reason = error.strerror if isinstance(error, OSError) else "a word that no command can have"
                raise TargetError(f"it does not start: {reason}") from None
            try:
                process.communicate(as_json(notice), timeout=limit_s)
            except subprocess.TimeoutExpired:
                raise TargetError(f"it was not done in {limit_s:.3g} s, and was ended") from None
            finally:
                if process.returncode is None:
                    with suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
            if process.returncode != 0:
                raise TargetError(f"it ended with exit code {process.returncode}{_last_line(errors)}")


def _variables(notice: Notice) -> dict[str, str]:
    found = {
        "ORCH_NOTIFY_EVENT": notice.event,
        "ORCH_NOTIFY_STUDY": notice.study,
        "ORCH_NOTIFY_SUBMISSION": notice.submission,
        "ORCH_NOTIFY_TEXT": notice.text,
        "ORCH_NOTIFY_HOST": notice.host,
    }
    return {name: value.replace("\0", "") for name, value in found.items()}


def _last_line(errors: IO[bytes]) -> str:
    errors.seek(max(0, errors.seek(0, os.SEEK_END) - 1000))
    lines = errors.read().decode(errors="replace").split("\n")
    said = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f": {said[:200]}" if said else ""


_PROOF: type[Notifier] = CommandNotifier

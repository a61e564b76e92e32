"""A log file for each trial: what the workload logs and prints while it runs, capped in size."""

from __future__ import annotations

import contextlib
import io
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from orchestrator.errors import OrchError
from orchestrator.execution.failures import failure_of, redacted
from orchestrator.ports import LogStore

LIMIT_BYTES = 4 * 1024 * 1024  # of a file; one older file of the same size is kept beside it


class TrialLog(io.TextIOBase):
    """A text stream into the log of the trial that is running; the file appears with its first line."""

    def __init__(
        self, store: LogStore | None, *, echo: TextIO | None = None, limit_bytes: int = LIMIT_BYTES
    ) -> None:
        """Writes nowhere until `turn_to` names a trial.

        Args:
            store: Where the logs are; None keeps none.
            echo: Also gets everything (the debugger's terminal), or None.
            limit_bytes: Where a file is rotated.
        """
        self._store = store
        self._echo = echo
        self._limit = limit_bytes
        self._key = ""
        self._path: Path | None = None
        self._file: TextIO | None = None
        self._size = 0

    def turn_to(self, key: str) -> None:
        """Makes a trial's file the one that is written from now on."""
        if key != self._key:
            self._shut()
            self._key = key

    def note(self, text: str) -> None:
        """Writes one line of our own, with the time, into the file only."""
        self.put(f"{time.strftime('%Y-%m-%d %H:%M:%S')} orch: {text}\n")

    def writable(self) -> bool:
        """Returns True."""
        return True

    def write(self, text: str) -> int:
        """Writes what the workload printed."""
        if self._echo is not None:
            self._echo.write(redacted(text))
        self.put(text)
        return len(text)

    def flush(self) -> None:
        """Hands everything to the system."""
        if self._echo is not None:
            self._echo.flush()
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        """Closes the file."""
        self._shut()
        super().close()

    def put(self, text: str) -> None:
        """Writes text into the file only."""
        if self._store is None or not self._key or not text:
            return
        # A log that cannot be written must not end a training: the disk's state is told by checkpoints.
        with contextlib.suppress(OSError, OrchError):
            if self._file is None or self._size > self._limit:
                self._open()
            assert self._file is not None
            text = redacted(text)
            self._file.write(text)
            self._size += len(text)

    def _open(self) -> None:
        assert self._store is not None
        if self._path is None:
            self._path = self._store.open(f"{self._key}.log")
        if self._file is not None:
            self._file.close()
            self._file = None
        self._size = self._path.stat().st_size if self._path.exists() else 0
        if self._size > self._limit:
            self._path.replace(self._path.with_suffix(".log.1"))
            self._size = 0
        # Line by line, so that the log of a killed worker says how far it came.
        self._file = self._path.open("a", encoding="utf-8", errors="replace", buffering=1)

    def _shut(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None
        if self._path is not None and self._store is not None:
            self._store.close(f"{self._key}.log")
            self._path = None


class _Handler(logging.Handler):
    """Logging goes to the file only: a terminal shows what the program itself has set up for it."""

    def __init__(self, log: TrialLog) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._log.put(self.format(record) + "\n")
        except Exception:
            self.handleError(record)


@contextlib.contextmanager
def captured(log: TrialLog) -> Iterator[TrialLog]:
    """Sends logging of level INFO and above, stdout and stderr to the log while it is open."""
    handler = _Handler(log)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(min(level, logging.INFO))
    try:
        with contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
            yield log
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


def close_quietly(reports: Any, log: TrialLog) -> None:
    """Ends a workload's generator; what it raises then can change no outcome any more."""
    close = getattr(reports, "close", None)
    if close is None:
        return
    try:
        with captured(log):
            close()
    except (Exception, SystemExit) as error:
        log.note(f"while closing the workload: {failure_of(error).traceback}")

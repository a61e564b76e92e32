"""Notices that wait to be sent, in a thread of their own: who tells does not wait for who listens."""

from __future__ import annotations

import queue
import threading
import time
from typing import Final, final

from orchestrator.errors import OrchError
from orchestrator.model.notice import Notice
from orchestrator.ports.notifier import Notifier

WAITING: Final = 32  # more than a study ever has to tell; the rest would be of no use to anybody


@final
class Sender:
    """Hands notices to one notifier, one after the other; what goes wrong is kept, not raised."""

    def __init__(self, notifier: Notifier, *, limit_s: float) -> None:
        """Takes the notifier; no thread runs yet.

        Args:
            notifier: Who is handed the notices.
            limit_s: How long it has for each.
        """
        self._notifier = notifier
        self._limit_s = limit_s
        self._waiting: queue.SimpleQueue[Notice | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._end = float("inf")
        self._told = self._sent = 0
        self._why = ""

    def put(self, notice: Notice) -> None:
        """Takes a notice, and returns at once."""
        self._told += 1
        if self._waiting.qsize() >= WAITING:
            self._why = self._why or "too many wait"
            return
        if self._thread is None:
            # A daemon: nothing that a server does keeps this process from its end.
            self._thread = threading.Thread(target=self._run, name="orch-notify", daemon=True)
            self._thread.start()
        self._waiting.put(notice)

    def finish(self, wait_s: float) -> str:
        """Waits until all is sent, so long at most; returns what was not and why, or ""."""
        if self._thread is not None:
            self._end = time.monotonic() + wait_s
            self._waiting.put(None)
            self._thread.join(wait_s + 1.0)
        missed = self._told - self._sent
        return f"{missed} of {self._told} not sent: {self._why or 'no time was left'}" if missed else ""

    def _run(self) -> None:
        while (notice := self._waiting.get()) is not None:
            limit_s = min(self._limit_s, self._end - time.monotonic())
            if limit_s <= 0:
                continue
            try:
                self._notifier.send(notice, limit_s=limit_s)
                self._sent += 1
            except OrchError as error:
                self._why = self._why or str(error)
            except Exception as error:
                # A fault of ours ends no study; its text might hold what is secret.
                self._why = self._why or type(error).__name__

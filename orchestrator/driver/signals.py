"""SIGINT and SIGTERM: the first asks running trials to save and stop, a second SIGINT stops now."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any


class StopSignals:
    """A context in which SIGINT and SIGTERM ask for a stop; `number` says which came.

    Outside the main thread it does nothing: the host program's handlers stay.
    """

    def __init__(self, on_stop: Callable[[int], None]) -> None:
        """Takes what is called, with the signal's number, at the first signal."""
        self._on_stop = on_stop
        self._before: dict[int, Any] = {}
        self.number: int | None = None

    def install(self) -> None:
        """Sets the handlers; called again after libraries may have set their own."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in (signal.SIGINT, signal.SIGTERM):
            previous = signal.signal(number, self._handle)
            self._before.setdefault(number, previous)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.number is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.number = number
        self._on_stop(number)

    def __enter__(self) -> StopSignals:
        self.install()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, previous in self._before.items():
            if previous is not None:
                signal.signal(number, previous)

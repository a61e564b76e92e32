"""What the pages ask of a store, answered at once; slow answers are made aside, and kept while they hold.

A page never waits for a large study: it takes what is ready within a fraction of a second, else an older
answer, else nothing yet, and says so; the browser asks again when there is more.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar, final

from orchestrator.app.results import recorded
from orchestrator.app.session import Session, open_session, store_exists
from orchestrator.errors import NotFoundError, OrchError
from orchestrator.model.watch import Pulse
from orchestrator.settings import Settings

T = TypeVar("T")
PATIENCE_S: Final = 0.1  # how long one page waits for all its answers together
SOON_S: Final = 0.03  # how long for one answer of which there is an older one
GLANCE_S: Final = 0.3  # how long a pulse is taken for the newest
REST: Final = 3.0  # an answer is not made anew before so many times the time that it took
LONGEST_REST_S: Final = 30.0
KEPT: Final = 256  # answers

_logger = logging.getLogger(__name__)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(Generic[T]):
    """What is known of a question.

    Attributes:
        value: The newest answer that there is, or None.
        error: Why there is none, for people.
        stale: Whether a newer one is on its way, or due.
    """

    value: T | None = None
    error: str = ""
    stale: bool = False

    @property
    def waiting(self) -> bool:
        """Whether there is nothing to show yet."""
        return self.value is None and not self.error


@dataclass(slots=True)
class _Entry:
    mark: str = ""
    value: Any = None
    error: str = ""
    made: float = 0.0
    took: float = 0.0
    work: Future[None] | None = None


@final
class Patience:
    """How long one request may still wait."""

    def __init__(self, seconds: float = PATIENCE_S) -> None:
        """Begins now."""
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds."""
        return max(0.0, self._end - time.monotonic())


@final
class Desk:
    """A store, opened when there is one, and the answers about it; threads share it."""

    def __init__(self, settings: Settings) -> None:
        """Takes the settings; nothing is opened yet."""
        self.settings = settings
        self._stack = ExitStack()
        self._session: Session | None = None
        self._lock = threading.Lock()
        self._answers: OrderedDict[tuple[str, ...], _Entry] = OrderedDict()
        self._pulses: dict[str | None, tuple[float, Pulse]] = {}
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="orch-ui")
        self.generation = 0  # grows with every answer that is ready

    @property
    def session(self) -> Session:
        """The open store.

        Raises:
            NotFoundError: There is none yet.
            TargetError: It cannot be used.
        """
        with self._lock:
            if self._session is None:
                self._session = self._stack.enter_context(open_session(self.settings))
            return self._session

    @property
    def empty(self) -> bool:
        """Whether nothing has been submitted yet."""
        return self._session is None and not store_exists(self.settings)

    def pulse(self, study: str | None = None) -> Pulse:
        """Returns a study, or the store, of a moment ago."""
        known = self._pulses.get(study)
        if known is None or time.monotonic() - known[0] > GLANCE_S:
            known = time.monotonic(), self.session.registry.pulse(study)
            self._pulses[study] = known
            if len(self._pulses) > KEPT:
                self._pulses.clear()
        return known[1]

    def study(self, name: str) -> Pulse:
        """Returns a study of a moment ago.

        Raises:
            NotFoundError: The store has no such study; says which are near.
        """
        pulse = self.pulse(name)
        if not pulse.submitted:
            recorded(self.session, name)
        return pulse

    def ask(
        self, key: tuple[str, ...], mark: str, make: Callable[[Session], T], patience: Patience
    ) -> Answer[T]:
        """Returns the answer to a question as far as it is known.

        Args:
            key: Names the question.
            mark: Another text when the answer may be another.
            make: Makes the answer, in another thread.
            patience: How long this may wait.
        """
        session = self.session
        with self._lock:
            entry = self._answers.setdefault(key, _Entry())
            self._answers.move_to_end(key)
            while len(self._answers) > KEPT:
                self._answers.popitem(last=False)
            if entry.mark != mark and entry.work is None and self._rested(entry):
                entry.work = self._pool.submit(self._make, entry, mark, make, session)
            work = entry.work
        if entry.mark != mark and work is not None and patience.left:
            wait([work], min(patience.left, SOON_S) if entry.mark else patience.left)
        return Answer(value=entry.value, error=entry.error, stale=entry.mark != mark)

    def _rested(self, entry: _Entry) -> bool:
        return time.monotonic() - entry.made >= min(LONGEST_REST_S, REST * entry.took) or not entry.mark

    def _make(self, entry: _Entry, mark: str, make: Callable[[Session], Any], session: Session) -> None:
        began = time.monotonic()
        value, error = None, ""
        try:
            value = make(session)
        except (OrchError, OSError) as failure:
            error = str(failure)
        except Exception:  # a fault of ours costs one answer, not the page
            _logger.exception("a page could not be made")
            error = "this failed by a fault of orch's own; the terminal where orch ui runs shows it"
        with self._lock:
            entry.value, entry.error, entry.mark = value, error, mark
            entry.made = time.monotonic()
            entry.took = entry.made - began
            entry.work = None
            self.generation += 1

    def mark(self, study: str | None = None) -> str:
        """Returns another text whenever a page about a study, or about the store, would be another."""
        try:
            return f"{self.pulse(study).mark}#{self.generation}"
        except NotFoundError:
            return "no store"

    def close(self) -> None:
        """Closes the store; what is being made is waited for."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._stack.close()

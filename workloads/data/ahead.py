"""The next mini-batch, made while one is learnt from; and how long was waited for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar, final

import torch

T = TypeVar("T")


@final
class Ahead(Generic[T]):
    """Makes one thing ahead of being asked for it, in a thread.

    What was made for another key than is asked for is forgotten, so that the result is always that of making
    it when it is asked for.
    """

    def __init__(self) -> None:
        """Starts no thread yet."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ahead")
        self._waiting: tuple[Hashable, Future[T]] | None = None

    def take(self, key: Hashable, make: Callable[[], T]) -> T:
        """Returns what was begun for this key, else what `make` returns.

        Raises:
            Exception: Whatever making it raised.
        """
        waiting, self._waiting = self._waiting, None
        if waiting is not None and waiting[0] == key:
            return waiting[1].result()
        if waiting is not None:
            waiting[1].cancel()
        return self._thread.submit(make).result()

    def begin(self, key: Hashable, make: Callable[[], T]) -> None:
        """Begins to make the next thing.

        Args:
            key: What `take` will be asked for.
            make: Makes it; called in the thread.
        """
        self._waiting = (key, self._thread.submit(make))


def one_ahead(makers: Iterable[Callable[[], T]]) -> Iterator[T]:
    """Yields what each maker makes, while the next one is being made."""
    ahead: Ahead[T] = Ahead()
    iterator = iter(makers)
    make = next(iterator, None)
    while make is not None:
        found = ahead.take(None, make)
        make = next(iterator, None)
        if make is not None:
            ahead.begin(None, make)
        yield found


@final
class Waits:
    """How much of a training's time goes into waiting for its loader."""

    def __init__(self, device: torch.device, clock: Callable[[], float] = time.monotonic) -> None:
        """Starts with nothing.

        Args:
            device: Of the training; work that waits there is no waiting for the loader.
            clock: Seconds that never go back.
        """
        self._cuda, self._clock = device.type == "cuda", clock
        self._waited_s = self._learnt_s = 0.0
        self._asked = 0.0
        self._given: float | None = None
        self._queued: Any = None

    def asked(self, *, first: bool) -> None:
        """Notes that a mini-batch is asked for.

        Args:
            first: Of an epoch: what came before was no step.
        """
        self._asked = self._clock()
        if self._given is not None and not first:
            self._learnt_s += self._asked - self._given
        if self._cuda:
            event: Any = torch.cuda.Event
            self._queued = event()
            self._queued.record()

    def given(self) -> None:
        """Notes that it is there."""
        self._given = self._clock()
        if self._queued is not None and not self._queued.query():
            self._learnt_s += self._given - self._asked  # the device had work all the while
        else:
            self._waited_s += self._given - self._asked

    @property
    def share(self) -> float:
        """Returns the share of the time of all steps so far, 0 to 1."""
        return self._waited_s / (total if (total := self._waited_s + self._learnt_s) > 0 else 1.0)

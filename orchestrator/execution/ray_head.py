"""Whether a cluster's head, or a node of it, answers: Ray ends a driver whose head is silent for a minute."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from orchestrator.errors import TargetError

CHECK_S = 3.0  # how often it is asked
CONNECT_S = 2.0
LOST_S = 12.0  # silent for so long, it is gone

SAFE = "What is committed is safe: `orch resume STUDY` goes on, there or on another cluster"

T = TypeVar("T")


class Head:
    """The head of the connected cluster."""

    def __init__(self, address: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Takes the head's address, HOST:PORT; asks nothing yet."""
        host, _, port = address.rpartition(":")
        self._place = (host.strip("[]"), int(port))
        self._address = address
        self._clock = clock
        self._answered = self._asked = clock()
        self.lost = False

    def check(self) -> None:
        """Asks the head whether it is there, unless that was done a moment ago.

        Raises:
            TargetError: It has not answered for `LOST_S`.
        """
        now = self._clock()
        if now - self._asked >= CHECK_S:
            self._asked = now
            try:
                socket.create_connection(self._place, timeout=CONNECT_S).close()
                self._answered = now
            except OSError:
                self.lost = now - self._answered >= LOST_S
        if self.lost:
            raise TargetError(
                f"the head of the Ray cluster at {self._address} does not answer any more. {SAFE}"
            )


def node_gone(node: str) -> bool:
    """Returns whether a node of the connected cluster, by Ray's id, is dead or does not answer."""
    import ray

    for each in within(ray.nodes, CONNECT_S) or ():
        if each["NodeID"] == node:
            if not each["Alive"]:
                return True
            try:
                place = (each["NodeManagerAddress"], each["NodeManagerPort"])
                socket.create_connection(place, timeout=CONNECT_S).close()
            except OSError:
                return True
    return False


def within(call: Callable[[], T], seconds: float) -> T | None:
    """Returns what a call returns, or None when it takes longer: without a head Ray's calls may never end.

    What it raises is not told either.
    """
    found: list[T] = []

    def run() -> None:
        try:
            found.append(call())
        except Exception:
            return

    thread = threading.Thread(target=run, name="orch-within", daemon=True)
    thread.start()
    thread.join(seconds)
    return found[0] if found else None

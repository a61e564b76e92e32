"""The hub: an actor that the driver owns, through which orders go to lanes and events come back.

Lanes are started and restarted by Tune wherever there is room, so neither they nor the driver know each
other's address; both know the hub's. It decides nothing: it keeps what waits, and drops what a lane sends
after its life was declared lost.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from orchestrator.execution.ray_messages import Flags, Joined, Lost, Message, Order, Told
from orchestrator.model.run import Event

GATHER_S = 0.1  # events that come so close together are committed together, unless a bundle ends


@dataclass(slots=True)
class _Box:
    """What the hub keeps of a lane: its present life, and the order that it has not fetched."""

    life: str = ""
    order: Order | None = None
    ended: bool = False


class Hub:
    """Mail boxes for one run; every method is called as an actor's."""

    def __init__(self, worker: Any) -> None:
        """Takes what lanes need to know when they join, handed on as it is."""
        self._worker = worker
        self._boxes: dict[str, _Box] = {}
        self._messages: list[Message] = []
        self._flags = Flags()
        self._news = asyncio.Event()  # for the driver
        self._urgent = asyncio.Event()  # a bundle ended, or a lane came or went
        self._orders = asyncio.Condition()  # for lanes

    async def ready(self) -> bool:
        """Returns True once the actor runs."""
        return True

    # --- lanes --------------------------------------------------------------------------------------

    async def join(self, joined: Joined) -> Any:
        """Begins a life of a lane and returns what it needs to know; an earlier life is lost by that."""
        box = self._boxes.setdefault(joined.lane, _Box())
        if box.life:
            self._lose(joined.lane, "its worker was replaced")
        box.life = joined.life
        self._tell(joined)
        return self._worker

    async def next_order(self, lane: str, life: str, wait_s: float) -> Order | None:
        """Returns a lane's next order, or None when none came for a while."""
        box = self._boxes[lane]

        def come() -> bool:
            return box.order is not None or box.ended or box.life != life

        if not come():
            async with self._orders:
                try:
                    await asyncio.wait_for(self._orders.wait_for(come), wait_s)
                except TimeoutError:
                    return None
        if box.ended or box.life != life:
            return Order(lane=lane, life=box.life)
        order, box.order = box.order, None
        return order

    async def tell(self, lane: str, life: str, events: Sequence[Event], done: str) -> Flags:
        """Takes events of a lane and returns what it should look at."""
        box = self._boxes[lane]
        if box.life != life:
            return replace(self._flags, void=True)
        if events or done:
            self._tell(Told(lane=lane, life=life, events=events, done=done))
        return self._flags

    # --- the driver ---------------------------------------------------------------------------------

    async def exchange(self, orders: Sequence[Order], flags: Flags, wait_s: float) -> Sequence[Message]:
        """Hands out orders and flags, and returns all news, soon after there is some, or after a while."""
        self._flags = flags
        if orders:
            for order in orders:
                box = self._boxes.setdefault(order.lane, _Box())
                if order.bundle is None:
                    box.ended = True
                elif order.life == box.life:
                    box.order = order
            async with self._orders:
                self._orders.notify_all()
        if not self._messages:
            try:
                await asyncio.wait_for(self._news.wait(), wait_s)
            except TimeoutError:
                return ()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._urgent.wait(), min(GATHER_S, wait_s))
        messages, self._messages = self._messages, []
        self._news.clear()
        self._urgent.clear()
        return messages

    async def lose(self, lane: str, reason: str) -> None:
        """Declares the present life of a lane over: what it still sends is dropped."""
        self._boxes.setdefault(lane, _Box())
        self._lose(lane, reason)
        async with self._orders:
            self._orders.notify_all()

    def _lose(self, lane: str, reason: str) -> None:
        box = self._boxes[lane]
        life, box.life, box.order = box.life, "", None
        self._tell(Lost(lane=lane, life=life, reason=reason))

    def _tell(self, message: Message) -> None:
        self._messages.append(message)
        self._news.set()
        if not isinstance(message, Told) or message.done:
            self._urgent.set()

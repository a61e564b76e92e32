"""The hub's mail boxes, without Ray: it is a plain class with async methods."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from orchestrator.execution import ray_hub
from orchestrator.execution.ray_hub import Hub
from orchestrator.execution.ray_messages import Flags, Joined, Lost, Order, Told
from orchestrator.model.plan import TrialKey
from orchestrator.model.run import Bundle, Reported

EVENT = Reported(trial=TrialKey("t"), epoch=1, step=1)
BUNDLE = Bundle(id="b", stage="train", claims=())


def played(scene: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scene, 10))


def test_news_ends_the_drivers_wait_and_comes_once() -> None:
    async def scene() -> None:
        hub = Hub("worker")
        assert await hub.join(Joined(lane="l", life="1")) == "worker"
        await hub.exchange([], Flags(), 0.0)
        waiting = asyncio.create_task(hub.exchange([], Flags(), 10.0))
        await asyncio.sleep(0)
        assert not waiting.done()
        await hub.tell("l", "1", [EVENT], "")
        await hub.tell("l", "1", (), "b")
        assert list(await waiting) == [
            Told(lane="l", life="1", events=[EVENT]),
            Told(lane="l", life="1", done="b"),
        ]
        assert list(await hub.exchange([], Flags(), 0.0)) == []

    played(scene())


def test_an_order_ends_the_lanes_wait() -> None:
    async def scene() -> None:
        hub = Hub(None)
        await hub.join(Joined(lane="l", life="1"))
        assert await hub.next_order("l", "1", 0.0) is None
        waiting = asyncio.create_task(hub.next_order("l", "1", 10.0))
        await asyncio.sleep(0)
        order = Order(lane="l", life="1", bundle=BUNDLE)
        await hub.exchange([order], Flags(), 0.0)
        assert await waiting == order
        assert await hub.next_order("l", "1", 0.0) is None  # fetched once

    played(scene())


def test_flags_come_back_with_every_message() -> None:
    async def scene() -> None:
        hub = Hub(None)
        await hub.join(Joined(lane="l", life="1"))
        flags = Flags(stopping=True, cancelled=frozenset({TrialKey("t")}))
        await hub.exchange([], flags, 0.0)
        assert await hub.tell("l", "1", [], "") == flags

    played(scene())


def test_what_a_lost_life_sends_is_dropped_and_its_order_is_void() -> None:
    async def scene() -> None:
        hub = Hub(None)
        await hub.join(Joined(lane="l", life="1"))
        await hub.exchange([Order(lane="l", life="1", bundle=BUNDLE)], Flags(), 0.0)
        await hub.lose("l", "killed")
        assert (await hub.tell("l", "1", [EVENT], "")).void
        void = await hub.next_order("l", "1", 0.0)
        assert void is not None
        assert (void.life, void.bundle) == ("", None)
        assert list(await hub.exchange([], Flags(), 0.0)) == [Lost(lane="l", life="1", reason="killed")]
        # An order for the old life that crosses the news goes nowhere.
        await hub.join(Joined(lane="l", life="2"))
        await hub.exchange([Order(lane="l", life="1", bundle=BUNDLE)], Flags(), 0.0)
        assert await hub.next_order("l", "2", 0.0) is None

    played(scene())


def test_a_new_life_ends_the_old_one() -> None:
    async def scene() -> None:
        hub = Hub(None)
        await hub.join(Joined(lane="l", life="1"))
        await hub.join(Joined(lane="l", life="2"))
        kinds = [(type(m), m.life) for m in await hub.exchange([], Flags(), 0.0)]
        assert kinds == [(Joined, "1"), (Lost, "1"), (Joined, "2")]

    played(scene())


def test_an_end_reaches_a_lane_that_comes_later() -> None:
    async def scene() -> None:
        hub = Hub(None)
        await hub.exchange([Order(lane="l", life="")], Flags(), 0.0)
        await hub.join(Joined(lane="l", life="1"))
        order = await hub.next_order("l", "1", 0.0)
        assert order == Order(lane="l", life="1")

    played(scene())


def test_news_that_comes_close_together_is_one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_hub, "GATHER_S", 0.2)

    async def scene() -> None:
        hub = Hub(None)
        await hub.join(Joined(lane="l", life="1"))
        await hub.exchange([], Flags(), 0.0)
        for _ in range(2):  # the second time as the first
            waiting = asyncio.create_task(hub.exchange([], Flags(), 10.0))
            await asyncio.sleep(0)
            await hub.tell("l", "1", [EVENT], "")
            for _ in range(5):
                await asyncio.sleep(0)
            assert not waiting.done()
            await hub.tell("l", "1", [EVENT], "")
            assert list(await waiting) == [Told(lane="l", life="1", events=[EVENT])] * 2

    played(scene())


def test_a_bundle_that_ends_and_lanes_that_come_and_go_wait_for_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ray_hub, "GATHER_S", 60.0)  # longer than the scene may take

    async def scene() -> None:
        hub = Hub(None)
        for news in (
            hub.join(Joined(lane="l", life="1")),
            hub.tell("l", "1", [EVENT], "b"),
            hub.lose("l", "gone"),
        ):
            waiting = asyncio.create_task(hub.exchange([], Flags(), 60.0))
            await asyncio.sleep(0)
            await news
            assert len(list(await waiting)) == 1
        await hub.join(Joined(lane="l", life="2"))
        await hub.exchange([], Flags(), 60.0)
        await hub.tell("l", "2", [EVENT], "")
        assert len(list(await hub.exchange([], Flags(), 0.0))) == 1  # who cannot wait gets what there is

    played(scene())

"""Streams that tell a page when there is something new."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from typing import Final

import anyio
from anyio import to_thread
from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from dashboards.desk import Desk
from dashboards.guard import event
from orchestrator.errors import OrchError

EVERY_S: Final = 1.0
BEAT_S: Final = 15.0  # a silent stream is taken for a dead one by some proxies


def router(desk: Desk, ending: Callable[[], bool]) -> APIRouter:
    """Returns the streams."""
    found = APIRouter()

    async def changes(study: str | None) -> AsyncIterator[bytes]:
        last, beat = "", time.monotonic()
        yield b"retry: 3000\n\n"
        while not ending():
            try:
                mark = await to_thread.run_sync(desk.mark, study)
            except (OrchError, OSError):
                mark = "unreachable"
            if mark != last:
                if last:
                    yield event("changed")
                last, beat = mark, time.monotonic()
            elif time.monotonic() - beat > BEAT_S:
                yield b": still here\n\n"
                beat = time.monotonic()
            await anyio.sleep(EVERY_S)

    def stream(study: str | None) -> StreamingResponse:
        return StreamingResponse(changes(study), media_type="text/event-stream")

    @found.get("/events")
    def of_store() -> StreamingResponse:
        """Tells of changes of anything in the store."""
        return stream(None)

    @found.get("/studies/{study}/events")
    def of_study(study: str) -> StreamingResponse:
        """Tells of changes of a study."""
        return stream(study)

    return found

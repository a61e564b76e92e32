"""A look at the newest study before the address is told: the first page then waits for no library."""

from __future__ import annotations

import time

from dashboards.desk import Desk
from dashboards.pages.common import Asked

STEP_S = 0.05


def look(desk: Desk, seconds: float) -> None:
    """Reads what the first pages will show, for so long at most; what takes longer goes on aside.

    Raises:
        OrchError: The store cannot be used.
    """
    if desk.empty:
        return
    newest = max(desk.session.registry.studies(), key=lambda each: each.created_at, default=None)
    end = time.monotonic() + seconds
    while newest is not None and time.monotonic() < end:
        asked = Asked(desk, newest.study)
        if not any([asked.line().stale, asked.board().stale, asked.pace().stale, asked.tables().stale]):
            return
        time.sleep(STEP_S)

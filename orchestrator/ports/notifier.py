"""What the driver's use case asks of a way to reach people."""

from __future__ import annotations

from typing import Protocol

from orchestrator.model.notice import Notice


class Notifier(Protocol):
    """Tells people what happened; called from a thread of its own."""

    def send(self, notice: Notice, *, limit_s: float) -> None:
        """Returns when the notice was taken.

        Args:
            notice: What happened.
            limit_s: How long that may take, seconds.

        Raises:
            TargetError: It was not; the message holds nothing secret.
        """
        ...

"""From an executor's name to the executor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.errors import UsageError
from orchestrator.ports import Executor

if TYPE_CHECKING:
    from orchestrator.app.session import Session
    from orchestrator.ports import CheckpointStore

NAMES = ("ray", "inline")


def build_executor(
    name: str, *, session: Session, checkpoints: CheckpointStore, max_concurrent: int | None
) -> Executor:
    """Returns the executor of that name, not yet started.

    Args:
        name: "ray" or "inline".
        session: The store.
        checkpoints: Where workers write checkpoints.
        max_concurrent: Bundles at once, at most.

    Raises:
        UsageError: No such executor.
    """
    from orchestrator.execution.effort import Worker

    settings = session.settings
    worker = Worker(
        checkpoints=checkpoints, modules=tuple(settings.workload_modules), logs=str(session.layout.logs)
    )
    if name == "inline":
        from orchestrator.execution.inline import InlineExecutor

        return InlineExecutor(worker)
    if name == "ray":
        from orchestrator.execution.ray_tune import RayTuneExecutor

        return RayTuneExecutor(
            worker, address=settings.ray_address, max_concurrent=max_concurrent, dashboard=True
        )
    raise UsageError(f"executor {name!r} is not known; one of {', '.join(NAMES)}")

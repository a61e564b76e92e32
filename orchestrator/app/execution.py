"""From an executor's name to the executor."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import UsageError
from orchestrator.ports import Executor

if TYPE_CHECKING:
    from orchestrator.app.session import Session
    from orchestrator.execution.ray_cluster import Join
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
        checkpoints=checkpoints, modules=tuple(settings.workload_modules), logs=session.stores.logs
    )
    if name == "inline":
        from orchestrator.execution.inline import InlineExecutor

        return InlineExecutor(worker)
    if name == "ray":
        from orchestrator.execution.ray_tune import RayTuneExecutor

        return RayTuneExecutor(
            worker,
            join=_join(session),
            max_concurrent=max_concurrent,
            hang_s=settings.hang_s,
            dashboard=True,
        )
    raise UsageError(f"executor {name!r} is not known; one of {', '.join(NAMES)}")


def _join(session: Session) -> Join | None:
    from orchestrator.app.freeze import freeze
    from orchestrator.execution.ray_cluster import Join, in_job

    settings = session.settings
    if settings.ray_address is None:
        return None
    return Join(
        address=settings.ray_address,
        store=None if session.stores.remote else session.stores.layout.root,
        reach=session.stores.objects.require if session.stores.remote else None,
        data=Path(session.data),
        # The code of a job has come with the job.
        freeze=None if in_job() else partial(freeze, settings.workload_modules),
    )

"""From an executor's name to the executor."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.app.secrets import secrets_of
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
        max_concurrent: Bundles at once, at most; None for what memory holds, as far as past trials tell.

    Raises:
        UsageError: No such executor.
    """
    from orchestrator.execution.effort import Worker

    settings = session.settings
    worker = Worker(
        checkpoints=checkpoints,
        modules=tuple(settings.workload_modules),
        logs=session.stores.logs,
        secrets=secrets_of(settings),
    )
    if name == "inline":
        from orchestrator.execution.inline import InlineExecutor

        return InlineExecutor(worker)
    if name == "ray":
        from orchestrator.execution.ray_tune import RayTuneExecutor

        return RayTuneExecutor(
            worker,
            join=_join(session),
            max_concurrent=max_concurrent or _by_memory(session),
            hang_s=settings.hang_s,
            dashboard=True,
        )
    raise UsageError(f"executor {name!r} is not known; one of {', '.join(NAMES)}")


def _by_memory(session: Session) -> int | None:
    """Returns how many trials this machine's memory holds, where that is less than its processors take."""
    from orchestrator.app.packing import PAST, packing, this_machine

    if session.settings.ray_address is not None:
        return None
    found = packing(this_machine(), session.registry.past(PAST))
    return found.at_once if found.by_memory else None


def _join(session: Session) -> Join | None:
    from orchestrator.app.freeze import freeze
    from orchestrator.execution.ray_cluster import Join, in_job
    from orchestrator.model.groups import node_groups

    settings = session.settings
    if settings.ray_address is None:
        return None
    return Join(
        address=settings.ray_address,
        store=None if session.stores.remote else session.stores.layout.root,
        reach=session.stores.objects.require if session.stores.remote else None,
        data=Path(session.data),
        groups=node_groups(settings.scales_to or ""),
        # The code of a job has come with the job.
        freeze=None if in_job() else partial(freeze, settings.workload_modules),
    )

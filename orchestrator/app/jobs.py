"""A study's jobs in the target's cluster: what they say of themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.errors import NotFoundError, UsageError
from orchestrator.model.job import JobStatus
from orchestrator.settings import Settings

if TYPE_CHECKING:
    from orchestrator.ports import Launcher


def last_job(settings: Settings, study: str) -> JobStatus | None:
    """Returns the newest job of a study, None when there is none or the target has no jobs.

    Raises:
        TargetError: The cluster cannot be reached.
    """
    if settings.jobs_address is None:
        return None
    from orchestrator.execution.ray_jobs import RayJobs

    return next(reversed(RayJobs(settings.jobs_address).jobs(study)), None)


def driver_log(settings: Settings, study: str) -> str:
    """Returns what the driver of a study's newest job has printed.

    Raises:
        NotFoundError: The study has no job there.
        UsageError: The target has no jobs.
        TargetError: The cluster cannot be reached.
    """
    launcher = launcher_of(settings)
    job = next(reversed(launcher.jobs(study)), None)
    if job is None:
        raise NotFoundError(
            f"{study} has no job at {settings.jobs_address}; `orch submit --no-wait` makes one"
        )
    return launcher.log(job.id)


def launcher_of(settings: Settings) -> Launcher:
    """Returns what starts and knows jobs in the target's cluster.

    Raises:
        UsageError: The target's settings do not allow it.
    """
    from orchestrator.execution.ray_jobs import RayJobs

    if settings.jobs_address is None:
        raise UsageError(
            "a driver in a cluster needs a target with `jobs_address`, the address of Ray's dashboard: in "
            'orch.toml [targets.lab] jobs_address = "http://HOST:8265", then --target lab'
        )
    if settings.registry_url is None or settings.registry_url.startswith("sqlite"):
        raise UsageError(
            "a driver in a cluster needs a registry that it and this machine reach: set `registry_url` "
            'of the target, say "postgresql+psycopg://USER@HOST/orch"'
        )
    return RayJobs(settings.jobs_address)

"""What `--no-wait` asks of a place where drivers can live."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from orchestrator.model.job import Job, JobStatus


class Launcher(Protocol):
    """Starts drivers elsewhere, by ids that we choose, so that asking twice starts one."""

    def launch(self, job: Job) -> bool:
        """Starts a driver with the code that is given, and returns at once.

        Returns:
            False when a job of that id exists already: nothing is started then.

        Raises:
            TargetError: The place cannot be reached, or refuses.
        """
        ...

    def jobs(self, study: str) -> Sequence[JobStatus]:
        """Returns what is known of a study's jobs, in the order of their launch.

        Raises:
            TargetError: The place cannot be reached, or refuses.
        """
        ...

    def log(self, job: str) -> str:
        """Returns what a job's driver has printed so far.

        Raises:
            NotFoundError: There is no such job.
            TargetError: The place cannot be reached, or refuses.
        """
        ...

    def stop(self, job: str) -> None:
        """Asks a job's driver to end, which leaves the study resumable; nothing happens when it has ended.

        Raises:
            TargetError: The place cannot be reached, or refuses.
        """
        ...

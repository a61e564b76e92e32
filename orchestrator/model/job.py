"""Drivers that live elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


class JobState(StrEnum):
    """How far a job is."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"

    @property
    def over(self) -> bool:
        """Whether its driver has ended."""
        return self not in (JobState.PENDING, JobState.RUNNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A driver to be started.

    Attributes:
        id: Ours, unique at the place.
        study: The study that it drives.
        command: What to run, in the directory of the code.
        code: Archive of the code, of which the place makes a directory.
        environment: Further environment variables; never secrets, which many may read there.
        labels: For people who look at the place's own pages.
    """

    id: str
    study: str
    command: tuple[str, ...]
    code: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatus:
    """What a place knows of a job.

    Attributes:
        id: As launched.
        state: How far it is.
        message: What the place says of its end, on one line.
    """

    id: str
    state: JobState
    message: str = ""

"""Drivers that live in a Ray cluster, by Ray Jobs: Ray runs each once, and a resume launches another."""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import socket
import time
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from orchestrator.errors import NotFoundError, TargetError, UsageError
from orchestrator.execution.ray_cluster import SETTINGS, read_token_again
from orchestrator.model.job import Job, JobState, JobStatus
from orchestrator.ports import Launcher

REACH_S = 10.0
AGENT_S = 60.0
STUDY = "orch_study"  # the metadata by which jobs are found
# The client takes these in place of the address it is given.
_OVERRIDES = ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS")


class RayJobs:
    """The job server of a Ray cluster."""

    def __init__(self, address: str) -> None:
        """Connects to nothing yet.

        Args:
            address: http://HOST:PORT or https://HOST:PORT, of the head's dashboard.

        Raises:
            UsageError: It is not of that form.
        """
        url = urlsplit(address)
        if url.scheme not in ("http", "https") or not url.hostname or url.username:
            raise UsageError(
                f"jobs_address: got {_plain(address)!r}, expected the address of the cluster's dashboard as "
                "http://HOST:8265; the token comes from RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH"
            )
        self._address = address
        self._host = url.hostname
        self._port = url.port or (443 if url.scheme == "https" else 80)

    def launch(self, job: Job) -> bool:
        """Starts a driver; False when a job of that id exists (see `ports.Launcher`)."""
        with self._client() as client:
            if any(each.submission_id == job.id for each in client.list_jobs()):
                return False
            until = time.monotonic() + AGENT_S
            while True:
                try:
                    client.submit_job(
                        entrypoint=shlex.join(job.command),
                        submission_id=job.id,
                        runtime_env={
                            "working_dir": str(job.code),
                            "env_vars": {**SETTINGS, **job.environment},
                        },
                        metadata={STUDY: job.study, **job.labels},
                    )
                    break
                except RuntimeError as error:
                    # Somebody else may have launched it since we looked.
                    if "already exists" in str(error):
                        return False
                    # A cluster that has just started takes jobs a few seconds later than questions.
                    if "No available agent" not in str(error) or time.monotonic() > until:
                        raise
                time.sleep(1.0)
        return True

    def jobs(self, study: str) -> Sequence[JobStatus]:
        """Returns what is known of a study's jobs, oldest first (see `ports.Launcher`)."""
        with self._client() as client:
            found = [each for each in client.list_jobs() if (each.metadata or {}).get(STUDY) == study]
        return [
            JobStatus(
                id=str(each.submission_id),
                state=JobState(each.status.value.lower()),
                message=" ".join(str(each.message or "").split()),
            )
            for each in sorted(found, key=lambda each: each.start_time or 0)
        ]

    def log(self, job: str) -> str:
        """Returns what a job's driver has printed so far (see `ports.Launcher`)."""
        with self._client() as client:
            if all(each.submission_id != job for each in client.list_jobs()):
                raise NotFoundError(f"no job {job!r} at {self._address}")
            return str(client.get_job_logs(job))

    def stop(self, job: str) -> None:
        """Asks a job's driver to end (see `ports.Launcher`)."""
        with self._client() as client:
            if any(each.submission_id == job for each in client.list_jobs()):
                client.stop_job(job)

    @contextlib.contextmanager
    def _client(self) -> Iterator[Any]:
        """Yields a client; what goes wrong meanwhile is told as this target's."""
        where = f"the Ray jobs server at {self._address}"
        try:
            # The client itself waits for ever for a server that does not answer.
            socket.create_connection((self._host, self._port), timeout=REACH_S).close()
        except OSError as error:
            raise TargetError(f"{where} cannot be reached: {error.strerror or error}") from None
        with _environment():
            import ray
            from ray.exceptions import AuthenticationError
            from ray.job_submission import JobSubmissionClient

            logging.getLogger("ray").setLevel(logging.CRITICAL)  # it tells of each upload
            if not ray.is_initialized():  # this process may have spoken with another cluster before
                read_token_again()
            try:
                yield JobSubmissionClient(self._address)
            except AuthenticationError:
                raise TargetError(
                    f"{where} asks for another token: set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH to a "
                    "file with the cluster's (`ray get-auth-token` on its head prints it)"
                ) from None
            except (RuntimeError, ConnectionError, OSError) as error:
                raise TargetError(f"{where} refuses: {str(error).strip().splitlines()[0]}") from error


@contextlib.contextmanager
def _environment() -> Iterator[None]:
    before = dict(os.environ)
    for name in _OVERRIDES:
        os.environ.pop(name, None)
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _plain(address: str) -> str:
    """Returns an address without what may be a password in it."""
    return address.rpartition("@")[2]


def _fits(launcher: RayJobs) -> Launcher:
    return launcher

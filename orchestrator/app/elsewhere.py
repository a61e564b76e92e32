"""Where other programs show a study: its runs in MLflow, its job and its cluster in Ray."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.app.jobs import last_job
from orchestrator.app.mirror_items import item_of
from orchestrator.app.session import Session, open_session, store_exists
from orchestrator.model.job import JobStatus
from orchestrator.model.plan import Assignment, TrialKey
from orchestrator.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Where Ray shows what a study's driver does.

    Attributes:
        address: Of the dashboard, "" where there is none.
        token: File of the token that a local one asks for, "" for another.
        job: The study's newest job there, None without one.
    """

    address: str = ""
    token: str = ""
    job: JobStatus | None = None


def cluster_of(session: Session, study: str) -> Cluster:
    """Returns where Ray shows what a study's driver does now.

    Raises:
        TargetError: The target's cluster cannot be reached.
    """
    settings = session.settings
    if settings.jobs_address is not None:
        return Cluster(address=settings.jobs_address.rstrip("/"), job=last_job(settings, study))
    driver = session.registry.driver(study)
    if driver is None or driver.host != socket.gethostname():
        return Cluster()
    from orchestrator.execution.ray_cluster import local_dashboard

    found = local_dashboard(driver.pid)
    return Cluster(address=found[0], token=str(found[1])) if found is not None else Cluster()


def mlflow_runs(
    session: Session, key: TrialKey, gathers: bool, assignments: Sequence[Assignment]
) -> dict[str, str]:
    """Returns study -> id of the MLflow run that shows a trial in it; those that MLflow has yet to show lack.

    Args:
        session: The store.
        key: The trial.
        gathers: Whether it joins several networks.
        assignments: That name it; of each study the first counts.
    """
    known = {key} if gathers else set()
    items = {each.study: item_of(each, known)[2] for each in reversed(assignments)}
    found = {}
    for study, item in items.items():
        if run := session.registry.mirror_ids(study).get(item):
            found[study] = run
    return found


def mlflow_uri(settings: Settings) -> str | None:
    """Returns the tracking URI of the configured store's mirror, None where it has none.

    Raises:
        NotFoundError: There is no store.
    """
    with open_session(settings) as session:
        return session.mlflow_uri


def remote_mlflow(settings: Settings) -> str:
    """Returns the address of the tracking server that the store is mirrored to, "" where it is none."""
    uri = settings.mlflow_uri or ""
    return plain_address(uri) if uri.startswith(("http://", "https://")) else ""


def plain_address(uri: str) -> str:
    """Returns an address without a name and password in it."""
    scheme, _, rest = uri.partition("://")
    place, slash, path = rest.partition("/")
    return f"{scheme}://{place.rpartition('@')[2]}{slash}{path}".rstrip("/")


def clusters(settings: Settings) -> list[Cluster]:
    """Returns the dashboards of Ray that show something of the store: the target's, or its drivers'."""
    if settings.jobs_address is not None:
        return [Cluster(address=settings.jobs_address.rstrip("/"))]
    if not store_exists(settings):
        return []
    with open_session(settings) as session:
        found = [cluster_of(session, each.study) for each in session.registry.studies()]
    return [each for each in found if each.address]

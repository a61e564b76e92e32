"""Submit and leave: a study is recorded here, and its driver lives in a cluster."""

from __future__ import annotations

import json
import logging
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.app.freeze import freeze
from orchestrator.app.jobs import launcher_of
from orchestrator.app.planning import Request, plan_study
from orchestrator.app.results import recorded, study_of
from orchestrator.app.run import Running
from orchestrator.app.session import driving, open_session, user
from orchestrator.app.stores import stores_of
from orchestrator.app.submit import record, try_again
from orchestrator.app.view import View
from orchestrator.model.job import Job
from orchestrator.model.plan import State
from orchestrator.model.run import Submission
from orchestrator.settings import Settings
from workloads.api import SECRET

if TYPE_CHECKING:
    from orchestrator.ports import Launcher

# Of this machine, or said to the job in another way.
_HERE = frozenset({"target", "targets", "jobs_address", "ray_address", "registry_url", "executor"})

_OPEN = 'a job\'s environment can be read there. Write webhook = "${env:NAME}", and set NAME on the nodes'
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Launched:
    """A submission whose driver lives elsewhere.

    Attributes:
        submission: As recorded.
        left: Trials without a result.
        job: The driver's job; "" when nothing is left to run.
        new: Whether the job was started just now, rather than found there.
    """

    submission: Submission
    left: int
    job: str = ""
    new: bool = False


def submit_and_leave(request: Request, running: Running, settings: Settings, view: View) -> Launched:
    """Records what a study file asks for and starts its driver in the target's cluster.

    Args:
        request: The study file and its patches.
        running: How much at once.
        settings: As loaded.
        view: Where the plan is shown.

    Raises:
        StudyError: The file is invalid; nothing was written or started.
        UsageError: The target's settings do not allow it; nothing was written or started.
        HeldError: A live driver holds the study; nothing was written or started.
        TargetError: The cluster cannot be reached. When the study was recorded, a resume launches it.
    """
    launcher = launcher_of(settings)
    name = plan_study(request, settings).study.name
    launcher.jobs(name)  # a cluster that is not there is told before anything is recorded
    with open_session(settings) as session, driving(session, name):
        planned, submission, _ = record(session, request, running, view)
        left = [key for key in planned.wanted if not planned.plan.state(key).has_result]
    return _launch(launcher, submission, len(left), running, settings)


def resume_elsewhere(
    name: str, running: Running, settings: Settings, *, failed: bool = False, include_cancelled: bool = False
) -> Launched:
    """Starts a driver in the target's cluster for what is left of a recorded study.

    Raises:
        NotFoundError: The store has no such study.
        HeldError: A live driver holds it.
        TargetError: The cluster cannot be reached.
    """
    launcher = launcher_of(settings)
    with open_session(settings) as session:
        submission = recorded(session, study_of(session, name).name)
        with driving(session, submission.study):
            wanted = try_again(session, submission, failed=failed, include_cancelled=include_cancelled)
            statuses = session.registry.statuses(list(wanted))
    left = sum(status.state in (State.PENDING, State.BLOCKED) for status in statuses.values())
    return _launch(launcher, submission, left, running, settings)


def _launch(
    launcher: Launcher, submission: Submission, left: int, running: Running, settings: Settings
) -> Launched:
    if not left:
        return Launched(submission=submission, left=0)
    before = launcher.jobs(submission.study)
    alive = next((job for job in before if not job.state.over), None)
    if alive is not None:  # it is about to read what is recorded
        return Launched(submission=submission, left=left, job=alive.id)
    # Who resumes at the same moment finds the same number, and one of the two is refused.
    name = f"orch-{submission.study}-{submission.number}-{len(before) + 1}"
    modules = settings.workload_modules
    with tempfile.TemporaryDirectory(prefix="orch-code-") as folder:
        new = launcher.launch(
            Job(
                id=name,
                study=submission.study,
                command=("python", "-m", "orchestrator.cli.main", "resume", submission.study),
                code=freeze(modules, Path(folder)),
                environment=_environment(settings, running),
                labels={"orch_submission": submission.id, "orch_user": user()},
            )
        )
    return Launched(submission=submission, left=left, job=name, new=new)


def _environment(settings: Settings, running: Running) -> dict[str, str]:
    """Returns the settings of a driver in the cluster, as environment variables without passwords.

    Everybody who sees the cluster's dashboard sees these: a webhook that is not `${env:NAME}` stays here.
    """
    found = {"ORCH_EXECUTOR": "ray", "ORCH_RAY_ADDRESS": "auto"}
    for name, field in Settings.model_fields.items():
        value = getattr(settings, name)
        if name == "notify":
            found["ORCH_NOTIFY"] = json.dumps([asdict(rule) for rule in value if not rule.secret])
            for rule in value:
                if rule.secret:
                    _logger.warning("the driver in the cluster does not know the %s: %s", rule.name, _OPEN)
        elif name not in _HERE and value != field.default:
            found[f"ORCH_{name.upper()}"] = ",".join(value) if isinstance(value, tuple) else str(value)
    found["ORCH_STORE"] = stores_of(settings).place
    found["ORCH_REGISTRY_URL"] = without_password(settings.registry_url or "")
    if running.max_concurrent is not None:
        found["ORCH_MAX_CONCURRENT"] = str(running.max_concurrent)
    return found


def without_password(url: str) -> str:
    """Returns a database's URL without its password: nodes have that in PGPASSWORD or ~/.pgpass."""
    scheme, _, rest = url.partition("://")
    rest, _, query = rest.partition("?")
    place, slash, database = rest.partition("/")
    user_, at, host = place.rpartition("@")
    kept = "&".join(each for each in query.split("&") if each and not each.startswith("password="))
    name, _, password = user_.partition(":")
    reference = f":{password}" if SECRET.fullmatch(password) else ""  # it says nothing; nodes have the secret
    return f"{scheme}://{name}{reference}{at}{host}{slash}{database}{'?' if kept else ''}{kept}"

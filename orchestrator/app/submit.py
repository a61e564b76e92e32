"""`orch submit` and `orch resume`: record a plan, drive it, mirror it, and build its tables."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.app.exposure import tokenless
from orchestrator.app.inspect import selected
from orchestrator.app.planning import Planned, Request, plan_study
from orchestrator.app.results import recorded, study_of
from orchestrator.app.run import Finish, Running, run
from orchestrator.app.searching import settled
from orchestrator.app.secrets import require_secrets
from orchestrator.app.session import Session, SystemClock, back_up, driving, open_session, require_room, user
from orchestrator.app.view import View
from orchestrator.model.plan import State, Trial, TrialKey
from orchestrator.model.run import Submission
from orchestrator.settings import Settings


def submit(request: Request, running: Running, settings: Settings, view: View) -> Finish:
    """Trains and evaluates what a study file asks for and the store does not have.

    Args:
        request: The study file and its patches.
        running: Where trials run.
        settings: As loaded.
        view: Where progress is shown.

    Raises:
        StudyError: The file is invalid; nothing was written or started.
        SecretError: A secret that its trials need cannot be had here; nothing was written or started.
        HeldError: Another driver holds the study; nothing was written or started.
    """
    # First without a store: an invalid file leaves no trace.
    planned = plan_study(request, settings)
    waiting = [key for key in planned.wanted if not planned.plan.state(key).has_result]
    _ready([planned.plan.trials[key] for key in waiting], running, settings, view)
    with (
        open_session(settings, create=True) as session,
        driving(session, planned.study.name) as lease,
    ):
        planned, submission, new = record(session, request, running, view)
        return run(
            session,
            lease,
            submission,
            planned.study,
            wanted=planned.wanted,
            running=running,
            view=view,
            new=new,
        )


def record(
    session: Session, request: Request, running: Running, view: View
) -> tuple[Planned, Submission, bool]:
    """Plans a study against what the store has, and records the submission unless it brings nothing new.

    The caller holds the study's lease.

    Returns:
        The plan, the submission, and whether it was recorded just now.
    """
    planned = plan_study(request, session.settings, session)
    to_run = [key for key in planned.wanted if not planned.plan.state(key).has_result]
    view.planned(planned.plan, planned.wanted)
    submission = _submission(planned, request, running)
    previous = session.registry.submissions(planned.study.name)
    if previous and not to_run and not _differs(previous[-1], submission):
        return planned, previous[-1], False
    back_up(session)
    made = session.registry.record(submission, planned.plan, rerun=planned.stale, wanted=planned.wanted)
    return planned, made, True


def resume(
    name: str,
    running: Running,
    settings: Settings,
    view: View,
    *,
    failed: bool = False,
    include_cancelled: bool = False,
) -> Finish:
    """Runs what is left of a study's recorded plan.

    Args:
        name: The study, as recorded, or its file (of which only the name is read).
        running: Overrides of where trials run.
        settings: As loaded.
        view: Where progress is shown.
        failed: Try failed trials again.
        include_cancelled: Run cancelled trials after all.

    Raises:
        NotFoundError: The store has no such study.
        HeldError: Another driver holds it.
    """
    with open_session(settings) as session:
        require_room(session.stores, settings)
        submission = recorded(session, study_of(session, name).name)
        study = study_of(session, submission.study)
        with driving(session, study.name) as lease:
            wanted = try_again(session, submission, failed=failed, include_cancelled=include_cancelled)
            states = session.registry.statuses(list(wanted))
            trials = session.registry.trials(study.name) if states else {}
            waiting = [trials[key] for key, each in states.items() if not each.state.final and key in trials]
            _ready(waiting, running, settings, view)
            return run(session, lease, submission, study, wanted=wanted, running=running, view=view)


def _ready(waiting: Sequence[Trial], running: Running, settings: Settings, view: View) -> None:
    """Looks whether what waits can run where it is to run, and says who else could run things there."""
    executor = running.executor or settings.executor
    require_secrets(waiting, executor, settings)
    if waiting and executor == "ray" and (warning := tokenless(settings)):
        view.note(f"note: {warning}")


def try_again(
    session: Session, submission: Submission, *, failed: bool, include_cancelled: bool
) -> frozenset[TrialKey]:
    """Lets failed or cancelled trials wait for another try; returns the trials that a submission wants."""
    wanted = selected(session, submission.study, submission.cells)
    registry = session.registry
    wanted -= settled(registry.trials(submission.study), registry.statuses(wanted))
    again = {State.FAILED} if failed else set()
    again |= {State.CANCELLED} if include_cancelled else set()
    if again:
        session.registry.requeue(wanted, again)
    return wanted


def _submission(planned: Planned, request: Request, running: Running) -> Submission:
    return Submission(
        id="",
        study=planned.study.name,
        document=planned.study.document,
        file=str(request.file),
        patches=planned.study.patches,
        seeds=request.seeds,
        cells=request.cells,
        code=planned.code.digest,
        commit=planned.code.commit,
        dirty=planned.code.dirty,
        created_at=SystemClock().time(),
        arguments={
            "executor": running.executor,
            "max_concurrent": running.max_concurrent,
            "user": user(),
            "note": request.note,
        },
    )


def _differs(before: Submission, now: Submission) -> bool:
    """Returns whether two submissions ask for different things."""

    def asked(each: Submission) -> tuple[object, ...]:
        note = each.arguments.get("note") or before.arguments.get("note")  # none given keeps the last
        return each.document, dict(each.patches), each.seeds, each.cells, note

    return asked(before) != asked(now)

"""What is recorded: studies, states, trials, logs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.app.results import recorded, study_of
from orchestrator.app.session import Session, study_file, user
from orchestrator.errors import NotFoundError, UsageError
from orchestrator.model.plan import Assignment, State, Trial, TrialKey, TrialStatus
from orchestrator.model.result import ResultRow
from orchestrator.model.run import Attempt, CheckpointRef, Owner, Submission


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """A study's derived status.

    Attributes:
        status: "running", "done", "failed" (nothing left to run, some trials failed) or "interrupted";
            of the cells that the submission asked for.
        trainings: State -> number of trainings; evaluations: likewise; candidates: of searches, likewise.
        failures: Failed trials with their status.
        driver: Who drives it now.
    """

    submission: Submission
    status: str
    trainings: Mapping[State, int]
    evaluations: Mapping[State, int]
    candidates: Mapping[State, int]
    failures: Sequence[tuple[Trial, TrialStatus]]
    driver: Owner | None


def status(session: Session, name: str) -> Status:
    """Returns a study's status.

    Raises:
        NotFoundError: The store has no such study.
    """
    submission = recorded(session, study_name(session, name))
    counts = session.registry.counts(submission.study)
    return _status(session, submission, counts.get(submission.study, {}))


def statuses(session: Session) -> Sequence[Status]:
    """Returns the status of every recorded study."""
    counts = session.registry.counts()
    return [
        _status(session, submission, counts.get(submission.study, {}))
        for submission in session.registry.studies()
    ]


def _status(session: Session, submission: Submission, counts: Mapping[tuple[str, State], int]) -> Status:
    registry, name = session.registry, submission.study
    both = Counter[State]()
    for (stage, state), number in counts.items():
        # A search goes on without a candidate that failed, or fails itself.
        both[state] += number if stage != "tune" or state is not State.FAILED else 0
    driver = registry.driver(name)
    return Status(
        submission=submission,
        status=derived(session, submission, both, driver),
        trainings={state: number for (stage, state), number in counts.items() if stage == "train"},
        evaluations={state: number for (stage, state), number in counts.items() if stage == "evaluate"},
        candidates={state: number for (stage, state), number in counts.items() if stage == "tune"},
        failures=_failures(session, name) if both[State.FAILED] else (),
        driver=driver,
    )


def derived(
    session: Session, submission: Submission, counts: Mapping[State, int], driver: Owner | None
) -> str:
    """Returns the word for a study's status; see `Status`."""
    if driver is not None:
        return "running"
    if any(not state.final and number for state, number in counts.items()) and _unfinished(
        session, submission
    ):
        return "interrupted"
    return "failed" if counts.get(State.FAILED) else "done"


def _unfinished(session: Session, submission: Submission) -> bool:
    """Returns whether something is left of the cells that were asked for, when something is left at all."""
    if not submission.cells:
        return True
    keys = selected(session, submission.study, submission.cells)
    return any(not status.state.final for status in session.registry.statuses(keys).values())


def _failures(session: Session, name: str) -> list[tuple[Trial, TrialStatus]]:
    trials = session.registry.trials(name)
    known = session.registry.statuses(list(trials))
    return [(trial, known[key]) for key, trial in trials.items() if known[key].state is State.FAILED]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialReport:
    """Everything recorded about a trial."""

    trial: Trial
    status: TrialStatus
    attempts: Sequence[Attempt]
    assignments: Sequence[Assignment]
    checkpoint: CheckpointRef | None
    rows: Sequence[ResultRow]
    log: str


def show(session: Session, prefix: str) -> TrialReport:
    """Returns everything recorded about a trial.

    Args:
        session: The store.
        prefix: The trial's key or its beginning.

    Raises:
        NotFoundError: No trial's key begins so, or no study plans it any more.
        UsageError: Several do.
    """
    key = one_trial(session, prefix)
    registry = session.registry
    # A search is what its candidates are planned by.
    assignments = registry.assigned([key]) or registry.assigned(list(registry.candidates([key])))
    if not assignments:
        raise NotFoundError(
            f"trial {key} is in the plan of no study any more: its study was submitted without it since; "
            f"its log is {log_place(session, key)}"
        )
    # Rows of superseded attempts stay in their parts: the registry says which part counts.
    valid = registry.results([key]).get(key)
    parts = [part for part in registry.parts([key]) if part.path == valid]
    rows = session.stores.results.read(parts, [key])
    return TrialReport(
        trial=registry.described([key])[key],
        status=registry.statuses([key])[key],
        attempts=registry.attempts(key),
        assignments=assignments,
        checkpoint=registry.checkpoint(key),
        rows=rows,
        log=log_place(session, key),
    )


def one_trial(session: Session, prefix: str) -> TrialKey:
    """Returns the only trial whose key begins with `prefix`.

    Raises:
        NotFoundError: There is none.
        UsageError: There are several.
    """
    keys = session.registry.find(prefix)
    if not keys:
        raise NotFoundError(
            f"no trial whose key begins with {prefix!r}; `orch show STUDY` lists a study's trials"
        )
    if len(keys) > 1:
        raise UsageError(f"{prefix!r} fits several trials: {', '.join(keys)}; give more characters")
    return keys[0]


def trials_of(
    session: Session, name: str, filters: Sequence[str] = ()
) -> Sequence[tuple[Assignment, TrialStatus]]:
    """Returns a study's planned observations with their trials' states.

    Args:
        session: The store.
        name: The study.
        filters: `--cells` filters.
    """
    study = study_name(session, name)
    keys = selected(session, study, filters)
    known = session.registry.statuses(list(keys))
    return [(each, known[each.trial]) for each in session.registry.assignments(study) if each.trial in keys]


def study_name(session: Session, text: str) -> str:
    """Returns the name of a recorded study, which its file may stand for.

    Raises:
        NotFoundError: The store has no such study.
        StudyError: The file is invalid.
    """
    return study_of(session, text).name if study_file(text) else recorded(session, text).study


def selected(session: Session, study: str, filters: Sequence[str]) -> frozenset[TrialKey]:
    """Returns the recorded trials of a study that `--cells` filters name, all without filters.

    Raises:
        UsageError: A filter names an unknown factor or label.
    """
    if not filters:
        return frozenset(session.registry.keys(study))
    from orchestrator.model.plan import Cell, Plan
    from orchestrator.study.expand import cell_labels
    from orchestrator.study.select import select

    # Cells by their recorded names, with the labels that the recorded study gives them.
    labels = cell_labels(study_of(session, study))
    plan = Plan(
        study=study,
        cells=[
            Cell(index=n, name=name, labels=each, config={}) for n, (name, each) in enumerate(labels.items())
        ],
        dimensions=(),
        trials=session.registry.trials(study),
        assignments=session.registry.assignments(study),
    )
    return frozenset(select(plan, filters))


def log_place(session: Session, key: TrialKey) -> str:
    """Returns where a trial's log is or would be."""
    return session.stores.logs.place(f"{key}.log")


def log_lines(session: Session, key: TrialKey) -> Sequence[str]:
    """Returns what a trial's workers wrote, by lines; nothing where there is no log."""
    return (session.stores.logs.read(f"{key}.log") or "").splitlines()


def cancel(
    session: Session, name: str, filters: Sequence[str] = (), trial: str = "", *, anybodys: bool = False
) -> int:
    """Asks for the end of a study, of some of its cells, or of one trial.

    Args:
        session: The store.
        name: The study.
        filters: `--cells` filters.
        trial: The beginning of a trial's key, "" for all.
        anybodys: Also when somebody else submitted the study.

    Returns:
        How many trials were not final yet.

    Raises:
        NotFoundError: The store has no such study, or the study no such trial.
        UsageError: Somebody else submitted it.
    """
    study = study_name(session, name)
    whose = recorded(session, study).arguments.get("user") or user()
    if whose != user() and not anybodys:
        raise UsageError(
            f"{study} was submitted by {whose}, and you are {user()}; `orch cancel {study} --yes` cancels it "
            "all the same"
        )
    keys: Collection[TrialKey] = selected(session, study, filters)
    if trial:
        keys = {one_trial(session, trial)} & set(keys)
        if not keys:
            raise NotFoundError(f"no trial {trial!r} in {study!r}; `orch show {study}` lists its trials")
    return session.registry.request_cancel(list(keys))

"""One submission from its recorded plan to its tables: drive it, mirror it, build the tables."""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.app.adaptive import Growth
from orchestrator.app.claims import claims_text, try_claims
from orchestrator.app.durations import past_durations
from orchestrator.app.execution import build_executor
from orchestrator.app.freeze import keep
from orchestrator.app.fusing import known_fusing
from orchestrator.app.mirror import Mirror
from orchestrator.app.mirror_items import closing_items, items_by_outcome, opening_items
from orchestrator.app.notify import notices_of
from orchestrator.app.planning import workload_of
from orchestrator.app.plots import svg_text, try_plots
from orchestrator.app.provenance import code_of
from orchestrator.app.results import render_all, study_of, try_tables
from orchestrator.app.searching import running_searches
from orchestrator.app.session import Session, SystemClock, back_up, registry_url
from orchestrator.app.view import View
from orchestrator.driver.drive import Drive
from orchestrator.driver.progress import Meter, Progress, Summary
from orchestrator.driver.purse import Purse
from orchestrator.driver.schedule import Schedule
from orchestrator.driver.signals import StopSignals
from orchestrator.errors import IncompleteError, OrchError, Problem, StudyError, TargetError
from orchestrator.model.claim import Judged
from orchestrator.model.plan import Assignment, Plan, State, TrialKey
from orchestrator.model.run import Lease, Submission
from orchestrator.model.study import Study
from orchestrator.model.table import Table
from orchestrator.study.plan import plan
from workloads.api import Spec

# File name of the tables' artifacts -> format.
TABLE_FILES = {"md": "md", "csv": "csv", "html": "html", "tex": "latex", "json": "json"}
STOPPED_S = 10.0  # how long a submission that was asked to end waits for the mirror, at most


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """Where and how much at once: flags, never part of what is computed."""

    executor: str | None = None
    max_concurrent: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """How a submission ended.

    Attributes:
        submission: As recorded.
        summary: Counts and failures.
        tables: As the results stand.
        claims: Likewise, those that can be judged; problems of the others change no exit code.
        exit_code: 0, 1 (some trials failed), 2 (some tables cannot be built), 5 (the disk is full), 6
            (the budget is spent), 130 or 143 (interrupted and resumable).
        unmirrored: Outbox items that the mirror has yet to show.
        problems: Why other tables of the study cannot be built, and other claims not be judged.
    """

    submission: Submission
    summary: Summary
    tables: Sequence[Table]
    exit_code: int
    claims: Sequence[Judged] = ()
    unmirrored: int = 0
    problems: Sequence[Problem] = ()


def run(
    session: Session,
    lease: Lease,
    submission: Submission,
    study: Study,
    *,
    wanted: frozenset[TrialKey],
    running: Running,
    view: View,
    new: bool = False,
) -> Finish:
    """Runs the wanted trials of a recorded plan that have no result.

    Args:
        session: The store.
        lease: The right to drive the study.
        submission: As recorded.
        study: As recorded.
        wanted: Trials that this submission asked for.
        running: Where trials run.
        view: Where progress is shown.
        new: Whether the submission was recorded just now: the mirror shows it even when nothing is to run.
    """
    registry, settings = session.registry, session.settings
    spec = workload_of(study, settings)
    known = known_fusing(session, settings, study)
    rules = study.adaptive is not None or study.search is not None
    whole = plan(study, spec, max_trials=sys.maxsize, fusing=known) if rules else None
    growth = _growth(session, lease, study, whole, wanted)
    if growth is not None:
        wanted |= growth().keys()
    trials = {**(growth.plan.trials if growth else {}), **registry.trials(study.name)}
    gathers = frozenset(key for key, trial in trials.items() if trial.gathers)
    assignments = registry.assignments(study.name)
    states = {key: status.state for key, status in registry.statuses(list(trials)).items()}
    checkpoints = session.stores.checkpoints
    mirror = build_mirror(session)
    made_by = code_of(spec)

    unfinished = any(not states.get(key, State.PENDING).final for key in wanted)
    signals = StopSignals(lambda number: drive.stop())
    told: list[int] = []
    own = [table.name for table in study.tables]  # not what searches came to: that is told at the end

    def shown(progress: Progress) -> None:
        if signals.number is not None and not told:
            told.append(signals.number)
            view.note("stopping: running trainings save a checkpoint and end; Ctrl-C stops at once")
        notices.progress(progress)
        view.progress(progress)
        if progress.committed and view.wants_tables() and own:
            view.tables(try_tables(session, study, own)[0])

    notices = notices_of(session, study, submission, view, states=states if unfinished else None)
    tree = _frozen(session, spec, view) if unfinished else ""

    def hourly() -> None:
        if tree:
            session.stores.renew_code(tree)
        back_up(session)

    schedule = Schedule(trials, states, wanted=wanted)
    stamp = {
        "code": made_by.digest,
        "commit": made_by.commit,
        **({"dirty": "yes"} if made_by.dirty else {}),
        "tree": tree,
        "submission": submission.id,
    }
    drive = Drive(
        registry=registry,
        results=session.stores.results,
        checkpoints=checkpoints,
        clock=SystemClock(),
        lease=lease,
        trials=trials,
        schedule=schedule,
        study=study.name,
        cells=_cells(assignments, wanted),
        data=session.data,
        checkpoint_interval_s=settings.checkpoint_interval_s,
        # Trainings that other studies share show there too.
        mirror=items_by_outcome(
            [*registry.assigned(list(trials)), *(growth.plan.assignments if growth else ())], gathers=gathers
        ),
        more=growth,
        stamp=stamp,
        searches=running_searches(session, lease, study, spec, whole, trials, schedule, stamp),
        on_progress=shown,
        purse=_purse(session, study),
        back_up=hourly,
        meter=Meter(past=past_durations(registry, trials)),
    )
    shown_anew = new or unfinished
    with notices:
        if mirror and shown_anew:
            registry.commit(lease, mirror=opening_items(submission))
        if mirror and (shown_anew or registry.outbox(limit=1)):
            mirror.start()
        try:
            with signals:
                executor = build_executor(
                    running.executor or settings.executor,
                    session=session,
                    checkpoints=checkpoints,
                    max_concurrent=running.max_concurrent or settings.max_concurrent,
                )
                try:
                    summary = drive.run(executor, after_start=signals.install)
                except TargetError:
                    if signals.number is None:
                        raise
                    # Who ends a whole process group ends our cluster with us: that is the interruption.
                    summary = drive.summary()
                notices.ended(summary)
                if mirror and shown_anew:
                    assignments = registry.assignments(study.name)
                    registry.commit(lease, mirror=closing_items(submission, assignments, gathers=gathers))
                unmirrored = 0
                if mirror:
                    asked = signals.number
                    wait_s = (
                        settings.mirror_wait_s if asked is None else min(STOPPED_S, settings.mirror_wait_s)
                    )
                    unmirrored = mirror.drain(wait_s, enough=lambda: signals.number != asked)
        finally:
            if mirror:
                mirror.stop()
        tables, problems = try_tables(session, study)
        judged, unjudged = try_claims(session, study)
        notices.judged(judged)
    code = _exit_code(summary, signals.number, unmirrored)
    return Finish(
        submission=submission,
        summary=summary,
        tables=tables,
        claims=judged,
        problems=[*problems, *unjudged],
        exit_code=code or (StudyError.exit_code if problems else 0),
        unmirrored=unmirrored,
    )


def _growth(
    session: Session, lease: Lease, study: Study, whole: Plan | None, wanted: frozenset[TrialKey]
) -> Growth | None:
    """Returns how the plan of a study grows whose seeds are added by a rule, None for any other."""
    if study.adaptive is None or whole is None:
        return None
    cells = {each.cell for each in whole.assignments if each.evaluation == "test" and each.trial in wanted}
    return Growth(session=session, lease=lease, study=study, plan=whole, cells=cells)


def build_mirror(session: Session) -> Mirror | None:
    """Returns the mirror into MLflow, not yet started, or None when it is off."""
    from orchestrator.registry.registry import open_registry
    from orchestrator.tracking.mlflow import MlflowTracker

    uri = session.mlflow_uri
    if uri is None:
        return None
    stores = session.stores
    artifacts = None if session.settings.mlflow_uri else str(stores.layout.artifacts)

    def texts(name: str) -> Mapping[str, str]:
        # The mirror's thread builds the tables over a connection of its own.
        registry = open_registry(registry_url(session.settings))
        try:
            own = Session(settings=session.settings, stores=stores, registry=registry)
            study = study_of(own, name)
            tables, _ = try_tables(own, study)
            judged, _ = try_claims(own, study)
            plots, _ = try_plots(own, study)
            drawn = {f"plots/{plot.spec.name}.svg": svg_text(plot) for plot in plots}
            if judged:
                drawn["claims/claims.md"] = claims_text(judged)
        finally:
            registry.close()
        return drawn | {
            f"tables/{table.name}.{ending}": render_all([table], form)
            for table in tables
            for ending, form in TABLE_FILES.items()
        }

    return Mirror(
        registry=lambda: open_registry(registry_url(session.settings)),
        results=stores.results,
        tracker=lambda: MlflowTracker(uri, artifacts, direct=artifacts is not None),
        lock=stores.layout.lock,
        texts=texts,
    )


def _purse(session: Session, study: Study) -> Purse | None:
    if study.budget is None:
        return None
    registry = session.registry
    return Purse(
        budget=study.budget,
        clock=SystemClock(),
        spent_s=registry.spent(study.name)[0],
        used_bytes=lambda: registry.spent(study.name)[1],
    )


def _frozen(session: Session, spec: Spec, view: View) -> str:
    """Returns the name of the archive of the code that runs now, "" where it cannot be kept."""
    try:
        return keep(session.stores, (*session.settings.workload_modules, spec.runtime.partition(":")[0]))
    except (OrchError, OSError) as error:
        view.note(f"the code is not kept, so that `orch reproduce` will have none: {error}")
        return ""


def _cells(
    assignments: Sequence[Assignment], wanted: frozenset[TrialKey]
) -> Mapping[str, Sequence[TrialKey]]:
    found: dict[str, list[TrialKey]] = {each.cell: [] for each in assignments if each.evaluation == "test"}
    for each in assignments:
        if each.trial in wanted and each.cell in found:  # a gather is of several cells, and so of none
            found[each.cell].append(each.trial)
    return {cell: keys for cell, keys in found.items() if keys}


def _exit_code(summary: Summary, number: int | None, unmirrored: int) -> int:
    if summary.interrupted or (number is not None and unmirrored):
        return 143 if number == signal.SIGTERM else 130
    if summary.halted:
        return TargetError.exit_code
    if summary.spent and any(count for state, count in summary.counts.items() if not state.final):
        return IncompleteError.exit_code
    return 1 if summary.counts.get(State.FAILED) else 0

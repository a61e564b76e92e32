"""Verbs that run things: submit, resume, cancel."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.globals import current
from orchestrator.cli.options import (
    Cells,
    ExecutorName,
    MaxConcurrent,
    MaxTrials,
    NoWait,
    Patches,
    Seeds,
    StudyFile,
    StudyName,
    request,
)
from orchestrator.errors import IncompleteError, UsageError

if TYPE_CHECKING:
    from orchestrator.app.launch import Launched
    from orchestrator.app.run import Finish
    from orchestrator.console.live import LiveView

MAX_TRIALS = 100_000


def submit(
    study: StudyFile,
    set_: Patches = None,
    seeds: Seeds = None,
    cells: Cells = None,
    executor: ExecutorName = None,
    max_concurrent: MaxConcurrent = None,
    max_trials: MaxTrials = MAX_TRIALS,
    note: Annotated[str, typer.Option("--note", help="A line to remember this submission by.")] = "",
    no_wait: NoWait = False,
) -> None:
    """Train and evaluate what a study asks for and the store does not have, then print its tables."""
    from orchestrator.app.run import Running
    from orchestrator.app.submit import submit as run

    settings = current.settings(executor=executor, max_concurrent=max_concurrent)
    asked = replace(request(study, set_, seeds, cells, max_trials), note=note)
    running = Running(executor=settings.executor, max_concurrent=settings.max_concurrent)
    if no_wait:
        from orchestrator.app.launch import submit_and_leave

        _elsewhere(executor)
        with _view() as view:
            launched = submit_and_leave(asked, running, settings, view)
        _tell_launched(launched)
        return
    with _told_when_stopped(), _view() as view:
        finish = run(asked, running, settings, view)
    _tell(finish)


def resume(
    study: StudyName,
    failed: Annotated[bool, typer.Option("--failed", help="Try failed trials again.")] = False,
    include_cancelled: Annotated[
        bool, typer.Option("--include-cancelled", help="Run cancelled trials too.")
    ] = False,
    executor: ExecutorName = None,
    max_concurrent: MaxConcurrent = None,
    no_wait: NoWait = False,
) -> None:
    """Run what is left of a study's recorded plan; finished trials are never run again."""
    from orchestrator.app.run import Running
    from orchestrator.app.submit import resume as run

    settings = current.settings(executor=executor, max_concurrent=max_concurrent)
    running = Running(executor=settings.executor, max_concurrent=settings.max_concurrent)
    if no_wait:
        from orchestrator.app.launch import resume_elsewhere

        _elsewhere(executor)
        launched = resume_elsewhere(
            study, running, settings, failed=failed, include_cancelled=include_cancelled
        )
        _tell_launched(launched)
        return
    with _told_when_stopped(), _view() as view:
        finish = run(study, running, settings, view, failed=failed, include_cancelled=include_cancelled)
    _tell(finish)


def cancel(
    study: StudyName,
    cells: Cells = None,
    trial: Annotated[str, typer.Option("--trial", help="One trial, by the beginning of its key.")] = "",
) -> None:
    """Cancel a study, some of its cells or one trial; what is finished is kept."""
    from orchestrator.app.inspect import cancel as ask
    from orchestrator.app.session import open_session

    with open_session(current.settings()) as session:
        number = ask(session, study, tuple(cells or ()), trial, anybodys=current.yes)
    if current.json:
        current.emit("cancel", study=study, cancelled=number)
    else:
        print(f"{number} trials cancelled; `orch resume {study} --include-cancelled` runs them after all")


@contextmanager
def _told_when_stopped() -> Iterator[None]:
    """Says what a second Ctrl-C leaves behind."""
    try:
        yield
    except KeyboardInterrupt:
        print("stopped; what was recorded is safe: `orch resume STUDY` goes on", file=sys.stderr)
        raise


def _view() -> LiveView:
    from orchestrator.console.live import LiveView

    # With --json standard output holds the document alone: progress goes to standard error.
    return LiveView(current.err() if current.json else current.out(), quiet=current.quiet)


def _tell(finish: Finish) -> None:
    """Prints how a submission ended: tables, failures, what to do next."""
    from orchestrator.app.results import render_all
    from orchestrator.cli.shapes import finish_shape
    from orchestrator.console.claims import print_verdicts
    from orchestrator.console.tables import print_tables
    from orchestrator.console.text import safe
    from orchestrator.model.plan import State

    summary = finish.summary
    if current.json:
        tables = [json.loads(render_all([table], "json")) for table in finish.tables]
        current.emit("submit", **finish_shape(finish, tables))
        raise typer.Exit(finish.exit_code)
    out = current.out()
    out.print()
    print_tables(out, finish.tables)
    if finish.claims:
        print_verdicts(out, finish.claims)
        out.print()
    done = f"{summary.trained} trained, {summary.evaluated} evaluated"
    done += f", {summary.tuned} candidates tried" if summary.tuned else ""
    troubled = [
        f"{summary.counts[state]} {state.value}"
        for state in (State.DIVERGED, State.FAILED, State.BLOCKED, State.CANCELLED)
        if summary.counts.get(state)
    ]
    out.print(safe(", ".join([f"{finish.submission.id}: {done}", *troubled])), soft_wrap=True)
    for key, message in list(summary.failures.items())[:10]:
        out.print(safe(f"failed: {key[:12]} {message}  (orch show {key[:12]})"), style="red", soft_wrap=True)
    for problem in finish.problems:
        out.print(safe(str(problem)), style="red", soft_wrap=True)
    if finish.unmirrored:
        out.print(
            safe(f"note: MLflow has yet to show {finish.unmirrored} items; the next submit goes on with them")
        )
    if summary.halted:
        out.print(safe(f"stopped: {summary.halted}"), style="red", soft_wrap=True)
    if finish.exit_code == IncompleteError.exit_code:
        told = f"stopped: {summary.spent}; raise `budget` and submit again, or leave it there"
        out.print(safe(told), style="yellow", soft_wrap=True)
    if summary.interrupted or summary.halted:
        out.print(safe(f"interrupted; go on with: orch resume {finish.submission.study}"), style="yellow")
    raise typer.Exit(finish.exit_code)


def _elsewhere(executor: str | None) -> None:
    """Refuses what a driver in a cluster cannot do."""
    if executor not in (None, "ray"):
        raise UsageError(f"--no-wait starts a driver on Ray; got --executor {executor}")


def _tell_launched(launched: Launched) -> None:
    """Prints where the driver is, and how to follow it."""
    submission = launched.submission
    if current.json:
        current.emit(
            "launch",
            study=submission.study,
            submission=submission.id,
            left=launched.left,
            job=launched.job or None,
            new=launched.new,
        )
        return
    if not launched.job:
        print(f"{submission.id}: nothing is left to run; `orch table {submission.study}` prints its tables")
        return
    target = f" --target {current.target}" if current.target else ""
    how = "its driver starts as job" if launched.new else "its driver is there already: job"
    print(f"{submission.id}: {launched.left} trials to run; {how} {launched.job}")
    print(f"follow it with: orch watch {submission.study}{target}")


VERBS = (submit, resume, cancel)

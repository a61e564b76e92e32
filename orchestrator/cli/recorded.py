"""Verbs about what is recorded: status, list, watch, show, logs, table."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.globals import current
from orchestrator.cli.options import Cells, StudyName
from orchestrator.errors import IncompleteError, NotFoundError, TargetError, UsageError

if TYPE_CHECKING:
    from orchestrator.app.inspect import Status
    from orchestrator.model.job import JobStatus
    from orchestrator.settings import Settings

FORMATS = ("rich", "md", "latex", "csv", "html", "json")
WATCH_EVERY_S = 1.0


def status(study: Annotated[str, typer.Argument(help="A recorded study; all without it.")] = "") -> None:
    """Show how far a study is: trials by state, failures, who drives it."""
    from orchestrator.app import inspect
    from orchestrator.app.session import open_session
    from orchestrator.cli.shapes import status_shape

    settings = current.settings()
    with open_session(settings) as session:
        found = [inspect.status(session, study)] if study else list(inspect.statuses(session))
    # One study only: a cluster that does not answer must not hold up the list of all.
    job = _job(settings, found[0].submission.study) if study else None
    if current.json:
        current.emit("status", studies=[status_shape(each, job) for each in found])
        return
    for each in found:
        _print_status(each, job)


def _job(settings: Settings, study: str) -> JobStatus | None:
    """Returns a study's newest job in the target's cluster; one that does not answer is told, and no more."""
    from orchestrator.app.jobs import last_job

    try:
        return last_job(settings, study)
    except TargetError as error:
        print(f"note: {error}", file=sys.stderr)
        return None


def _print_status(status: Status, job: JobStatus | None = None) -> None:
    from orchestrator.console.tables import listing
    from orchestrator.console.text import safe
    from orchestrator.model.job import JobState
    from orchestrator.model.plan import State

    out = current.out()
    driver = f", driven by {status.driver.host} pid {status.driver.pid}" if status.driver else ""
    out.print(safe(f"{status.submission.study}: {status.status}{driver} (submission {status.submission.id})"))
    if job is not None:
        said = f": {job.message}" if job.message and job.state is not JobState.SUCCEEDED else ""
        out.print(safe(f"job {job.id}: {job.state.value}{said}"), soft_wrap=True)
    columns = {"trainings": status.trainings, "evaluations": status.evaluations}
    if status.candidates:
        columns["candidates"] = status.candidates
    rows = [
        (state.value, *(counts.get(state, 0) for counts in columns.values()))
        for state in State
        if any(counts.get(state) for counts in columns.values())
    ]
    out.print(listing(["state", *columns], rows))
    for trial, found in status.failures[:10]:
        out.print(
            safe(f"failed: {trial.key[:12]} {trial.label}: {found.cause}: {found.message}"), style="red"
        )
    if status.status == "interrupted" and (job is None or job.state.over):
        out.print(safe(f"go on with: orch resume {status.submission.study}"))


def list_() -> None:
    """List the studies of the store."""
    from orchestrator.app import inspect
    from orchestrator.app.session import open_session
    from orchestrator.cli.shapes import status_shape
    from orchestrator.console.tables import listing
    from orchestrator.model.plan import State

    with open_session(current.settings()) as session:
        found = inspect.statuses(session)
    if current.json:
        current.emit("list", studies=[status_shape(each) for each in found])
        return
    rows = []
    for each in found:
        both = [each.trainings, each.evaluations, each.candidates]
        total = sum(sum(counts.values()) for counts in both)
        done = sum(count for counts in both for state, count in counts.items() if state.has_result)
        failed = sum(counts.get(State.FAILED, 0) for counts in both)
        asked = each.submission.arguments
        rows.append(
            (
                each.submission.study,
                each.status,
                f"{done}/{total}",
                failed,
                each.submission.number,
                asked.get("user", ""),
                asked.get("note", ""),
            )
        )
    names = ["study", "status", "results", "failed", "submissions", "user", "note"]
    current.out().print(listing(names, rows))


def watch(study: StudyName) -> None:
    """Follow a study that another process drives; Ctrl-C leaves it running."""
    from orchestrator.app import inspect
    from orchestrator.app.results import study_of
    from orchestrator.app.session import open_session
    from orchestrator.cli.shapes import status_shape

    settings = current.settings()
    with open_session(settings) as session:
        name = study_of(session, study).name
        shown = None
        while True:
            found = inspect.status(session, name)
            # A driver in a cluster takes a while to start: a job that lives is one to wait for.
            job = _job(settings, name) if found.driver is None else None
            counts = (dict(found.trainings), dict(found.evaluations), found.status, job and job.state)
            if counts != shown:
                if current.json:
                    current.emit("status", line=True, studies=[status_shape(found, job)])
                    sys.stdout.flush()
                else:
                    _print_status(found, job)
                shown = counts
            if found.driver is None and (job is None or job.state.over):
                return
            time.sleep(WATCH_EVERY_S)


def show(
    target: Annotated[
        str, typer.Argument(metavar="STUDY|TRIAL", help="A study, or the beginning of a trial's key.")
    ],
    cells: Cells = None,
) -> None:
    """Show a study's trials, or everything recorded about one trial."""
    from orchestrator.app import inspect
    from orchestrator.app.session import open_session, study_file
    from orchestrator.cli.shapes import observation_shape, report_shape
    from orchestrator.console.tables import listing

    with open_session(current.settings()) as session:
        known = {submission.study for submission in session.registry.studies()}
        if target in known or study_file(target) is not None:
            found = inspect.trials_of(session, target, tuple(cells or ()))
            if current.json:
                current.emit("trials", trials=[observation_shape(each, state) for each, state in found])
                return
            rows = [
                (each.trial[:12], each.evaluation, each.cell, each.seed, state.state.value, state.message)
                for each, state in found
            ]
            current.out().print(listing(["trial", "evaluation", "cell", "seed", "state", "message"], rows))
            return
        report = inspect.show(session, target)
    shape = report_shape(report)
    if current.json:
        current.emit("trial", **shape)
        return
    if not current.verbose:
        curve = [row for row in shape["rows"] if row["evaluation"] == "train"]
        shape["rows"] = [row for row in shape["rows"] if row["evaluation"] != "train"]
        if curve:
            shape["curve"] = f"{len(curve)} values, last step {curve[-1]['step']} (-v shows them)"
    from orchestrator.console.text import safe

    current.out().print(safe(json.dumps(shape, indent=2, default=str)), soft_wrap=True)


def logs(
    trial: Annotated[str, typer.Argument(help="The beginning of a trial's key; with --driver a study.")],
    tail: Annotated[int, typer.Option("--tail", min=0, help="Last lines only; 0 for all.")] = 0,
    driver: Annotated[
        bool, typer.Option("--driver", help="What the driver of a study's newest job printed.")
    ] = False,
) -> None:
    """Print what a trial's worker wrote, and the traceback of its last failure."""
    if driver:
        _driver_log(trial, tail)
        return
    from orchestrator.app import inspect
    from orchestrator.app.session import open_session
    from orchestrator.console.text import printable

    with open_session(current.settings()) as session:
        key = inspect.one_trial(session, trial)
        place = inspect.log_place(session, key)
        lines = inspect.log_lines(session, key)[-tail:]
        attempts = session.registry.attempts(key)
    trace = next((attempt.traceback for attempt in reversed(attempts) if attempt.traceback), "")
    if current.json:
        current.emit("logs", trial=key, log=place, lines=list(lines), traceback=trace)
        return
    sys.stdout.write(printable("".join(f"{line}\n" for line in lines)))
    if trace:
        sys.stdout.write(printable(trace) + "\n")
    if not lines and not trace:
        print(f"nothing was written by {key}")


def _driver_log(study: str, tail: int) -> None:
    from orchestrator.app.jobs import driver_log
    from orchestrator.console.text import printable

    lines = driver_log(current.settings(), study).splitlines()[-tail:]
    if current.json:
        current.emit("logs", study=study, lines=lines)
        return
    sys.stdout.writelines(printable(f"{line}\n") for line in lines)


def table(
    study: StudyName,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[TABLE]...", help="Which tables; all by default.")
    ] = None,
    form: Annotated[str, typer.Option("--format", "-f", help=f"One of {', '.join(FORMATS)}.")] = "rich",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write to a file.")] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit 6 when an entry is pending, failed or missing.")
    ] = False,
) -> None:
    """Print a study's tables as the results stand."""
    from orchestrator.app.results import build_tables, render_all, study_of, table_file
    from orchestrator.app.session import open_session
    from orchestrator.console.tables import print_tables

    if form not in FORMATS:
        raise UsageError(f"--format {form!r} is not known; one of {', '.join(FORMATS)}")
    with open_session(current.settings()) as session:
        found = study_of(session, study)
        if not found.tables:
            raise NotFoundError(f"study {found.name!r} declares no tables")
        tables = build_tables(session, found, names or ())
    if output is not None:
        table_file(tables, "md" if form == "rich" else form, output)
        print(f"wrote {output}", file=sys.stderr)
    elif current.json:
        current.emit(
            "table", study=found.name, tables=[json.loads(render_all([each], "json")) for each in tables]
        )
    elif form == "rich":
        print_tables(current.out(), tables)
    else:
        sys.stdout.write(render_all(tables, form))
    if strict:
        lacking = sum(
            e.planned > 0 and e.status not in ("ok", "fail")
            for each in tables
            for row in each.entries
            for e in row
        )
        if lacking:
            raise IncompleteError(f"{lacking} entries have no complete result")


VERBS = (status, list_, watch, show, logs, table)

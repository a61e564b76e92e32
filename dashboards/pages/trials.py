"""The page of one trial, and its log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fastapi import APIRouter, Request, Response

from dashboards.desk import Desk, Patience
from dashboards.drawing import Chart, chart
from dashboards.paging import paged
from dashboards.text import log_text
from dashboards.view import View
from orchestrator.app import inspect
from orchestrator.app.diff import flat
from orchestrator.app.elsewhere import mlflow_runs
from orchestrator.app.entry import curves
from orchestrator.app.inspect import TrialReport
from orchestrator.app.session import Session
from orchestrator.model.plan import Trial, TrialKey

TAIL: Final = 60  # last lines of a log on the trial's own page
LINES: Final = 1000  # of a log on a page of its own
WIDEST: Final = 2000  # characters of a line
ROWS: Final = 400  # values of a trial


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A trial with its log, its parents, its curves, and its MLflow runs by study."""

    report: TrialReport
    log: tuple[str, ...]
    parents: tuple[Trial, ...]
    runs: dict[str, str]
    charts: tuple[Chart, ...]


def router(desk: Desk, view: View) -> APIRouter:
    """Returns the routes."""
    found = APIRouter(prefix="/trials/{prefix}")

    @found.get("")
    def trial(request: Request, prefix: str) -> Response:
        """Shows everything recorded about a trial."""
        key = inspect.one_trial(desk.session, prefix)
        status = desk.session.registry.statuses([key])[key]
        mark = f"{status.state}{status.epoch}{status.attempts}"
        # The log of a running trial grows without any change of state.
        fresh = mark if status.state.final else desk.pulse().mark
        told = desk.ask(("/trial", key), fresh, lambda session: _told(session, key), Patience())
        report = told.value.report if told.value else None
        study = report.assignments[0].study if report and report.assignments else ""
        return view.page(
            "trial.html",
            request,
            key=key,
            told=told,
            config=list(flat(report.trial.config)) if report else [],
            values=[row for row in report.rows if row.evaluation != "train"][:ROWS] if report else [],
            study=study,
            events="" if status.state.final else "/events",
            tail=TAIL,
        )

    @found.get("/log")
    def log(request: Request, prefix: str, page: int = 0) -> Response:
        """Shows a trial's log, its end first."""
        key = inspect.one_trial(desk.session, prefix)
        lines = [log_text(line)[:WIDEST] for line in inspect.log_lines(desk.session, key)]
        pages = paged(len(lines), LINES, page or len(lines))
        return view.page(
            "log.html",
            request,
            key=key,
            lines=lines[pages.first : pages.after],
            pages=pages,
            where=inspect.log_place(desk.session, key),
        )

    return found


def _told(session: Session, key: TrialKey) -> Told:
    report = inspect.show(session, key)
    lines = inspect.log_lines(session, key)[-TAIL:]
    training = report.trial.stage == "train" and report.status.state.has_result
    parents = session.registry.described(report.trial.parents)
    return Told(
        report=report,
        log=tuple(log_text(line)[:WIDEST] for line in lines),
        charts=tuple(
            chart(metric, found, alike=True)
            for metric, found in (curves(session, [report.trial]) if training else {}).items()
        ),
        runs=mlflow_runs(session, key, report.trial.gathers, report.assignments),
        parents=tuple(parents[each] for each in report.trial.parents if each in parents),
    )

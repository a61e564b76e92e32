"""`orch report`: everything a reader of a study needs, as one HTML file that loads nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.app.claims import try_claims
from orchestrator.app.diff import surroundings
from orchestrator.app.inspect import Status, status
from orchestrator.app.plots import svg_text, try_plots
from orchestrator.app.results import render_all, try_tables, write_whole
from orchestrator.app.session import Session
from orchestrator.errors import Problem
from orchestrator.model.claim import Judged
from orchestrator.model.plan import State, Trial, TrialStatus
from orchestrator.model.run import Submission
from orchestrator.model.study import Study

MOST_TOLD = 200  # trials without a result, one line each


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a report shows.

    Attributes:
        study: As recorded.
        status: How far it is.
        submissions: Oldest first.
        claims: With their verdicts.
        tables: HTML of each table.
        plots: Caption or name, and SVG.
        troubled: Trials that failed, diverged, were blocked or cancelled; told: how many of them are listed.
        made: Kind ("code", "environment") -> name -> value.
        problems: Why other tables, plots and claims cannot be shown.
        store: Where the results are.
        cells: How many.
    """

    study: Study
    status: Status
    submissions: Sequence[Submission]
    claims: Sequence[Judged]
    tables: Sequence[str]
    plots: Sequence[tuple[str, str]]
    troubled: Sequence[tuple[Trial, TrialStatus]]
    told: int
    made: Mapping[str, Mapping[str, str]]
    problems: Sequence[Problem]
    store: str
    cells: int


def report(session: Session, study: Study) -> Report:
    """Returns a study's report as the results stand.

    Args:
        session: The store.
        study: As recorded.
    """
    registry = session.registry
    trials = registry.trials(study.name)
    statuses = registry.statuses(list(trials))
    tables, problems = try_tables(session, study)
    plots, more = try_plots(session, study)
    claims, unjudged = try_claims(session, study)
    problems += [*more, *unjudged]
    ended = (State.FAILED, State.DIVERGED, State.BLOCKED, State.CANCELLED)
    troubled = [(trial, statuses[key]) for key, trial in trials.items() if statuses[key].state in ended]
    return Report(
        study=study,
        status=status(session, study.name),
        submissions=registry.submissions(study.name),
        claims=claims,
        tables=[render_all([table], "html") for table in tables],
        plots=[(plot.spec.table.caption or plot.spec.name, svg_text(plot)) for plot in plots],
        troubled=troubled[:MOST_TOLD],
        told=len(troubled),
        made=surroundings(session, sorted(trials)),
        problems=problems,
        store=session.stores.place,
        cells=len({each.cell for each in registry.assignments(study.name) if each.evaluation == "test"}),
    )


def study_text(study: Study) -> str:
    """Returns the study file that gives this study, `extends` merged in, as YAML."""
    from orchestrator.study.document import yaml_text

    return yaml_text(study.document)


def write(text: str, target: Path) -> None:
    """Writes a report, whole or not at all.

    Raises:
        UsageError: The file cannot be written.
    """
    write_whole(text.encode(), target, f"-o {target}")

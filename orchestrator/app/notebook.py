"""The public names of `orchestrator`, for notebooks and scripts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orchestrator.app.planning import Request, plan_study
from orchestrator.app.results import build_tables, study_frame, study_of
from orchestrator.app.session import open_session
from orchestrator.model.plan import Plan
from orchestrator.model.study import Study
from orchestrator.model.table import Table
from orchestrator.settings import load_settings
from orchestrator.study.load import load


def load_study(file: str | Path, **patches: Any) -> Study:
    """Returns a study file, checked.

    Args:
        file: Path of the YAML file.
        patches: Dotted paths with `__` for the dots (`network__depth=56`).

    Raises:
        StudyError: Every problem of the file at once.
    """
    return load(Path(file), patches={name.replace("__", "."): value for name, value in patches.items()})


def plan(file: str | Path, *, store: str | Path | None = None) -> Plan:
    """Returns what a study file comes to, with what the store already has."""
    return plan_study(Request(file=Path(file), patches={}), load_settings({"store": store})).plan


def frame(study: str, *, store: str | Path | None = None) -> Any:
    """Returns a study's observations as a polars DataFrame, one line a value.

    Columns: evaluation, cell, seed, draw, step, metric, value, outcome, trial, and one "@name" column for
    each dimension.

    Args:
        study: The study's name or file.
        store: Directory or URI of the store; default as for the command line.

    Raises:
        NotFoundError: The store has no such study.
    """
    with open_session(load_settings({"store": store})) as session:
        return study_frame(session, study_of(session, str(study))).observed


def table(study: str, name: str, *, store: str | Path | None = None) -> Table:
    """Returns a built table: entries with estimate, n, failures and the trials they came from.

    Raises:
        NotFoundError: No such study or table.
    """
    with open_session(load_settings({"store": store})) as session:
        return build_tables(session, study_of(session, str(study)), [name])[0]

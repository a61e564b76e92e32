"""From recorded results to frames and tables; nothing here needs torch, ray or MLflow."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.app.session import Session, study_file
from orchestrator.errors import NotFoundError, Problem, StudyError, UsageError
from orchestrator.model.run import Submission

if TYPE_CHECKING:
    from orchestrator.model.frame import Frame
    from orchestrator.model.study import Study, TableSpec
    from orchestrator.model.table import Table


def recorded(session: Session, name: str) -> Submission:
    """Returns the latest submission of a study.

    Raises:
        NotFoundError: The store has no such study; says which it has.
    """
    submissions = {submission.study: submission for submission in session.registry.studies()}
    if name in submissions:
        return submissions[name]
    near = difflib.get_close_matches(name, submissions, n=3, cutoff=0.4) or sorted(submissions)[:3]
    hint = f"; did you mean {', '.join(near)}?" if near else ""
    raise NotFoundError(f"no study {name!r} in {session.stores.place}{hint}")


def study_of(session: Session, text: str) -> Study:
    """Returns a study by its name, as recorded, or by its file, as it is written now.

    Raises:
        NotFoundError: Never submitted.
        StudyError: The file is invalid.
    """
    from orchestrator.study.load import from_document, load

    file = study_file(text)
    if file is not None:
        study = load(file)
        latest = recorded(session, study.name)
        return load(file, patches=latest.patches, seeds=latest.seeds)
    latest = recorded(session, text)
    return from_document(
        latest.document, file=latest.file or latest.study, patches=latest.patches, seeds=latest.seeds
    )


def study_frame(session: Session, study: Study, *, curves: bool = True) -> Frame:
    """Returns everything a study planned and measured so far, as one long table.

    Args:
        session: The store.
        study: As recorded, or as its file says now.
        curves: Whether training curves are wanted: they are most of what is measured.
    """
    from orchestrator.app.adaptive import sampled
    from orchestrator.store.frame import frame
    from orchestrator.study.dimensions import dimensions

    known = session.registry.snapshot(study.name)
    rows = session.stores.results.scan(known.parts, curves=curves)
    found = frame(rows, known.results, known.assignments, known.statuses, dimensions(study))
    return sampled(study, found)


def build_tables(session: Session, study: Study, names: Sequence[str] = ()) -> list[Table]:
    """Returns a study's tables as the results stand.

    Args:
        session: The store.
        study: As recorded, or as its file says now.
        names: Which tables; all by default.

    Raises:
        NotFoundError: The study has no such table.
        StudyError: Tables that mix observations which may not be averaged, all of them.
    """
    tables, problems = try_tables(session, study, names)
    if problems:
        raise StudyError(problems)
    return tables


def try_tables(
    session: Session, study: Study, names: Sequence[str] = ()
) -> tuple[list[Table], list[Problem]]:
    """Returns the tables that can be built, and what is wrong with the others.

    Raises:
        NotFoundError: The study has no such table.
    """
    from orchestrator.model.search import TABLE as SEARCH
    from orchestrator.tables.build import build
    from orchestrator.tables.tuned import tuned_table

    searched = study.search is not None and (not names or SEARCH in names)
    own = [name for name in names if not (searched and name == SEARCH)]
    specs = [] if names and not own else [_table(study, name) for name in own] or list(study.tables)
    curves = any("train" in spec.evaluations for spec in specs)
    frame = study_frame(session, study, curves=curves)
    tables: list[Table] = []
    problems: list[Problem] = []
    for spec in specs:
        try:
            differing = _differing(session, study, spec)
            table = build(spec, frame, places=study.places, differences=differing)
        except StudyError as error:
            problems += error.problems
        else:
            tables.append(_with_note(table, study))
    if searched and study.search is not None:
        from orchestrator.app.tuned import tuned

        tables.append(tuned_table(study.search, tuned(session, study)))
    return tables, problems


def _with_note(table: Table, study: Study) -> Table:
    from orchestrator.tables.tuned import tuned_note

    return table if study.search is None else replace(table, notes=(*table.notes, tuned_note(study.search)))


def _differing(session: Session, study: Study, spec: TableSpec) -> dict[str, str]:
    """Returns cell -> what keeps it from being compared with the values that a paper prints."""
    if spec.published is None or not spec.published.matches:
        return {}
    from orchestrator.app.planning import workload_of
    from orchestrator.study.matching import differences

    return differences(study, workload_of(study, session.settings), spec.published)


def _table(study: Study, name: str) -> TableSpec:
    spec = study.table(name)
    if spec is None:
        known = (
            ", ".join([*(table.name for table in study.tables), *(["search"] * (study.search is not None))])
            or "none"
        )
        raise NotFoundError(f"study {study.name!r} has no table {name!r}; it has: {known}")
    return spec


def render_all(tables: Sequence[Table], form: str) -> str:
    """Returns tables in a file format, one after the other.

    Args:
        tables: Built tables.
        form: md, latex, csv, html or json.
    """
    from orchestrator.tables.render import render

    return "\n".join(render(table, form) for table in tables)


def table_file(tables: Sequence[Table], form: str, target: Path) -> None:
    """Writes rendered tables to a file, whole or not at all.

    Raises:
        UsageError: The file cannot be written.
    """
    text = render_all(tables, form)
    write_whole(text.encode(), target, f"-o {target}")


def write_whole(content: bytes, target: Path, asked: str) -> None:
    """Writes a file, whole or not at all.

    Args:
        content: What it will hold.
        target: The file.
        asked: The flag that named it, for messages.

    Raises:
        UsageError: The file cannot be written.
    """
    temporary = target.with_name(f".tmp-{target.name}")
    try:
        temporary.write_bytes(content)
        temporary.replace(target)
    except OSError as error:
        raise UsageError(
            f"{asked}: {error.strerror}; name a file in a directory that can be written"
        ) from None
    finally:
        temporary.unlink(missing_ok=True)

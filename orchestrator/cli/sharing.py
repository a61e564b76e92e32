"""Verbs that carry studies to other people and stores: report, export, import."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.globals import current
from orchestrator.cli.options import StudyName


def export(
    study: StudyName,
    to: Annotated[Path, typer.Option("--to", help="A folder, or a file NAME.zip; neither may exist.")],
) -> None:
    """Write a study with results, tables, plots and code as a bundle that `orch import` takes anywhere."""
    from orchestrator.app.bundle import export as write
    from orchestrator.app.results import study_of
    from orchestrator.app.session import open_session

    with open_session(current.settings()) as session:
        found = write(session, study_of(session, study), to)
    if current.json:
        current.emit(
            "export",
            path=str(found.path),
            sha256=found.digest,
            files=found.files,
            trials=found.trials,
            results=found.results,
            bytes=found.size_bytes,
        )
        return
    print(
        f"wrote {found.path}: {found.files} files, {found.results} results of {found.trials} trials, "
        f"{found.size_bytes / 1024**2:.1f} MiB; sha256 of its manifest {found.digest}"
    )


def import_(
    bundle: Annotated[Path, typer.Argument(help="A folder or zip that `orch export` wrote.")],
) -> None:
    """Take a bundle's study and results into the store, which is made if need be."""
    from orchestrator.app.session import open_session
    from orchestrator.app.unbundle import import_ as take
    from orchestrator.app.unbundle import verified
    from orchestrator.console.text import safe

    # a bundle that is refused makes no store
    with verified(bundle) as opened, open_session(current.settings(), create=True) as session:
        found = take(session, opened)
        place = session.stores.place
    if current.json:
        current.emit(
            "import",
            study=found.study,
            sha256=found.digest,
            results=found.results,
            known=found.known,
            tables=found.tables,
            different=list(found.different),
        )
        return
    known = f", {found.known} were there already" if found.known else ""
    print(safe(f"{found.study}: {found.results} results taken into {place}{known}; manifest {found.digest}"))
    if found.different:
        told = ", ".join(found.different)
        print(safe(f"note: not as in the bundle, byte for byte: {told}"), file=sys.stderr)
    elif found.tables:
        print(f"all {found.tables} files of tables come out as in the bundle, byte for byte")
    print(safe(f"next: orch table {found.study}"))


def report(
    study: StudyName,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file; STUDY.html by default.")
    ] = None,
) -> None:
    """Write a study as one HTML page: claims, tables, plots, design, what failed, where numbers come from."""
    from orchestrator.app.report import report as collect
    from orchestrator.app.report import write
    from orchestrator.app.results import study_of
    from orchestrator.app.session import open_session
    from orchestrator.console.report import report_html

    with open_session(current.settings()) as session:
        found = collect(session, study_of(session, study))
    target = output or Path(f"{found.study.name}.html")
    write(report_html(found), target)
    if current.json:
        current.emit("report", study=found.study.name, path=str(target))
        return
    print(f"wrote {target}")


VERBS = (report, export, import_)

"""The verb `plot`: a study's figures as files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.globals import current
from orchestrator.cli.options import StudyName
from orchestrator.errors import NotFoundError, UsageError

FORMATS = ("pdf", "svg", "png")


def plot(
    study: StudyName,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[PLOT]...", help="Which plots; all by default.")
    ] = None,
    to: Annotated[Path, typer.Option("--to", help="Directory for the pictures.")] = Path("plots"),
    form: Annotated[str, typer.Option("--format", "-f", help=f"One of {', '.join(FORMATS)}.")] = "pdf",
) -> None:
    """Draw a study's plots as the results stand: DIR/NAME.pdf for each."""
    from orchestrator.app.plots import build_plots, plot_files
    from orchestrator.app.results import study_of
    from orchestrator.app.session import open_session
    from orchestrator.cli.shapes import plot_shape
    from orchestrator.console.text import safe

    if form not in FORMATS:
        raise UsageError(f"--format {form!r} is not known; one of {', '.join(FORMATS)}")
    with open_session(current.settings()) as session:
        found = study_of(session, study)
        if not found.plots:
            raise NotFoundError(f"study {found.name!r} declares no plots")
        plots = build_plots(session, found, names or ())
    files = plot_files(plots, form, to)
    if current.json:
        shapes = [plot_shape(each, file) for each, file in zip(plots, files, strict=True)]
        current.emit("plot", study=found.name, plots=shapes)
        return
    for each, file in zip(plots, files, strict=True):
        current.out().print(safe(f"{file}: {each.caption}" if each.caption else str(file)), soft_wrap=True)
        for note in each.notes:
            current.out().print(safe(f"  {note}"), soft_wrap=True)


VERBS = (plot,)

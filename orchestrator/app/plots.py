"""From recorded results to pictures; matplotlib is loaded when one is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from orchestrator.app.results import study_frame, write_whole
from orchestrator.app.session import Session
from orchestrator.errors import NotFoundError, Problem, StudyError, UsageError
from orchestrator.model.plot import Plot
from orchestrator.model.study import PlotSpec, Study


def build_plots(session: Session, study: Study, names: Sequence[str] = ()) -> list[Plot]:
    """Returns a study's plots with their numbers as the results stand.

    Args:
        session: The store.
        study: As recorded, or as its file says now.
        names: Which plots; all by default.

    Raises:
        NotFoundError: The study has no such plot.
        StudyError: Plots that mix observations which may not be averaged, all of them.
    """
    plots, problems = try_plots(session, study, names)
    if problems:
        raise StudyError(problems)
    return plots


def try_plots(session: Session, study: Study, names: Sequence[str] = ()) -> tuple[list[Plot], list[Problem]]:
    """Returns the plots that can be built, and what is wrong with the others.

    Raises:
        NotFoundError: The study has no such plot.
    """
    specs = [_plot(study, name) for name in names] if names else list(study.plots)
    if not specs:
        return [], []
    from orchestrator.tables.plot import build_plot

    curves = any("train" in spec.table.evaluations for spec in specs)
    frame = study_frame(session, study, curves=curves)
    plots: list[Plot] = []
    problems: list[Problem] = []
    for spec in specs:
        try:
            plots.append(build_plot(spec, frame, places=study.places))
        except StudyError as error:
            problems += error.problems
    return plots, problems


def _plot(study: Study, name: str) -> PlotSpec:
    spec = study.plot(name)
    if spec is None:
        known = ", ".join(plot.name for plot in study.plots) or "none"
        raise NotFoundError(f"study {study.name!r} has no plot {name!r}; it has: {known}")
    return spec


def svg_text(plot: Plot) -> str:
    """Returns a plot as the text of an SVG."""
    from orchestrator.tables.draw import picture

    return picture(plot, "svg").decode()


def plot_files(plots: Sequence[Plot], form: str, directory: Path) -> list[Path]:
    """Writes a picture for each plot, NAME.FORM, each whole or not at all; returns their paths.

    Args:
        plots: With their numbers.
        form: pdf, svg or png.
        directory: Where to; it is made if need be.

    Raises:
        UsageError: Nothing can be written there.
    """
    from orchestrator.tables.draw import picture

    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"--to {directory}: {error.strerror}; name a directory that can be written"
        ) from None
    written = []
    for plot in plots:
        target = directory / f"{plot.spec.name}.{form}"
        write_whole(picture(plot, form), target, f"--to {directory}")
        written.append(target)
    return written

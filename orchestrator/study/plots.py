"""Plots as declared: from the file's model to the table whose entries are drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from orchestrator.model.study import At, Axis, PlotSpec, TableSpec
from orchestrator.study.convert import axis, distinct, fail_when, point, where
from orchestrator.study.problems import Problems
from orchestrator.study.reader import Mark
from orchestrator.study.schema import StudyFile
from orchestrator.study.schema_plots import PlotFile
from orchestrator.study.text import listed, unknown

PLOTS: Final = "plots"
METRIC: Final = "metric"
BINS: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """Which keys a kind needs, and which others only it and its like take."""

    needs: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()


_ALONG_X: Final = _Kind(needs=("x",), takes=("series", "at"))
_KINDS: Final[Mapping[str, _Kind]] = {
    "lines": _ALONG_X,
    "bars": _ALONG_X,
    "points": _ALONG_X,
    "spread": _ALONG_X,
    "curves": _Kind(takes=("series",)),
    "heatmap": _Kind(needs=("x", "y"), takes=("at",)),
    "histogram": _Kind(takes=("points", "series", "bins", "at")),
    "scatter": _Kind(needs=("x", "points"), takes=("series", "at")),
    "forest": _Kind(needs=("table",)),
}
_OF_KINDS: Final = ("x", "y", "series", "points", "bins", "at", "table")
# What a forest has of its table, and scales that differences around zero have no use for.
_OF_OTHERS: Final = (
    *("from_", "where", "metric", "metrics", "show", "std", "percent", "fail_when", "average_over"),
    *("scale", "x_scale"),
)


def plots(file: StudyFile, tables: Sequence[TableSpec], problems: Problems) -> tuple[PlotSpec, ...]:
    """Returns the plots as declared; those that cannot be understood are noted and left out.

    Args:
        file: The whole study.
        tables: Its tables.
        problems: What is wrong with it.
    """
    distinct(file.plots, (PLOTS,), "plot", problems)
    found = [_plot(name, each, tables, problems) for name, each in file.plots.items()]
    return tuple(each for each in found if each is not None)


def aliases(file: StudyFile, places: Mapping[str, Mark]) -> dict[str, Mark]:
    """Returns the places of rows, columns and attributes of the plots' tables: those of `x`, `series`, ..."""
    found: dict[str, Mark] = {}
    for name, plot in file.plots.items():
        keys = {"x": "rows", "series": "columns"}
        if plot.kind == "heatmap":
            keys = {"y": "rows", "x": "columns"}
        elif plot.kind == "histogram":
            keys = {"points": "rows", "series": "columns"}
        elif plot.kind == "scatter":
            keys = {"points": "rows", "x": "attributes"}
        for key, part in keys.items():
            said = f"{PLOTS}.{name}.{key}"
            for place, mark in places.items():
                if place == said or place.startswith(f"{said}."):
                    found[f"{PLOTS}.{name}.{part}{place.removeprefix(said)}"] = mark
    return found


def _plot(name: str, file: PlotFile, tables: Sequence[TableSpec], problems: Problems) -> PlotSpec | None:
    at = (PLOTS, name)
    before = len(problems)
    kind = _KINDS[file.kind]
    for key in _OF_KINDS:
        given = getattr(file, key) is not None
        if given and key not in (*kind.needs, *kind.takes):
            others = [each for each, rule in _KINDS.items() if key in (*rule.needs, *rule.takes)]
            message = f"{key} belongs to {listed(others)}, this plot is {file.kind}; drop it"
            problems.add((*at, key), "conflict", message, key=True)
        if not given and key in kind.needs:
            message = f"plot {name!r} of kind {file.kind} needs {key!r}"
            problems.add(at, "missing-key", message, key=True)
    if file.kind == "forest":
        return _forest(name, file, tables, problems) if len(problems) == before else None
    if file.metric is not None and file.metrics is not None:
        problems.add((*at, "metrics"), "conflict", "give metric or metrics, not both", key=True)
    metrics = tuple(file.metrics) if file.metrics is not None else ((file.metric,) if file.metric else ())
    if not metrics:
        problems.add(at, "missing-key", f"plot {name!r} needs 'metric' (or 'metrics')", key=True)
    if file.kind == "curves" and file.from_ not in (None, ("train",)):
        message = "curves are those of trainings: from: train, or leave it out"
        problems.add((*at, "from"), "bad-value", message)
    layout = _layout(name, file, problems)
    if layout is None or len(problems) > before:
        return None
    rows, columns, split = layout
    attribute = str(file.x[0]) if file.kind == "scatter" and file.x else None
    table = TableSpec(
        name=name,
        evaluations=tuple(file.from_) if file.from_ else (("train",) if file.kind == "curves" else ("test",)),
        where=where(file.where),
        rows=rows,
        columns=columns,
        metrics=metrics,
        show=file.show,
        std=file.std,
        percent=file.percent,
        fail_when=fail_when(file.fail_when, (*at, "fail_when"), problems),
        attributes={attribute: {}} if attribute else {},
        average_over=tuple(file.average_over),
        at=point(file.at, (*at, "at"), problems) if file.at is not None else At(),
        caption=file.caption,
        root=PLOTS,
    )
    return PlotSpec(
        name=name,
        kind=file.kind,
        table=table,
        panels=file.panels,
        split=split,
        series=len(axis(file.series or ()).dimensions),
        bins=file.bins or BINS,
        scale=file.scale,
        x_scale=file.x_scale,
        x_label=file.x_label,
        y_label=file.y_label,
        size=file.size,
        notes=file.notes,
    )


def _forest(name: str, file: PlotFile, tables: Sequence[TableSpec], problems: Problems) -> PlotSpec | None:
    at = (PLOTS, name)
    before = len(problems)
    for key in _OF_OTHERS:
        if key in file.model_fields_set:
            said = key.rstrip("_")
            message = f"{said} is none of a forest's keys: it draws its table's contrasts; drop it"
            problems.add((*at, said), "conflict", message, key=True)
    table = next((each for each in tables if each.name == file.table), None)
    if table is None:
        names = [each.name for each in tables]
        problems.add((*at, "table"), "unknown-table", unknown("table", str(file.table), names))
        return None
    if not table.baseline:
        message = f"table {table.name!r} has no baseline, and so no contrasts; give it one"
        problems.add((*at, "table"), "missing-key", message)
    dimensions = (*table.rows.dimensions, *table.columns.dimensions)
    if file.panels is not None and file.panels not in dimensions:
        message = f"{unknown('dimension', file.panels, dimensions)} (of the table's rows and columns)"
        problems.add((*at, "panels"), "unknown-dimension", message)
    # What is wrong with the table is told there.
    if len(problems) > before or table.name in problems.below("tables"):
        return None
    several = len(table.metrics) > 1 and METRIC in dimensions
    return PlotSpec(
        name=name,
        kind=file.kind,
        table=replace(
            table,
            contrasts=("difference", "interval", "p"),
            best=None,
            attributes={},
            published=None,
            caption=file.caption or table.caption,
        ),
        panels=file.panels or (METRIC if several else None),
        x_label=file.x_label,
        y_label=file.y_label,
        size=file.size,
        notes=file.notes,
    )


def _layout(
    name: str, file: PlotFile, problems: Problems
) -> tuple[Axis, Axis, Literal["rows", "columns"]] | None:
    """Returns rows and columns of a plot's table, and which of them begin with the panels' dimension."""
    rows, columns = axis(file.x or ()), axis(file.series or ())
    if file.kind == "heatmap":
        rows, columns = axis(file.y or ()), rows
    elif file.kind == "histogram":
        rows = axis(file.points or ())
    elif file.kind == "scatter":
        if rows.selections or len(rows.dimensions) != 1:
            message = "of a scatter x is the name of one attribute, such as parameters"
            problems.add((PLOTS, name, "x"), "bad-value", message)
        if columns.selections:
            message = "of a scatter series is a dimension or a list of them, not selections"
            problems.add((PLOTS, name, "series"), "bad-value", message)
        rows, columns = Axis(dimensions=(*columns.dimensions, *(file.points or ()))), Axis()
    if file.panels is None:
        return rows, columns, "rows"
    if not rows.selections:
        return Axis(dimensions=(file.panels, *rows.dimensions)), columns, "rows"
    if not columns.selections:
        return rows, Axis(dimensions=(file.panels, *columns.dimensions)), "columns"
    message = "panels need one of the axes to be made of dimensions; here both are named selections"
    problems.add((PLOTS, name, "panels"), "conflict", message, key=True)
    return None

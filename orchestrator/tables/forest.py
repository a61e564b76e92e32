"""Panels of a forest plot: the contrasts of a table, one line each."""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.model.plot import Panel
from orchestrator.model.study import Axis, PlotSpec
from orchestrator.model.table import Entry, Table

_NONE = Entry(text="", status="missing")
_Place = tuple[int, int]


def forest_panels(spec: PlotSpec, table: Table, metric_of: Callable[[_Place], str]) -> tuple[Panel, ...]:
    """Returns a panel for each label of the panels' dimension, with the rows and columns that have contrasts.

    Args:
        spec: The plot.
        table: Its table, built.
        metric_of: (row, column) of the table -> the entry's metric.
    """
    rows = [_parted(spec, spec.table.rows, labels) for labels in table.rows]
    columns = [_parted(spec, spec.table.columns, labels) for labels in table.columns]
    if not spec.table.columns.dimensions and not spec.table.columns.selections:
        columns = [("", "") for _ in columns]  # its header is the metric
    panels: dict[str, dict[tuple[str, str], _Place]] = {}
    for r, line in enumerate(table.entries):
        for c, entry in enumerate(line):
            if entry.contrast is not None:
                panels.setdefault(rows[r][0] or columns[c][0], {})[rows[r][1], columns[c][1]] = (r, c)
    return tuple(_panel(label, places, table, metric_of) for label, places in panels.items())


def _parted(spec: PlotSpec, axis: Axis, labels: tuple[str, ...]) -> tuple[str, str]:
    """Returns the label of the panel, or "", and the rest."""
    if spec.panels not in axis.dimensions:
        return "", ", ".join(filter(None, labels))
    level = axis.dimensions.index(spec.panels)
    return labels[level], ", ".join(filter(None, (*labels[:level], *labels[level + 1 :])))


def _panel(
    label: str,
    places: dict[tuple[str, str], _Place],
    table: Table,
    metric_of: Callable[[_Place], str],
) -> Panel:
    rows = tuple(dict.fromkeys(row for row, _ in places))
    columns = tuple(dict.fromkeys(column for _, column in places))
    at = {
        (r, c): places[row, column]
        for r, row in enumerate(rows)
        for c, column in enumerate(columns)
        if (row, column) in places
    }
    return Panel(
        label=label,
        rows=rows,
        columns=columns,
        entries=tuple(
            tuple(
                table.entries[at[r, c][0]][at[r, c][1]] if (r, c) in at else _NONE
                for c in range(len(columns))
            )
            for r in range(len(rows))
        ),
        metrics={place: metric_of(found) for place, found in at.items()},
    )

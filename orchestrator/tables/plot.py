"""Builds a plot from its declaration and the frame: every point is the entry of a table.

What a figure shows is therefore what the table of the same dimensions prints: n by seeds, draws averaged
within a net, failures as the table judges them. A scatter's table has a row for each point, that of
curves a row for each step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import polars as pl

from orchestrator.errors import StudyError
from orchestrator.model.frame import Frame
from orchestrator.model.plan import Dimension
from orchestrator.model.plot import Panel, Plot
from orchestrator.model.study import Axis, PlotSpec
from orchestrator.model.table import Entry, Table
from orchestrator.tables import axes, numbers
from orchestrator.tables.build import build
from orchestrator.tables.forest import forest_panels
from orchestrator.tables.observe import completed, metrics_of, observe
from orchestrator.tables.plot_notes import notes
from orchestrator.tables.problems import Context, Places
from orchestrator.tables.seeds import check_single

_STEP = "step"
_Place = tuple[int, int]


def build_plot(spec: PlotSpec, frame: Frame, *, places: Places | None = None) -> Plot:
    """Returns the plot with the entries it draws.

    Args:
        spec: The plot as declared.
        frame: What was planned and measured; with training curves if it draws them.
        places: Document path -> (file, line, column) (`Study.places`), for messages.

    Raises:
        StudyError: As building its table does.
    """
    with _told_as_plot():
        if spec.kind == "curves":
            spec, frame = _by_step(spec, frame)
        table = build(spec.table, frame, places=places)
        draws = _draws(spec, frame, places or {}) if spec.kind == "spread" else {}
        metrics = metrics_of(Context(spec=spec.table, places=places or {}), frame)
    if spec.kind == "forest":
        panels = forest_panels(spec, table, _metric_of(spec, table, metrics))
    else:
        panels = _panels(spec, table, metrics, draws)
    return Plot(
        spec=spec,
        caption=table.caption,
        panels=panels,
        table=table,
        scaled=numbers.per_cent(spec.table, metrics),
        notes=notes(spec, table, panels),
    )


@contextmanager
def _told_as_plot() -> Iterator[None]:
    """Turns a table's words for its axes into those of a plot."""
    words = {
        "rows: ": "x: ",
        "columns: ": "series: ",
        " a row or a column": " x, series or panels",
    }
    try:
        yield
    except StudyError as error:
        told = []
        for problem in error.problems:
            message = problem.message
            for table, plot in words.items():
                message = message.replace(table, plot)
            told.append(replace(problem, message=message))
        raise StudyError(told) from None


def _by_step(spec: PlotSpec, frame: Frame) -> tuple[PlotSpec, Frame]:
    """Returns plot and frame with the step as a dimension, as workloads add coordinates."""
    steps = frame.observed.filter(pl.col("evaluation") == "train").get_column("step").unique().sort()
    rows = spec.table.rows.dimensions
    table = replace(spec.table, rows=Axis(dimensions=(*rows, _STEP)))
    return replace(spec, table=table), replace(
        frame,
        dimensions=[*frame.dimensions, Dimension(name=_STEP, labels=tuple(map(str, steps.to_list())))],
        observed=frame.observed.with_columns(pl.col("step").cast(pl.String).alias(f"@{_STEP}")),
    )


def _draws(
    spec: PlotSpec, frame: Frame, places: Places
) -> dict[_Place, tuple[tuple[int, tuple[float, ...]], ...]]:
    """Returns (row, column) -> (seed, the values of its draws) of the nets that came to values only."""
    context = Context(spec=spec.table, places=places)
    frame = completed(context, frame)
    metrics = metrics_of(context, frame)
    units = observe(context, frame, metrics)
    units, _ = axes.place(context, frame, units, spec.table.rows, "rows", metrics)
    units, _ = axes.place(context, frame, units, spec.table.columns, "columns", metrics)
    check_single(context, units, [each.name for each in frame.dimensions])
    values = (
        units.filter(pl.col("value").is_finite())
        .group_by("rows", "columns", "seed", "draw")
        .agg(pl.col("value").mean())
    )
    listed = (
        values.sort("rows", "columns", "seed", "draw")
        .group_by("rows", "columns", "seed", maintain_order=True)
        .agg("value")
    )
    found: dict[_Place, list[tuple[int, tuple[float, ...]]]] = {}
    for row, column, seed, each in listed.rows():
        found.setdefault((row, column), []).append((seed, tuple(each)))
    return {place: tuple(nets) for place, nets in found.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Slot:
    """Where an entry of the table is drawn."""

    panel: str
    row: tuple[str, ...]
    column: tuple[str, ...]


def _panels(
    spec: PlotSpec,
    table: Table,
    metrics: tuple[str, ...],
    draws: dict[_Place, tuple[tuple[int, tuple[float, ...]], ...]],
) -> tuple[Panel, ...]:
    if spec.kind == "scatter":
        attributed = [line[0].estimate for line in table.entries]
        table = replace(table, columns=table.columns[1:], entries=tuple(line[1:] for line in table.entries))
    else:
        attributed = []
    metric_of = _metric_of(spec, table, metrics)
    slots: dict[_Place, _Slot] = {}
    for row, row_labels in enumerate(table.rows):
        for column, column_labels in enumerate(table.columns):
            slots[row, column] = _slot(spec, row_labels, column_labels)
    panels = []
    for label in dict.fromkeys(slot.panel for slot in slots.values()):
        mine = {place: slot for place, slot in slots.items() if slot.panel == label}
        rows = list(dict.fromkeys(slot.row for slot in mine.values()))
        columns = list(dict.fromkeys(slot.column for slot in mine.values()))
        entries = {(slot.row, slot.column): place for place, slot in mine.items()}
        at = {
            (r, c): entries[row, column]
            for r, row in enumerate(rows)
            for c, column in enumerate(columns)
            if (row, column) in entries
        }
        # What was never planned anywhere in a panel is no part of it.
        kept = [
            c
            for c in range(len(columns))
            if any((r, c) in at and _planned(table, at[r, c]) for r in range(len(rows)))
        ]
        panels.append(
            Panel(
                label=label,
                rows=tuple(", ".join(filter(None, row)) for row in rows),
                columns=tuple(", ".join(filter(None, columns[c])) for c in kept),
                entries=tuple(tuple(_entry(table, at.get((r, c))) for c in kept) for r in range(len(rows))),
                metrics={
                    (r, k): metric_of(at[r, c])
                    for r in range(len(rows))
                    for k, c in enumerate(kept)
                    if (r, c) in at
                },
                positions=tuple(
                    next((attributed[at[r, c][0]] for c in kept if (r, c) in at), None)
                    for r in range(len(rows))
                )
                if attributed
                else (),
                draws={
                    (r, k): draws[at[r, c]]
                    for r in range(len(rows))
                    for k, c in enumerate(kept)
                    if at.get((r, c)) in draws
                },
            )
        )
    return tuple(panels)


def _slot(spec: PlotSpec, row: tuple[str, ...], column: tuple[str, ...]) -> _Slot:
    panel = ""
    if spec.panels is not None and spec.split == "rows":
        panel, row = row[0], row[1:]
    elif spec.panels is not None:
        panel, column = column[0], column[1:]
    if spec.kind == "scatter":
        row, column = row, row[: spec.series]
    elif not spec.table.columns.dimensions and not spec.table.columns.selections:
        column = ()
    return _Slot(panel=panel, row=row, column=column)


_NEVER = Entry(text="", status="missing")


def _entry(table: Table, place: _Place | None) -> Entry:
    return _NEVER if place is None else table.entries[place[0]][place[1]]


def _planned(table: Table, place: _Place) -> bool:
    return _entry(table, place).planned > 0


def _metric_of(spec: PlotSpec, table: Table, metrics: tuple[str, ...]) -> Callable[[_Place], str]:
    """Returns how to tell an entry's metric: by the axis that says it, or the only one."""
    if "metric" in spec.table.rows.dimensions:
        level = spec.table.rows.dimensions.index("metric")
        return lambda place: table.rows[place[0]][level]
    if "metric" in spec.table.columns.dimensions:
        level = spec.table.columns.dimensions.index("metric")
        return lambda place: table.columns[place[1]][level]
    for key, found in (("rows", spec.table.rows.selections), ("columns", spec.table.columns.selections)):
        named = {label: where["metric"][0] for label, where in found.items() if "metric" in where}
        if named:
            labels, side = (table.rows, 0) if key == "rows" else (table.columns, 1)
            return lambda place: named.get(labels[place[side]][-1], metrics[0])
    chosen = spec.table.where.get("metric", metrics)[0]
    return lambda place: chosen

"""A plot ready to be drawn: the tables of its panels, and what only a drawing shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrator.model.study import PlotSpec
from orchestrator.model.table import Entry, Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One pair of axes.

    Attributes:
        label: Of the panels' dimension; "" for the only panel.
        rows: Labels along x (of a heat map down y), one text each.
        columns: Labels of the series.
        entries: entries[row][column], as a table prints them.
        metrics: (row, column) -> the entry's metric; none where nothing was planned.
        positions: Of a scatter: the attribute's value of each row, None where it is not known yet.
        draws: (row, column) -> (seed, its draws' values) of a spread.
    """

    label: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    entries: tuple[tuple[Entry, ...], ...]
    metrics: Mapping[tuple[int, int], str] = field(default_factory=dict)
    positions: tuple[float | None, ...] = ()
    draws: Mapping[tuple[int, int], tuple[tuple[int, tuple[float, ...]], ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """A plot with its numbers.

    Attributes:
        spec: As declared.
        caption: For the text around it; no part of the drawing.
        panels: In the order of their labels.
        table: All entries of all panels.
        scaled: Metrics that are drawn in per cent.
        notes: How its numbers came about, and which points lack seeds.
    """

    spec: PlotSpec
    caption: str
    panels: tuple[Panel, ...]
    table: Table
    scaled: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()

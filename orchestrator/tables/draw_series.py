"""Kinds of plots with a mark for each entry along x: lines, curves, bars, points, draws as spread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from orchestrator.model.plot import Panel, Plot
from orchestrator.tables.draw_marks import (
    INK,
    SPAN,
    Look,
    column_of,
    factor_of,
    failed,
    hollow,
    positions,
    ticks,
    whiskers,
)

_FEW_STEPS = 8  # of which each has a marker


def lines(axes: Axes, plot: Plot, panel: Panel, names: Sequence[str]) -> None:
    """Draws a line with a band for each series; labels that are numbers stand at their values."""
    at, numeric = positions(panel.rows)
    # "none" among numbers is no continuation of them: such labels stand apart.
    joined = np.array([positions([label])[1] for label in panel.rows], dtype=bool)
    if not joined.any():
        joined[:] = True
    order = np.argsort(at, kind="stable")
    row = order[joined[order]]
    for column, name in enumerate(panel.columns):
        look = Look(names.index(name))
        entries, centres, low, high = column_of(plot, panel, column)
        # A gap is a result that is missing, not a place that only other series have.
        order = row[np.array([entries[each].planned > 0 for each in row], dtype=bool)]
        axes.fill_between(at[order], low[order], high[order], color=look.colour, alpha=0.18, linewidth=0)
        axes.plot(
            at[order], centres[order], color=look.colour, linestyle=look.line, marker=look.marker, label=name
        )
        if not joined.all():
            apart = at[~joined], centres[~joined]
            whiskers(axes, *apart, low[~joined], high[~joined], look.colour)
            axes.plot(*apart, linestyle="none", color=look.colour, marker=look.marker, gid="apart")
        hollow(axes, entries, at, centres, look)
        failed(axes, entries, at, look)
    if not numeric or len(at) <= 8:
        ticks(axes, panel.rows, at)


def curves(axes: Axes, plot: Plot, panel: Panel, names: Sequence[str]) -> None:
    """Draws a training curve with a band over seeds for each series."""
    at, _ = positions(panel.rows)
    for column, name in enumerate(panel.columns):
        look = Look(names.index(name))
        entries, centres, low, high = column_of(plot, panel, column)
        known = np.isfinite(centres)
        some = any(entry.failures and entry.estimate is not None for entry in entries)
        marker: dict[str, Any] = {"marker": look.marker} if some or len(at) <= _FEW_STEPS else {}
        if some:
            marker["markerfacecolor"] = "white"
        if known.any():
            axes.fill_between(at[known], low[known], high[known], color=look.colour, alpha=0.18, linewidth=0)
        axes.plot(
            at[known],
            centres[known],
            color=look.colour,
            linestyle=look.line,
            label=name,
            markevery=max(1, len(at) // 8),
            **marker,
        )
        if not known.any():
            failed(axes, entries[-1:], at[-1:], look)


def _dodged(panel: Panel, column: int) -> Any:
    """Returns where a series stands in its categories."""
    width = SPAN / max(1, len(panel.columns))
    return np.arange(len(panel.rows)) + (column - (len(panel.columns) - 1) / 2) * width


def bars(axes: Axes, plot: Plot, panel: Panel, names: Sequence[str]) -> None:
    """Draws a bar with whiskers for each entry."""
    width = SPAN / max(1, len(panel.columns))
    for column, name in enumerate(panel.columns):
        look = Look(names.index(name))
        entries, centres, low, high = column_of(plot, panel, column)
        at = _dodged(panel, column)
        drawn = axes.bar(
            at,
            centres,
            width * 0.92,
            color=f"{look.colour}99",
            edgecolor=look.colour,
            hatch=look.hatch,
            label=name,
        )
        for bar, entry in zip(drawn, entries, strict=True):
            if entry.failures and entry.estimate is not None:
                bar.set_facecolor("white")
        whiskers(axes, at, centres, low, high, INK)
        failed(axes, entries, at, look)
    ticks(axes, panel.rows, np.arange(len(panel.rows), dtype=float))


def points(axes: Axes, plot: Plot, panel: Panel, names: Sequence[str]) -> None:
    """Draws every seed as a point beside the mean and its whiskers."""
    width = SPAN / max(1, len(panel.columns))
    for column, name in enumerate(panel.columns):
        look = Look(names.index(name))
        entries, centres, low, high = column_of(plot, panel, column)
        at = _dodged(panel, column)
        for row, entry in enumerate(entries):
            factor = factor_of(plot, panel, row, column)
            values = [value * factor for _, value in entry.values]
            axes.plot(
                [at[row] - 0.22 * width] * len(values),
                values,
                linestyle="none",
                marker=".",
                markersize=3.5,
                color=look.colour,
                alpha=0.55,
                gid="seeds",
            )
        whiskers(axes, at + 0.12 * width, centres, low, high, look.colour)
        axes.plot(
            at + 0.12 * width, centres, linestyle="none", marker=look.marker, color=look.colour, label=name
        )
        hollow(axes, entries, at + 0.12 * width, centres, look)
        failed(axes, entries, at, look)
    ticks(axes, panel.rows, np.arange(len(panel.rows), dtype=float))


def spread(axes: Axes, plot: Plot, panel: Panel, names: Sequence[str]) -> None:
    """Draws the draws of every net as a strip with the net's mean, and the mean over nets in front."""
    width = SPAN / max(1, len(panel.columns))
    for column, name in enumerate(panel.columns):
        look = Look(names.index(name))
        entries, centres, low, high = column_of(plot, panel, column)
        at = _dodged(panel, column)
        for row in range(len(entries)):
            nets = panel.draws.get((row, column), ())
            factor = factor_of(plot, panel, row, column)
            for index, (_, values) in enumerate(nets):
                x = at[row] + width * 0.8 * ((index + 0.5) / len(nets) - 0.5)
                drawn = np.array(values) * factor
                axes.plot(
                    [x] * len(drawn),
                    drawn,
                    linestyle="none",
                    marker=".",
                    markersize=4.5,
                    markeredgewidth=0,
                    color=look.colour,
                    alpha=0.45,
                    gid="draws",
                )
                half = width * 0.36 / len(nets)
                axes.plot(
                    [x - half, x + half], [drawn.mean()] * 2, color=look.colour, linewidth=0.9, gid="nets"
                )
        whiskers(axes, at, centres, low, high, INK)
        axes.plot(
            at,
            centres,
            linestyle="none",
            marker=look.marker,
            color=look.colour,
            markeredgecolor=INK,
            markeredgewidth=0.6,
            label=name,
            zorder=4,
        )
        hollow(axes, entries, at, centres, look)
        failed(axes, entries, at, look)
    ticks(axes, panel.rows, np.arange(len(panel.rows), dtype=float))

"""One function a kind of plot: a panel's entries onto a pair of axes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes

from orchestrator.model.plot import Panel, Plot
from orchestrator.tables.draw_forest import forest
from orchestrator.tables.draw_marks import (
    INK,
    Look,
    centre_of,
    column_of,
    factor_of,
    failed,
    hollow,
    ticks,
    whiskers,
)
from orchestrator.tables.draw_series import bars, curves, lines, points, spread
from orchestrator.tables.layout import plain
from orchestrator.tables.numbers import default_digits, magnitude, number

_ROOM_PT: Final = {"column": 170.0, "page": 400.0}  # the width of all cells of a heat map

Drawer: TypeAlias = Callable[[Axes, Plot, Panel, Sequence[str]], None]


def heatmap(axes: Axes, plot: Plot, panel: Panel, names: Sequence[str]) -> None:
    """Draws a cell for each entry, with its number; what failed or is missing is grey and says so."""
    shape = (len(panel.rows), len(panel.columns))
    values = np.full(shape, np.nan)
    for row, line in enumerate(panel.entries):
        for column, entry in enumerate(line):
            values[row, column] = centre_of(entry) * factor_of(plot, panel, row, column)
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 1.0)
    shades = colormaps["cividis_r"].with_extremes(bad="#e8e8e8")
    axes.imshow(np.ma.masked_invalid(values), cmap=shades, vmin=low, vmax=high, aspect="auto")
    percent = bool(plot.scaled)
    digits = 1 if percent else default_digits(finite.tolist(), percent=False)
    texts: list[tuple[int, int, str, str]] = []
    for row, line in enumerate(panel.entries):
        for column, entry in enumerate(line):
            value = values[row, column]
            if math.isfinite(value):
                text = number(value, digits, percent=False) + ("*" if entry.failures else "")
                shade = shades((value - low) / (high - low) if high > low else 0.0)
                texts.append((row, column, text, "white" if _is_dark(shade) else INK))
            elif entry.planned:
                texts.append((row, column, "fail" if entry.failures else plain(entry.text), INK))
    # As large as the longest text allows in a column's width.
    longest = max((len(text) for _, _, text, _ in texts), default=1)
    room = _ROOM_PT[plot.spec.size] / len(plot.panels) / max(1, shape[1])
    size = min(6.0, room / (max(2, longest) * 0.62))
    for row, column, text, colour in texts:
        axes.text(column, row, text, ha="center", va="center", fontsize=size, color=colour)
    axes.set_yticks(range(len(panel.rows)), [plain(label) for label in panel.rows])
    ticks(axes, panel.columns, np.arange(len(panel.columns), dtype=float))
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _is_dark(colour: tuple[float, float, float, float]) -> bool:
    red, green, blue, _ = colour
    return 0.299 * red + 0.587 * green + 0.114 * blue < 0.5


def histogram(axes: Axes, plot: Plot, panel: Panel, names: Sequence[str]) -> None:
    """Draws how the values of a series are spread: one value for each point and seed."""
    found = [
        np.array(
            [
                value * factor_of(plot, panel, row, column)
                for row, line in enumerate(panel.entries)
                for _, value in line[column].values
            ]
        )
        for column in range(len(panel.columns))
    ]
    together = np.concatenate([*found, np.empty(0)])
    if not together.size:
        return
    edges = np.histogram_bin_edges(together, bins=plot.spec.bins)
    for values, name in zip(found, panel.columns, strict=True):
        look = Look(names.index(name))
        counts, _ = np.histogram(values, bins=edges)
        axes.stairs(
            counts,
            edges,
            fill=True,
            facecolor=f"{look.colour}44",
            edgecolor=look.colour,
            hatch=look.hatch,
            linewidth=1.0,
            label=name,
        )


def scatter(axes: Axes, plot: Plot, panel: Panel, names: Sequence[str]) -> None:
    """Draws a point with whiskers for each row, at its attribute's value."""
    for column, name in enumerate(panel.columns):
        look = Look(names.index(name))
        entries, centres, low, high = column_of(plot, panel, column)
        at = np.array([math.nan if x is None else x for x in panel.positions])
        mine = np.array([entry.planned > 0 for entry in entries], dtype=bool) & np.isfinite(at)
        chosen = [entry for entry, kept in zip(entries, mine, strict=True) if kept]
        whiskers(axes, at[mine], centres[mine], low[mine], high[mine], look.colour)
        axes.plot(
            at[mine], centres[mine], linestyle="none", marker=look.marker, color=look.colour, label=name
        )
        hollow(axes, chosen, at[mine], centres[mine], look)
        failed(axes, chosen, at[mine], look)
    axes.xaxis.set_major_formatter(lambda value, _: magnitude(value))


KINDS: Final[Mapping[str, Drawer]] = {
    "lines": lines,
    "bars": bars,
    "points": points,
    "curves": curves,
    "heatmap": heatmap,
    "histogram": histogram,
    "scatter": scatter,
    "spread": spread,
    "forest": forest,
}

"""A forest plot: differences to a baseline with their intervals, down the page, and their p beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes

from orchestrator.model.plot import Panel, Plot
from orchestrator.model.table import Contrast, Entry
from orchestrator.tables.draw_marks import GREY, INK, SPAN, Look, factor_of
from orchestrator.tables.layout import plain

LINE_IN: Final = 0.15  # of a panel's height for each contrast
BESIDE_IN: Final = 0.75  # for its axis and what stands above
_TEXT_PT: Final = 6.0


def heights_in(plot: Plot) -> list[float]:
    """Returns the height of each panel, in inches, that gives every contrast its line."""
    lines = [max(3, len(panel.rows) * max(1, len(panel.columns))) for panel in plot.panels] or [3]
    return [each * LINE_IN + BESIDE_IN for each in lines]


def forest(axes: Axes, plot: Plot, panel: Panel, names: Sequence[str]) -> None:
    """Draws a point with its interval for each contrast, and its p, or why there is none, at the right."""
    width = SPAN / max(1, len(panel.columns))
    for column, name in enumerate(panel.columns):
        look = Look(names.index(name))
        for row, line in enumerate(panel.entries):
            found = line[column].contrast
            if found is None:
                continue
            y = row + (column - (len(panel.columns) - 1) / 2) * width
            factor = factor_of(plot, panel, row, column)
            if found.difference is not None:
                axes.plot([found.difference * factor], [y], marker=look.marker, color=look.colour, zorder=4)
            if found.interval is not None:
                ends = [end * factor for end in found.interval]
                axes.plot(ends, [y, y], color=look.colour, linewidth=1.0, marker="|", gid="interval")
            axes.text(
                1.02,
                y,
                plain(told(line[column], found)),
                transform=axes.get_yaxis_transform(),
                va="center",
                fontsize=_TEXT_PT,
                # Where no point stands, its colour says whose line it is.
                color=look.colour if found.difference is None else INK,
            )
    axes.axvline(0, color=GREY, linewidth=0.8, linestyle=(0, (3, 2)), zorder=1, gid="zero")
    axes.set_yticks(np.arange(len(panel.rows)), [plain(label) for label in panel.rows])
    axes.set_ylim(len(panel.rows) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)


def told(entry: Entry, found: Contrast) -> str:
    """Returns what stands beside a contrast: its corrected p, and n where seeds are missing from it."""
    if found.corrected is None:
        return "fail" if entry.status == "fail" else "–"
    text = "p < 0.001" if found.corrected < 0.001 else f"p = {found.corrected:.3f}"
    return text if found.n == entry.planned else f"{text}, n = {found.n}"

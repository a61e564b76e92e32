"""What all kinds of plots share: looks of series, positions, ticks, whiskers, marks of failed seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from orchestrator.model.plot import Panel, Plot
from orchestrator.model.table import Entry
from orchestrator.tables.layout import plain

INK: Final = "#333333"
GREY: Final = "#666666"
# Okabe and Ito 2008, yellow left out: it is too faint on white.
COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
LINES: Final[tuple[Any, ...]] = (
    "-",
    "--",
    "-.",
    ":",
    (0, (5, 1)),
    (0, (3, 1, 1, 1)),
    (0, (1, 1)),
    (0, (7, 2, 2, 2)),
)
HATCHES: Final = ("", "////", "....", "xxxx", "\\\\\\\\", "----", "++++", "oooo")
_MOST_TICKS: Final = 16
_FAILED_AT: Final = 0.97  # of the axes' height
_FAILED_STEP: Final = 0.055
_LETTER_PT: Final = 3.9  # the mean width of a letter of a tick's label
_GAP_PT: Final = 3.0
SPAN: Final = 0.76  # of a category's width that its series share


class Look:
    """Colour, marker, line and hatch of a series, by its place among all series of a plot."""

    def __init__(self, index: int) -> None:
        """Takes the place; colours repeat after seven series, but then with another marker."""
        self.index = index
        self.colour = COLOURS[index % len(COLOURS)]
        self.marker = MARKERS[index % len(MARKERS)]
        self.line = LINES[index % len(LINES)]
        self.hatch = HATCHES[index % len(HATCHES)]


def marks_of(kind: str, names: Sequence[str]) -> list[Artist]:
    """Returns a legend's entry for each series."""
    found: list[Artist] = []
    for index, name in enumerate(names):
        look = Look(index)
        if kind in ("bars", "histogram"):
            found.append(
                Patch(facecolor=f"{look.colour}99", edgecolor=look.colour, hatch=look.hatch, label=name)
            )
        else:
            line: Any = look.line if kind in ("lines", "curves") else "none"
            marker = "" if kind == "curves" else look.marker
            found.append(Line2D([], [], color=look.colour, linestyle=line, marker=marker, label=name))
    return found


def factor_of(plot: Plot, panel: Panel, row: int, column: int) -> float:
    """Returns what an entry is multiplied by: 100 where its metric is drawn in per cent."""
    return 100.0 if panel.metrics.get((row, column)) in plot.scaled else 1.0


def centre_of(entry: Entry) -> float:
    """Returns the statistic in the middle, NaN where there is none."""
    return math.nan if entry.estimate is None else entry.estimate


def range_of(entry: Entry) -> tuple[float, float]:
    """Returns (low, high) of the uncertainty; the centre twice where there is none."""
    centre = centre_of(entry)
    if entry.interval is not None:
        return entry.interval
    if entry.spread is not None:
        return centre - entry.spread, centre + entry.spread
    return centre, centre


def column_of(plot: Plot, panel: Panel, column: int) -> tuple[list[Entry], Any, Any, Any]:
    """Returns a series' entries, centres, lower and upper ends as drawn."""
    entries = [line[column] for line in panel.entries]
    factors = np.array([factor_of(plot, panel, row, column) for row in range(len(entries))])
    ends = np.array([range_of(entry) for entry in entries]).reshape(-1, 2)
    centres = np.array([centre_of(entry) for entry in entries]) * factors
    return entries, centres, ends[:, 0] * factors, ends[:, 1] * factors


def positions(labels: Sequence[str]) -> tuple[Any, bool]:
    """Returns where labels stand along x, and whether they are numbers."""
    try:
        found = np.array([float(label) for label in labels])
    except ValueError:
        return np.arange(len(labels), dtype=float), False
    return (found, True) if np.isfinite(found).all() else (np.arange(len(labels), dtype=float), False)


def ticks(axes: Axes, labels: Sequence[str], at: Any) -> None:
    """Sets ticks at labels, turned where they are long and thinned where they are many."""
    step = math.ceil(len(labels) / _MOST_TICKS)
    shown = [plain(label) for label in labels][::step]
    axes.set_xticks(at[::step], shown)
    axes.minorticks_off()
    whole = axes.figure.get_figure(root=True)
    room_pt = axes.get_position().width * whole.get_figwidth() * 72 / max(1, len(shown))
    sizes_pt = [len(label) * _LETTER_PT for label in shown]
    if any((one + two) / 2 + _GAP_PT > room_pt for one, two in pairwise(sizes_pt)):
        axes.tick_params(axis="x", labelrotation=35)
        for label in axes.get_xticklabels():
            label.set_horizontalalignment("right")
            label.set_rotation_mode("anchor")


def failed(axes: Axes, entries: Sequence[Entry], at: Any, look: Look) -> None:
    """Marks the points that have no value because half or more of their seeds failed."""
    where = [x for x, entry in zip(at, entries, strict=True) if entry.failures and entry.estimate is None]
    if where:
        axes.plot(
            where,
            # Series that fail at one place stand below each other.
            [_FAILED_AT - _FAILED_STEP * (look.index % 8)] * len(where),
            transform=axes.get_xaxis_transform(),
            linestyle="none",
            marker="x",
            color=look.colour,
            clip_on=False,
            gid="failed",
        )


def hollow(axes: Axes, entries: Sequence[Entry], at: Any, centres: Any, look: Look) -> None:
    """Draws over the markers of points of which some seeds failed."""
    some = np.array([entry.failures > 0 and entry.estimate is not None for entry in entries], dtype=bool)
    if some.any():
        axes.plot(
            np.asarray(at)[some],
            centres[some],
            linestyle="none",
            marker=look.marker,
            color=look.colour,
            markerfacecolor="white",
            zorder=4,
            gid="hollow",
        )


def whiskers(axes: Axes, at: Any, centres: Any, low: Any, high: Any, colour: str) -> None:
    """Draws the uncertainty of points that have any."""
    known = np.isfinite(centres) & (high > low)
    if known.any():
        axes.errorbar(
            np.asarray(at)[known],
            centres[known],
            yerr=np.stack([centres - low, high - centres])[:, known],
            fmt="none",
            ecolor=colour,
            elinewidth=0.8,
            capsize=1.8,
            capthick=0.8,
            zorder=3,
        )

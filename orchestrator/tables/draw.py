"""Draws a plot: matplotlib figures, and their bytes as PDF, SVG or PNG.

The same plot gives the same bytes: no date, no random names, matplotlib's own fonts and style whatever the
user's settings are. Colours are Okabe and Ito's, which colour-blind readers tell apart; markers, lines and
hatches differ as well, for print in grey.
"""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import matplotlib
from matplotlib import style
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter

from orchestrator.model.plot import Panel, Plot
from orchestrator.tables.draw_forest import heights_in
from orchestrator.tables.draw_kinds import KINDS
from orchestrator.tables.draw_marks import GREY, INK, marks_of
from orchestrator.tables.layout import plain
from orchestrator.tables.numbers import is_fraction, magnitude

FORMATS: Final = ("pdf", "svg", "png")

_WIDTH_IN: Final = {"column": 3.3, "page": 6.9}
_HEIGHT_IN: Final = {"column": 2.3, "page": 2.7}
_ACROSS: Final = {"column": 2, "page": 4}
_NOTE_PT: Final = 5.5
_DPI: Final = 200
_STYLE: Final[dict[Any, Any]] = {
    "font.family": "DejaVu Sans",
    "font.size": 7.5,
    "axes.titlesize": 7.5,
    "axes.labelsize": 7.5,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "legend.fontsize": 6.5,
    "legend.title_fontsize": 6.5,
    "legend.frameon": False,
    "legend.handlelength": 2.4,
    "axes.linewidth": 0.6,
    "axes.edgecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.2,
    "lines.markersize": 4,
    "hatch.linewidth": 0.5,
    "pdf.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "orch",
    "text.parse_math": False,
    "text.usetex": False,
}


@contextmanager
def _styled() -> Iterator[None]:
    """Matplotlib as it comes, with our style over it."""
    with style.context(["default", _STYLE]):
        yield


def picture(plot: Plot, form: str) -> bytes:
    """Returns a plot as a file's content.

    Args:
        plot: With its numbers.
        form: One of FORMATS.

    Raises:
        ValueError: Another format.
    """
    if form not in FORMATS:
        raise ValueError(f"format of a plot: got {form!r}, allowed are {', '.join(FORMATS)}")
    metadata: dict[str, Any] = {"Title": plot.caption or plot.spec.name}
    if form == "pdf":
        metadata |= {
            "CreationDate": None,
            "Creator": "orch",
            "Producer": f"matplotlib {matplotlib.__version__}",
        }
    elif form == "svg":
        metadata |= {"Date": None, "Creator": "orch"}
    buffer = io.BytesIO()
    with _styled():
        draw(plot).savefig(buffer, format=form, dpi=_DPI, metadata=metadata)
    return buffer.getvalue()


def draw(plot: Plot) -> Figure:
    """Returns the figure: a pair of axes for each panel, a legend above, notes below."""
    spec = plot.spec
    with _styled():
        tall = heights_in(plot) if spec.kind == "forest" else None
        across = 1 if tall else min(len(plot.panels), _ACROSS[spec.size]) or 1
        down = math.ceil(len(plot.panels) / across) or 1
        width = _WIDTH_IN[spec.size]
        height = sum(tall) if tall else _HEIGHT_IN[spec.size] * (1 + 0.75 * (down - 1))
        lines = _wrapped(plot.notes, width) if spec.notes else []
        layout = ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.03)
        figure = Figure(figsize=(width, height + 0.09 * len(lines)), layout=layout)
        shared = spec.panels not in (None, "metric")
        grid = figure.subplots(
            down,
            across,
            squeeze=False,
            sharex=shared and (tall is not None or (spec.kind == "curves" and down == 1)),
            sharey=shared and spec.kind not in ("heatmap", "forest"),
            height_ratios=tall,
        )
        places: list[Axes] = list(grid.flat)
        for axes in places[len(plot.panels) or 1 :]:
            axes.remove()
        names = list(dict.fromkeys(name for panel in plot.panels for name in panel.columns))
        for index, (axes, panel) in enumerate(zip(places, plot.panels, strict=False)):
            KINDS[spec.kind](axes, plot, panel, names)
            if tall:
                _label_contrasts(axes, plot, panel, last=index == len(plot.panels) - 1)
            elif spec.kind != "heatmap":
                _label(axes, plot, panel, first=index % across == 0 or not shared)
            else:
                axes.set_xlabel(spec.x_label or _named(spec.table.columns.dimensions[-1:]))
                down_side = spec.table.rows.dimensions
                split = spec.panels is not None and spec.split == "rows"
                axes.set_ylabel(spec.y_label or _named(down_side[1:] if split else down_side))
            if panel.label and (spec.panels != "metric" or spec.kind in ("heatmap", "forest")):
                axes.set_title(plain(_panel_title(plot, panel)))
        _legend(figure, places[0], plot, names)
        if lines:
            figure.supxlabel(
                "\n".join(lines), x=0.01, ha="left", fontsize=_NOTE_PT, color=GREY, linespacing=1.3
            )
        return figure


def _panel_title(plot: Plot, panel: Panel) -> str:
    if plot.spec.panels == "metric":
        return quantity([panel.label], plot.scaled)
    return panel.label if not _numeric([panel.label]) else f"{_named([plot.spec.panels or ''])} {panel.label}"


def _wrapped(notes: Sequence[str], width_in: float) -> list[str]:
    # DejaVu's letters are a little more than half as wide as high.
    characters = int(width_in * 72 / (_NOTE_PT * 0.56))
    return textwrap.wrap(plain(" ".join(notes)), characters)


def _label(axes: Axes, plot: Plot, panel: Panel, *, first: bool) -> None:
    """Names both axes, with units, and sets their scales."""
    spec = plot.spec
    metrics = list(dict.fromkeys(panel.metrics.values())) or list(spec.table.metrics)
    measured = spec.y_label or quantity(metrics, plot.scaled)
    if spec.kind == "histogram":
        axes.set_xlabel(spec.x_label or quantity(metrics, plot.scaled))
        axes.set_ylabel(spec.y_label or "values")
    else:
        along = list(spec.table.attributes) if spec.kind == "scatter" else list(spec.table.rows.dimensions)
        if spec.kind != "scatter" and spec.panels is not None and spec.split == "rows":
            along = along[1:]
        axes.set_xlabel(spec.x_label or _named(along))
        if first:
            axes.set_ylabel(measured)
    if spec.scale == "log":
        axes.set_yscale("log")
        _log_ticks(axes.yaxis)
    if spec.x_scale == "log" and (spec.kind in ("scatter", "curves", "histogram") or _numeric(panel.rows)):
        axes.set_xscale("log")
        _log_ticks(axes.xaxis)
    axes.grid(axis="y", color="#dddddd", linewidth=0.4)
    axes.set_axisbelow(True)


def _label_contrasts(axes: Axes, plot: Plot, panel: Panel, *, last: bool) -> None:
    """Names the axes of a forest: what the baseline is subtracted from, and the rows."""
    spec = plot.spec
    metrics = list(dict.fromkeys(panel.metrics.values())) or list(spec.table.metrics)
    baseline = plain(", ".join(spec.table.baseline.values()))
    if last or spec.panels == "metric":
        axes.set_xlabel(spec.x_label or f"{quantity(metrics, plot.scaled)}, difference to {baseline}")
    rows = [name for name in spec.table.rows.dimensions if name != spec.panels]
    axes.set_ylabel(spec.y_label or _named(rows))
    axes.grid(axis="x", color="#dddddd", linewidth=0.4)
    axes.set_axisbelow(True)
    # Shared along x, the panels still have numbers of their own.
    axes.tick_params(axis="x", labelbottom=True)


def _log_ticks(axis: Axis) -> None:
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(lambda value, _: magnitude(value))
    axis.set_minor_formatter(NullFormatter())


def quantity(metrics: Sequence[str], scaled: frozenset[str]) -> str:
    """Returns what an axis shows, with its unit: "test error (%)", "latency (s)", "error (%)" of several."""
    words = [metric.replace("/", " ").split("_") for metric in metrics]
    units = []
    for metric, parts in zip(metrics, words, strict=True):
        unit = "%" if metric in scaled else ""
        if not unit and parts[-1] == "s" and len(parts) > 1:
            unit = parts.pop()
        units.append(unit)
    if len(words) > 1 and len({parts[-1] for parts in words}) == 1:
        words = words[:1] and [words[0][-1:]]
    unit = units[0] if len(set(units)) == 1 else ""
    text = ", ".join(" ".join(parts) for parts in words)
    if not unit and len(metrics) == 1 and is_fraction(metrics[0]):
        unit = "fraction"
    return plain(f"{text} ({unit})" if unit else text)


def _named(dimensions: Sequence[str]) -> str:
    return plain(", ".join(name.replace("_", " ") for name in dimensions))


def _numeric(labels: Sequence[str]) -> bool:
    try:
        return all(math.isfinite(float(label)) for label in labels)
    except ValueError:
        return False


def _legend(figure: Figure, axes: Axes, plot: Plot, names: Sequence[str]) -> None:
    handles: list[Artist] = []
    if plot.spec.kind != "heatmap" and (len(names) > 1 or any(names)):
        handles = [*marks_of(plot.spec.kind, [_shown(plot, name) for name in names])]
    points = [entry for panel in plot.panels for line in panel.entries for entry in line]
    if plot.spec.kind not in ("heatmap", "histogram", "forest"):
        if any(entry.failures and entry.estimate is not None for entry in points):
            handles.append(_mark("o", "some seeds failed", face="white"))
        if any(entry.failures and entry.estimate is None for entry in points):
            handles.append(_mark("x", "half or more failed"))
    if not handles:
        return
    # Bare numbers mean nothing without what they count.
    along = [name for name in plot.spec.table.columns.dimensions if name != plot.spec.panels]
    title = _named(along) if along and names and _numeric(names) else None
    widest = max(len(str(handle.get_label())) for handle in handles) + 8
    room = _WIDTH_IN[plot.spec.size] * 72 / (6.5 * 0.55)
    across = max(1, min(len(handles), int(room / widest)))
    figure.legend(handles=handles, loc="outside upper center", ncols=across, columnspacing=1.2, title=title)


def _shown(plot: Plot, name: str) -> str:
    for metric in plot.spec.table.metrics:
        name = name.replace(metric, metric.replace("_", " "))
    return plain(name)


def _mark(marker: str, label: str, face: str = GREY) -> Line2D:
    return Line2D([], [], linestyle="none", marker=marker, color=GREY, markerfacecolor=face, label=label)

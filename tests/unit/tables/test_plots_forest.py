"""Forest plots: a line for each contrast of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from matplotlib.figure import Figure
from test_plots import BEYOND_HALF, DEPTHS, drawn, lines_of, networks, plot_spec

from orchestrator.model.plot import Plot


def forest(panels: str | None = None, **failing: Sequence[float]) -> tuple[Plot, Figure]:
    spec = plot_spec(
        "forest",
        root="tables",
        percent=True,
        baseline={"network": "plain"},
        contrasts=("difference", "interval", "p"),
        fail_when=BEYOND_HALF,
    )
    return drawn(replace(spec, panels=panels), networks(**failing).frame())


def test_a_forest_has_a_line_for_each_contrast_of_its_table() -> None:
    plot, figure = forest()
    (panel,) = plot.panels
    assert (panel.rows, panel.columns) == (DEPTHS, ("resnet",))  # the baseline's own column is none
    contrasts = [line[0].contrast for line in panel.entries]
    found = [each for each in contrasts if each is not None and each.difference and each.interval]
    assert len(found) == 3
    assert lines_of(figure, "interval") == [
        ([100 * end for end in each.interval or ()], [row, row]) for row, each in enumerate(found)
    ]
    marks = [(x, y) for x, y in lines_of(figure) if len(x) == 1]
    assert marks == [([100 * (each.difference or 0)], [row]) for row, each in enumerate(found)]
    ((zero, _),) = lines_of(figure, "zero")
    assert zero == [0, 0]
    told = [text.get_text() for text in figure.axes[0].texts]
    assert told == [f"p = {each.corrected:.3f}" for each in found]
    low, high = figure.axes[0].get_ylim()
    assert low > high  # the first row is at the top
    assert figure.axes[0].get_xlabel() == "test error (%), difference to plain"
    assert any(note.startswith("vs. plain") and "3 comparisons" in note for note in plot.notes)


def test_a_forest_says_where_seeds_are_missing_from_a_contrast() -> None:
    _, figure = forest(p26=(0.2, 0.21, 0.9), p50=(0.9, 0.9, 0.4))
    told = [text.get_text() for text in figure.axes[0].texts]
    assert told[1].endswith(", n = 2")
    assert told[2] == "–"  # the baseline failed
    assert len(lines_of(figure, "interval")) == 2
    assert figure.legends[0].get_texts()[-1].get_text() == "resnet"


def test_a_forest_in_panels_shares_its_differences() -> None:
    plot, figure = forest(panels="depth")
    assert [(panel.label, panel.rows, panel.columns) for panel in plot.panels] == [
        (depth, ("",), ("resnet",)) for depth in DEPTHS
    ]
    assert [axes.get_title() for axes in figure.axes] == [f"depth {depth}" for depth in DEPTHS]
    assert len({axes.get_xlim() for axes in figure.axes}) == 1
    assert [bool(axes.get_xlabel()) for axes in figure.axes] == [False, False, True]

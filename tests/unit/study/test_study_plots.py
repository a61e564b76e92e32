"""Plots in a study file: what they come to, and every fault at its place, all at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from study_text import DEPTH, FACTORS, loaded, planned, problems

from orchestrator.model.study import Axis
from orchestrator.study.load import from_document

TWO = FACTORS + (
    "    depth: {path: network.depth, levels: [14, 26]}\n    epochs: {path: epochs, levels: [3, 5]}\n"
)
PLOT = "plots:\n  p:\n    kind: {}\n    metric: test_error\n"


def told(folder: Path, plot: str, design: str = TWO) -> list[tuple[int, str]]:
    # lines count from "plots:"
    first = 3 + design.count("\n")
    return [(each.line - first, each.code) for each in problems(folder, design + plot)]


def test_a_plot_is_the_table_of_its_axes(tmp_path: Path) -> None:
    text = (
        PLOT.format("lines") + "    x: depth\n    series: epochs\n    percent: true\n    show: mean [ci95]\n"
    )
    (found,) = loaded(tmp_path, TWO + text).plots
    assert (found.kind, found.table.rows, found.table.columns) == (
        "lines",
        Axis(dimensions=("depth",)),
        Axis(dimensions=("epochs",)),
    )
    assert (found.table.evaluations, found.table.percent, found.table.show) == (
        ("test",),
        True,
        "mean [ci95]",
    )


def test_a_heat_map_has_rows_down_y(tmp_path: Path) -> None:
    text = PLOT.format("heatmap") + "    x: depth\n    y: epochs\n"
    (found,) = loaded(tmp_path, TWO + text).plots
    assert (found.table.rows.dimensions, found.table.columns.dimensions) == (("epochs",), ("depth",))


def test_panels_lead_the_axis_that_is_made_of_dimensions(tmp_path: Path) -> None:
    text = PLOT.format("bars") + "    x: {LABEL: {epochs: 3}}\n    panels: depth\n"
    (found,) = loaded(tmp_path, TWO + text).plots
    assert (found.split, found.table.columns.dimensions) == ("columns", ("depth",))
    both = text + "    series: {LABEL: {epochs: 3}}\n"
    assert told(tmp_path, both) == [(6, "conflict")]


def test_curves_are_of_trainings(tmp_path: Path) -> None:
    text = "plots: {p: {kind: curves, metric: train_loss, series: [depth, epochs]}}\n"
    study = loaded(tmp_path, TWO + text)
    assert study.plots[0].table.evaluations == ("train",)
    assert planned(tmp_path, TWO + text).trials
    wrong = text.replace("metric: train_loss", "from: test, metric: train_loss")
    assert told(tmp_path, wrong) == [(1, "bad-value")]


def test_plots_change_no_trial_and_come_back_from_the_document(tmp_path: Path) -> None:
    text = PLOT.format("lines") + "    x: depth\n    where: {epochs: 3}\n"
    study = loaded(tmp_path, TWO + text)
    assert planned(tmp_path, TWO + text).trials == planned(tmp_path, TWO).trials
    assert from_document(study.document).plots == study.plots


@pytest.mark.parametrize(
    ("plot", "expected"),
    [
        (PLOT.format("linse"), [(3, "bad-value")]),
        (PLOT.format("lines"), [(2, "missing-key")]),
        (PLOT.format("lines") + "    x: dept\n    series: epochs\n", [(5, "unknown-dimension")]),
        (PLOT.format("lines") + "    x: depth\n    series: epoch\n", [(6, "unknown-dimension")]),
        (PLOT.format("lines") + "    x: depth\n    panels: epoch\n", [(5, "unknown-dimension")]),
        (
            PLOT.format("lines") + "    x: depth\n    y: epochs\n    bins: 3\n",
            [(6, "conflict"), (7, "conflict")],
        ),
        (PLOT.format("lines") + "    x: depth\n", [(2, "ambiguous-entry")]),
        (PLOT.format("lines") + "    x: depth\n    where: {epochs: 4}\n", [(6, "unknown-label")]),
        (PLOT.format("bars") + "    x: depth\n    series: epochs\n    band: std\n", [(7, "unknown-key")]),
        (
            PLOT.format("bars") + "    x: depth\n    series: epochs\n    fail_when: much\n    size: 3\n",
            [(7, "bad-value"), (8, "bad-value")],
        ),
        (
            "plots:\n  p:\n    kind: lines\n    metric: test_eror\n    x: depth\n    series: epochs\n",
            [(4, "unknown-metric")],
        ),
        ("plots:\n  p:\n    kind: lines\n    x: depth\n", [(2, "missing-key")]),
        (
            PLOT.format("scatter") + "    x: parameter\n    points: [depth, epochs]\n",
            [(5, "unknown-attribute")],
        ),
        (PLOT.format("histogram") + "    series: {L: 3}\n", [(5, "wrong-type")]),
    ],
)
def test_faults_are_told_at_their_place(tmp_path: Path, plot: str, expected: list[tuple[int, str]]) -> None:
    assert told(tmp_path, plot) == expected


TABLE = (
    "tables:\n"
    "  t: {rows: depth, columns: epochs, metric: test_error, percent: true, baseline: {depth: 14}, "
    "caption: T}\n"
    "  u: {rows: depth, columns: epochs, metric: test_error}\n"
)
FOREST = "plots:\n  p:\n    kind: forest\n"


def test_a_forest_draws_the_contrasts_of_a_table(tmp_path: Path) -> None:
    text = "seeds: 2\n" + TWO + TABLE + FOREST + "    table: t\n    panels: epochs\n"
    study = loaded(tmp_path, text)
    (found,) = study.plots
    assert (found.table.baseline, found.table.percent, found.table.caption) == ({"depth": "14"}, True, "T")
    assert (found.table.contrasts, found.panels) == (("difference", "interval", "p"), "epochs")
    assert from_document(study.document).plots == study.plots
    assert planned(tmp_path, text).trials


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("", [(2, "missing-key")]),
        ("    table: v\n", [(4, "unknown-table")]),
        ("    table: u\n", [(4, "missing-key")]),
        ("    table: t\n    panels: dept\n", [(5, "unknown-dimension")]),
        ("    table: t\n    metric: test_error\n    x: depth\n", [(6, "conflict")]),
        ("    table: t\n    metric: test_error\n    scale: log\n", [(5, "conflict"), (6, "conflict")]),
    ],
)
def test_faults_of_a_forest_are_told_at_their_place(
    tmp_path: Path, keys: str, expected: list[tuple[int, str]]
) -> None:
    design = TWO + TABLE
    assert told(tmp_path, FOREST + keys, design) == expected
    (bars, *_) = told(tmp_path, PLOT.format("bars") + "    x: depth\n    table: t\n", design)
    assert bars == (6, "conflict")


def test_what_is_wrong_with_the_table_of_a_forest_is_told_once(tmp_path: Path) -> None:
    wrong = TWO + TABLE.replace("{rows: depth, columns: epochs", "{rows: dept", 1)
    found = problems(tmp_path, wrong + FOREST + "    table: t\n")
    assert found == problems(tmp_path, wrong)
    assert "unknown-dimension" in [each.code for each in found]


def test_faults_of_two_plots_and_a_table_are_told_together(tmp_path: Path) -> None:
    text = (
        "tables: {t: {rows: dept, metric: test_error}}\n"
        "plots:\n"
        "  a: {kind: lines, x: dept, metric: test_error}\n"
        "  b: {kind: bars, x: depth, metric: wrong}\n"
    )
    found = problems(tmp_path, DEPTH + text)
    assert [each.code for each in found] == ["unknown-dimension", "unknown-dimension", "unknown-metric"]


def test_two_labels_in_one_point_say_what_to_do(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, TWO + PLOT.format("lines") + "    x: depth\n")
    assert "one entry of plot 'p'" in found.message
    assert "make 'epochs' x, series or panels, or say average_over: [epochs]" in found.message

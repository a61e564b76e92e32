"""Plots: what is drawn is what the table of the same dimensions prints."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from makers import Made, grid, zhao
from matplotlib.figure import Figure

from orchestrator.errors import StudyError
from orchestrator.model.frame import Frame
from orchestrator.model.plan import Dimension, State
from orchestrator.model.plot import Plot
from orchestrator.model.study import Axis, FailWhen, PlotSpec, TableSpec
from orchestrator.tables.build import build
from orchestrator.tables.draw import FORMATS, draw, picture, quantity
from orchestrator.tables.draw_kinds import KINDS
from orchestrator.tables.plot import build_plot

BEYOND_HALF = FailWhen(metric="test_error", comparison=">", threshold=0.5)
DEPTHS = ("14", "26", "50")


def networks(**failing: Sequence[float]) -> Made:
    return grid(
        {"depth": DEPTHS, "network": ("plain", "resnet")},
        {
            ("14", "plain"): (0.10, 0.12, 0.14),
            ("26", "plain"): failing.get("p26", (0.20, 0.21, 0.25)),
            ("50", "plain"): failing.get("p50", (0.30, 0.35, 0.40)),
            ("14", "resnet"): (0.09, 0.10, 0.11),
            ("26", "resnet"): (0.08, 0.07, 0.09),
            ("50", "resnet"): (0.06, 0.05, 0.07),
        },
    )


def plot_spec(kind: str, x: str | None = "depth", series: Axis | None = None, **given: object) -> PlotSpec:
    table = {
        "name": "p",
        "root": "plots",
        "metrics": ("test_error",),
        "rows": Axis(dimensions=(x,) if x else ()),
        "columns": Axis(dimensions=("network",)) if series is None else series,
    }
    own = {name: given.pop(name) for name in tuple(given) if name in TableSpec.__slots__ and name != "name"}
    return PlotSpec(name="p", kind=kind, table=TableSpec(**{**table, **own}), **given)  # type: ignore[arg-type]


def drawn(spec: PlotSpec, frame: Frame) -> tuple[Plot, Figure]:
    plot = build_plot(spec, frame)
    return plot, draw(plot)


def lines_of(figure: Figure, gid: str | None = None, axes: int = 0) -> list[tuple[list[float], list[float]]]:
    return [
        (list(line.get_xdata()), list(line.get_ydata()))  # type: ignore[arg-type]
        for line in figure.axes[axes].lines
        if line.get_gid() == gid
        and len(line.get_xdata())  # type: ignore[arg-type]
        # the ends of whiskers are lines too
        and line.get_marker() != "_"
    ]


def test_lines_are_the_means_of_the_table_at_their_depths_with_bands_of_its_spread() -> None:
    frame = networks().frame()
    spec = plot_spec("lines", percent=True)
    _, figure = drawn(spec, frame)
    table = build(spec.table, frame)
    for column, (x, y) in enumerate(lines_of(figure)):
        entries = [line[column] for line in table.entries]
        assert x == [14, 26, 50]
        assert y == pytest.approx([100 * entry.estimate for entry in entries])  # type: ignore[operator]
        band = figure.axes[0].collections[column].get_paths()[0].vertices
        for at, entry in zip(x, entries, strict=True):
            heights = band[np.isclose(band[:, 0], at), 1]
            assert heights.max() == pytest.approx(100 * (entry.estimate + entry.spread))  # type: ignore[operator]
            assert heights.min() == pytest.approx(100 * (entry.estimate - entry.spread))  # type: ignore[operator]
    assert figure.axes[0].get_ylabel() == "test error (%)"
    assert figure.axes[0].get_xlabel() == "depth"


def test_bands_of_ci95_are_the_tables_intervals() -> None:
    frame = networks().frame()
    spec = plot_spec("lines", show="mean [ci95]")
    plot, figure = drawn(spec, frame)
    low, high = build(spec.table, frame).entries[0][0].interval or (0, 0)
    band = figure.axes[0].collections[0].get_paths()[0].vertices
    heights = band[np.isclose(band[:, 0], 14), 1]
    assert (heights.min(), heights.max()) == pytest.approx((low, high))
    assert any("95 % interval" in note for note in plot.notes)


def test_a_point_with_a_failed_seed_is_hollow_and_one_with_half_failed_is_a_cross() -> None:
    frame = networks(p26=(0.2, 0.22, 0.9), p50=(0.9, 0.9, 0.4)).frame()
    plot, figure = drawn(plot_spec("lines", fail_when=BEYOND_HALF), frame)
    assert lines_of(figure, "hollow") == [([26], [pytest.approx(0.21)])]
    ((x, _),) = lines_of(figure, "failed")
    assert x == [50]
    mean_line = lines_of(figure)[0][1]
    assert np.isnan(mean_line[2])
    assert not np.isnan(mean_line[:2]).any()
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["plain", "resnet", "some seeds failed", "half or more failed"]
    assert "Hollow: 26, plain: 1 of 3 seeds failed." in plot.notes
    assert "×: 50, plain: 2 of 3 seeds failed." in plot.notes


def test_pending_seeds_are_told() -> None:
    made = networks()
    trial = made.plan({"depth": "14", "network": "plain"}, seed=3)
    made.state(trial, State.PENDING)
    plot, _ = drawn(plot_spec("bars"), made.frame())
    assert "1 point lacks results (1 of 19 seeds)." in plot.notes


def test_bars_stand_side_by_side_as_high_as_the_entries() -> None:
    frame = networks(p26=(0.2, 0.22, 0.9)).frame()
    plot, figure = drawn(plot_spec("bars", fail_when=BEYOND_HALF), frame)
    bars = figure.axes[0].patches
    found = [bar.get_height() for bar in bars]  # type: ignore[attr-defined]
    entries = plot.panels[0].entries
    assert found == pytest.approx([line[column].estimate for column in range(2) for line in entries])
    edges = sorted((bar.get_x(), bar.get_x() + bar.get_width()) for bar in bars)  # type: ignore[attr-defined]
    assert all(one[1] <= two[0] + 1e-9 for one, two in pairwise(edges))
    assert bars[1].get_facecolor() == (1, 1, 1, 1)
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == list(DEPTHS)


def test_points_show_every_seed_beside_the_mean() -> None:
    _, figure = drawn(plot_spec("points", percent=True), networks().frame())
    seeds = lines_of(figure, "seeds")
    assert seeds[0][1] == pytest.approx([10, 12, 14])
    assert sum(len(y) for _, y in seeds) == 18
    assert lines_of(figure)[0][1][0] == pytest.approx(12)


def test_a_heat_map_prints_its_entries() -> None:
    frame = networks(p26=(0.2, 0.22, 0.9), p50=(0.9, 0.9, 0.4)).frame()
    _, figure = drawn(
        plot_spec(
            "heatmap", x="network", series=Axis(dimensions=("depth",)), percent=True, fail_when=BEYOND_HALF
        ),
        frame,
    )
    told = [text.get_text() for text in figure.axes[0].texts]
    assert told == ["12.0", "21.0*", "fail", "10.0", "8.0", "6.0"]
    shown = figure.axes[0].images[0].get_array()
    assert shown is not None
    assert shown.mask.tolist() == [[False, False, True], [False] * 3]


def curves() -> Made:
    made = Made([Dimension(name="network", labels=("plain", "resnet"))])
    for network, start in (("plain", 2.0), ("resnet", 1.0)):
        for seed in range(3):
            trial = made.plan({"network": network}, seed=seed, key=f"{network}|{seed}")
            made.plan({"network": network}, seed=seed, key=f"{network}|{seed}", evaluation="train")
            made.value(trial, 0.1, seed=seed)
            for step in (1, 2, 10):
                value = (start + seed) / step
                made.value(trial, value, metric="train_loss", evaluation="train", step=step, seed=seed)
    return made


def test_curves_go_over_the_steps_in_their_order() -> None:
    spec = plot_spec("curves", x=None, evaluations=("train",), metrics=("train_loss",))
    plot, figure = drawn(spec, curves().frame())
    (x, plain), (_, resnet) = lines_of(figure)
    assert x == [1, 2, 10]
    assert plain == pytest.approx([3, 1.5, 0.3])
    assert resnet == pytest.approx([2, 1, 0.2])
    assert plot.panels[0].entries[0][0].spread == pytest.approx(1)
    assert (figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()) == ("step", "train loss")


def test_a_diverged_net_is_no_part_of_a_curve_and_is_told() -> None:
    made = curves()
    made.state(next(a.trial for a in made.assignments if a.trial == "plain|2"), State.DIVERGED)
    spec = plot_spec("curves", x=None, evaluations=("train",), metrics=("train_loss",))
    plot, figure = drawn(spec, made.frame())
    assert lines_of(figure)[0][1] == pytest.approx([2.5, 1.25, 0.25])
    assert "Hollow: plain: 1 of 3 seeds failed." in plot.notes


def draws() -> Made:
    made = Made([Dimension(name="network", labels=("plain",)), Dimension(name="deleted", labels=("1", "5"))])
    for deleted in ("1", "5"):
        for seed in range(2):
            for draw_number in range(4):
                trial = made.plan({"network": "plain", "deleted": deleted}, seed=seed, draw=draw_number)
                error = int(deleted) / 10 + seed / 100 + draw_number / 1000
                made.value(trial, error, seed=seed, draw=draw_number)
    return made


def test_spread_shows_each_nets_draws_and_the_mean_over_nets() -> None:
    plot, figure = drawn(plot_spec("spread", x="deleted"), draws().frame())
    strips = lines_of(figure, "draws")
    assert [y for _, y in strips][:2] == [
        pytest.approx([0.1, 0.101, 0.102, 0.103]),
        pytest.approx([0.11, 0.111, 0.112, 0.113]),
    ]
    assert [y[0] for _, y in lines_of(figure, "nets")][:2] == pytest.approx([0.1015, 0.1115])
    entry = plot.panels[0].entries[0][0]
    assert (entry.n, entry.estimate) == (2, pytest.approx(0.1065))
    assert "Values are averaged over 4 draws within a net first." in plot.notes


def test_a_histogram_counts_every_value_once() -> None:
    _, figure = drawn(plot_spec("histogram", x="depth", bins=4), networks().frame())
    counts = [patch.get_data().values.sum() for patch in figure.axes[0].patches]  # type: ignore[attr-defined]
    assert counts == [9, 9]


def test_a_scatter_stands_at_its_attribute() -> None:
    made = networks()
    for assignment in list(made.assignments):
        size = int(assignment.labels["depth"]) * (1000 if assignment.labels["network"] == "plain" else 2000)
        made.value(assignment.trial, size, metric="parameters", evaluation="network", seed=assignment.seed)
    spec = plot_spec(
        "scatter",
        rows=Axis(dimensions=("network", "depth")),
        series=Axis(),
        attributes={"parameters": {}},
    )
    spec = PlotSpec(name="p", kind="scatter", table=spec.table, x_scale="log")
    plot, figure = drawn(replace(spec, series=1), made.frame())
    assert plot.panels[0].columns == ("plain", "resnet")
    (x, y), (x2, _) = lines_of(figure)
    assert (x, x2) == ([14000, 26000, 50000], [28000, 52000, 100000])
    assert y == pytest.approx([0.12, 0.22, 0.35])


@pytest.mark.parametrize("split", ["rows", "columns"])
def test_panels_part_the_table(split: str) -> None:
    frame = zhao().frame()
    rows, columns = ("component",), ("sharing",)
    spec = plot_spec(
        "lines",
        evaluations=("test", "members", "vote"),
        where={"ensemble": ("Ensemble-8",)},
        rows=Axis(dimensions=("depth", *rows) if split == "rows" else rows),
        series=Axis(dimensions=("depth", *columns) if split == "columns" else columns),
        panels="depth",
        split=split,
    )
    where = {"ensemble": ("Ensemble-8",), "removed": ("nothing",)}
    whole = build(
        TableSpec(
            name="t",
            evaluations=("test", "members", "vote"),
            where=where,
            rows=Axis(dimensions=("depth", "component")),
            columns=Axis(dimensions=columns),
            metrics=("test_error",),
        ),
        frame,
    )
    plot, figure = drawn(spec, frame)
    assert [panel.label for panel in plot.panels] == ["26", "110"]
    assert [axes.get_title() for axes in figure.axes] == ["depth 26", "depth 110"]
    for number, panel in enumerate(plot.panels):
        expected = [
            line for labels, line in zip(whole.rows, whole.entries, strict=True) if labels[0] == panel.label
        ]
        assert [[e.values for e in line] for line in panel.entries] == [
            [e.values for e in line] for line in expected
        ]
        y = lines_of(figure, axes=number)[0][1]
        assert y == pytest.approx([line[0].estimate for line in expected])


def test_errors_speak_of_the_plot_and_point_at_it() -> None:
    places = {"plots.p": ("s.yaml", 3, 1), "plots.p.rows": ("s.yaml", 5, 8)}
    with pytest.raises(StudyError) as unknown:
        build_plot(plot_spec("lines", x="dept"), networks().frame(), places=places)
    (problem,) = unknown.value.problems
    assert (problem.line, problem.column, problem.code) == (5, 8, "unknown-dimension")
    assert problem.message.startswith("plot 'p': x: unknown dimension 'dept'")
    with pytest.raises(StudyError, match="make network x, series or panels"):
        build_plot(plot_spec("lines", series=Axis()), networks().frame(), places=places)


EVERY = {
    "lines": (plot_spec("lines", percent=True, caption="Zhao & others <1>"), networks),
    "bars": (plot_spec("bars"), networks),
    "points": (plot_spec("points", size="page"), networks),
    "curves": (plot_spec("curves", x=None, evaluations=("train",), metrics=("train_loss",)), curves),
    "heatmap": (plot_spec("heatmap"), networks),
    "histogram": (plot_spec("histogram"), networks),
    "spread": (plot_spec("spread", x="deleted"), draws),
    "forest": (plot_spec("forest", root="tables", baseline={"network": "plain"}), networks),
    "scatter": (
        PlotSpec(
            name="p",
            kind="scatter",
            series=1,
            table=TableSpec(
                name="p",
                rows=Axis(dimensions=("network", "depth")),
                metrics=("test_error",),
                attributes={"parameters": {}},
            ),
        ),
        networks,
    ),
}
BEGINNING = {"pdf": b"%PDF-", "svg": b"<?xml", "png": b"\x89PNG"}


def test_every_kind_is_in_this_test() -> None:
    assert sorted(EVERY) == sorted(KINDS)


@pytest.mark.parametrize("kind", EVERY)
def test_every_kind_draws_in_every_format_and_twice_alike(kind: str) -> None:
    spec, make = EVERY[kind]
    plot = build_plot(spec, make().frame())
    for form in FORMATS:
        content = picture(plot, form)
        assert content.startswith(BEGINNING[form])
        assert picture(build_plot(spec, make().frame()), form) == content


@pytest.mark.parametrize("kind", EVERY)
def test_every_kind_draws_before_anything_has_run(kind: str) -> None:
    spec, make = EVERY[kind]
    made = make()
    made.rows.clear()
    made.statuses.clear()
    assert picture(build_plot(spec, made.frame()), "svg")


@pytest.mark.slow
def test_a_picture_does_not_depend_on_the_process() -> None:
    code = (
        "import sys, hashlib; sys.path.insert(0, 'tests/unit/tables')\n"
        "import matplotlib; matplotlib.rcParams['lines.linewidth'] = 9\n"
        "from test_plots import EVERY, build_plot, picture\n"
        "plot = build_plot(EVERY['lines'][0], EVERY['lines'][1]().frame())\n"
        "print([hashlib.sha256(picture(plot, f)).hexdigest() for f in ('pdf', 'svg', 'png')])\n"
    )
    told = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    }
    plot = build_plot(EVERY["lines"][0], EVERY["lines"][1]().frame())
    here = [hashlib.sha256(picture(plot, form)).hexdigest() for form in ("pdf", "svg", "png")]
    assert told == {f"{here}\n"}


def test_fonts_are_embedded_as_truetype() -> None:
    plot = build_plot(EVERY["lines"][0], networks().frame())
    content = picture(plot, "pdf")
    assert b"/FontFile2" in content
    assert b"/Type3" not in content
    assert b"CreationDate" not in content
    assert b"<dc:date>" not in picture(plot, "svg")


def test_axes_say_what_is_measured_in_which_unit() -> None:
    assert quantity(["test_error"], frozenset({"test_error"})) == "test error (%)"
    assert quantity(["test_error"], frozenset()) == "test error (fraction)"
    assert quantity(["latency_s"], frozenset()) == "latency (s)"
    both = ["train_error", "validation_error"]
    assert quantity(both, frozenset(both)) == "error (%)"
    assert quantity(["train_loss", "test_error"], frozenset({"test_error"})) == "train loss, test error"


def test_a_label_that_is_no_number_stands_apart_from_those_that_are() -> None:
    made = grid(
        {"module": ("0", "1", "none")}, {("0",): (0.1, 0.2), ("1",): (0.2, 0.3), ("none",): (0.5, 0.6)}
    )
    _, figure = drawn(plot_spec("lines", x="module", series=Axis()), made.frame())
    assert lines_of(figure)[0] == ([0, 1], pytest.approx([0.15, 0.25]))
    assert lines_of(figure, "apart") == [([2], [pytest.approx(0.55)])]


def test_logarithmic_axes_have_readable_ticks() -> None:
    _, figure = drawn(plot_spec("lines", scale="log", x_scale="log"), networks().frame())
    axes = figure.axes[0]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    figure.canvas.draw()
    shown = [tick.get_text() for tick in axes.get_yticklabels() if tick.get_text()]
    assert shown
    assert all(float(text) > 0 for text in shown)


def test_series_of_bare_numbers_say_what_they_count() -> None:
    frame = networks().frame()
    _, figure = drawn(plot_spec("lines", x="network", series=Axis(dimensions=("depth",))), frame)
    assert figure.legends[0].get_title().get_text() == "depth"


def test_a_line_goes_on_over_places_that_only_other_series_have_and_breaks_where_results_lack() -> None:
    made = grid(
        {"depth": ("1", "2", "3", "4"), "network": ("a", "b")},
        {("1", "a"): (1,), ("3", "a"): (3,), ("4", "a"): (4,), ("1", "b"): (1,), ("2", "b"): (2,)},
    )
    made.state(
        next(a.trial for a in made.assignments if a.labels == {"depth": "3", "network": "a"}), State.PENDING
    )
    _, figure = drawn(plot_spec("lines"), made.frame())
    x, y = lines_of(figure)[0]
    assert x == [1, 3, 4]
    assert np.isnan(y).tolist() == [False, True, False]

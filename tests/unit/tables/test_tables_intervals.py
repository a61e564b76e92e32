"""Tables and plots of medians, interquartile means and bootstrapped means, with their intervals."""

from __future__ import annotations

import numpy as np
import pytest
from makers import Made, grid, spec
from test_plots import drawn, plot_spec

from orchestrator.model.study import Axis, FailWhen
from orchestrator.stats.estimate import estimate
from orchestrator.tables.build import build

BEYOND_HALF = FailWhen(metric="test_error", comparison=">", threshold=0.5)
PLAIN = np.random.default_rng(5).normal(0.1, 0.01, 20)
RESNET = np.random.default_rng(6).normal(0.05, 0.01, 20)


def networks(plain: object = PLAIN) -> Made:
    errors = {("plain",): [float(x) for x in plain], ("resnet",): [float(x) for x in RESNET]}  # type: ignore[attr-defined]
    return grid({"network": ("plain", "resnet")}, errors)


def test_the_median_stands_between_the_sixth_and_the_fifteenth_of_twenty() -> None:
    table = build(spec(show="median [ci95]", percent=True), networks().frame())
    ordered = 100 * np.sort(PLAIN)
    entry = table.entries[0][0]
    assert entry.text == f"{np.median(ordered):.2f} [{ordered[5]:.2f}, {ordered[14]:.2f}]"
    assert table.notes[:2] == (
        "n = 20 seeds.",
        "Entries: median over seeds. [low, high]: 95 % confidence interval of the median over seeds (order "
        "statistics).",
    )


@pytest.mark.parametrize(
    ("show", "told"),
    [
        (
            "mean [bootstrap95]",
            "[low, high]: 95 % confidence interval of the mean over seeds (BCa bootstrap, ",
        ),
        (
            "iqm [ci95]",
            "Entries: interquartile mean over seeds. [low, high]: 95 % confidence interval of the",
        ),
    ],
)
def test_bootstrapped_entries_are_the_estimates_and_print_alike_each_time(show: str, told: str) -> None:
    tables = [build(spec(show=show, best="min"), networks().frame()) for _ in range(2)]
    assert tables[0] == tables[1]
    assert tables[0].entries[0][0].interval == estimate(PLAIN, show).interval
    assert tables[0].notes[1].startswith(told)
    # They are centres: the best is tested against the others.
    assert tables[0].notes[-1].startswith("Underlined")


@pytest.mark.parametrize("show", ["median [ci95]", "iqm [ci95]", "mean [bootstrap95]"])
def test_an_entry_that_lost_a_seed_has_no_interval_and_the_note_says_why(show: str) -> None:
    frame = networks([0.9, *PLAIN[1:]]).frame()
    table = build(spec(show=show, fail_when=BEYOND_HALF), frame)
    entry = table.entries[0][0]
    assert (entry.interval, entry.spread, entry.n) == (None, None, 19)
    assert entry.text.endswith(" [–] (1 fail)")
    assert table.entries[1][0].interval is not None
    assert table.notes[1].endswith("; [–] where fewer than 20 seeds have a value, too few for it.")


def test_whiskers_are_the_intervals_of_the_table() -> None:
    plot, figure = drawn(
        plot_spec("bars", x="network", series=Axis(), show="median [ci95]"), networks().frame()
    )
    assert plot.notes[1] == "Median over seeds; whiskers: 95 % interval of the median (order statistics)."
    ends = np.concatenate([each.get_segments() for each in figure.axes[0].collections])  # type: ignore[attr-defined]
    assert sorted(ends[0][:, 1]) == pytest.approx(list(np.sort(PLAIN)[[5, 14]]))


def test_a_plot_says_which_points_have_no_interval() -> None:
    frame = networks([0.9, *PLAIN[1:]]).frame()
    plot, _ = drawn(
        plot_spec("bars", x="network", series=Axis(), show="iqm [ci95]", fail_when=BEYOND_HALF), frame
    )
    assert plot.notes[1].startswith("Interquartile mean over seeds; whiskers: 95 % interval of the")
    assert plot.notes[1].endswith("resamples); none with fewer than 20 seeds.")

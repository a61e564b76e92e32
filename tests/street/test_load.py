"""The benchmark of loads runs, at a tiny size: what it measures is not judged here."""

from __future__ import annotations

import pytest

from benchmarks import tables
from benchmarks.load import PARTS
from benchmarks.load_measure import SMALL, Figure, Sizes

# Of these the goal is a count that no slow machine changes.
COUNTED = ("submitters", "leases", "readers", "retention")


@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS)
def test_every_part_gives_its_figures(part: str) -> None:
    figures = list(PARTS[part](SMALL))
    assert figures
    for figure in figures:
        if figure.value is None:
            print(f"{figure.name}: not run here: {figure.note}")
        elif part in COUNTED:
            assert figure.verdict == "met", figure.line()
        assert figure.name in figure.line()


def test_the_sizes_are_those_of_the_goals() -> None:
    sizes = Sizes()
    assert sizes.plan[0] * sizes.plan[1] == 100_000
    trials = sizes.cells[0] * sizes.cells[1] * sizes.seeds
    assert (trials, trials * sizes.rows, trials - sizes.undone) == (10_000, 1_000_000, 9_000)
    assert sizes.studies + 1 == 100


def test_a_figure_above_its_goal_is_missed() -> None:
    values = [(1.0, "met"), (1.01, "MISSED"), (None, "not run here")]
    for value, verdict in values:
        assert Figure(name="x", value=value, unit="s", goal=1.0).verdict == verdict


@pytest.mark.slow
def test_tables_are_compared_with_a_query() -> None:
    ratio, *seconds = tables.figures(SMALL)
    assert ratio.value is not None  # of so few rows it says nothing
    assert len(seconds) == 2
    assert all(each.value is not None for each in seconds)

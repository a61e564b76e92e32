"""Contrasts with a baseline and marks beside the best, against scipy and by hand."""

from __future__ import annotations

import pytest
from makers import Made, grid, spec, waiting_for
from scipy import stats

from orchestrator.errors import StudyError
from orchestrator.model.plan import State
from orchestrator.model.study import Axis
from orchestrator.model.table import Table
from orchestrator.tables.build import build
from orchestrator.tables.render import render

PLAIN = (0.080, 0.081, 0.079, 0.082)
RESNET = (0.066, 0.069, 0.064, 0.068)
FUSED = (0.067, 0.066, 0.066, 0.067)
COLUMNS = {"rows": Axis(dimensions=("depth",)), "columns": Axis(dimensions=("network",))}


def study() -> Made:
    """Three networks at two depths; at the deeper one plain and residual are alike."""
    return grid(
        {"depth": ["14", "26"], "network": ["plain", "resnet", "fused"]},
        {
            ("14", "plain"): PLAIN,
            ("14", "resnet"): RESNET,
            ("14", "fused"): FUSED,
            ("26", "plain"): (0.070, 0.075, 0.071),
            ("26", "resnet"): (0.071, 0.073, 0.072),
        },
    )


def entries(table: Table) -> dict[tuple[str, ...], object]:
    return {
        (*row, *column): entry
        for row, line in zip(table.rows, table.entries, strict=True)
        for column, entry in zip(table.columns, line, strict=True)
    }


def test_contrasts_are_paired_t_tests_corrected_over_the_table() -> None:
    found = entries(build(spec(baseline={"network": "plain"}, **COLUMNS), study().frame()))
    assert found["14", "plain"].contrast is None  # type: ignore[attr-defined]
    pairs = [(RESNET, PLAIN), (FUSED, PLAIN), ((0.071, 0.073, 0.072), (0.070, 0.075, 0.071))]
    tested = [stats.ttest_rel(*pair) for pair in pairs]
    for place, test in zip((("14", "resnet"), ("14", "fused"), ("26", "resnet")), tested, strict=True):
        contrast = found[place].contrast  # type: ignore[attr-defined]
        assert contrast.p == pytest.approx(test.pvalue)
        assert contrast.interval == pytest.approx(tuple(test.confidence_interval()))
    by_p = sorted(test.pvalue for test in tested)
    corrected = [3 * by_p[0], max(3 * by_p[0], 2 * by_p[1]), max(2 * by_p[1], by_p[2])]
    got = sorted(e.contrast.corrected for e in found.values() if getattr(e, "contrast", None))
    assert got == pytest.approx(corrected)
    assert found["26", "fused"].contrast is None  # type: ignore[attr-defined]  # never planned


def test_only_seeds_with_a_value_in_both_enter() -> None:
    made = study()
    waiting_for(made, {"depth": "26", "network": "plain"}, seed=3, state=State.PENDING)
    made.value(made.plan({"depth": "26", "network": "resnet"}, seed=3), 0.5, seed=3)
    found = entries(build(spec(baseline={"network": "plain"}, **COLUMNS), made.frame()))
    contrast = found["26", "resnet"].contrast  # type: ignore[attr-defined]
    assert (contrast.n, contrast.difference) == (3, pytest.approx(0.0))
    assert contrast.text.endswith("n = 3)")  # of four that were planned


def test_welch_takes_all_seeds() -> None:
    made = study()
    made.value(made.plan({"depth": "26", "network": "resnet"}, seed=7), 0.074, seed=7)
    table = build(spec(baseline={"network": "plain"}, paired=False, **COLUMNS), made.frame())
    contrast = entries(table)["26", "resnet"].contrast  # type: ignore[attr-defined]
    test = stats.ttest_ind((0.071, 0.073, 0.072, 0.074), (0.070, 0.075, 0.071), equal_var=False)
    assert contrast.p == pytest.approx(test.pvalue)
    assert any("Welch's t test" in note for note in table.notes)


def test_a_permutation_test_flips_the_signs_of_the_seeds() -> None:
    asked = ("difference", "interval", "p")
    table = build(
        spec(baseline={"network": "plain"}, test="permutation", contrasts=asked, **COLUMNS), study().frame()
    )
    found = entries(table)
    contrast = found["14", "resnet"].contrast  # type: ignore[attr-defined]
    # All four seeds go the same way: the smallest of 2 / 2^4, corrected for three contrasts.
    assert (contrast.p, contrast.corrected) == (0.125, 0.375)
    differences = [one - other for one, other in zip(RESNET, PLAIN, strict=True)]
    assert contrast.interval == pytest.approx(tuple(stats.ttest_1samp(differences, 0).confidence_interval()))
    assert table.notes[-1] == (
        "vs. plain: difference of means over seeds; [low, high] its 95 % confidence interval (Student's t), "
        "not corrected; p of the paired permutation test after Holm's correction for 3 comparisons."
    )
    marks = build(spec(best="min", within=("depth",), test="permutation", **COLUMNS), study().frame())
    assert any("(paired permutation test, p > 0.05" in note for note in marks.notes)


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        # differences -1.4 -1.2 -1.5 -1.4: mean -1.375, deviation 0.126, t of three degrees 3.182
        (("difference",), "-1.37"),
        (("difference", "interval"), "-1.37 [-1.58, -1.17]"),
        (("p",), "p < 0.001"),
        (("difference", "p"), "-1.37 (p < 0.001)"),
    ],
)
def test_what_is_asked_is_printed(asked: tuple[str, ...], text: str) -> None:
    table = build(
        spec(baseline={"network": "plain"}, contrasts=asked, percent=True, **COLUMNS), study().frame()
    )
    assert entries(table)["14", "resnet"].contrast.text == text  # type: ignore[attr-defined]
    assert f"vs. plain,,{text}" in render(table, "csv").replace('"', "")


def test_one_common_seed_tells_nothing() -> None:
    made = grid({"network": ["plain", "resnet"]}, {("plain",): (0.1,), ("resnet",): (0.2, 0.3)})
    found = entries(build(spec(baseline={"network": "plain"}, columns=Axis()), made.frame()))
    contrast = found["resnet", "test_error"].contrast  # type: ignore[attr-defined]
    assert (contrast.text, contrast.p, contrast.n) == ("–", None, 1)


def test_a_baseline_of_rows_and_one_of_selections() -> None:
    rows = build(spec(baseline={"network": "plain"}, columns=Axis(dimensions=("depth",))), study().frame())
    named = {"a": {"network": ("plain",)}, "b": {"network": ("resnet",)}}
    across = build(
        spec(rows=Axis(dimensions=("depth",)), columns=Axis(selections=named), baseline={"network": "plain"}),
        study().frame(),
    )
    assert (
        entries(rows)["resnet", "14"].contrast.difference  # type: ignore[attr-defined]
        == entries(across)["14", "b"].contrast.difference  # type: ignore[attr-defined]
        == pytest.approx(-0.01375)
    )
    # the baseline's own row has no line of contrasts
    assert [line.split(",")[:2] for line in render(rows, "csv").splitlines()][1:4] == [
        ["plain", "mean ± std"],
        ["resnet", "mean ± std"],
        ["resnet", "vs. plain"],
    ]
    with pytest.raises(StudyError, match="neither in the rows nor in the columns"):
        build(spec(baseline={"depth": "14"}, where={"depth": ("14",)}), study().frame())


def test_entries_that_seeds_do_not_tell_from_the_best_are_underlined() -> None:
    table = build(spec(best="min", within=("depth",), **COLUMNS), study().frame())
    found = entries(table)
    assert [key for key, entry in found.items() if entry.best] == [  # type: ignore[attr-defined]
        ("14", "fused"),
        ("26", "plain"),
        ("26", "resnet"),
    ]
    assert [key for key, entry in found.items() if entry.close] == [("14", "resnet")]  # type: ignore[attr-defined]
    assert "<ins>" in render(table, "md")
    assert "<u>" in render(table, "html")
    assert "\\underline{" in render(table, "latex")
    assert '"close": true' in render(table, "json")
    assert any(note.startswith("Underlined:") and "2 comparisons" in note for note in table.notes)


def test_one_seed_marks_the_best_alone() -> None:
    made = grid({"network": ["plain", "resnet"]}, {("plain",): (0.1,), ("resnet",): (0.2,)})
    table = build(spec(best="min"), made.frame())
    assert not any(entry.close for line in table.entries for entry in line)
    assert not any("Underlined" in note for note in table.notes)

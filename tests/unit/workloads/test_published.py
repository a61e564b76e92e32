"""Printed values: they parse, say what they are of, and bear the labels of the study they belong to."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from orchestrator.study.load import load
from orchestrator.study.plan import dimensions

STUDIES = Path(__file__).parents[3] / "studies"
FILES = sorted((STUDIES / "published").glob("*.csv"))
# attributes, and what an evaluation adds: no dimensions of every study
OTHERS = {"parameters", "depth", "column"}
FIELDS = {"metric", "value", "std", "n", "std_ddof", "fail", "bold", "note"}
# file -> the study at the paper's scale, and how many values the paper prints there
BELONGS = {
    "larsson2017_table_1": ("larsson_table_1", 84),
    "larsson2017_table_2": ("larsson_table_2", 6),
    "larsson2017_table_3": ("larsson_table_3", 6),
    "larsson2017_table_4": ("larsson_table_4", 2 * 9),
    "zagoruyko2017_figure_1": ("zagoruyko_figure_1", 5),
    "zagoruyko2017_table_2": ("zagoruyko_table_2", 7 * 2),
    "zagoruyko2017_table_3": ("zagoruyko_table_3", 3 + 4 * 2),
    "zhao2016_table_2": ("dfn_ensemble", 7 * 2 * 9),
    "zhao2016_table_3": ("dfn_ensemble", 7 * 9),
    "zhao2016_table_4": ("zhao_table_4", 8 * 10),
    "zhao2016_table_6": ("zhao_table_6", 3 * 4 - 1),
    "zhao2016_table_7": ("zhao_table_7", 4 * 4 - 1),
}


def rows(name: str) -> list[dict[str, str]]:
    with (STUDIES / "published" / f"{name}.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_row_is_a_number_a_failure_or_a_remark(path: Path) -> None:
    for row in rows(path.stem):
        assert set(row) >= FIELDS
        assert row["value"] or row["fail"] or row["note"]
        for key in ("value", "std"):
            assert not row[key] or float(row[key]) >= 0
        if row["metric"].endswith("_error") and row["value"]:
            assert float(row["value"]) < 1


@pytest.mark.parametrize("name", sorted(BELONGS))
def test_labels_are_those_of_the_study(name: str) -> None:
    study, count = BELONGS[name]
    found = rows(name)
    assert len(found) == count
    known = {each.name: each.labels for each in dimensions(load(STUDIES / "paper" / f"{study}.yaml"))}
    for row in found:
        if row["note"] == "cited":  # by the paper, from another
            continue
        for key, label in row.items():
            if key in known or key not in FIELDS | OTHERS:
                assert label in known[key], f"{key}={label}"


def test_errors_among_five_are_smaller_than_errors() -> None:
    for table in ("zhao2016_table_6", "zhao2016_table_7"):
        printed = {(row["network"], row["metric"]): float(row["value"]) for row in rows(table)}
        for (network, metric), value in printed.items():
            if metric.endswith("top5_error"):
                assert value < printed[network, metric.replace("top5_", "")]


def test_tables_of_one_ensemble_agree() -> None:
    """Table 3 without nothing is the vote of Table 2; Table 1 prints another value at one depth."""
    votes = {
        row["depth"]: row["value"]
        for row in rows("zhao2016_table_2")
        if row["sharing"] == "W/" and row["component"] == "Overall"
    }
    whole = {row["depth"]: row["value"] for row in rows("zhao2016_table_3") if row["removed"] == "nothing"}
    assert votes == whole
    printed = [row for row in rows("zhao2016_table_1") if row["depth"] == "110" and row["sharing"] == "W/"]
    assert [row["value"] for row in printed] == ["0.101"]  # where Table 2 has another
    assert votes["110"] == "0.0961"

"""Contrasts and printed values in study files: what is read, and what is refused at its place."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_workload import SPEC
from study_text import DEPTH, loaded, planned, problems

from orchestrator.model.study import PrintedValue
from orchestrator.study.load import from_document
from orchestrator.study.matching import differences


def table(extra: str) -> str:
    return f"{DEPTH}tables: {{t: {{rows: depth, metric: test_error, {extra}}}}}\n"


def test_a_file_is_read_beside_the_study_and_kept_in_its_document(tmp_path: Path) -> None:
    lines = (
        "depth,columns,parameters,metric,value,std,n,std_ddof,fail,bold,note\n"
        "14,2,0.4M,test_error,0.0788,0.0019,5,0,,yes,\n"
        "26,,,test_error,,,5,,yes,,\n"
        "26,,,train_loss,0.1,,,,,,another metric\n"
        ",,,test_error,,,,,,,a remark\n"
    )
    (tmp_path / "paper.csv").write_text(lines, encoding="utf-8")
    found = loaded(tmp_path, table("published: paper.csv")).table("t")
    assert found is not None
    assert found.published is not None
    assert found.published.values == (
        PrintedValue(
            labels={"depth": "14", "columns": "2"}, metric="test_error", value=0.0788, std=0.0019, n=5, ddof=0
        ),
        PrintedValue(labels={"depth": "26"}, metric="test_error", value=None, n=5, fail=True),
    )
    (tmp_path / "paper.csv").unlink()
    study = loaded_again(tmp_path, lines)
    assert from_document(study.document).table("t") == study.table("t")
    planned(tmp_path, DEPTH)


def loaded_again(folder: Path, lines: str):  # type: ignore[no-untyped-def]
    (folder / "paper.csv").write_text(lines, encoding="utf-8")
    extra = (
        "published: {file: paper.csv, where: {depth: 14}, matches: {epochs: [3, 5]}, margin: 0.1, label: p}"
    )
    study = loaded(folder, table(extra))
    (folder / "paper.csv").unlink()
    return study


def test_values_may_stand_in_the_study(tmp_path: Path) -> None:
    one = "{depth: 14, metric: test_error, value: 0.05, std: 1e-3}"
    values = f"[{one}, {{depth: 26, metric: test_error, value: 0.04}}]"
    found = loaded(tmp_path, table(f"published: {{values: {values}}}")).table("t")
    assert found is not None
    assert found.published is not None
    assert [(dict(each.labels), each.value, each.std) for each in found.published.values] == [
        ({"depth": "14"}, 0.05, 0.001),
        ({"depth": "26"}, 0.04, None),
    ]


def test_cells_differ_by_their_configs(tmp_path: Path) -> None:
    extra = "published: {values: [{metric: test_error, value: 1}], matches: {network.depth: 14}}"
    study = loaded(tmp_path, table(extra))
    found = study.table("t")
    assert found is not None
    assert found.published is not None
    assert differences(study, SPEC, found.published) == {
        "depth=14": "",
        "depth=26": "network.depth is 26, not 14",
    }


def test_a_file_far_down_is_named_whole(tmp_path: Path) -> None:
    folder = tmp_path / ("a" * 60) / ("b" * 60)
    folder.mkdir(parents=True)
    (found,) = problems(folder, table("published: gone.csv"))
    assert (found.code, str(folder / "gone.csv") in found.message) == ("unreadable", True), found


@pytest.mark.parametrize(
    ("extra", "code", "text"),
    [
        ("published: gone.csv", "unreadable", "gone.csv"),
        ("published: {label: x}", "conflict", "either a file or values"),
        ("published: {file: a.csv, values: []}", "conflict", "either a file or values"),
        ("published: {values: [{metric: test_error, value: low}]}", "bad-value", "value is a number"),
        ("published: {values: [{metric: test_error, value: 1, n: 0}]}", "out-of-range", "n a whole number"),
        ("published: {values: [{metric: test_errors, value: 1}]}", "no-values", "no printed value"),
        (
            "published: {values: [{metric: test_error, value: 1}], where: {dta: x}}",
            "unknown-column",
            "unknown column 'dta'",
        ),
        ("published: {values: [], margn: 1}", "unknown-key", "margin"),
        ("baseline: {dept: 14}", "unknown-dimension", "did you mean 'depth'"),
        ("baseline: {depth: 15}", "unknown-label", "unknown label '15'"),
        ("baseline: {depth: 14}, show: n", "conflict", "differences of means"),
        ("baseline: {depth: 14}, contrasts: [q]", "bad-value", "'difference', 'interval' or 'p'"),
        ("baseline: {metric: test_error}", "bad-baseline", "neither in the rows nor in the columns"),
    ],
)
def test_faults_are_told(tmp_path: Path, extra: str, code: str, text: str) -> None:
    (found,) = problems(tmp_path, table(extra))
    assert found.line > 1
    assert (found.code, text in found.message) == (code, True), found

"""Faults that were found by reading, and must not come back."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.errors import StudyError
from orchestrator.study.load import from_document, load
from orchestrator.study.plan import plan
from orchestrator.study.workload import resolve

HEAD = "api_version: 1\nstudy: s\nworkload: tests.toy_workload:SPEC\n"


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "s.yaml"
    file.write_text(HEAD + text, encoding="utf-8")
    return file


@pytest.mark.parametrize(
    "name", ["budget", "search", "config", "seeds", "draws", "digits", "cpu", "set", "levels"]
)
def test_a_factor_of_any_name_keeps_its_labels_when_recorded(tmp_path: Path, name: str) -> None:
    text = (
        f"design: {{type: factorial, factors: {{{name}: {{path: x, levels: [1e3, 2e3]}}}}}}\n"
        f"tables: {{t: {{where: {{{name}: 1e3}}, metric: test_error}}}}\n"
    )
    study = load(write(tmp_path, text))
    again = from_document(study.document, file="recorded")
    assert [level.label for level in again.design.factors[0].levels] == ["1e3", "2e3"]
    assert again.tables == study.tables
    assert again.design == study.design


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("rows: x, metrics: [test_error, error], from: [test, train]", "metric"),
        ("rows: [x, x], metric: test_error", "rows names the same twice"),
        ("rows: x, metrics: [test_error, test_error], columns: metric", "metrics names the same twice"),
        ("rows: x, from: [test, test], metric: test_error", "from names the same twice"),
        ("rows: x, metric: test_error, average_over: [metric]", "different metrics cannot be averaged"),
    ],
)
def test_a_table_that_cannot_be_built_is_refused_before_anything_is_trained(
    tmp_path: Path, table: str, said: str
) -> None:
    text = (
        "design: {type: factorial, factors: {x: {path: x, levels: [1, 2]}}}\n"
        f"tables: {{t: {{{table}}}}}\n"
    )
    with pytest.raises(StudyError, match=said):
        plan(load(write(tmp_path, text)), resolve("tests.toy_workload:SPEC", modules=["tests.toy_workload"]))


def test_a_directory_is_told_once(tmp_path: Path) -> None:
    with pytest.raises(StudyError) as caught:
        load(tmp_path)
    assert str(caught.value).count("is a directory") == 1
    assert "cannot read" not in str(caught.value)


def test_an_exclude_names_a_factor(tmp_path: Path) -> None:
    text = "design: {type: factorial, factors: {x: {path: x, levels: [1, 2]}}, exclude: [{}]}\n"
    with pytest.raises(StudyError, match="an exclude names at least one factor"):
        load(write(tmp_path, text))

from __future__ import annotations

from pathlib import Path

import pytest
from study_text import DEPTH, HEAD, write

from orchestrator.errors import StudyError
from orchestrator.study.load import from_document, load


def told(path: Path) -> str:
    with pytest.raises(StudyError) as caught:
        load(path)
    return str(caught.value)


def test_mappings_merge_lists_replace_and_null_removes(tmp_path: Path) -> None:
    write(
        tmp_path,
        HEAD + DEPTH + "title: base\nseeds: [1, 2]\nconfig: {epochs: 3, data: {name: svhn}}\n",
        "base.yaml",
    )
    (tmp_path / "below").mkdir()
    text = "extends: ../base.yaml\nstudy: top\ntitle: null\nseeds: [5]\nconfig: {epochs: 4, note: x}\n"
    study = load(write(tmp_path / "below", text, "top.yaml"))
    assert (study.name, study.title, study.seeds) == ("top", "", (5,))
    assert study.config == {"epochs": 4, "data": {"name": "svhn"}, "note": "x"}
    assert "extends" not in study.document
    assert study.places["config.epochs"] == (str(tmp_path / "below" / "top.yaml"), 5, 18)
    assert study.places["config.data.name"][0] == str(tmp_path / "base.yaml")
    assert from_document(study.document).config == study.config


def test_errors_name_the_file_the_line_is_in(tmp_path: Path) -> None:
    base = write(tmp_path, HEAD + DEPTH + "sedes: 3\n", "base.yaml")
    top = write(tmp_path, "extends: base.yaml\nstudy: top\nfuze: 1\n", "top.yaml")
    text = told(top)
    assert f"{base}:8:1: error[unknown-key]" in text
    assert f"{top}:3:1: error[unknown-key]" in text


def test_a_circle_is_named(tmp_path: Path) -> None:
    a = write(tmp_path, "extends: b.yaml\nstudy: a\n", "a.yaml")
    b = write(tmp_path, "extends: a.yaml\nstudy: b\n", "b.yaml")
    assert f"{a} -> {b} -> {a}" in told(a)
    itself = write(tmp_path, "extends: c.yaml\nstudy: c\n", "c.yaml")
    assert "in a circle" in told(itself)


def test_four_deep_is_enough(tmp_path: Path) -> None:
    write(tmp_path, HEAD + DEPTH, "0.yaml")
    for number in range(1, 6):
        write(tmp_path, f"extends: {number - 1}.yaml\nstudy: s{number}\n", f"{number}.yaml")
    assert load(tmp_path / "4.yaml").name == "s4"
    assert "at most 4 deep" in told(tmp_path / "5.yaml")


def test_the_study_is_named_anew(tmp_path: Path) -> None:
    write(tmp_path, HEAD + DEPTH, "base.yaml")
    assert "must name its own 'study'" in told(write(tmp_path, "extends: base.yaml\n", "top.yaml"))


@pytest.mark.parametrize("wanted", ["3", "[a.yaml]", "/etc/passwd", "none.yaml"])
def test_extends_names_a_study_file(tmp_path: Path, wanted: str) -> None:
    top = write(tmp_path, f"study: s\nextends: {wanted}\n", "top.yaml")
    text = told(top)
    assert f"{top}:2:10: error[" in text
    assert "extends names one study file" in text or "not found" in text

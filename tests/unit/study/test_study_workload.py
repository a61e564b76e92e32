from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import small_workload

from orchestrator.errors import StudyError
from orchestrator.study.workload import resolve
from workloads import CATALOG


def told(name: str, **options: object) -> str:
    with pytest.raises(StudyError) as caught:
        resolve(name, place=("study.yaml", 3, 11), **options)  # type: ignore[arg-type]
    assert str(caught.value).startswith("study.yaml:3:11: error[")
    return str(caught.value)


def test_the_catalogue_is_known() -> None:
    for name in CATALOG:
        assert resolve(name).name == name


def test_b19_an_unknown_workload_names_the_known_ones() -> None:
    text = told("clasification")
    assert "did you mean 'classification'" in text
    assert "known: classification" in text


@pytest.mark.parametrize("modules", [["small_workload"], ["other", "small_workload"]])
def test_listed_modules_may_be_named(modules: list[str]) -> None:
    assert resolve("small_workload:SPEC", modules=modules) is small_workload.SPEC


@pytest.mark.parametrize("name", ["os:system", "small_workload:SPEC", "small_workloads:SPEC", ":x", "a.b:c"])
def test_t8_other_modules_are_refused_without_being_imported(name: str) -> None:
    assert "is not allowed" in told(name, modules=["small", "", "a.bc"])


def test_what_is_no_spec_is_refused() -> None:
    assert "Plain" not in told("small_workload:PATHS", modules=["small_workload"])
    assert "not a workloads.api.Spec" in told("small_workload:PATHS", modules=["small_workload"])
    assert "has no 'NONE'" in told("small_workload:NONE", modules=["small_workload"])


def test_entry_points_are_workloads_and_their_import_errors_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[orch.workloads]\nmine = small_workload:SPEC\nbroken = broken_plugin:SPEC\n"
    )
    (tmp_path / "broken_plugin.py").write_text("raise RuntimeError('no such device')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    assert resolve("mine") is small_workload.SPEC
    assert "RuntimeError: no such device" in told("broken")
    assert "mine" in told("none")

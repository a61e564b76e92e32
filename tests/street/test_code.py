"""What a study's `code:` does with results that other code made."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.street.orch import ROOT, Orch
from tests.street.test_street import STUDY


@pytest.fixture
def orch(tmp_path: Path) -> Orch:
    """Returns a command line whose workload is a package in the test's directory."""
    package = tmp_path / "mine"
    package.mkdir()
    (package / "__init__.py").touch()
    text = (ROOT / "tests" / "toy_workload.py").read_text()
    (package / "toy.py").write_text(text.replace("tests.toy_workload", "mine.toy"))
    # A process for each command: in one process the workload's code would be imported once.
    return Orch(
        directory=tmp_path,
        spawn=True,
        environment={"ORCH_WORKLOAD_MODULES": "mine", "PYTHONPATH": f"{ROOT}:{tmp_path}"},
    )


def study(orch: Orch, rule: str) -> Path:
    text = (
        STUDY.replace("tests.toy_workload", "mine.toy")
        .replace("steps: 2", f"steps: 2, trace: {orch.directory}/trace")
        .replace("seeds: 3", f"seeds: 1\ncode: {rule}")
    )
    return orch.study(text, f"{rule}.yaml")


def steps(orch: Orch) -> int:
    return len((orch.directory / "trace").read_text().splitlines())


def change_code(orch: Orch) -> None:
    """Makes every value the toy trains and tests larger by 1."""
    path = orch.directory / "mine" / "toy.py"
    text = path.read_text()
    changed = text.replace("return int.from_bytes(digest[:6]) / 2**48", "return 1 + digest[0] / 2**8")
    assert changed != text
    path.write_text(changed)
    shutil.rmtree(path.parent / "__pycache__", ignore_errors=True)


def means(orch: Orch) -> list[float]:
    (table,) = orch("table", "demo", "--json").json["tables"]
    return [entry["estimate"] for row in table["entries"] for entry in row if entry["n"]]


@pytest.mark.slow
def test_rerun_computes_what_other_code_made_again(orch: Orch) -> None:
    file = study(orch, "rerun")
    orch("submit", file)
    before = means(orch)
    assert steps(orch) == 2 * 2
    change_code(orch)
    plan = orch("plan", file).out
    assert "7 cached trials came from other code and will run again" in plan
    assert "0 cached, 7 to run" in plan
    again = orch("submit", file, "--json").json
    assert (again["trained"], again["evaluated"]) == (2, 5)
    assert steps(orch) == 2 * 2 + 2 * 2, "the trainings were not computed again"
    assert max(before) < 1 + 1 + 1  # of at most 3 x a value below 1
    assert all(new > old for new, old in zip(means(orch), before, strict=True))
    # Now everything is of this code.
    assert orch("submit", file, "--json").json["trained"] == 0
    assert steps(orch) == 8


@pytest.mark.slow
def test_warn_and_reuse_keep_the_results(orch: Orch) -> None:
    warned, quiet = study(orch, "warn"), study(orch, "reuse")
    orch("submit", warned)
    before = means(orch)
    change_code(orch)
    assert "7 cached trials came from other code\n" in orch("plan", warned).out
    assert "other code" not in orch("plan", quiet).out
    assert orch("submit", quiet, "--json").json["trained"] == 0
    assert steps(orch) == 4
    assert means(orch) == before

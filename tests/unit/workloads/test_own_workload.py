"""The example of a user's own workload runs as a script, and through its Spec."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from workloads.api import Placement, Spec, load_object

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "docs" / "examples" / "own_workload"


@pytest.fixture
def spec(monkeypatch: pytest.MonkeyPatch) -> Spec:
    monkeypatch.syspath_prepend(str(EXAMPLE))
    found = load_object("my_package.train:SPEC")
    assert isinstance(found, Spec)
    return found


def test_it_is_a_script() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "my_package.train"],
        capture_output=True,
        text=True,
        check=True,
        cwd=EXAMPLE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert len(done.stdout.splitlines()) == 3


def test_it_fits_what_scikit_learn_fits(spec: Spec, tmp_path: Path) -> None:
    from sklearn.datasets import load_diabetes
    from sklearn.linear_model import Ridge

    workload = load_object(spec.runtime)
    config = spec.config(penalty=10.0, patients=100)
    reports = workload.train(config, seeds=[0, 7], data=tmp_path, resume={}, placement=Placement())
    for report, seed in zip(reports, (0, 7), strict=True):
        folder = tmp_path / str(seed)
        folder.mkdir()
        report.save(folder)
        x, y = load_diabetes(return_X_y=True)
        x = x / x.std(0)
        order = np.random.default_rng(seed).permutation(len(y))
        fit, test = order[:100], order[400:]
        predicted = Ridge(alpha=10.0).fit(x[fit], y[fit]).predict(x[test])
        expected = np.mean((predicted - y[test]) ** 2) / np.var(y[test])
        assert report.metrics["test_error"] == pytest.approx(expected)
        assert json.loads((folder / "model.json").read_text())["config"]["patients"] == 100


def test_it_is_short() -> None:
    lines = (EXAMPLE / "my_package" / "train.py").read_text().splitlines()
    assert sum(bool(line.strip()) for line in lines) <= 40


def test_it_runs_as_a_study(tmp_path: Path) -> None:
    folder = tmp_path / "example"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "orchestrator.cli.main",
            "submit",
            "study.yaml",
            "--executor",
            "inline",
            "--json",
        ],
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "ORCH_MLFLOW_URI": "off"},
    )
    assert json.loads(done.stdout)["trained"] == 30


def test_ranges_are_checked(spec: Spec) -> None:
    with pytest.raises(ValueError, match="20 <= patients <= 400"):
        spec.config(patients=5)

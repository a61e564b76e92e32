"""The example of a user's own workload runs as a script, and through its Spec."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from workloads.api import Condition, Placement, Spec, load_object

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
    from sklearn.linear_model import Ridge

    workload = load_object(spec.runtime)
    config = spec.config(penalty=10.0, patients=100)
    reports = workload.train(config, seeds=[0, 7], data=tmp_path, resume={}, placement=Placement())
    for report, seed in zip(reports, (0, 7), strict=True):
        folder = tmp_path / str(seed)
        folder.mkdir()
        report.save(folder)
        x, y, test_x, test_y = workload.data(seed, 100)
        predicted = Ridge(alpha=10.0).fit(x, y).predict(test_x)
        expected = np.mean((predicted - test_y) ** 2) / np.var(test_y)
        assert report.metrics["test_error"] == pytest.approx(expected)
        conditions = [
            Condition(family="noise", parameters={"scale": scale}, draw=draw, seed=seed)
            for scale in (0.0, 1.0)
            for draw in (0, 1)
        ]
        measured = [
            each.metrics["test_error"]
            for each in workload.evaluate([folder], conditions, data=tmp_path, placement=Placement())
        ]
        assert measured[0] == measured[1] == pytest.approx(expected)
        assert measured[2] != measured[3]


def test_ranges_are_checked(spec: Spec) -> None:
    with pytest.raises(ValueError, match="20 <= patients <= 400"):
        spec.config(patients=5)

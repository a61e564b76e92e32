"""The verdicts of claims where people see them: at the end of a submission, and in the mirror."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from unittest import mock

import pytest

from orchestrator.app.run import build_mirror
from orchestrator.app.session import open_session
from orchestrator.settings import load_settings
from tests.street.orch import Orch
from tests.toy_workload import value

STUDY = """
api_version: 1
study: demo
workload: tests.toy_workload:SPEC
config: {steps: 2}
design: {type: factorial, factors: {x: {path: x, levels: [1, 2]}}}
seeds: 9
evaluate:
  scaled: {family: scale, vary: {by: {levels: [2, 3], otherwise: one}}}
tables:
  errors: {from: [test, scaled], rows: x, columns: by, metric: test_error}
"""
CLAIMS = """
claims:
  larger:
    says: >-
      Scaled by 3 the error
      is higher than by 2
    from: [scaled]
    metric: test_error
    where: {x: "1"}
    higher: {of: {by: "3"}, than: {by: "2"}}
  smaller:
    says: Scaled by 3 it is [lower]
    from: [scaled]
    metric: test_error
    where: {x: "1"}
    lower: {of: {by: "3"}, than: {by: "2"}}
"""
LINES = [
    "larger: holds (Scaled by 3 the error is higher than by 2)",
    "smaller: does not hold (Scaled by 3 it is [lower])",
]
INCOMPLETE = [
    "larger: incomplete (Scaled by 3 the error is higher than by 2)",
    "smaller: incomplete (Scaled by 3 it is [lower])",
]


@pytest.fixture
def orch(tmp_path: Path) -> Orch:
    return Orch(directory=tmp_path)


def claimed(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.startswith(("larger", "smaller"))]


def test_a_submission_and_a_resume_end_with_a_line_for_each_claim(orch: Orch) -> None:
    file = orch.study(STUDY + CLAIMS)
    done = orch("submit", file)
    assert claimed(done.out) == LINES
    # below the tables, above the count of what was trained
    assert done.out.index("sample standard deviation") < done.out.index(LINES[0])
    assert done.out.index(LINES[1]) < done.out.index("18 trained")
    assert claimed(orch("resume", "demo").out) == LINES
    told = orch("submit", file, "--json").json["claims"]
    assert told == orch("claims", "demo", "--json").json["claims"]
    assert [each["verdict"] for each in told] == ["holds", "does not hold"]


def test_claims_that_lack_results_change_no_exit_code(orch: Orch) -> None:
    file = orch.study(STUDY + CLAIMS)
    done = orch("submit", file, "--cells", "x=2")
    assert claimed(done.out) == INCOMPLETE
    orch("claims", "demo", code=6)


def test_a_study_without_claims_says_nothing_of_them(orch: Orch) -> None:
    done = orch("submit", orch.study(STUDY))
    assert not claimed(done.out)
    assert orch("resume", "demo", "--json").json["claims"] == []


def mirrored(orch: Orch) -> Mapping[str, str]:
    uri = f"sqlite:///{orch.directory}/mlflow.db"
    with mock.patch.dict(os.environ, {**orch.env, "ORCH_MLFLOW_URI": uri}, clear=True):
        with open_session(load_settings()) as session:
            mirror = build_mirror(session)
        assert mirror is not None
        return mirror.texts("demo")


def test_the_mirror_shows_claims_with_their_evidence(orch: Orch) -> None:
    orch("submit", orch.study(STUDY + CLAIMS))
    texts = mirrored(orch)
    lines = texts["claims/claims.md"].splitlines()
    assert lines[0] == "**larger: holds.** Scaled by 3 the error is higher than by 2"
    assert lines[2] == "| contrast | test_error | interval | p | n | verdict |"
    differences = [value(1.0, seed, 2) for seed in range(9)]  # three times less two times
    assert lines[4].startswith(f"| 3 − 2 | {sum(differences) / 9:+.4g} | ")
    assert lines[4].endswith(" | 9 | holds |")
    assert lines[6].startswith("- paired one-sided t test by seed")
    assert lines[8].startswith("**smaller: does not hold.**")
    assert json.loads(texts["tables/errors.json"])["name"] == "errors"


def test_without_claims_the_mirror_has_no_file_of_them(orch: Orch) -> None:
    orch("submit", orch.study(STUDY), "--seeds", "0")
    assert not any("claims" in name for name in mirrored(orch))

"""A study of twelve trials that take no time, and what an undisturbed run of it comes to."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.recovery.invariants import Golden, golden
from tests.recovery.nursery import Fault, warm
from tests.street.orch import Orch

STUDY = """
api_version: 1
study: demo
workload: tests.toy_workload:SPEC
config: {steps: 2}
design: {type: factorial, factors: {x: {path: x, levels: [1, 2]}}}
seeds: 2
evaluate: {scaled: {family: scale, vary: {by: {levels: [2, 3], otherwise: one}}}}
tables: {errors: {from: [test, scaled], rows: x, columns: by, metric: test_error}}
"""
# a checkpoint with every report: as many durable steps as can be
OFTEN = {"ORCH_CHECKPOINT_INTERVAL_S": "0"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Undisturbed:
    """An undisturbed run.

    Attributes:
        golden: What it came to.
        steps: The number of the last moment at which it could have been struck.
        seconds: How long it took.
    """

    golden: Golden
    steps: int
    seconds: float


def at(directory: Path) -> Orch:
    """Returns the command line in a new directory, with the study's file in it."""
    directory.mkdir(parents=True, exist_ok=True)
    orch = Orch(directory=directory, environment=OFTEN)
    orch.study(STUDY)
    return orch


@cache
def undisturbed() -> Undisturbed:
    """Returns an undisturbed run; its trials have the same keys everywhere."""
    with tempfile.TemporaryDirectory(prefix="orch-") as name:
        orch = at(Path(name))
        ended = warm()(orch, "submit", "study.yaml", fault=Fault())
        assert ended.code == 0, ended
        return Undisturbed(golden=golden(orch, "demo"), steps=ended.steps, seconds=ended.seconds)


def go_on(orch: Orch) -> None:
    """Resumes, or submits when the plan was never recorded."""
    recorded = orch("status", "demo", code=None).code == 0
    orch(*(("resume", "demo") if recorded else ("submit", "study.yaml")))

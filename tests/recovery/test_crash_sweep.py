"""The driver is killed at every durable step of a submission, one after the other, and resumed each time.

A step is an fsync, a rename, a new directory or a transaction; the kill comes before it, or right after. By
default a few steps of the whole range are tried; with ORCH_SWEEP=all (`make recovery`) every one of them.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.recovery.invariants import Golden, assert_invariants, finished, golden
from tests.street.orch import ROOT, Orch

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
# Kills itself before the n-th durable step (odd numbers) or after it (even ones); prints how many there were.
DYING = """
import itertools, os, signal, sys
sys.path.insert(0, {root!r})
from orchestrator.cli.main import run
from orchestrator.registry.engine import Database
steps, wanted = itertools.count(1, 2), int(sys.argv[1])
last = 0

def dying(real):
    def call(*args, **kwargs):
        global last
        last = next(steps)
        step = last
        if step == wanted:
            os.kill(os.getpid(), signal.SIGKILL)
        try:
            return real(*args, **kwargs)
        finally:
            if step + 1 == wanted:
                os.kill(os.getpid(), signal.SIGKILL)
    return call

os.fsync, os.rename, os.mkdir = dying(os.fsync), dying(os.rename), dying(os.mkdir)
Database.write = dying(Database.write)
code = run(sys.argv[2:])
print("steps", last + 1)
sys.exit(code)
"""
FEW = 7


def dies_at(orch: Orch, number: int, *arguments: object) -> int | None:
    """Runs a command that is killed at its n-th step; returns how many steps it has if it gets through."""
    done = subprocess.run(
        [sys.executable, "-c", DYING.format(root=str(ROOT)), str(number), *map(str, arguments)],
        cwd=orch.directory,
        env=orch.env,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == -signal.SIGKILL:
        return None
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[-1])


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Golden, int]:
    """The golden run, and the number of its steps."""
    orch = Orch(directory=tmp_path_factory.mktemp("golden"), environment=OFTEN)
    count = dies_at(orch, 10**9, "submit", orch.study(STUDY))
    assert count is not None
    return golden(orch, "demo"), count


# a checkpoint with every report: as many durable steps as can be
OFTEN = {"ORCH_CHECKPOINT_INTERVAL_S": "0"}


@pytest.mark.slow
def test_killed_at_any_step_of_a_submission(undisturbed: tuple[Golden, int], tmp_path: Path) -> None:
    expected, count = undisturbed
    assert count > 60, "too few steps to mean anything"
    every = os.environ.get("ORCH_SWEEP") == "all"
    # spread over the whole range, and not only before or only after a step
    chosen = range(1, count + 1) if every else [1 + (count - 1) * i // (FEW - 1) - i % 2 for i in range(FEW)]
    for number in chosen:
        orch = Orch(directory=tmp_path / str(number), environment=OFTEN)
        orch.directory.mkdir()
        file = orch.study(STUDY)
        assert dies_at(orch, number, "submit", file) is None, f"step {number} of {count} was never reached"
        before = finished(orch, "demo")
        recorded = orch("status", "demo", code=None).code == 0
        orch(*(("resume", "demo") if recorded else ("submit", file)))
        assert_invariants(orch, "demo", expected, before=before)


@pytest.mark.slow
def test_killed_while_it_resumes(undisturbed: tuple[Golden, int], tmp_path: Path) -> None:
    """Dies half-way, dies again early in the resume, and again: each time a little further."""
    expected, count = undisturbed
    orch = Orch(directory=tmp_path, environment=OFTEN)
    assert dies_at(orch, count // 2, "submit", orch.study(STUDY)) is None
    for number in range(3, 9 if os.environ.get("ORCH_SWEEP") != "all" else count // 2, 2):
        if dies_at(orch, number, "resume", "demo") is not None:
            break
    before = finished(orch, "demo")
    orch("resume", "demo")
    assert_invariants(orch, "demo", expected, before=before)
